"""Unit quaternions x y z w, in arrays whose last axis is 4. In a product the right factor turns first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from animegen.types import Float64Array

IDENTITY: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)


def multiply(a: ArrayLike, b: ArrayLike) -> Float64Array:
    """The rotation ``b`` followed by ``a``; leading axes broadcast."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    ax, ay, az, aw = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bx, by, bz, bw = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = aw * bx + ax * bw + ay * bz - az * by
    product[..., 1] = aw * by - ax * bz + ay * bw + az * bx
    product[..., 2] = aw * bz + ax * by - ay * bx + az * bw
    product[..., 3] = aw * bw - ax * bx - ay * by - az * bz
    return product


def inverse(q: ArrayLike) -> Float64Array:
    """The opposite rotation."""
    return np.asarray(q, np.float64) * (-1.0, -1.0, -1.0, 1.0)


def normalise(q: ArrayLike) -> Float64Array:
    """Scale to unit length; a zero quaternion becomes the identity."""
    q = np.asarray(q, np.float64)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(length > 1e-12, q / np.maximum(length, 1e-12), IDENTITY)


def rotate(q: ArrayLike, vectors: ArrayLike) -> Float64Array:
    """Vectors [..., 3] turned by ``q``; leading axes broadcast."""
    q, vectors = np.asarray(q, np.float64), np.asarray(vectors, np.float64)
    twice = 2.0 * _cross(q[..., :3], vectors)
    turned: Float64Array = vectors + q[..., 3:] * twice + _cross(q[..., :3], twice)
    return turned


def about(axis: ArrayLike, angle: ArrayLike) -> Float64Array:
    """The turn by ``angle`` radians [...] about the unit vectors ``axis`` [..., 3]."""
    axis, half = np.asarray(axis, np.float64), np.asarray(angle, np.float64) / 2.0
    turn = np.empty((*np.broadcast_shapes(axis.shape[:-1], half.shape), 4))
    turn[..., :3] = axis * np.sin(half)[..., None]
    turn[..., 3] = np.cos(half)
    return turn


def between(a: ArrayLike, b: ArrayLike) -> Float64Array:
    """The shortest turn that brings the directions ``a`` to ``b`` ([..., 3], any length but zero)."""
    a, b = np.broadcast_arrays(unit(a), unit(b))
    cosine = (a * b).sum(axis=-1, keepdims=True)
    axis, opposite = _cross(a, b), cosine <= -1.0 + 1e-9
    if opposite.any():  # they leave the axis free: any vector that is perpendicular to a serves
        spare = np.eye(3)[np.abs(a).argmin(axis=-1)]
        axis = np.where(opposite, unit(_cross(a, spare)), axis)
    return normalise(np.concatenate([axis, np.maximum(1.0 + cosine, 0.0)], axis=-1))


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    """Cross products, leading axes broadcast: ``np.cross`` takes three times as long for a few vectors."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def unit(vectors: ArrayLike) -> Float64Array:
    """Vectors scaled to length 1; zero vectors stay zero."""
    vectors = np.asarray(vectors, np.float64)
    scaled: Float64Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def twist_angle(q: ArrayLike, axis: ArrayLike) -> Float64Array:
    """How far ``q`` turns about ``axis`` [3] itself, in radians -pi..pi (the twist of a swing-twist decomposition)."""
    q = np.asarray(q, np.float64)
    along = q[..., :3] @ np.asarray(axis, np.float64)
    angle = 2.0 * np.arctan2(along, q[..., 3])
    wrapped: Float64Array = (angle + np.pi) % (2.0 * np.pi) - np.pi
    return wrapped


def blend(a: ArrayLike, b: ArrayLike, share: ArrayLike) -> Float64Array:
    """From ``a`` (share 0) to ``b`` (share 1) by the short way, normalised linear interpolation."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sign = np.where((a * b).sum(axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    share = np.asarray(share, np.float64)[..., None]
    return normalise(a * (1.0 - share) + sign * b * share)


def slerp(a: ArrayLike, b: ArrayLike, share: ArrayLike) -> Float64Array:
    """From ``a`` (share 0) to ``b`` (share 1) by the short way at a steady angular speed (Shoemake 1985)."""
    way = multiply(inverse(a), b)
    way = np.where(way[..., 3:] < 0.0, -way, way)
    size = np.linalg.norm(way[..., :3], axis=-1)
    angle = 2.0 * np.arctan2(size, way[..., 3])
    return multiply(a, about(unit(way[..., :3]), angle * np.asarray(share, np.float64)))


def to_matrices(q: NDArray[Any]) -> NDArray[Any]:
    """Rotation matrices [..., 3, 3] of the dtype of ``q`` [..., 4]."""
    x, y, z, w = (q[..., i] for i in range(4))
    matrices = np.empty((*q.shape[:-1], 3, 3), q.dtype)
    matrices[..., 0, 0] = 1 - 2 * (y * y + z * z)
    matrices[..., 0, 1] = 2 * (x * y - z * w)
    matrices[..., 0, 2] = 2 * (x * z + y * w)
    matrices[..., 1, 0] = 2 * (x * y + z * w)
    matrices[..., 1, 1] = 1 - 2 * (x * x + z * z)
    matrices[..., 1, 2] = 2 * (y * z - x * w)
    matrices[..., 2, 0] = 2 * (x * z - y * w)
    matrices[..., 2, 1] = 2 * (y * z + x * w)
    matrices[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return matrices


def from_matrices(matrices: ArrayLike) -> Float64Array:
    """Quaternions of rotation matrices [..., 3, 3]; the largest component is found first, so none is ever unstable."""
    m = np.asarray(matrices, np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    table = np.empty((*m.shape[:-2], 4, 4))  # row i: the quaternion times four times its component i
    table[..., 0, 0], table[..., 1, 1] = 1 + xx - yy - zz, 1 - xx + yy - zz
    table[..., 2, 2], table[..., 3, 3] = 1 - xx - yy + zz, 1 + xx + yy + zz
    for i, j, total in ((0, 1, m[..., 0, 1] + m[..., 1, 0]), (0, 2, m[..., 0, 2] + m[..., 2, 0]),
                        (1, 2, m[..., 1, 2] + m[..., 2, 1]), (0, 3, m[..., 2, 1] - m[..., 1, 2]),
                        (1, 3, m[..., 0, 2] - m[..., 2, 0]), (2, 3, m[..., 1, 0] - m[..., 0, 1])):  # fmt: skip
        table[..., i, j] = table[..., j, i] = total
    best = np.diagonal(table, axis1=-2, axis2=-1).argmax(axis=-1)
    return normalise(np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :])
