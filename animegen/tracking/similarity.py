"""How alike two poses are: object keypoint similarity, box overlap and size."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array, Pose, Skeleton

_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "mouth": 0.026, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "heel": 0.089, "foot": 0.089,
}  # fmt: skip
_SIGMA_OTHER = 0.062
"""Any point COCO does not name varies as much as a wrist."""
_MANY = frozenset({"hand", "face"})
"""Points of fingers and faces: they are many and of a life of their own, so that they say nothing of who is who."""


@functools.cache
def body_points(skeleton: Skeleton) -> NDArray[np.intp]:
    """intp [N]: the points of a skeleton by which people are told apart, all but those of fingers and faces."""
    body = np.array([i for i, name in enumerate(skeleton.points) if _MANY.isdisjoint(name.split("_"))], np.intp)
    body.setflags(write=False)
    return body


@functools.cache
def point_sigmas(skeleton: Skeleton) -> Float64Array:
    """Per-point spread f64 [K] as a fraction of the person's scale (COCO's keypoint constants, Lin et al. 2014)."""

    def sigma(point: str) -> float:
        words = point.split("_")
        return next((_SIGMAS[word] for word in words if word in _SIGMAS), _SIGMA_OTHER)

    values = np.array([sigma(point) for point in skeleton.points], np.float64)
    values.setflags(write=False)
    return values


@functools.cache
def mirror_order(skeleton: Skeleton) -> NDArray[np.intp]:
    """Point order intp [K] of the pose seen with left and right exchanged."""
    order = np.arange(len(skeleton))
    for a, b in skeleton.flip_pairs:
        order[a], order[b] = b, a
    order.setflags(write=False)
    return order


def strength(pose: Pose) -> float:
    """Mean score of the surer half of the body's points, 0..1: whom the picture's edge cuts is a sure person too."""
    score = pose.score[body_points(pose.skeleton)]
    half = max(1, len(score) // 2)
    return float(np.sort(score)[-half:].mean())


def box_area(box: Float32Array | Float64Array) -> float:
    """Area of an xyxy box in square pixels, at least 1."""
    return max(1.0, float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])))


def box_iou(a: Float32Array | Float64Array, b: Float32Array | Float64Array) -> float:
    """Intersection over union of two xyxy boxes, 0..1."""
    shared = _shared_area(a, b)
    return shared / (box_area(a) + box_area(b) - shared)


def box_containment(a: Float32Array | Float64Array, b: Float32Array | Float64Array) -> float:
    """Share 0..1 of the smaller of two xyxy boxes that lies inside the other."""
    return _shared_area(a, b) / min(box_area(a), box_area(b))


def _shared_area(a: Float32Array | Float64Array, b: Float32Array | Float64Array) -> float:
    width = float(min(a[2], b[2]) - max(a[0], b[0]))
    height = float(min(a[3], b[3]) - max(a[1], b[1]))
    return width * height if width > 0 and height > 0 else 0.0


def keypoint_similarity(
    skeleton: Skeleton,
    xy: Float32Array | Float64Array,
    score: Float32Array | Float64Array,
    pose: Pose,
    *,
    area: float,
    tolerance: float = 1.0,
) -> float:
    """Object keypoint similarity 0..1 of points ``xy`` [K, 2] to a pose by the body's, each weighed by both scores.

    ``area`` is the person's in square pixels; ``tolerance`` widens every point's spread. The better of the pose and
    its left-right exchange counts, because backends exchange the sides of a person who turns round.
    """
    body = body_points(skeleton)
    spread = 2.0 * (2.0 * tolerance * point_sigmas(skeleton)[body]) ** 2 * area

    def one_way(order: NDArray[np.intp]) -> float:
        weight = score[body] * pose.score[order]
        total = float(weight.sum())
        if total <= 1e-6:
            return 0.0
        squared = ((xy[body] - pose.xy[order]) ** 2).sum(axis=1)
        return float((weight * np.exp(-squared / spread)).sum()) / total

    return max(one_way(body), one_way(mirror_order(skeleton)[body]))


def pose_similarity(a: Pose, b: Pose, tolerance: float = 1.0) -> float:
    """Object keypoint similarity 0..1 of two poses of one skeleton; their boxes' mean area is the scale."""
    area = 0.5 * (box_area(a.bbox) + box_area(b.bbox))
    return keypoint_similarity(a.skeleton, a.xy, a.score, b, area=area, tolerance=tolerance)
