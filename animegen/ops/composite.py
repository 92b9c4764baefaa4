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
_STRIP = 16
"""Rows that the reference takes at once: their intermediate values stay in the processor's cache."""
_ONE, _HALF = 1 << 32, 1 << 24
"""A pixel, and half of the 1/128 that positions are rounded to."""
_EVEN, _BYTES, _ROUND = 0x0000FFFF_0000FFFF, 0x000000FF_000000FF, 0x00002000_00002000
"""Two lanes of 32 bits, their bytes, and half of 2^14 in each."""


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
    # a border of nothing, where all that lies outside is sampled; a pixel is four lanes of 16 bits in one number
    framed = np.zeros((height + 3, width + 3, 4), np.uint16)
    framed[1 : height + 1, 1 : width + 1] = sprite
    pixels = framed.view(np.uint64).ravel()
    left, top, right, bottom = _cover(picture, sprite, affine)
    xs = np.arange(left, right, dtype=np.int64)
    for start in range(top, bottom, _STRIP):
        ys = np.arange(start, min(start + _STRIP, bottom), dtype=np.int64)[:, None]
        u, v = (
            np.clip(inverse[i] * xs + (inverse[i + 1] * ys + inverse[i + 2] + _HALF), -_ONE, size * _ONE)
            for i, size in ((0, width), (3, height))
        )
        _blend(picture[ys[0, 0] : ys[-1, 0] + 1, left:right], _sampled(pixels, width + 3, u, v))


def _sampled(pixels: NDArray[np.uint64], row: int, u: NDArray[np.int64], v: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Samples [h, w, 4] of framed pixels, ``row`` a row, at positions in 2^-32: four lanes at once, then two."""
    first = ((v >> 32) + 1) * row + (u >> 32) + 1
    fx, fy = ((w >> 25 & 127).astype(np.uint64) for w in (u, v))
    near_x, near_y = 128 - fx, 128 - fy
    a = pixels[first] * near_y + pixels[first + row] * fy
    b = pixels[first + 1] * near_y + pixels[first + row + 1] * fy
    even = (((a & _EVEN) * near_x + (b & _EVEN) * fx + _ROUND) >> 14) & _BYTES
    odd = (((a >> 16 & _EVEN) * near_x + (b >> 16 & _EVEN) * fx + _ROUND) >> 14) & _BYTES
    lanes: NDArray[np.uint16] = (even | odd << 16).view(np.uint16).reshape(*u.shape, 4)
    return lanes


def _blend(picture: Uint8Array, colour: NDArray[np.uint16]) -> None:
    keep = 255 - colour[..., 3]
    for c in range(picture.shape[2]):
        product = picture[..., c] * keep + 128
        product += product >> 8
        picture[..., c] = np.minimum((product >> 8) + colour[..., c], 255)
