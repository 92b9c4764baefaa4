"""How a head is turned, from the points of its face: a mean human face is fitted to them.

POS (DeMenthon and Davis 1995): under weak perspective the two upper rows of the rotation follow linearly from where
the points of a rigid body are seen. The sides of the points then tell front from back: of someone seen from behind the
left ear lies to the left. Depth, where the backend has it, gives the third row with less weight, and the trunk stands
in for what the points leave open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from animegen.pose.regression import local_mean
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array

FACE_POINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
FACE = [AVATAR35.index(point) for point in FACE_POINTS]
"""The points that turn with the head."""

HUMAN_FACE = np.array(
    [[0, 20, -118], [31, -15, -85], [-31, -15, -85], [70, 0, 0], [-70, 0, 0], [25, 52, -92], [-25, 52, -92]], np.float64
) / 1750  # fmt: skip
"""f64 [7, 3] mean adult face in heights of a standing person (1750 mm), from the middle between the ears: x to the
person's left, y down, z to the back. Distance of the pupils and width of the lips after Zhuang and Bradtmiller (2005),
heights and depths from the ears after Gordon et al. (1989, ANSUR), rounded."""

_DEPTH_WEIGHT = 0.3
"""Weight of the row that a backend's depth gives, against those of the picture."""
_PRIOR = 0.003
"""Weight of the trunk's direction against a face whose points are all well seen."""
_MISFIT = 0.5
"""Distance of the points from the fitted face at which the fit counts a third, in half ear distances."""
_NECK_LIMIT = (np.radians(70.0), np.radians(110.0))
"""Angle between head and trunk up to which a fit is believed, and from which it is not: nobody looks backwards."""
_STEADY_FRAMES = 4.0
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class HeadMotion:
    """A head through a clip.

    ``rotation`` f64 [T, 3, 3]: its columns are where the person's left, down and back point in the picture (x right, y
    down, z away); the identity faces the camera. ``centre`` f64 [T, 2]: the middle between the ears in pixels, where
    ``presence`` f64 [T] 0..1 says how well it is known. ``confidence`` f64 [T] 0..1 is that of the rotation.
    """

    rotation: Float64Array
    centre: Float64Array
    presence: Float64Array
    confidence: Float64Array

    @property
    def facing(self) -> Float64Array:
        """f64 [T]: 1 towards the camera, 0 in profile, -1 away from it."""
        return np.asarray(self.rotation[:, 2, 2])


def fit_heads(
    face: Float64Array,
    weight: Float64Array,
    depth: Float64Array | None,
    *,
    trunk: Float64Array,
    size: Float64Array,
    time: Float64Array,
) -> HeadMotion:
    """Fit the mean face through a clip.

    ``face`` f64 [T, 7, 2] pixels of FACE_POINTS, ``weight`` f64 [T, 7] 0..1 how well each is known, ``depth`` f64
    [T, 7] pixels, smaller is nearer, or None; ``trunk`` f64 [T, 3, 3] how the trunk is turned, as ``rotation`` of
    :class:`HeadMotion`; ``size`` f64 [T] pixels of HUMAN_FACE's unit; ``time`` f64 [T] rising, in frames.
    """
    share = weight / np.maximum(weight.sum(axis=1), _LEAST)[:, None]
    middle = np.einsum("tp,pi->ti", share, HUMAN_FACE)
    shape = HUMAN_FACE - middle[:, None]
    seen = np.concatenate([face, np.zeros_like(face[..., :1]) if depth is None else depth[..., None]], axis=2)
    seen = (seen - np.einsum("tp,tpi->ti", share, seen)[:, None]) / size[:, None, None]
    trusted = np.array([1.0, 1.0, 0.0 if depth is None else _DEPTH_WEIGHT])
    rotation = _nearest_rotation(trusted + _LEAST, _rows(shape, seen, weight, trunk, trusted))
    misfit = seen[..., :2] - np.einsum("tij,tpj->tpi", rotation, shape)[..., :2]
    residual = np.sqrt(np.einsum("tp,tpi->t", share, misfit**2)) / HUMAN_FACE[:, 0].max()
    turned = np.arccos(np.clip(np.einsum("ti,ti->t", rotation[:, :, 2], trunk[:, :, 2]), -1, 1))
    possible = np.clip((_NECK_LIMIT[1] - turned) / (_NECK_LIMIT[1] - _NECK_LIMIT[0]), 0, 1)
    confidence = weight.mean(axis=1) * np.exp(-((residual / _MISFIT) ** 2)) * possible
    rotation = _steady(rotation, trunk, confidence, time)
    offset = np.einsum("tij,tj->ti", rotation, middle)[:, :2] * size[:, None]
    centre = np.einsum("tp,tpi->ti", share, face) - offset
    return HeadMotion(rotation, centre, weight.max(axis=1), confidence)


def _rows(
    shape: Float64Array, seen: Float64Array, weight: Float64Array, trunk: Float64Array, trusted: Float64Array
) -> Float64Array:
    """f64 [T, 3, 3] the linear map from the face to where it is seen, row by row; drawn towards the trunk's rotation.

    Each row solves the weighted least squares of its coordinate with a ridge around the trunk's row.
    """
    spread = np.einsum("tp,tpi,tpj->tij", weight, shape, shape)
    cross = np.einsum("tp,tpi,tpj->tij", weight, seen, shape)
    ridge = _PRIOR * np.square(HUMAN_FACE).sum()
    normal = trusted[:, None, None] * spread[:, None] + ridge * np.eye(3)
    return np.asarray(np.linalg.solve(normal, (trusted[:, None] * cross + ridge * trunk)[..., None])[..., 0])


def _nearest_rotation(trusted: Float64Array, rows: Float64Array) -> Float64Array:
    """f64 [T, 3, 3] the rotations nearest to some maps up to scale, their rows weighed (Kabsch 1976)."""
    left, _, right = np.linalg.svd(trusted[:, None] * rows)
    proper = np.ones(left.shape[:2])
    proper[:, 2] = np.linalg.det(left @ right)
    return np.asarray((left * proper[:, None]) @ right)


def _steady(rotation: Float64Array, trunk: Float64Array, confidence: Float64Array, time: Float64Array) -> Float64Array:
    """Mean rotations over a few frames by confidence; where there is none, the head faces as the trunk does."""
    weight = confidence[:, None] + _LEAST + _PRIOR
    mixed = (confidence[:, None, None] * rotation + _PRIOR * trunk).reshape(-1, 9) / weight
    mean = local_mean(time, mixed, np.broadcast_to(weight, mixed.shape), _STEADY_FRAMES)
    return _nearest_rotation(np.ones(3), mean.reshape(-1, 3, 3))
