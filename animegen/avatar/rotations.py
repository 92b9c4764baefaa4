"""Rotation matrices f64 [..., 3, 3] in batches, without transcendental functions where they can be avoided."""

from __future__ import annotations

import numpy as np

from animegen.types import Float64Array


def nearest(matrices: Float64Array) -> Float64Array:
    """The rotations nearest to any matrices [..., 3, 3] (Kabsch 1976: the one that brings the most of it to line)."""
    u, _, v = np.linalg.svd(matrices)
    u[..., 2] *= np.sign(np.linalg.det(u) * np.linalg.det(v))[..., None]
    return np.asarray(u @ v)


def small_turn(vectors: Float64Array) -> Float64Array:
    """The rotations about ``vectors`` [..., 3] by about their length in radians (Cayley), and never by half a turn."""
    x, y, z = (0.5 * vectors[..., i] for i in range(3))
    xx, yy, zz = x * x, y * y, z * z
    scale = 2.0 / (1.0 + xx + yy + zz)
    turns = np.empty((*vectors.shape[:-1], 3, 3))
    turns[..., 0, 0], turns[..., 1, 1], turns[..., 2, 2] = (
        1.0 - scale * (yy + zz), 1.0 - scale * (xx + zz), 1.0 - scale * (xx + yy),
    )  # fmt: skip
    turns[..., 0, 1], turns[..., 1, 0] = scale * (x * y - z), scale * (x * y + z)
    turns[..., 0, 2], turns[..., 2, 0] = scale * (x * z + y), scale * (x * z - y)
    turns[..., 1, 2], turns[..., 2, 1] = scale * (y * z - x), scale * (y * z + x)
    return turns


def cross(a: Float64Array, b: Float64Array) -> Float64Array:
    """Cross products of vectors [..., 3]; leading axes broadcast."""
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        product[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return product


def twist(turns: Float64Array, axes: Float64Array) -> Float64Array:
    """How far rotations [..., 3, 3] turn about unit ``axes`` [..., 3] themselves, -pi..pi (swing and twist)."""
    x, y, z = (turns[..., k, j] - turns[..., j, k] for j, k in ((1, 2), (2, 0), (0, 1)))
    along = x * axes[..., 0] + y * axes[..., 1] + z * axes[..., 2]
    return np.asarray(2.0 * np.arctan2(along, 1.0 + turns[..., 0, 0] + turns[..., 1, 1] + turns[..., 2, 2]))


def about(axes: Float64Array, angles: Float64Array) -> Float64Array:
    """The rotations by ``angles`` [...] radians about unit ``axes`` [..., 3]."""
    half = np.tan(0.25 * angles)[..., None] * axes
    return small_turn(4.0 * half / (1.0 - np.square(half).sum(axis=-1, keepdims=True)))
