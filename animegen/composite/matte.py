"""Mattes: which pixels of a frame a person covers, as soft alpha.

They are generous, since a remainder of a person in the cleaned frame is seen more than a little background lost. A
matte is drawn from the pose: its silhouette, where the backend measures one, and capsules along the limbs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Pose, Skeleton, Uint8Array

VISIBLE = 0.3
"""Points scored lower are not drawn: the backend only guesses where they are."""

_SILHOUETTE = 64
"""Alpha of the pose's mask from which a pixel belongs to the person; low, so that the matte is generous."""

_RASTER = 224
"""Longest side, in pixels, at which mattes are drawn before they are enlarged: they are soft in any case."""

_GROW = 0.012
_FEATHER = 0.010
"""Growth and width of the soft edge, in body heights."""

_GAP = 0.02
"""Half the width, in body heights, of gaps that are closed: they show cloth and hair more often than background."""

_RADII = {
    "shoulder": 0.055,
    "elbow": 0.042,
    "wrist": 0.042,
    "pinky": 0.04,
    "index": 0.04,
    "thumb": 0.04,
    "hip": 0.07,
    "knee": 0.055,
    "ankle": 0.045,
    "heel": 0.04,
    "toe": 0.04,
    "foot": 0.045,
}
"""Radius of the body around a point, in body heights, by a word in the point's name; other points are ``_HEAD``."""
_HEAD = 0.05
_SKULL = 0.085
_TRUNK = 0.085
_FOOT = 0.046

_OWN = 0.03
"""A pixel this near to the body, in body heights, is the person's own even where somebody else is nearer."""

_BESIDE_MASK = 0.65
"""Share of these radii that is drawn where a silhouette is known, which lacks at most hands, feet and hair."""


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """Soft alpha uint8 [h, w] whose top-left pixel is pixel (``x``, ``y``) of the frame; may be empty."""

    alpha: Uint8Array
    x: int
    y: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that the matte covers."""
        height, width = self.alpha.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a person's head is: its middle (``x``, ``y``) and the body's height ``unit``, in frame pixels."""

    x: float
    y: float
    unit: float


_EMPTY = np.zeros((0, 0), np.uint8)


def midpoint(pose: Pose, part: str) -> tuple[NDArray[np.float32], float]:
    """Middle of a left and right pair of points in frame pixels, and the smaller score; score 0 where unknown."""
    pair = [i for i, name in enumerate(pose.skeleton.points) if name in (f"left_{part}", f"right_{part}")]
    if len(pair) != 2:
        return np.zeros(2, np.float32), 0.0
    return pose.xy[pair].mean(axis=0), float(pose.score[pair].min())


def body_height(pose: Pose) -> float:
    """Standing height of the person in pixels, from whichever of torso, shoulders and box shows it largest.

    Foreshortening and cropping only ever make a person look smaller, so the largest estimate is the best.
    """
    x0, y0, x1, y1 = (float(v) for v in pose.bbox)
    estimates = [max(y1 - y0, x1 - x0, 1.0)]
    shoulders, shoulder_score = midpoint(pose, "shoulder")
    hips, hip_score = midpoint(pose, "hip")
    if min(shoulder_score, hip_score) >= VISIBLE:
        estimates.append(3.3 * float(np.linalg.norm(shoulders - hips)))
    if shoulder_score >= VISIBLE:
        left, right = (pose.xy[pose.skeleton.index(f"{side}_shoulder")] for side in ("left", "right"))
        estimates.append(4.0 * float(np.linalg.norm(left - right)))
    return max(estimates)


def head_of(pose: Pose) -> Head | None:
    """The head of a person, or None where neither nose nor ears are seen."""
    seen = [i for i in _head_points(pose.skeleton) if pose.score[i] >= VISIBLE]
    if not seen:
        return None
    x, y = pose.xy[seen].mean(axis=0).tolist()
    return Head(x, y, body_height(pose))


def _head_points(skeleton: Skeleton) -> list[int]:
    return [i for i, name in enumerate(skeleton.points) if name in ("nose", "left_ear", "right_ear")]


