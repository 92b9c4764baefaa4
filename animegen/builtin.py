"""What comes with animegen, announced through the same hooks as any plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from animegen.hookspecs import hookimpl
from animegen.protocols import (
    BackgroundSpec,
    DoctorCheck,
    FaceBackendSpec,
    IdentityPreserverSpec,
    PoseBackendSpec,
    StyleSpec,
    TrackerSpec,
    WeightSpec,
)

if TYPE_CHECKING:
    from animegen.types import Skeleton


@hookimpl
def animegen_pose_backends() -> Iterable[PoseBackendSpec]:
    """BlazePose."""
    from animegen.pose.blazepose.options import BlazePoseOptions

    yield PoseBackendSpec(
        name="blazepose",
        summary="BlazePose for several people: 33 points, hands, expression, depth and a mask for each",
        factory="animegen.pose.blazepose:make_blazepose",
        options=BlazePoseOptions,
        weights=(
            *("blazepose-detector", "blazepose-landmark-full", "selfie-segmentation"),
            *("face-detector", "face-landmark", "iris-landmark", "hand-landmark-full"),
        ),
    )


@hookimpl
def animegen_face_backends() -> Iterable[FaceBackendSpec]:
    """BlazeFace and the face mesh."""
    yield FaceBackendSpec(
        name="facemesh",
        summary="BlazeFace and the face mesh: five points and the outline of each face",
        factory="animegen.pose.blazepose.faces:make_facemesh",
        weights=("face-detector", "face-landmark", "iris-landmark"),
    )


@hookimpl
def animegen_trackers() -> Iterable[TrackerSpec]:
    """Matching by point similarity."""
    from animegen.tracking.options import OksTrackerOptions

    yield TrackerSpec(
        name="oks",
        summary="joins poses frame by frame by the similarity of their points",
        factory="animegen.tracking.oks:make_tracker",
        options=OksTrackerOptions,
    )


@hookimpl
def animegen_identity_preservers() -> Iterable[IdentityPreserverSpec]:
    """The six part colours, alone and with the whole look."""
    from animegen.identity.options import AppearanceOptions, PaletteOptions

    yield IdentityPreserverSpec(
        name="appearance",
        summary="the part colours, and for recognition the colours of the whole figure and the build",
        factory="animegen.identity.preserver:make_preserver",
        options=AppearanceOptions,
    )
    yield IdentityPreserverSpec(
        name="palette",
        summary="the colours of hair, skin, eyes, clothes and shoes, measured over the clip",
        factory="animegen.identity.palette:make_preserver",
        options=PaletteOptions,
    )


@hookimpl
def animegen_styles() -> Iterable[StyleSpec]:
    """Anime avatars, anime faces on filmed people, and the jointed figure."""
    from animegen.avatar.options import AnimeOptions
    from animegen.face.options import ANIME, BASE, AnimeFaceOptions
    from animegen.pose.options import SkeletonOptions

    yield StyleSpec(
        name="anime",
        summary="anime avatars whose bones follow the pose, or drawn by a network by --set weights=FILE",
        factory="animegen.pipeline.anime:make_style",
        options=AnimeOptions,
        weights=("avatar-anime",),
    )
    yield StyleSpec(
        name="anime-face",
        summary="people as filmed with the face of an anime generator; faces it cannot draw stay as they are",
        factory="animegen.pipeline.anime_face:make_style",
        options=AnimeFaceOptions,
        weights=(BASE, ANIME),
        clip_side=1024,
        needs_faces=True,
        over_source=True,
    )
    yield StyleSpec(
        name="skeleton",
        summary="a jointed figure in each person's own colours",
        factory="animegen.pose.skeleton_style:make_style",
        options=SkeletonOptions,
    )


@hookimpl
def animegen_backgrounds() -> Iterable[BackgroundSpec]:
    """What stands behind the avatars."""
    from animegen.composite.options import BlurOptions, ColorOptions, PictureOptions

    def background(
        name: str, summary: str, options: type[Any] | None = None, needs_clean: bool = False
    ) -> BackgroundSpec:
        factory = f"animegen.composite.backgrounds:make_{name}"
        return BackgroundSpec(name, summary, factory, options, needs_clean=needs_clean)

    return (
        background("clean", "the scene with the people removed", needs_clean=True),
        background("keep", "the frame as it is, people included"),
        background("blur", "the scene with the people removed, out of focus", BlurOptions, needs_clean=True),
        background("color", "one colour", ColorOptions),
        background("picture", "a picture or a video of your own", PictureOptions),
        background("anime", "the scene with the people removed, painted flat", needs_clean=True),
    )


@hookimpl
def animegen_skeletons() -> Iterable[Skeleton]:
    """The skeletons of the built-in backends and pose files."""
    from animegen.pose.skeletons import SKELETONS

    return tuple(SKELETONS.values())


@hookimpl
def animegen_weights() -> Iterable[WeightSpec]:
    """The packaged manifest."""
    from animegen.weights import known

    return known().values()


@hookimpl
def animegen_doctor_checks() -> Iterable[DoctorCheck]:
    """What animegen itself stands on."""
    names = ("python", "machine", "torch", "video", "pose runtime", "native ops", "disk")
    return [DoctorCheck(name, f"animegen.measure.health:check_{name.replace(' ', '_')}") for name in names]
