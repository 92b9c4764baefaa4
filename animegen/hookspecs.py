"""What a plugin may implement: every hook, its signature, and a whole example to start from.

A plugin is a module with some of these functions, marked ``@hookimpl``, that its package names in ``pyproject.toml``::

    [project.entry-points.animegen]
    my-plugin = "my_package.plugin"

Keep that module light: specs name their factories as strings, and only a factory that is used gets imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from animegen.protocols import (
    BackgroundSpec,
    DoctorCheck,
    IdentityPreserverSpec,
    PoseBackendSpec,
    StyleSpec,
    TrackerSpec,
    VideoSinkSpec,
    VideoSourceSpec,
    WeightSpec,
)

if TYPE_CHECKING:
    import click

    from animegen.types import Skeleton

__all__ = ["hookimpl"]

hookspec = pluggy.HookspecMarker("animegen")

hookimpl = pluggy.HookimplMarker("animegen")
"""Marks a function of a plugin as the implementation of the hook of that name."""


@hookspec
def animegen_pose_backends() -> Iterable[PoseBackendSpec]:  # type: ignore[empty-body]
    """Pose backends: they find every person of a frame and their points."""


@hookspec
def animegen_trackers() -> Iterable[TrackerSpec]:  # type: ignore[empty-body]
    """Trackers."""


@hookspec
def animegen_identity_preservers() -> Iterable[IdentityPreserverSpec]:  # type: ignore[empty-body]
    """Identity preservers."""


@hookspec
def animegen_styles() -> Iterable[StyleSpec]:  # type: ignore[empty-body]
    """Styles."""


@hookspec
def animegen_backgrounds() -> Iterable[BackgroundSpec]:  # type: ignore[empty-body]
    """Backgrounds."""


@hookspec
def animegen_video_sources() -> Iterable[VideoSourceSpec]:  # type: ignore[empty-body]
    """Video sources."""


@hookspec
def animegen_video_sinks() -> Iterable[VideoSinkSpec]:  # type: ignore[empty-body]
    """Video sinks."""


@hookspec
def animegen_skeletons() -> Iterable[Skeleton]:  # type: ignore[empty-body]
    """Skeletons."""


@hookspec
def animegen_weights() -> Iterable[WeightSpec]:  # type: ignore[empty-body]
    """Weight files."""


@hookspec
def animegen_doctor_checks() -> Iterable[DoctorCheck]:  # type: ignore[empty-body]
    """Checks of ``animegen doctor``."""


@hookspec
def animegen_register_commands(cli: click.Group) -> None:
    """Commands of the command line."""
