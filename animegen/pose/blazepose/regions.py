"""The rotated squares around people in which landmarks are looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from animegen.types import Float32Array, Float64Array

ENLARGE = 1.25
"""Side of a region over the diameter of the circle that two alignment points span."""


@dataclass(frozen=True, slots=True)
class Region:
    """A square of ``side`` pixels around (``x``, ``y``), turned by ``angle`` radians (clockwise in the picture)."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def from_alignment(cls, centre: Float32Array, top: Float32Array) -> Region:
        """The region in which the person stands upright.

        ``centre`` f32 [2] is the middle of the hips and ``top`` f32 [2] a point above it on the circle around the
        whole body (BlazePose, section 2): the region is turned so that ``top`` lies straight up.
        """
        dx, dy = float(top[0] - centre[0]), float(top[1] - centre[1])
        return cls(float(centre[0]), float(centre[1]), 2 * ENLARGE * math.hypot(dx, dy), math.atan2(dx, -dy))

    def to_frame(self, size: int) -> Float64Array:
        """f64 [2, 3] from the pixels of a ``size`` x ``size`` crop to frame pixels (pixel centres are integers)."""
        scale = self.side / size
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        middle = (size - 1) / 2
        return np.array(
            [
                [cos, -sin, self.x - cos * middle + sin * middle],
                [sin, cos, self.y - sin * middle - cos * middle],
            ]
        )
