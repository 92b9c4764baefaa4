"""Avatars in motion as films: any film, picture or folder of pictures that animegen can write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import cos, radians, sin
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from animegen.avatar.layers import colour_layers
from animegen.config import EncodeConfig
from animegen.events import Listener, ignore
from animegen.pipeline.progress import stage
from animegen.types import PARTS, Colour, Float32Array, Float64Array, Frame, Part, Uint8Array, VideoInfo
from animegen.video import OutputPlan, SegmentWriter, StreamInfo, Timeline, VideoFile, plan_output, write_output
from animegen_vrm.camera import Camera, look_at
from animegen_vrm.framing import crown_of, top_of_head
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.motion import Motion, read_motion
from animegen_vrm.read import read_avatar
from animegen_vrm.recolour import reference_palette
from animegen_vrm.render import Renderer
from animegen_vrm.rig import Rig
from animegen_vrm.springs import SpringSimulation

_FOV = 25.0
_ROOM = 1.1
"""Space around all points for flesh, hair and cloth."""

_FOLLOW_SECONDS = 0.5
"""How smoothly a camera follows: the standard deviation of the times that it averages."""

_UNSEEN = (0.5, 0.5, 0.5)

Rgb = tuple[float, float, float]
"""sRGB 0..1."""


@dataclass(frozen=True, slots=True)
class FilmRequest:
    """What film to render. ``yaw`` degrees from the front of the first pose to its left, ``pitch`` from above."""

    avatar: Path
    motion: Path
    output: Path
    size: int = 512
    rate: int = 30
    transparent: bool = False
    ground: Rgb = (0.91, 0.9, 0.94)
    camera: Literal["follow", "still"] = "follow"
    yaw: float = 20.0
    pitch: float = 8.0
    palette: Mapping[Part, Rgb] = field(default_factory=dict)
    overwrite: bool = False


def render_film(request: FilmRequest, on_event: Listener = ignore) -> None:
    """Render an avatar that moves. Hair and cloth swing in time; the output is whole or absent.

    Raises InputError for files that cannot be read, OutputError for an output that cannot be written.
    """
    avatar, motion = read_avatar(request.avatar), read_motion(request.motion)
    rate = Fraction(request.rate)
    frames = round(motion.duration * request.rate) + 1
    plan = plan_film(
        request.output, request.size, frames, rate, transparent=request.transparent, overwrite=request.overwrite
    )
    with Renderer(request.size) as renderer, stage("render", frames, on_event) as advance:
        pictures = _pictures(request, avatar, motion, frames, renderer)
        write_film(plan, pictures, 255 * np.array(request.ground, np.float32), advance)


def _pictures(
    request: FilmRequest, avatar: Avatar, motion: Motion, frames: int, renderer: Renderer
) -> Iterator[Uint8Array]:
    """The pictures uint8 [H, W, 4], premultiplied."""
    rig, keypoints = Rig(avatar), Keypoints(avatar)
    poses = [_posed(rig, motion, frame / request.rate) for frame in range(frames)]
    crown = crown_of(avatar, keypoints)
    points = np.stack([_outline(keypoints.points(posed), crown) for posed in poses])
    model, springs = renderer.load(avatar), SpringSimulation(rig)
    palette: Float32Array | None = None
    if request.palette:
        colours = {**reference_palette(avatar), **request.palette}
        palette = np.array([colours.get(part, _UNSEEN) for part in PARTS], np.float32)
    for posed, camera in zip(poses, _cameras(request, points), strict=True):
        swung = springs.step(posed, 1.0 / request.rate)
        if palette is None:
            yield renderer.colours(model, swung, camera)
        else:
            yield colour_layers(renderer.layers(model, swung, camera), palette)


def _posed(rig: Rig, motion: Motion, seconds: float) -> Posed:
    frame = min(round(seconds * motion.rate), len(motion) - 1)
    look = (0.0, 0.0) if motion.look is None else (float(motion.look[frame, 0]), float(motion.look[frame, 1]))
    return rig.apply(motion.at(seconds), motion.expressions_at(frame), look)


def _outline(points: Float32Array, crown: float) -> Float64Array:
    """The points and the top of the head, f64 [36, 3]."""
    body = points.astype(np.float64)
    return np.concatenate([body, [top_of_head(body, crown)]])


def _cameras(request: FilmRequest, points: Float64Array) -> Iterator[Camera]:
    """One camera for each frame's points f64 [F, 36, 3]: far enough that none ever leaves the picture."""
    if request.camera == "follow":
        middle = (points.min(axis=1) + points.max(axis=1)) / 2
        middle[:, 1] = (points[..., 1].min() + points[..., 1].max()) / 2
        targets = gaussian_filter1d(middle, request.rate * _FOLLOW_SECONDS, axis=0, mode="nearest")
    else:
        middle = (points.min(axis=(0, 1)) + points.max(axis=(0, 1))) / 2
        targets = np.broadcast_to(middle, (len(points), 3))
    reach = _ROOM * float(np.linalg.norm(points - targets[:, None], axis=2).max())
    yaw, pitch = radians(request.yaw), radians(request.pitch)
    toward = np.array([sin(yaw) * cos(pitch), sin(pitch), cos(yaw) * cos(pitch)])
    distance = reach / sin(radians(_FOV) / 2)
    for target in targets:
        yield look_at(target + distance * toward, target, (0.0, 1.0, 0.0), _FOV, request.size)


