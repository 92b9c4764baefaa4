"""Smooth interpolation from scattered values, and with it pictures adapted to the light around them.

Used wherever a piece of one picture is put into another: plates into plates, plates into frames, invented texture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Uint8Array

_MATCH_SIDE = 96
"""Longest side, in pixels, at which differences of light are measured: light changes slowly across a picture."""

_OUTLIER = 3.0
_OUTLIER_FLOOR = 10.0
"""A difference this many median deviations from the median, and at least so many grey levels, is not one of light but
an object that stands in one of the pictures only."""


def membrane(values: Float32Array, weight: Float32Array) -> Float32Array:
    """``values`` f32 [h, w, c] kept where ``weight`` f32 [h, w] is 1, and interpolated smoothly where it is 0.

    Push-pull over a pyramid (Gortler et al. 1996, "The Lumigraph", section 3.4.2). All 0 if the weight is 0 everywhere.
    """
    height, width = weight.shape
    weighted = values * weight[..., None]
    if max(height, width) <= 2:
        total = float(weight.sum())
        level = weighted.sum(axis=(0, 1)) / total if total > 0 else np.zeros(values.shape[2], np.float32)
        coarse: Float32Array = np.broadcast_to(level, values.shape).astype(np.float32)
    else:
        half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
        mass = np.asarray(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), np.float32)
        pulled = np.asarray(cv2.resize(weighted, half, interpolation=cv2.INTER_AREA), np.float32)
        mean = np.asarray(pulled.reshape(half[1], half[0], -1) / np.maximum(mass, 1e-6)[..., None], np.float32)
        pushed = cv2.resize(membrane(mean, np.minimum(mass * np.float32(4.0), np.float32(1.0))), (width, height))
        coarse = np.asarray(pushed, np.float32).reshape(values.shape)
    return weighted + coarse * (1.0 - weight[..., None])


def as_mask(condition: NDArray[np.bool_]) -> Uint8Array:
    """uint8 of the same shape: 255 where the condition holds, 0 elsewhere."""
    return condition.view(np.uint8) * np.uint8(255)


def match(source: Uint8Array, target: Uint8Array, free: Uint8Array) -> Uint8Array:
    """``source`` with the light of ``target``, both uint8 [h, w, 3], so that it fits into a hole of the target.

    The difference of the two is measured where ``free`` uint8 [h, w] is 255, that is outside of the hole, interpolated
    smoothly into it, and added to the source: no seam is seen. Objects that stand in one of the two only do not count.
    """
    height, width = free.shape
    shrink = max(1.0, max(height, width) / _MATCH_SIDE)
    small = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    here, there, open_ = (cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in (source, target, free))
    difference = there.astype(np.float32) - here
    usable = open_ == 255
    if not usable.any():
        return source
    centre = np.median(difference[usable], axis=0)
    distance = np.abs(difference - centre).max(axis=2)
    limit = max(_OUTLIER_FLOOR, _OUTLIER * float(np.median(distance[usable])))
    low = membrane(difference, (usable & (distance <= limit)).astype(np.float32))
    light = cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(source, light, dtype=cv2.CV_8U), np.uint8)
