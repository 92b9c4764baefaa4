"""A plugin for the tests: a pose backend that sees people by their painted faces, and a style that draws blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.ndimage import center_of_mass, label

from animegen.colour import lab_to_rgb
from animegen.hookspecs import hookimpl
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.protocols import PluginContext, PoseBackendSpec, StyleSpec
from animegen.testing import synthetic_pose
from animegen.types import Crop, Frame, Identity, Pose, Prepared, RenderRequest, Sprite, Track

HEIGHT = 170.0
"""Of everybody, in pixels."""
_LEAST = 100
"""Pixels of a face."""


def standing(nose: tuple[float, float]) -> Pose:
    """The pose of somebody whose nose is there."""
    bare = synthetic_pose(feet=(0.0, 0.0), height=HEIGHT)
    x, y = bare.xy[bare.skeleton.index("nose")]
    return synthetic_pose(feet=(nose[0] - float(x), nose[1] - float(y)), height=HEIGHT)


class Heads:
    """Implements :class:`animegen.protocols.PoseBackend`: everybody stands under their face."""

    skeleton = BLAZEPOSE33

    def estimate(self, frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        for frame in frames:
            image = frame.image.astype(int)
            marks, count = label(image[..., 1] - image[..., 2] > 100)
            faces = [n for n in range(1, count + 1) if (marks == n).sum() >= _LEAST]
            yield [standing((x, y)) for y, x in center_of_mass(marks > 0, marks, faces)]


class Blocks:
    """Implements :class:`animegen.protocols.Style`: a block in the colour of the upper clothes."""

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:
        return {}

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        return [self._block(request) for request in requests]

    def _block(self, request: RenderRequest) -> Sprite:
        left, top, right, bottom = request.pose.bbox.astype(np.float64)
        rgba = np.full((8, 8, 4), 255, np.uint8)
        rgba[..., :3] = lab_to_rgb(request.identity.palette.upper.lab)
        return Sprite(rgba, np.array([[(right - left) / 8, 0, left], [0, (bottom - top) / 8, top]]), request.order)


def make_heads(options: None, context: PluginContext) -> Heads:
    return Heads()


def make_blocks(options: None, context: PluginContext) -> Blocks:
    return Blocks()


@hookimpl
def animegen_pose_backends() -> Iterable[PoseBackendSpec]:
    yield PoseBackendSpec("heads", "sees people by their painted faces", "stage:make_heads")


@hookimpl
def animegen_styles() -> Iterable[StyleSpec]:
    yield StyleSpec("blocks", "a block in place of a person", "stage:make_blocks")