_TIME_BASE = Fraction(1, 90000)


class _Rendering(VideoFile):
    """A source that is rendered instead of read: animegen's planner asks a source only for these."""

    def __init__(self, size: tuple[int, int], frames: int, rate: Fraction) -> None:
        self.path = Path()
        self._size, self._frames, self._rate = size, frames, rate

    @property
    def info(self) -> VideoInfo:
        width, height = self._size
        colour = Colour(transfer="iec61966-2-1", matrix="gbr", range="pc")
        return VideoInfo(width, height, _TIME_BASE, self._rate, self._frames, colour=colour)

    @property
    def timeline(self) -> Timeline:
        edges = np.array([round(i / self._rate / _TIME_BASE) for i in range(self._frames + 1)], np.int64)
        return Timeline(_TIME_BASE, edges[:-1], np.diff(edges), np.zeros(1, np.int64))

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return ()


def plan_film(
    output: Path, size: int, frames: int, rate: Fraction, *, transparent: bool, overwrite: bool
) -> OutputPlan:
    """Decide how ``frames`` square pictures are written to a film, a picture or a folder of PNGs.

    Raises OutputError for what can be known to fail: a format that cannot be transparent, a file that stands there.
    """
    source = _Rendering((size, size), frames, rate)
    return plan_output(source, output, EncodeConfig(alpha=transparent), overwrite=overwrite)


def write_film(
    plan: OutputPlan, pictures: Iterable[Uint8Array], ground: Float32Array, advance: Callable[[int], None]
) -> None:
    """Write pictures uint8 [H, W, 4] (premultiplied) as planned, over ``ground`` f32 [3] (sRGB 0..255) if opaque.

    The output stands under its name only when it is whole. ``advance`` is told of each picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        segment = Path(folder) / "pictures"
        with SegmentWriter(plan, segment) as writer:
            for index, picture in enumerate(pictures):
                if plan.alpha:
                    writer.write_rgba(picture)
                else:
                    writer.write(Frame(index, index / plan.rate, over(picture, ground)))
                advance(1)
        write_output(plan, [segment])


def over(picture: Uint8Array, ground: Float32Array) -> Uint8Array:
    """A premultiplied picture uint8 [H, W, 4] on a ground f32 [3] or [H, W, 3] (sRGB 0..255): uint8 [H, W, 3]."""
    clear = 1.0 - picture[..., 3:].astype(np.float32) / 255.0
    mixed: Uint8Array = np.rint(picture[..., :3] + clear * ground).clip(0, 255).astype(np.uint8)
    return mixed
