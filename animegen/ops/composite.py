"""``composite``: affine-warped premultiplied sprites laid over a picture, several in order, in one pass."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.ops import library
from animegen.ops.arrays import is_dense, packed
from animegen.types import Float64Array, Uint8Array

OPTIONS = struct.Struct("@P")
S = TypeVar("S", bound=Any)

_MOST_SIDE = 65536
_MOST_STEP = 2.0**13
_MOST_SHIFT = 2.0**29
_SMALLEST = 1e-12
"""A determinant below which a sprite is a line or a point."""


def composite(
    picture: Uint8Array, sprites: Sequence[Uint8Array], affines: Sequence[Float64Array], *, threads: int = 1
) -> None:
    """Lay sprites over a picture, in place and in order: ``picture = sprite + (1 - alpha) picture``.

    ``picture`` uint8 [H, W, 3] RGB or [H, W, 4] premultiplied RGBA; rows may have any stride. ``sprites`` uint8
    [h, w, 4], premultiplied; ``affines`` f64 [2, 3] from sprite to picture pixels, pixel centres at whole numbers.
    Samples are bilinear and transparent outside the sprite; a sprite flattened to nothing is not seen. The result has
    the same bytes whatever computes it, in any number of ``threads``. Sides reach 65536 pixels at most. Raises
    InvalidValue naming what does not fit. Porter and Duff 1984, "over".
    """
    native = library.native("cpu")
    if native is None:
        composite_reference(picture, sprites, affines)
        return
    _check(picture, sprites, affines)
    if not picture.size:
        return
    seen, inverses = seen_sprites(sprites, affines)
    dense = [sprite if is_dense(sprite) else np.ascontiguousarray(sprite) for sprite in seen]
    tensors = [packed(array, library.UINT8) for array in (picture, *dense)]
    native.call("composite", tensors, OPTIONS.pack(inverses.ctypes.data), library.place(threads=threads))


def composite_reference(picture: Uint8Array, sprites: Sequence[Uint8Array], affines: Sequence[Float64Array]) -> None:
    """What :func:`composite` computes, in NumPy."""
    _check(picture, sprites, affines)
    for sprite, affine in zip(sprites, affines, strict=True):
        inverse = inverse_of(affine)
        if sprite.size and inverse is not None:
            _lay(picture, sprite, affine, inverse)


def seen_sprites(sprites: Sequence[S], affines: Sequence[Float64Array]) -> tuple[list[S], NDArray[np.int64]]:
    """The sprites (arrays or tensors) that can be seen, and their inverses, int64 [n, 6], as the C ABI takes them."""
    pairs = [(sprite, inverse_of(affine)) for sprite, affine in zip(sprites, affines, strict=True)]
    seen = [(sprite, inverse) for sprite, inverse in pairs if inverse is not None and 0 not in sprite.shape]
    return [sprite for sprite, _ in seen], np.array([inverse for _, inverse in seen], np.int64)


def _check(picture: Uint8Array, sprites: Sequence[Uint8Array], affines: Sequence[Float64Array]) -> None:
    if len(sprites) != len(affines):
        raise InvalidValue(f"composite has {len(sprites)} sprites and {len(affines)} affines")
    _check_picture(picture, "picture", {3, 4})
    if not is_dense(picture) or not picture.flags.writeable:
        raise InvalidValue("composite changes its picture in place: it must be writeable, its pixels side by side")
    for i, (sprite, affine) in enumerate(zip(sprites, affines, strict=True)):
        _check_picture(sprite, f"sprite {i}", {4})
        if affine.shape != (2, 3) or affine.dtype != np.float64:
            raise InvalidValue(f"affine {i} must be float64 (2, 3), got {affine.dtype.name} {affine.shape}")
        if not np.isfinite(affine).all():
            raise InvalidValue(f"affine {i} holds a value that is not finite: {affine.tolist()}")
        if np.may_share_memory(picture, sprite):
            raise InvalidValue(f"sprite {i} shares memory with the picture")


def _check_picture(array: Uint8Array, name: str, channels: set[int]) -> None:
    if array.dtype != np.uint8:
        raise InvalidValue(f"{name} must be uint8, got {array.dtype.name}")
    if array.ndim != 3 or array.shape[2] not in channels or max(array.shape[:2]) > _MOST_SIDE:
        wanted = " or ".join(map(str, sorted(channels)))
        raise InvalidValue(f"{name} must be (height, width, {wanted}) with sides up to {_MOST_SIDE}, got {array.shape}")


def inverse_of(affine: Float64Array) -> tuple[int, ...] | None:
    """Six numbers that take a picture's pixels to the sprite's in 2^-32; None where the sprite cannot be seen."""
    (a, b, x), (c, d, y) = affine.tolist()
    determinant = a * d - b * c
    if abs(determinant) < _SMALLEST:
        return None
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    rows = (a, b, -(a * x + b * y), c, d, -(c * x + d * y))
    if any(abs(value) >= (_MOST_SHIFT if i % 3 == 2 else _MOST_STEP) for i, value in enumerate(rows)):
        return None
    return tuple(round(value * 2.0**32) for value in rows)


def _cover(picture: Uint8Array, sprite: Uint8Array, affine: Float64Array) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a part of the picture that holds all the sprite touches."""
    height, width = sprite.shape[:2]
    corners = np.array([(-1, -1, 1), (width, -1, 1), (-1, height, 1), (width, height, 1)], np.float64) @ affine.T
    margin = 1 + 1e-4 * np.abs(affine[:, :2]).sum(axis=1)
    size = (picture.shape[1], picture.shape[0])
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, size)
    high = np.clip(np.ceil(corners.max(axis=0) + margin) + 1, 0, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _lay(picture: Uint8Array, sprite: Uint8Array, affine: Float64Array, inverse: tuple[int, ...]) -> None:
    height, width = sprite.shape[:2]
    one, half = 1 << 32, 1 << 24
    left, top, right, bottom = _cover(picture, sprite, affine)
    xs, ys = np.arange(left, right, dtype=np.int64), np.arange(top, bottom, dtype=np.int64)[:, None]
    u = inverse[0] * xs + (inverse[1] * ys + inverse[2] + half)
    v = inverse[3] * xs + (inverse[4] * ys + inverse[5] + half)
    picture = picture[top:bottom, left:right]
    rows, columns = np.nonzero((u >= -one) & (u < width * one) & (v >= -one) & (v < height * one))
    u, v = u[rows, columns], v[rows, columns]
    # a border of nothing, so that every sample has its four neighbours
    framed = np.zeros((height + 2, width + 2, 4), np.int32)
    framed[1:-1, 1:-1] = sprite
    x, y = (u >> 32) + 1, (v >> 32) + 1
    fx, fy = ((w >> 25 & 127).astype(np.int32)[:, None] for w in (u, v))
    a = framed[y, x] * (128 - fy) + framed[y + 1, x] * fy
    b = framed[y, x + 1] * (128 - fy) + framed[y + 1, x + 1] * fy
    colour = (a * (128 - fx) + b * fx + 8192) >> 14
    product = picture[rows, columns] * (255 - colour[:, 3:]) + 128
    below = (product + (product >> 8)) >> 8
    picture[rows, columns] = np.minimum(below + colour[:, : picture.shape[2]], 255).astype(np.uint8)
