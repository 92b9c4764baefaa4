"""VRM avatars for animegen: a style that drives them, and training data rendered from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from animegen.hookspecs import hookimpl
from animegen.protocols import DoctorCheck

if TYPE_CHECKING:
    import click


@hookimpl
def animegen_register_commands(cli: click.Group) -> None:
    """Adds ``animegen vrm``."""
    from animegen_vrm.cli import vrm

    cli.add_command(vrm)


@hookimpl
def animegen_doctor_checks() -> Iterable[DoctorCheck]:
    """Announces whether avatars can be rendered here."""
    yield DoctorCheck("rendering of VRM avatars", "animegen_vrm.cli:check_rendering")
