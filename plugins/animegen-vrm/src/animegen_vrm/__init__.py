"""VRM avatars for animegen: a style that drives them, and training data rendered from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from animegen.hookspecs import hookimpl
from animegen.protocols import DoctorCheck, StyleSpec

if TYPE_CHECKING:
    import click


@hookimpl
def animegen_register_commands(cli: click.Group) -> None:
    """Adds ``animegen vrm``."""
    from animegen_vrm.cli import vrm

    cli.add_command(vrm)


@hookimpl
def animegen_styles() -> Iterable[StyleSpec]:
    """Announces the style."""
    from animegen_vrm.options import VrmOptions

    yield StyleSpec(
        name="vrm",
        summary="VRM avatars of your own, given with --set avatar=FILE.vrm",
        factory="animegen_vrm.style:make_style",
        options=VrmOptions,
    )


@hookimpl
def animegen_doctor_checks() -> Iterable[DoctorCheck]:
    """Announces whether avatars can be rendered here."""
    yield DoctorCheck("rendering of VRM avatars", "animegen_vrm.cli:check_rendering")
