"""The squares of a frame that the models look at: tiles for people anywhere, rotated regions around one person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from animegen.types import Float32Array, Float64Array

ENLARGE = 1.25
"""Side of a person's region over the diameter of the circle around the whole body."""

_BELOW_FACE, _OF_FACES = 1.75, 5.5
"""How far the hips lie below the middle of an upright person's face, and the side of the person's region, in sides of
the face's region."""

_AROUND = 1.6
"""Side of the square around a person in which others are looked for, over the side of the person's region."""


@dataclass(frozen=True, slots=True)
class Region:
    """A square of ``side`` pixels around (``x``, ``y``), turned by ``angle`` radians (clockwise in the picture)."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def from_alignment(cls, hips: Float32Array, top: Float32Array) -> Region:
        """The region in which a person stands upright.

        ``hips`` f32 [2] is the middle of the hips, the centre of the circle around the whole body, and ``top`` f32
        [2] the point of that circle above the head (BlazePose, arXiv 2006.10204, section 2.2).
        """
        dx, dy = float(top[0] - hips[0]), float(top[1] - hips[1])
        side = max(2 * ENLARGE * math.hypot(dx, dy), 1.0)
        return cls(float(hips[0]), float(hips[1]), side, math.atan2(dx, -dy))

    @property
    def body(self) -> Region:
        """The region of the person with a face of this region, who is upright to it."""
        x, y = math.sin(self.angle), -math.cos(self.angle)
        below = _BELOW_FACE * self.side
        return Region(self.x - below * x, self.y - below * y, _OF_FACES * self.side, self.angle)

    def to_frame(self, size: int) -> Float64Array:
        """f64 [2, 3] from the pixels of a ``size`` x ``size`` crop to frame pixels (pixel centres are integers)."""
        scale = self.side / size
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        middle = (size - 1) / 2
        x, y = self.x - (cos - sin) * middle, self.y - (sin + cos) * middle
        return np.array([[cos, -sin, x], [sin, cos, y]])

    @property
    def surroundings(self) -> Region:
        """The upright square around a person in which somebody else may come into view."""
        return Region(self.x, self.y, _AROUND * self.side)

    def distance(self, other: Region) -> float:
        """Pixels from the middle of one region to the other's."""
        return math.hypot(self.x - other.x, self.y - other.y)

    def near(self, other: Region) -> bool:
        """Whether the middles of two regions lie within a quarter of the smaller one's side."""
        return self.distance(other) < 0.25 * min(self.side, other.side)


def tiles(width: int, height: int, scale: float) -> list[Region]:
    """Squares of 1/``scale`` of the longer side that cover a frame, each half over its neighbour."""
    side = max(width, height) / scale
    return [Region(x, y, side) for y in _cover(height, side) for x in _cover(width, side)]


def _cover(length: float, side: float) -> list[float]:
    """Middles of the fewest intervals of ``side`` over 0..length of which neighbours share half at least."""
    if side >= length:
        return [(length - 1) / 2]
    count = math.ceil(2 * (length - side) / side) + 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, count) - 0.5]
