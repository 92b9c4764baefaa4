"""The points of a face: MediaPipe's face mesh (Kartynnik et al. 2019, arXiv 1907.06724) and its model of eyes
(Ablavatski et al. 2020, arXiv 2006.11341).

The mesh finds the mouth well, but its lids hardly close: those are left to the model of eyes, which sees the iris too.
It sees how a head is turned and tilted far better than the body's model, which draws most faces upright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animegen.pose.blazepose.crops import cut
from animegen.pose.blazepose.model import PictureModel, sigmoid
from animegen.pose.blazepose.regions import Region
from animegen.pose.expression import EYE_CORNERS, Eye
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.types import Float32Array, Pose, Uint8Array

_POINTS, _SIZE = 468, 192
_OUTPUTS = ((1, 1, 1, 3 * _POINTS), (1, 1, 1, 1))
_EYE_SIZE, _LID_POINTS = 64, 16
_EYE_OUTPUTS = ((1, 3 * 71), (1, 3 * 5))

_FROM_EARS, _FROM_EYES = 1.5, 4.0
"""Side of the region that the body tells: the distance of the ears, or of eyes and mouth where it is seen from the
side, times these."""
_FROM_MESH = 1.5
"""Side of the region that the mesh tells, over its longer side (as in MediaPipe's graphs)."""
_FROM_CORNERS = 2.3
"""Side of an eye's region over its width (as in MediaPipe's graphs)."""
_TIP = 1
_BEHIND_TEMPLES = 0.2
"""How far the ears lie behind the mesh's temples, where it ends, in distances from there to the tip of the nose: the
mesh's mean face (of MediaPipe's face geometry) is level with :data:`animegen.pose.head.HUMAN_FACE` then."""
MESH_POINTS = ((_TIP,), (362,), (362, 263), (263,), (133,), (133, 33), (33,), (454,), (234,), (291,), (61,))
"""For each of the first points of BLAZEPOSE33, those of a face, the points of the mesh of which it is the middle."""
_EARS = [BLAZEPOSE33.index(f"{side}_ear") for side in ("left", "right")]


@dataclass(frozen=True, slots=True, eq=False)
class FaceLook:
    """``presence`` 0..1 whether there is a face; ``mesh`` f32 [468, 3] frame pixels, depth relative to the head's
    middle, smaller is nearer; ``next`` the region of the same face."""

    presence: float
    mesh: Float32Array
    next: Region


class FaceModel:
    """Face mesh and model of eyes. Raises WeightsError when a file is missing or not this model."""

    def __init__(self, mesh: Path, eye: Path, threads: int) -> None:
        self._mesh = PictureModel(mesh, _SIZE, _OUTPUTS, threads)
        self._eye = PictureModel(eye, _EYE_SIZE, _EYE_OUTPUTS, threads)

    def look(self, image: Uint8Array, region: Region) -> FaceLook:
        """The face in a region of a uint8 [H, W, 3] RGB image."""
        crop = cut(image, region, _SIZE, ())
        values, presence = self._mesh(np.multiply(crop, np.float32(1 / 255), dtype=np.float32))
        points = values.reshape(_POINTS, 3)
        to_frame = region.to_frame(_SIZE)
        mesh = np.empty((_POINTS, 3), np.float32)
        mesh[:, :2] = (points[:, :2] - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        mesh[:, 2] = points[:, 2] * np.float32(region.side / _SIZE)
        return FaceLook(float(sigmoid(presence.ravel())[0]), mesh, _region_of_mesh(mesh))

    def eyes(self, image: Uint8Array, mesh: Float32Array) -> tuple[Eye, Eye]:
        """The left and the right eye of a face."""
        return self._look_at_eye(image, mesh, "left"), self._look_at_eye(image, mesh, "right")

    def _look_at_eye(self, image: Uint8Array, mesh: Float32Array, side: str) -> Eye:
        """One eye; the model knows left ones, so that a right one is shown mirrored."""
        a, b = mesh[list(EYE_CORNERS[side]), :2].astype(np.float64)
        width = max(float(np.hypot(*(b - a))), 1.0)
        x, y = ((a + b) / 2).tolist()
        region = Region(x, y, _FROM_CORNERS * width, _tilt(mesh))
        crop = np.multiply(cut(image, region, _EYE_SIZE, ()), np.float32(1 / 255), dtype=np.float32)
        mirrored = side == "right"
        lids, iris = self._eye(np.ascontiguousarray(crop[:, ::-1]) if mirrored else crop)
        points = np.concatenate([lids.reshape(-1, 3)[:_LID_POINTS, :2], iris.reshape(-1, 3)[:1, :2]]) - 0.5
        if mirrored:
            points[:, 0] = _EYE_SIZE - 1 - points[:, 0]
        to_frame = region.to_frame(_EYE_SIZE)
        placed = (points @ to_frame[:, :2].T + to_frame[:, 2]).astype(np.float32)
        return Eye(placed[:_LID_POINTS], placed[_LID_POINTS])


def told_by_body(pose: Pose) -> Region:
    """Where the face of a BlazePose pose is, by the points of eyes, ears, nose and mouth."""

    def point(name: str) -> Float32Array:
        found: Float32Array = pose.xy[BLAZEPOSE33.index(name)]
        return found

    eyes = (point("left_eye") + point("right_eye")) / 2
    dx, dy = (eyes - (point("mouth_left") + point("mouth_right")) / 2).tolist()
    across = float(np.hypot(*(point("left_ear") - point("right_ear"))))
    x, y = point("nose").tolist()
    return Region(x, y, max(_FROM_EARS * across, _FROM_EYES * math.hypot(dx, dy), 1.0), math.atan2(dx, -dy))


def points_of(mesh: Float32Array) -> Float32Array:
    """The face's points of BLAZEPOSE33 f32 [11, 3], from nose to mouth, of a mesh f32 [468, 3]."""
    points = np.array([mesh[list(own)].mean(axis=0) for own in MESH_POINTS], np.float32)
    points[_EARS] += np.float32(_BEHIND_TEMPLES) * (points[_EARS].mean(axis=0) - mesh[_TIP])
    return points


def _tilt(mesh: Float32Array) -> float:
    """Angle of the line from the right eye to the left one in the picture."""
    right, left = mesh[EYE_CORNERS["right"][0], :2], mesh[EYE_CORNERS["left"][0], :2]
    return math.atan2(float(left[1] - right[1]), float(left[0] - right[0]))


def _region_of_mesh(mesh: Float32Array) -> Region:
    """The square around an upright face."""
    angle = _tilt(mesh)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = mesh[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = turned.min(axis=0), turned.max(axis=0)
    x, y = ((low + high) / 2) @ np.array([[cos, sin], [-sin, cos]])
    return Region(float(x), float(y), max(_FROM_MESH * float((high - low).max()), 1.0), angle)
