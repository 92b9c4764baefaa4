"""Writes rendered pictures as any film, picture or folder of pictures that animegen can write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from animegen.config import EncodeConfig
from animegen.types import Colour, Float32Array, Frame, Uint8Array, VideoInfo
from animegen.video import OutputPlan, SegmentWriter, StreamInfo, Timeline, VideoFile, plan_output, write_output

TIME_BASE = Fraction(1, 90000)


class _Rendering(VideoFile):
    """A source that is rendered instead of read: animegen's planner asks a source only for these."""

    def __init__(self, size: tuple[int, int], frames: int, rate: Fraction) -> None:
        self.path = Path()
        self._size, self._frames, self._rate = size, frames, rate

    @property
    def info(self) -> VideoInfo:
        width, height = self._size
        colour = Colour(transfer="iec61966-2-1", matrix="gbr", range="pc")
        return VideoInfo(width, height, TIME_BASE, self._rate, self._frames, colour=colour)

    @property
    def timeline(self) -> Timeline:
        edges = np.array([round(i / self._rate / TIME_BASE) for i in range(self._frames + 1)], np.int64)
        return Timeline(TIME_BASE, edges[:-1], np.diff(edges), np.zeros(1, np.int64))

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return ()


def plan_film(
    output: Path, size: tuple[int, int], frames: int, rate: Fraction, *, transparent: bool, overwrite: bool
) -> OutputPlan:
    """Decide how ``frames`` pictures of (width, height) are written to a film, a picture or a folder of PNGs.

    Raises OutputError for what can be known to fail: a format that cannot be transparent, a file that stands there.
    """
    source = _Rendering(size, frames, rate)
    return plan_output(source, output, EncodeConfig(alpha=transparent), overwrite=overwrite)


def write_film(plan: OutputPlan, pictures: Iterable[Uint8Array], ground: Float32Array) -> None:
    """Write pictures uint8 [H, W, 4] (premultiplied) as planned, over ``ground`` f32 [3] (sRGB 0..255) if opaque.

    The output stands under its name only when it is whole.
    """
    with tempfile.TemporaryDirectory() as folder:
        segment = Path(folder) / "pictures"
        with SegmentWriter(plan, segment) as writer:
            for index, picture in enumerate(pictures):
                if plan.alpha:
                    writer.write_rgba(picture)
                else:
                    writer.write(Frame(index, index / plan.rate, over(picture, ground)))
        write_output(plan, [segment])


def over(picture: Uint8Array, ground: Float32Array) -> Uint8Array:
    """A premultiplied picture uint8 [H, W, 4] on a plain ground: uint8 [H, W, 3]."""
    clear = 1.0 - picture[..., 3:].astype(np.float32) / 255.0
    mixed: Uint8Array = np.rint(picture[..., :3] + clear * ground).clip(0, 255).astype(np.uint8)
    return mixed
