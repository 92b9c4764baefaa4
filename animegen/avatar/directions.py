"""Directions as two bytes: unit vectors on an unfolded octahedron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array

_LONGEST = 127


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
