"""The 21 points of a hand: MediaPipe's hand landmark model (Zhang et al. 2020, arXiv 2006.10214)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animegen.pose.blazepose.crops import cut
from animegen.pose.blazepose.model import PictureModel
from animegen.pose.blazepose.regions import Region
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.types import Float32Array, Pose, Uint8Array

POINTS = 21
_SIZE = 224
_OUTPUTS = ((1, 3 * POINTS), (1, 1), (1, 1), (1, 3 * POINTS))

_FROM_BODY = 5.4
"""Side of the region that the body tells, in lengths from the wrist to the knuckles: fingers may be stretched, and the
body's points of a hand are rough (MediaPipe's holistic graph has the same)."""
_FROM_HAND = 2.0
"""Side of the region that a hand's points tell, over the longer side of the palm with the first joints."""
_AHEAD = 0.1
"""How far the middle of either region is moved towards the finger tips, in sides of what it is told by."""

_EITHER = 0.5
"""A hand that is as likely a left one as a right one may be either; below, it counts less the less likely it is."""

_PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""Points that move little when fingers bend: they tell the region."""
_INDEX, _MIDDLE, _RING = 5, 9, 13


@dataclass(frozen=True, slots=True, eq=False)
class HandLook:
    """What the model sees in a region.

    ``presence`` 0..1 whether there is a hand of the side looked for; ``xy`` f32 [21, 2] frame pixels; ``z`` f32 [21]
    pixels relative to the wrist, smaller is nearer; ``next`` the region of the same hand.
    """

    presence: float
    xy: Float32Array
    z: Float32Array
    next: Region


class HandModel:
    """The hand landmark model. Raises WeightsError when the file is missing or not this model."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, _SIZE, _OUTPUTS, threads)

    def look(self, side: str, image: Uint8Array, region: Region) -> HandLook:
        """The hand in a region of a uint8 [H, W, 3] RGB image, ``left`` or ``right``."""
        crop = cut(image, region, _SIZE, ())
        values, hand, right, _ = self._model(np.multiply(crop, np.float32(1 / 255), dtype=np.float32))
        points = values.reshape(POINTS, 3)
        to_frame = region.to_frame(_SIZE)
        xy = ((points[:, :2] - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]).astype(np.float32)
        z = points[:, 2] * np.float32(region.side / _SIZE)
        likely = float(right[0, 0]) if side == "right" else 1 - float(right[0, 0])
        return HandLook(float(hand[0, 0]) * min(likely / _EITHER, 1.0), xy, z, _region_of_points(xy))


def told_by_body(pose: Pose, side: str) -> Region:
    """Where the hand of a BlazePose pose is, by the points of its wrist, index and little finger."""
    wrist, index, pinky = (
        pose.xy[BLAZEPOSE33.index(f"{side}_{name}")].astype(np.float64) for name in ("wrist", "index", "pinky")
    )
    knuckle = (2 * index + pinky) / 3
    dx, dy = (knuckle - wrist).tolist()
    side_px = max(_FROM_BODY * math.hypot(dx, dy), 1.0)
    angle = math.atan2(dx, -dy)
    x, y = knuckle + _AHEAD * side_px * np.array([math.sin(angle), -math.cos(angle)])
    return Region(float(x), float(y), side_px, angle)


def _region_of_points(xy: Float32Array) -> Region:
    """The square around a hand that points up, by its own points."""
    dx, dy = (((xy[_INDEX] + xy[_RING]) / 2 + xy[_MIDDLE]) / 2 - xy[0]).tolist()
    angle = math.atan2(dx, -dy)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = xy[_PALM] @ np.array([[cos, -sin], [sin, cos]])
    low, high = turned.min(axis=0), turned.max(axis=0)
    length = float((high - low).max())
    x, y = ((low + high) / 2 - (0.0, _AHEAD * length)) @ np.array([[cos, sin], [-sin, cos]])
    return Region(float(x), float(y), max(_FROM_HAND * length, 1.0), angle)