def person_matte(pose: Pose, size: tuple[int, int]) -> Matte:
    """Soft matte that covers the person, hair, hands and shoes included, clipped to a frame of (width, height).

    255 everywhere on the person and a little beyond, falling to 0 over an edge proportional to the person.
    """
    unit = body_height(pose)
    margin = unit * (_GROW + 2.5 * _FEATHER) + 2.0
    capsules = [*_capsules(pose, unit if pose.mask is None else _BESIDE_MASK * unit), *_feet(pose, unit)]
    corners = [point + sign * radius for a, b, radius in capsules for point in (a, b) for sign in (-1.0, 1.0)]
    corners += _silhouette_corners(pose)
    if not corners:
        return Matte(_EMPTY, 0, 0)
    low = np.maximum(np.floor(np.min(corners, axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(np.max(corners, axis=0) + margin) + 1, size).astype(int)
    if (high <= low).any():
        return Matte(_EMPTY, 0, 0)
    width, height = (int(v) for v in high - low)
    shrink = max(1.0, max(width, height) / _RASTER)
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    scale = np.array([columns / width, rows / height])
    raster = np.zeros((rows, columns), np.uint8)
    for a, b, radius in capsules:
        _draw_capsule(raster, (a - low + 0.5) * scale - 0.5, (b - low + 0.5) * scale - 0.5, radius / shrink)
    _draw_torso(raster, pose, low, scale)
    _draw_silhouette(raster, pose, low, scale)
    soft = _soften(raster, unit / shrink)
    alpha = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return Matte(np.asarray(alpha, np.uint8), int(low[0]), int(low[1]))


def own_matte(pose: Pose, others: Iterable[Pose], size: tuple[int, int]) -> Matte:
    """The matte of a person without the pixels that are nearer to one of ``others``.

    Needed because the mask of a pose shows whoever is near, and not only its person.
    """
    matte = person_matte(pose, size)
    beside = [other for other in others if _meets(matte, other)]
    if not beside:
        return matte
    own = _distance(pose, matte)
    others_apart = np.min([_distance(other, matte) for other in beside], axis=0)
    lost = ((others_apart < own) & (own > _OWN)).astype(np.uint8) * 255
    keep = cv2.bitwise_not(cv2.resize(lost, matte.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))
    return Matte(np.asarray(cv2.multiply(matte.alpha, keep, scale=1 / 255), np.uint8), matte.x, matte.y)


def _meets(matte: Matte, pose: Pose) -> bool:
    height, width = matte.alpha.shape
    left, top, right, bottom = (float(v) for v in pose.bbox)
    return left < matte.x + width and right > matte.x and top < matte.y + height and bottom > matte.y


def _distance(pose: Pose, matte: Matte) -> NDArray[np.float32]:
    """Distance of each pixel of a matte's window from a body, in body heights: f32 [h, w], at the raster's size."""
    height, width = matte.alpha.shape
    shrink, unit = max(1.0, max(width, height) / _RASTER), body_height(pose)
    raster = np.zeros((max(1, round(height / shrink)), max(1, round(width / shrink))), np.uint8)
    low, scale = np.array([matte.x, matte.y]), np.array([raster.shape[1] / width, raster.shape[0] / height])
    for a, b, radius in _capsules(pose, unit):
        _draw_capsule(raster, (a - low + 0.5) * scale - 0.5, (b - low + 0.5) * scale - 0.5, radius / shrink)
    _draw_torso(raster, pose, low, scale)
    if not raster.any():
        return np.full(raster.shape, np.inf, np.float32)
    apart = cv2.distanceTransform(cv2.bitwise_not(raster), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(apart * (shrink / unit), np.float32)


def frame_matte(poses: Iterable[Pose], size: tuple[int, int]) -> Uint8Array:
    """The mattes of all people of a frame united: uint8 [H, W]."""
    width, height = size
    union = np.zeros((height, width), np.uint8)
    for matte in (person_matte(pose, size) for pose in poses):
        if matte.alpha.size:
            np.maximum(union[matte.window], matte.alpha, out=union[matte.window])
    return union


def _radius(point: str) -> float:
    return next((radius for word, radius in _RADII.items() if word in point), _HEAD)


def _capsules(pose: Pose, unit: float) -> Iterable[tuple[NDArray[Any], NDArray[Any], float]]:
    """Limbs as (from, to, radius) in frame pixels, then hands drawn longer, and the skull with its hair."""
    skeleton, xy = pose.skeleton, pose.xy.astype(np.float64)
    seen = pose.score >= VISIBLE
    for a, b in skeleton.edges:
        if seen[a] and seen[b]:
            yield xy[a], xy[b], unit * min(_radius(skeleton.points[a]), _radius(skeleton.points[b]))
    for side in ("left", "right"):
        elbow, wrist = _find(skeleton, f"{side}_elbow"), _find(skeleton, f"{side}_wrist")
        if elbow is not None and wrist is not None and seen[elbow] and seen[wrist]:
            reach = xy[wrist] - xy[elbow]
            yield xy[wrist], xy[wrist] + 0.06 * unit * reach / max(float(np.linalg.norm(reach)), 1.0), 0.05 * unit
    head = [i for i in _head_points(skeleton) if seen[i]]
    shoulders, score = midpoint(pose, "shoulder")
    hips, hip_score = midpoint(pose, "hip")
    if min(score, hip_score) >= VISIBLE:
        # Seen from the side, shoulders and hips fall together, but the body keeps its depth.
        yield shoulders.astype(np.float64), hips.astype(np.float64), _TRUNK * unit
    if head and score >= VISIBLE:
        centre = xy[head].mean(axis=0)
        up = centre - shoulders
        crown = centre + 0.045 * unit * up / max(float(np.linalg.norm(up)), 1.0)
        yield centre, crown, _SKULL * unit
        yield centre, shoulders.astype(np.float64), 0.055 * unit


def _feet(pose: Pose, unit: float) -> Iterable[tuple[NDArray[Any], NDArray[Any], float]]:
    """Capsules around the feet and a little below: shoes, and the shadow and blur where they stand and step."""
    for point, place, score in zip(pose.skeleton.points, pose.xy.astype(np.float64), pose.score, strict=True):
        if point.endswith(("ankle", "heel", "foot_index", "toe")) and score >= VISIBLE:
            yield place, place + np.array([0.0, 0.015 * unit]), _FOOT * unit


def _find(skeleton: Skeleton, point: str) -> int | None:
    return skeleton.points.index(point) if point in skeleton.points else None


def _silhouette_corners(pose: Pose) -> list[NDArray[Any]]:
    """Corners, in frame pixels, of the box around what the pose's mask shows."""
    if pose.mask is None:
        return []
    x, y, w, h = cv2.boundingRect((pose.mask.alpha >= _SILHOUETTE).view(np.uint8))
    if w == 0 or h == 0:
        return []
    box = np.array([(x, y, 1), (x + w, y, 1), (x, y + h, 1), (x + w, y + h, 1)], np.float64)
    return list(box @ pose.mask.affine.T)


def _draw_capsule(raster: Uint8Array, a: NDArray[Any], b: NDArray[Any], radius: float) -> None:
    ends = [(round(float(p[0])), round(float(p[1]))) for p in (a, b)]
    cv2.line(raster, ends[0], ends[1], 255, max(1, round(2.0 * radius)))
    for end in ends:
        cv2.circle(raster, end, max(1, round(radius)), 255, cv2.FILLED)


def _draw_torso(raster: Uint8Array, pose: Pose, low: NDArray[Any], scale: NDArray[Any]) -> None:
    corners = [_find(pose.skeleton, name) for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    found = [i for i in corners if i is not None and pose.score[i] >= VISIBLE]
    if len(found) == 4:
        points = np.round((pose.xy[found] - low + 0.5) * scale - 0.5).astype(np.int32)
        cv2.fillConvexPoly(raster, cv2.convexHull(points), 255)


def _draw_silhouette(raster: Uint8Array, pose: Pose, low: NDArray[Any], scale: NDArray[Any]) -> None:
    if pose.mask is None:
        return
    to_raster = pose.mask.affine.copy()
    to_raster[:, 2] += 0.5 - low
    to_raster *= scale[:, None]
    to_raster[:, 2] -= 0.5
    rows, columns = raster.shape
    warped = cv2.warpAffine(pose.mask.alpha, to_raster, (columns, rows), flags=cv2.INTER_LINEAR)
    np.maximum(raster, cv2.threshold(warped, _SILHOUETTE - 1, 255, cv2.THRESH_BINARY)[1], out=raster)


def _soften(raster: Uint8Array, unit: float) -> Uint8Array:
    """The raster grown by ``_GROW``, with an edge of ``_FEATHER`` outside of that: all that was drawn stays at 255."""
    feather = max(_FEATHER * unit, 0.7)
    reach = max(1, round(_GROW * unit + feather))
    gap = max(1, round(_GAP * unit))
    closed = cv2.morphologyEx(_framed(raster, gap), cv2.MORPH_CLOSE, disc(gap))[gap:-gap, gap:-gap]
    grown = cv2.dilate(closed, disc(reach))
    width = 2 * max(1, round(feather)) + 1
    # Two boxes: a tent of exact support, so the matte reaches 255 inside and 0 at its border.
    return np.asarray(cv2.blur(cv2.blur(grown, (width, width)), (width, width)), np.uint8)


def _framed(raster: Uint8Array, width: int) -> Uint8Array:
    """The raster with its last pixels repeated around it, so that closing does not eat into people at the border."""
    return np.asarray(cv2.copyMakeBorder(raster, width, width, width, width, cv2.BORDER_REPLICATE), np.uint8)


def disc(radius: int) -> Uint8Array:
    """A round structuring element of a radius in pixels."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
