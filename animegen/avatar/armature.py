"""Bones of an avatar: where they turn, and where the points that drive them lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.types import Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Armature:
    """An avatar's bones in its T-pose: metres, y up, facing +z, its left at +x; no bone is turned.

    ``bones``, parents first, have the names of VRM 1.0's humanoid bones, those that are none any others. ``parents``
    int64 [B], -1 for the hips, which come first. ``pivots`` f32 [B, 3]: where each turns. ``point_bones`` int64 [K] and
    ``points`` f32 [K, 3]: the bone that each point of the driving skeleton moves with, and where it lies.
    """

    bones: tuple[str, ...]
    parents: NDArray[np.int64]
    pivots: Float32Array
    point_bones: NDArray[np.int64]
    points: Float32Array

    def __post_init__(self) -> None:
        count = len(self.bones)
        if count == 0 or self.parents.shape != (count,) or self.pivots.shape != (count, 3):
            raise InvalidValue(f"{count} bones have {self.parents.shape} parents and {self.pivots.shape} pivots")
        if self.parents[0] != -1 or not all(0 <= parent < i for i, parent in enumerate(self.parents.tolist()) if i):
            raise InvalidValue("the first bone must be the root, and every other one stand after its parent")
        if self.points.shape != (len(self.point_bones), 3) or self.point_bones.ndim != 1:
            raise InvalidValue(f"{self.point_bones.shape} bones carry points of shape {self.points.shape}")
        if len(self.points) and not 0 <= self.point_bones.min() <= self.point_bones.max() < count:
            raise InvalidValue(f"points hang on bones from 0 to {count - 1}, got {self.point_bones.tolist()}")


@dataclass(frozen=True, slots=True, eq=False)
class PosedBones:
    """Bones in N poses, as a camera sees them.

    ``matrices`` f32 [N, B, 3, 4] take a place at rest (metres) to the camera's axes: x to the right, y down, z away
    from it, 0 at the camera, in canvas sides at the distance of the hips. ``focal`` f32 [N] in canvas sides: a place
    (x, y, z) is seen at (1/2 + focal x / z, 1/2 + focal y / z); the hips are ``focal`` away.
    """

    matrices: Float32Array
    focal: Float32Array
