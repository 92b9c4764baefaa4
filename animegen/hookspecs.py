"""What a plugin may implement: every hook, its signature, and a whole example to start from.

A plugin is a module with some of these functions, marked ``@hookimpl``, that its package names in ``pyproject.toml``::

    [project.entry-points.animegen]
    my-plugin = "my_package"

Each example below is such a module ``my_package``. Keep yours light at the top: it is imported by every command, while
a factory, named as a string, is imported only when the user chose it. ``animegen plugins new NAME`` writes a package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from animegen.protocols import (
    BackgroundSpec,
    DoctorCheck,
    FaceBackendSpec,
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
    """Pose backends: they find every person of a frame and their points. Chosen by ``--pose NAME``.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import PoseBackendSpec

        @hookimpl
        def animegen_pose_backends():
            summary = "takes for granted that one person stands in the middle"
            return [PoseBackendSpec("middle", summary, "my_package:make_backend")]

        def make_backend(options, context):
            return Middle()

        class Middle:
            def __init__(self):
                from animegen.types import Skeleton

                self.skeleton = Skeleton("spine2", ("head", "hips"), ((0, 1),), ())

            def estimate(self, frames):
                import numpy as np

                from animegen.types import Pose

                for frame in frames:
                    width, height = frame.size
                    xy = np.array([[width / 2, height * 0.2], [width / 2, height * 0.5]], np.float32)
                    box = np.array([width * 0.4, height * 0.1, width * 0.6, height * 0.9], np.float32)
                    yield [Pose(self.skeleton, xy, np.full(2, 0.5, np.float32), box)]
    """


@hookspec
def animegen_face_backends() -> Iterable[FaceBackendSpec]:  # type: ignore[empty-body]
    """Face backends: they find the faces of a picture and their five points. Chosen by ``--face NAME``.

    A face may come with a soft mask of its outline and with an embedding by which the person is known.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import FaceBackendSpec

        @hookimpl
        def animegen_face_backends():
            summary = "takes for granted that one face fills the middle"
            return [FaceBackendSpec("middle", summary, "my_package:make_backend")]

        def make_backend(options, context):
            return Middle()

        class Middle:
            def find(self, pictures):
                return [[self.face(picture)] for picture in pictures]

            def face(self, picture):
                import numpy as np

                from animegen.types import Face

                height, width = picture.shape[:2]
                box = np.array([0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height], np.float32)
                shares = [[0.4, 0.42], [0.6, 0.42], [0.5, 0.53], [0.42, 0.63], [0.58, 0.63]]
                return Face(box, 0.5, np.array(shares, np.float32) * np.array([width, height], np.float32))
    """


@hookspec
def animegen_trackers() -> Iterable[TrackerSpec]:  # type: ignore[empty-body]
    """Trackers: they say which pose of this frame is which person of the frames before.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import TrackerSpec

        @hookimpl
        def animegen_trackers():
            return [TrackerSpec("leftmost", "counts people from left to right", "my_package:make_tracker")]

        def make_tracker(options, context):
            return Leftmost()

        class Leftmost:
            def update(self, frame_index, poses):
                ranks = sorted(range(len(poses)), key=lambda i: float(poses[i].bbox[0]))
                return [ranks.index(i) for i in range(len(poses))]
    """


@hookspec
def animegen_identity_preservers() -> Iterable[IdentityPreserverSpec]:  # type: ignore[empty-body]
    """Identity preservers: they measure who a track is and recognise that person again. Chosen by ``--identity NAME``.

    What they know a person by beside the colours stands in ``identity.embedding``; the cast file keeps it. One that has
    a method ``difference(a, b)`` too (:class:`animegen.protocols.ComparingPreserver`) tells several people apart at
    once.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import IdentityPreserverSpec

        @hookimpl
        def animegen_identity_preservers():
            return [IdentityPreserverSpec("grey", "everybody looks alike", "my_package:make_preserver")]

        def make_preserver(options, context):
            return Grey()

        class Grey:
            def enroll(self, track, crops):
                from animegen.types import PARTS, Identity, Palette, PartColour, Traits

                palette = Palette(**{part: PartColour((50.0, 0.0, 0.0), 1.0) for part in PARTS})
                return Identity(f"person-{track.id}", palette, Traits(), style="", seed=track.id)

            def match(self, identity, gallery):
                return next((i for i, known in enumerate(gallery) if known.key == identity.key), None)
    """


@hookspec
def animegen_styles() -> Iterable[StyleSpec]:  # type: ignore[empty-body]
    """Styles: they draw people. Chosen by ``--style NAME``; ``--set KEY=VALUE`` fills the option class.

    A style with several avatars may have a method ``cast(identities)`` too, which names the avatar of each person of a
    clip (:class:`animegen.protocols.CastingStyle`); ``identity.avatar`` then says which one to draw.

    Example::

        from dataclasses import dataclass

        from animegen.hookspecs import hookimpl
        from animegen.protocols import StyleSpec

        @dataclass(frozen=True)
        class BlockOptions:
            opacity: float = 0.5

        @hookimpl
        def animegen_styles():
            return [StyleSpec("block", "a block in place of a person", "my_package:make_style", BlockOptions)]

        def make_style(options, context):
            return Block(options)

        class Block:
            def __init__(self, options):
                self.options = options

            def prepare(self, identity, track, crops):
                return {}

            def render(self, requests):
                return [self.draw(request) for request in requests]

            def draw(self, request):
                import numpy as np

                from animegen.colour import lab_to_rgb
                from animegen.types import Sprite

                left, top, right, bottom = request.pose.bbox.astype(np.float64)
                to_frame = np.array([[(right - left) / 8, 0, left], [0, (bottom - top) / 8, top]])
                rgba = np.empty((8, 8, 4), np.uint8)
                rgba[..., :3] = lab_to_rgb(request.identity.palette.upper.lab)
                rgba[..., 3] = round(255 * self.options.opacity)
                return Sprite.from_straight(rgba, to_frame, request.order)
    """


@hookspec
def animegen_backgrounds() -> Iterable[BackgroundSpec]:  # type: ignore[empty-body]
    """Backgrounds: they make the picture on which the avatars are laid. Chosen by ``--background NAME``.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import BackgroundSpec

        @hookimpl
        def animegen_backgrounds():
            summary = "the scene without its people, at night"
            return [BackgroundSpec("night", summary, "my_package:make_background", needs_clean=True)]

        def make_background(options, context):
            return Night()

        class Night:
            def render(self, request):
                return request.clean() // 4
    """


@hookspec
def animegen_video_sources() -> Iterable[VideoSourceSpec]:  # type: ignore[empty-body]
    """Video sources: they open what FFmpeg cannot, by ``NAME:...`` or by file suffix.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import VideoSourceSpec

        @hookimpl
        def animegen_video_sources():
            summary = "grey frames for testing"
            return [VideoSourceSpec("grey", summary, "my_package:make_source", suffixes=(".grey",))]

        def make_source(options, context):
            return frames

        def frames(location):
            from fractions import Fraction

            import numpy as np

            from animegen.types import Frame

            for index in range(25):
                yield Frame(index, Fraction(index, 25), np.full((48, 64, 3), 128, np.uint8))
    """


@hookspec
def animegen_video_sinks() -> Iterable[VideoSinkSpec]:  # type: ignore[empty-body]
    """Video sinks: they write what FFmpeg cannot, by file suffix.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import VideoSinkSpec

        @hookimpl
        def animegen_video_sinks():
            return [VideoSinkSpec("raw", "bare RGB samples", "my_package:make_sink", suffixes=(".rgb",))]

        def make_sink(options, context):
            return write

        def write(path, frames):
            with open(path, "wb") as file:
                for frame in frames:
                    file.write(frame.image.tobytes())
    """


@hookspec
def animegen_skeletons() -> Iterable[Skeleton]:  # type: ignore[empty-body]
    """Skeletons: names of points, limbs and mirror pairs, so that pose files of that kind can be read and drawn.

    Example::

        from animegen.hookspecs import hookimpl

        @hookimpl
        def animegen_skeletons():
            from animegen.types import Skeleton

            points = ("nose", "left_wrist", "right_wrist")
            return [Skeleton("puppet3", points, edges=((0, 1), (0, 2)), flip_pairs=((1, 2),))]
    """


@hookspec
def animegen_weights() -> Iterable[WeightSpec]:  # type: ignore[empty-body]
    """Weight files: where they come from and how they are checked. A spec asks for them by name in ``weights``.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import WeightSpec

        @hookimpl
        def animegen_weights():
            return [
                WeightSpec(
                    name="my-detector",
                    source="wheel:some-project==1.2.3",
                    member="some_project/detector.tflite",
                    sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    bytes=4096,
                    licence="Apache-2.0",
                    credit="The authors of some-project",
                )
            ]
    """


@hookspec
def animegen_doctor_checks() -> Iterable[DoctorCheck]:  # type: ignore[empty-body]
    """Checks of ``animegen doctor``: functions that return ``(ok, text)``.

    Example::

        from animegen.hookspecs import hookimpl
        from animegen.protocols import DoctorCheck

        @hookimpl
        def animegen_doctor_checks():
            return [DoctorCheck("home folder", "my_package:check_home")]

        def check_home():
            from pathlib import Path

            home = Path.home()
            return home.is_dir(), str(home)
    """


@hookspec
def animegen_register_commands(cli: click.Group) -> None:
    """Commands of the command line: add them to ``cli``. A name that is taken already is left out with a warning.

    Example::

        import click

        from animegen.hookspecs import hookimpl

        @hookimpl
        def animegen_register_commands(cli):
            @cli.command()
            @click.argument("name")
            def greet(name):
                "Greet somebody."
                click.echo(f"hello {name}")
    """
