"""Directions, lengths and vectors of a plane in bytes: what a file of surfels is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Uint8Array

_LONGEST = 127
_SHORTEST_RADIUS, _LONGEST_RADIUS = 5e-5, 0.2
"""Metres: radii are kept as logarithms between these, to 1.6%."""


def encode_normals(normals: Float32Array) -> NDArray[np.int8]:
    """Directions f32 [M, 3] of length 1 on an octahedron that is unfolded to a square, int8 [M, 2], mostly to half a
    degree (Cigolle et al. 2014, "A Survey of Efficient Representations for Independent Unit Vectors").
    """
    flat = normals / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-9)
    square = np.where(flat[:, 2:] < 0, _folded(flat[:, :2]), flat[:, :2])
    coded: NDArray[np.int8] = np.rint(square * _LONGEST).astype(np.int8)
    return coded


def decode_normals(coded: NDArray[np.int8]) -> Float32Array:
    """What :func:`encode_normals` was given, nearly."""
    square: Float32Array = coded.astype(np.float32) / np.float32(_LONGEST)
    up = 1 - np.abs(square).sum(axis=1, keepdims=True)
    normals = np.concatenate([np.where(up < 0, _folded(square), square), up], axis=1)
    decoded: Float32Array = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    return decoded


def _folded(square: Float32Array) -> Float32Array:
    """The lower half of the octahedron lies in the corners of the square."""
    folded: Float32Array = (1 - np.abs(square[:, ::-1])) * np.where(square < 0, -1, 1).astype(np.float32)
    return folded


def encode_radii(radii: Float32Array) -> Uint8Array:
    """Lengths f32 [M] in metres as uint8 [M]."""
    share = np.log(np.maximum(radii, 1e-9) / _SHORTEST_RADIUS) / np.log(_LONGEST_RADIUS / _SHORTEST_RADIUS)
    coded: Uint8Array = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return coded


def decode_radii(coded: Uint8Array) -> Float32Array:
    """What :func:`encode_radii` was given, nearly."""
    radii = _SHORTEST_RADIUS * (_LONGEST_RADIUS / _SHORTEST_RADIUS) ** (coded / 255.0)
    return np.asarray(radii, np.float32)


def encode_ways(ways: Float32Array, normals: Float32Array, radii: Float32Array) -> NDArray[np.int8]:
    """Vectors f32 [M, C, 3], no longer than the radii f32 [M], in the planes of normals f32 [M, 3]: int8 [M, C, 2]."""
    share = ways @ _axes(normals).transpose(0, 2, 1) / np.maximum(radii, 1e-9)[:, None, None]
    return np.rint(np.clip(share, -1, 1) * _LONGEST).astype(np.int8)


def decode_ways(coded: NDArray[np.int8], normals: Float32Array, radii: Float32Array) -> Float32Array:
    """What :func:`encode_ways` was given, nearly."""
    return np.asarray(coded @ _axes(normals) * (radii / _LONGEST)[:, None, None], np.float32)


def _axes(normals: Float32Array) -> Float32Array:
    """Two axes across each normal, f32 [M, 2, 3] (Duff et al. 2017, "Building an Orthonormal Basis, Revisited")."""
    x, y, z = normals.T
    sign = np.where(z < 0, -1, 1).astype(np.float32)
    a = -1 / (sign + z)
    b = x * y * a
    first = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1)
    second = np.stack([b, sign + y * y * a, -y], axis=1)
    return np.stack([first, second], axis=1)
