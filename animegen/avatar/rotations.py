"""Rotations in batches: matrices f64 [..., 3, 3], and unit quaternions x y z w f64 [..., 4]."""

from __future__ import annotations

import numpy as np

from animegen.types import Float64Array


def nearest(matrices: Float64Array) -> Float64Array:
    """The rotations nearest to any matrices [..., 3, 3] (Kabsch 1976: what brings points onto others best)."""
    u, _, v = np.linalg.svd(matrices)
    u[..., 2] *= np.sign(np.linalg.det(u) * np.linalg.det(v))[..., None]
    return np.asarray(u @ v)


def about(axes: Float64Array, angles: Float64Array) -> Float64Array:
    """The rotation matrices of turns by ``angles`` [...] radians about unit ``axes`` [..., 3]."""
    half = 0.5 * angles[..., None]
    return to_matrices(np.concatenate([np.sin(half) * axes, np.cos(half)], axis=-1))


def turned(quaternions: Float64Array, vectors: Float64Array) -> Float64Array:
    """``quaternions`` [..., 4], then a turn about ``vectors`` [..., 3] by about their length in radians.

    A turn by an angle a is as long as 2 tan(a / 2), so none goes half around, and all are smooth.
    """
    x, y, z = (0.5 * vectors[..., i] for i in range(3))
    qx, qy, qz, qw = (quaternions[..., i] for i in range(4))
    product = np.stack(
        [
            qx + x * qw + y * qz - z * qy,
            qy - x * qz + y * qw + z * qx,
            qz + x * qy - y * qx + z * qw,
            qw - x * qx - y * qy - z * qz,
        ],
        axis=-1,
    )
    return np.asarray(product / np.sqrt(np.square(product).sum(axis=-1, keepdims=True)))


def to_matrices(quaternions: Float64Array) -> Float64Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    x, y, z, w = (quaternions[..., i] for i in range(4))
    matrices = np.empty((*quaternions.shape[:-1], 3, 3))
    matrices[..., 0, 0] = 1.0 - 2.0 * (y * y + z * z)
    matrices[..., 0, 1] = 2.0 * (x * y - z * w)
    matrices[..., 0, 2] = 2.0 * (x * z + y * w)
    matrices[..., 1, 0] = 2.0 * (x * y + z * w)
    matrices[..., 1, 1] = 1.0 - 2.0 * (x * x + z * z)
    matrices[..., 1, 2] = 2.0 * (y * z - x * w)
    matrices[..., 2, 0] = 2.0 * (x * z - y * w)
    matrices[..., 2, 1] = 2.0 * (y * z + x * w)
    matrices[..., 2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return matrices


def from_matrices(matrices: Float64Array) -> Float64Array:
    """Quaternions [..., 4] of rotation matrices [..., 3, 3], by the largest of the four components."""
    m = matrices
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    xw, yw, zw = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    # Row i of the table is the quaternion times four times its component i.
    rows = (
        (1.0 + xx - yy - zz, xy, xz, xw), (xy, 1.0 - xx + yy - zz, yz, yw),
        (xz, yz, 1.0 - xx - yy + zz, zw), (xw, yw, zw, 1.0 + xx + yy + zz),
    )  # fmt: skip
    table = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    best = np.diagonal(table, axis1=-2, axis2=-1).argmax(axis=-1)
    largest = np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :]
    return np.asarray(largest / np.sqrt(np.square(largest).sum(axis=-1, keepdims=True)))


def cross(a: Float64Array, b: Float64Array) -> Float64Array:
    """Cross products of vectors [..., 3]; leading axes broadcast."""
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        product[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return product
