"""The geometry of a body in a crop, from the named points of its pose: where the head is, how long the torso is.

The first step of measuring a person in the second pass; ``regions`` finds pixels by it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Crop, Float64Array

SEEN = 0.4
"""Score from which the position of a point is trusted."""
_SOLID = 200
"""Alpha from which a mask's pixel belongs to the person beyond doubt."""
_EYE_MOUTH_OF_HEAD, _EARS_OF_HEAD = 0.3, 0.68
"""Distances of eyes to mouth and of ear to ear, as shares of the head's height from chin to crown."""


def inside(crop: Crop) -> NDArray[np.bool_]:
    """The person's silhouette as bool [h, w], a little shrunk; the box where the pose has no mask."""
    height, width = crop.image.shape[:2]
    if crop.pose.mask is None:
        x0, y0, x1, y1 = crop.pose.bbox
        columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
        return np.asarray((columns >= x0) & (columns <= x1) & (rows >= y0) & (rows <= y1))
    alpha = cv2.warpAffine(crop.pose.mask.alpha, crop.pose.mask.affine, (width, height))
    solid = (alpha >= _SOLID).astype(np.uint8)
    reach = max(1, round(0.008 * max(width, height)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.erode(solid, kernel) > 0)


@dataclass(frozen=True, slots=True)
class Head:
    """A head in a crop: ``eyes`` f64 [2] is the point between the eyes, ``up`` f64 [2] the unit vector to the crown.

    ``height`` from chin to crown is in pixels. ``facing`` is 1 for a head seen from the front, 0 from the side and -1
    from behind.
    """

    eyes: Float64Array
    up: Float64Array
    height: float
    facing: float

    @property
    def across(self) -> Float64Array:
        """Unit vector to the picture's right of an upright head."""
        return np.array([-self.up[1], self.up[0]])


class Body:
    """The points of a crop's pose by name; None for a point that the skeleton lacks or that is not seen."""

    def __init__(self, crop: Crop) -> None:
        self._pose = crop.pose
        self.shape = (crop.image.shape[0], crop.image.shape[1])

    def point(self, name: str) -> Float64Array | None:
        """Position f64 [2] of a named point in crop pixels."""
        if name not in self._pose.skeleton.points:
            return None
        index = self._pose.skeleton.index(name)
        xy = self._pose.xy[index].astype(np.float64)
        height, width = self.shape
        # Backends place the points beyond the picture's edge too; nothing can be measured on the way there.
        in_picture = 0 <= xy[0] < width and 0 <= xy[1] < height
        return xy if in_picture and self._pose.score[index] >= SEEN else None

    def pair(self, name: str) -> tuple[Float64Array, Float64Array] | None:
        """Left and right point of a pair such as ``shoulder``; None unless both were seen."""
        left, right = self.point(f"left_{name}"), self.point(f"right_{name}")
        return None if left is None or right is None else (left, right)

    def middle(self, name: str) -> Float64Array | None:
        """Middle of a pair of points."""
        pair = self.pair(name)
        return None if pair is None else 0.5 * (pair[0] + pair[1])

    @property
    def torso(self) -> float | None:
        """Length from shoulders to hips in pixels; where the hips are out of sight, from the shoulders' width."""
        shoulders, hips = self.pair("shoulder"), self.middle("hip")
        if shoulders is None:
            return None
        if hips is not None:
            return float(np.linalg.norm(0.5 * (shoulders[0] + shoulders[1]) - hips))
        return 1.3 * float(np.linalg.norm(shoulders[0] - shoulders[1]))

    @functools.cached_property
    def head(self) -> Head | None:
        """The head's frame, or None where eyes, nose and shoulders do not tell it."""
        eyes, shoulders = self.middle("eye"), self.middle("shoulder")
        if eyes is None:
            return None
        mouth = self.point("mouth_left"), self.point("mouth_right")
        ears = self.pair("ear")
        below = 0.5 * (mouth[0] + mouth[1]) if mouth[0] is not None and mouth[1] is not None else None
        heights = []
        if below is not None:
            heights.append(float(np.linalg.norm(eyes - below)) / _EYE_MOUTH_OF_HEAD)
        if ears is not None:
            heights.append(float(np.linalg.norm(ears[0] - ears[1])) / _EARS_OF_HEAD)
        # The face tells how the head is tilted, the neck keeps a face seen at a slant from telling too much.
        ways = [eyes - root for root in (below, shoulders) if root is not None]
        up = sum((way / max(float(np.linalg.norm(way)), 1e-6) for way in ways), np.zeros(2))
        length = float(np.linalg.norm(up))
        if not heights or length < 0.5:
            return None
        return Head(eyes, up / length, max(heights), self._facing())

    def _facing(self) -> float:
        """-1..1 as in :class:`Head`: whoever is seen from the front has the left shoulder on the picture's right."""
        votes = []
        for name in ("shoulder", "ear", "eye"):
            pair = self.pair(name)
            if pair is not None:
                votes.append((pair[0][0] - pair[1][0]) / (abs(pair[0] - pair[1]).max() + 1e-6))
        shoulders, torso = self.pair("shoulder"), self.torso
        turned = 1.0
        if shoulders is not None and torso is not None:
            turned = min(1.0, abs(float(shoulders[0][0] - shoulders[1][0])) / (0.4 * torso + 1e-6))
        return float(np.mean(votes)) * turned if votes else 0.0


def capsule(shape: tuple[int, int], ends: tuple[Float64Array, Float64Array], radius: float) -> NDArray[np.bool_]:
    """Pixels within ``radius`` of a segment, bool [h, w]."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    start, along = ends[0], ends[1] - ends[0]
    length = float(along @ along)
    dx, dy = columns - start[0], rows - start[1]
    t = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1) if length > 0 else np.zeros(shape)
    return np.asarray((dx - t * along[0]) ** 2 + (dy - t * along[1]) ** 2 <= radius**2)


def polygon(shape: tuple[int, int], corners: Float64Array) -> NDArray[np.bool_]:
    """Pixels of the convex hull of points f64 [n, 2], bool [h, w]."""
    canvas = np.zeros(shape, np.uint8)
    hull = cv2.convexHull(np.round(corners).astype(np.int32).reshape(-1, 1, 2))
    cv2.fillConvexPoly(canvas, hull, 1)
    return np.asarray(canvas > 0)


def between(a: Float64Array, b: Float64Array, start: float, stop: float) -> tuple[Float64Array, Float64Array]:
    """The part of the segment from ``a`` to ``b`` between two shares of its length."""
    return a + start * (b - a), a + stop * (b - a)
