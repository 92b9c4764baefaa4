"""The ops on pictures in real numbers: float64, slow and plain, for the error of whatever computes them faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from animegen.ops.pictures import Planes
from animegen.ops.rgb_yuv import Range, yuv_to_rgb_matrix
from animegen.types import Float64Array, Uint8Array


def exact_composite(picture: Uint8Array, sprite: Uint8Array, affine: Float64Array) -> Float64Array:
    """f64 [H, W, C]: one premultiplied sprite over a picture."""
    height, width = picture.shape[:2]
    inverse = np.linalg.inv(np.vstack([affine, (0, 0, 1)]))
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    u = inverse[0, 0] * xs + inverse[0, 1] * ys + inverse[0, 2]
    v = inverse[1, 0] * xs + inverse[1, 1] * ys + inverse[1, 2]
    framed = np.zeros((sprite.shape[0] + 2, sprite.shape[1] + 2, 4))
    framed[1:-1, 1:-1] = sprite
    inside = (u > -1) & (u < sprite.shape[1]) & (v > -1) & (v < sprite.shape[0])
    u, v = np.where(inside, u + 1, 0), np.where(inside, v + 1, 0)
    x, y = np.floor(u).astype(int), np.floor(v).astype(int)
    fx, fy = (u - x)[..., None], (v - y)[..., None]
    top = framed[y, x] * (1 - fx) + framed[y, x + 1] * fx
    bottom = framed[y + 1, x] * (1 - fx) + framed[y + 1, x + 1] * fx
    sample = np.where(inside[..., None], top * (1 - fy) + bottom * fy, 0)
    laid: Float64Array = sample[..., : picture.shape[2]] + picture * (1 - sample[..., 3:] / 255)
    return laid


def exact_planes(rgb: Uint8Array, matrix: str, value_range: Range) -> tuple[Float64Array, Float64Array, Float64Array]:
    """y, u and v, chroma averaged over four pixels."""
    height, width = rgb.shape[:2]
    mix = yuv_to_rgb_matrix(matrix, value_range) * 255
    whole = (rgb - mix[:, 3]) @ np.linalg.inv(mix[:, :3]).T
    padded = np.pad(whole, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    small = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return whole[..., 0], small[..., 1], small[..., 2]


def exact_rgb(planes: Planes, matrix: str, value_range: Range) -> Float64Array:
    """f64 [H, W, 3], 0 .. 255: the whole picture."""
    height, width = planes[0].shape
    return exact_samples(planes, np.arange(height), np.arange(width), matrix, value_range)


def exact_samples(planes: Planes, ys: ArrayLike, xs: ArrayLike, matrix: str, value_range: Range) -> Float64Array:
    """f64 [len(ys), len(xs), 3], 0 .. 255: RGB at these places, every plane interpolated bilinearly."""
    whole = (np.asarray(ys, np.float64), np.asarray(xs, np.float64))
    small = tuple(places / 2 - 0.25 for places in whole)
    samples = []
    for plane, (y, x) in zip(planes, (whole, small, small), strict=True):
        samples.append(_along(_along(plane.astype(np.float64), y, 0), x, 1))
    mix = yuv_to_rgb_matrix(matrix, value_range) * 255
    return np.clip(np.stack(samples, -1) @ mix[:, :3].T + mix[:, 3], 0, 255)


def _along(values: Float64Array, places: Float64Array, axis: int) -> Float64Array:
    held = np.clip(places, 0, values.shape[axis] - 1)
    low = np.floor(held).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    weight = np.expand_dims(held - low, 1 - axis)
    mixed: Float64Array = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return mixed
