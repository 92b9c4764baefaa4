"""``rgb_yuv``: RGB pictures to 4:2:0 video planes and back, and a rectangle of a video picture to a network's input.

A picture in 4:2:0 is three planes: ``y`` uint8 [H, W], ``u`` and ``v`` uint8 [(H + 1) // 2, (W + 1) // 2]. Rows may
have any stride. For NV12, whose chroma lies in one plane ``uv`` [.., .., 2], u and v are ``uv[..., 0]`` and
``uv[..., 1]``. A chroma sample stands for four pixels and lies between their centres.

All functions give the same bytes whatever computes them, in any number of ``threads``. They raise InvalidValue naming
what does not fit. Equations: ITU-T H.273, 8.3; weights from BT.601 and BT.709.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.ops import library
from animegen.ops.arrays import is_dense, packed, strides_of
from animegen.types import Float32Array, Float64Array, Uint8Array

Planes: TypeAlias = tuple[Uint8Array, Uint8Array, Uint8Array]
Range: TypeAlias = Literal["tv", "pc"]

LUMA: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "bt709": (0.2126, 0.0722),
        "fcc": (0.30, 0.11),
        "bt470bg": (0.299, 0.114),
        "smpte170m": (0.299, 0.114),
        "smpte240m": (0.212, 0.087),
        "bt2020nc": (0.2627, 0.0593),
        "bt2020c": (0.2627, 0.0593),
    }
)
"""Weights of red and blue in luma by matrix (H.273, table 4) in FFmpeg's names; BT.601's are the third and fourth."""

TO_YUV = struct.Struct("@12H")
TO_RGB = struct.Struct("@8h")
TO_TENSOR = struct.Struct("@4q18f")
_STRIP = 32
"""Rows that the references take at once: their intermediate values stay in the processor's cache."""
_MOST_OUT = 65536
_MOST_STEP = 2.0**14
_MOST_START = 2.0**29


def empty_planes(height: int, width: int) -> Planes:
    """Uninitialised planes of a picture."""
    small = ((height + 1) // 2, (width + 1) // 2)
    return np.empty((height, width), np.uint8), np.empty(small, np.uint8), np.empty(small, np.uint8)


def rgb_to_yuv(
    rgb: Uint8Array, planes: Planes | None = None, *, matrix: str = "bt709", value_range: Range = "tv", threads: int = 1
) -> Planes:
    """The planes of ``rgb`` uint8 [H, W, 3], written to ``planes`` where given; within 0.52 of the exact value.

    Chroma is the mean of its four pixels, or of those that an odd size leaves.
    """
    _check_rgb(rgb, "rgb")
    height, width = rgb.shape[:2]
    planes = empty_planes(height, width) if planes is None else planes
    _check_planes(planes, height, width, written=True)
    _check_apart(rgb, planes)
    numbers = to_yuv_numbers(matrix, value_range)
    native = library.native("cpu")
    if native is None:
        _rgb_to_yuv(rgb, planes, numbers)
    else:
        dense = rgb if is_dense(rgb) else np.ascontiguousarray(rgb)
        tensors = [packed(array, library.UINT8) for array in (*planes, dense)]
        native.call("rgb_to_yuv", tensors, TO_YUV.pack(*numbers), library.place(threads=threads))
    return planes


def yuv_to_rgb(
    planes: Planes, rgb: Uint8Array | None = None, *, matrix: str = "bt709", value_range: Range = "tv", threads: int = 1
) -> Uint8Array:
    """uint8 [H, W, 3] RGB of the planes of a picture, written to ``rgb`` where given; within 0.56 of the exact value.

    Chroma is interpolated bilinearly and held at the edges.
    """
    height, width = planes[0].shape
    rgb = np.empty((height, width, 3), np.uint8) if rgb is None else rgb
    _check_rgb(rgb, "rgb", written=True)
    _check_planes(planes, *rgb.shape[:2])
    _check_apart(rgb, planes)
    numbers = to_rgb_numbers(matrix, value_range)
    native = library.native("cpu")
    if native is None:
        _yuv_to_rgb(planes, rgb, numbers)
    else:
        tensors = [packed(array, library.UINT8) for array in (rgb, *planes)]
        native.call("yuv_to_rgb", tensors, TO_RGB.pack(*numbers), library.place(threads=threads))
    return rgb


def yuv_to_tensor(
    planes: Planes,
    box: Sequence[float],
    size: tuple[int, int],
    *,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    matrix: str = "bt709",
    value_range: Range = "tv",
    threads: int = 1,
) -> Float32Array:
    """f32 [3, h, w]: the rectangle ``box`` of a picture at ``size`` (w, h), as ``(rgb / 255 - mean) / std``.

    ``box`` is xyxy in pixels, whose centres lie at whole numbers: the whole picture is (-0.5, -0.5, W - 0.5,
    H - 0.5). Sampling is bilinear and held at the picture's edges.
    """
    height, width = planes[0].shape
    _check_planes(planes, height, width)
    if not height or not width:
        raise InvalidValue(f"there is nothing to sample in a picture of {width} x {height}")
    options = tensor_options(box, size, (mean, std), matrix, value_range)
    native = library.native("cpu")
    if native is None:
        return _yuv_to_tensor(planes, size, options)
    out = np.empty((3, size[1], size[0]), np.float32)
    tensors = [packed(out, library.FLOAT32), *(packed(plane, library.UINT8) for plane in planes)]
    native.call("yuv_to_tensor", tensors, TO_TENSOR.pack(*options), library.place(threads=threads))
    return out


def rgb_to_yuv_reference(rgb: Uint8Array, *, matrix: str = "bt709", value_range: Range = "tv") -> Planes:
    """What :func:`rgb_to_yuv` computes, in NumPy."""
    _check_rgb(rgb, "rgb")
    planes = empty_planes(*rgb.shape[:2])
    _rgb_to_yuv(rgb, planes, to_yuv_numbers(matrix, value_range))
    return planes


def yuv_to_rgb_reference(planes: Planes, *, matrix: str = "bt709", value_range: Range = "tv") -> Uint8Array:
    """What :func:`yuv_to_rgb` computes, in NumPy."""
    _check_planes(planes, *planes[0].shape)
    rgb = np.empty((*planes[0].shape, 3), np.uint8)
    _yuv_to_rgb(planes, rgb, to_rgb_numbers(matrix, value_range))
    return rgb


def yuv_to_rgb_matrix(matrix: str, value_range: Range, bits: int = 8) -> Float64Array:
    """f64 [3, 4] that takes (Y, Cb, Cr) samples of ``bits`` to RGB where 0..1 is the range of the format.

    H.273, equations 8-1 to 8-3 and 37 to 45.
    """
    red, blue = _weights(matrix)
    green = 1 - red - blue
    step = 2.0 ** (bits - 8)
    if value_range == "tv":
        black, luma, chroma = 16 * step, 219 * step, 224 * step
    else:
        black, luma, chroma = 0.0, 2.0**bits - 1, 2.0**bits - 1
    mix = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    mix /= (luma, chroma, chroma)
    return np.column_stack([mix, mix @ (-black, -128 * step, -128 * step)])


def _weights(matrix: str) -> tuple[float, float]:
    if matrix not in LUMA:
        raise InvalidValue(f"matrix is '{matrix}'", f"it is one of {', '.join(LUMA)}")
    return LUMA[matrix]


@lru_cache(maxsize=32)
def to_yuv_numbers(matrix: str, value_range: Range) -> tuple[int, ...]:
    """``ag_rgb_to_yuv_options``. Greys stay grey: the numbers of a row add up exactly."""
    red, blue = _weights(matrix)
    black, luma, chroma = (16, 219 / 255, 224 / 255) if value_range == "tv" else (0, 1.0, 1.0)
    whole, half = round(65536 * luma), round(32768 * chroma)
    r, b = round(65536 * luma * red), round(65536 * luma * blue)
    u_r, v_b = round(half * red / (1 - blue)), round(half * blue / (1 - red))
    middle = 128 * 256 + 127  # half, and no blue or red is brought past 255
    # one more than half: the three products are rounded down
    return (r, whole - r - b, b, black * 256 + 129, u_r, half - u_r, half, middle, half, half - v_b, v_b, middle)


@lru_cache(maxsize=32)
def to_rgb_numbers(matrix: str, value_range: Range) -> tuple[int, ...]:
    """``ag_yuv_to_rgb_options``."""
    mix = yuv_to_rgb_matrix(matrix, value_range) * 255
    scaled = np.rint(mix[:, :3] * 2**13).astype(int).tolist()
    offset = -mix[0, 0] * (16 if value_range == "tv" else 0) * 32
    # half of what is cut off at the end, and what the products lose on average; luma in full range loses nothing
    lost = 0.5 if value_range == "tv" else 0.0
    bias = [round(float(offset) + 16 + lost + chroma) for chroma in (0.5, 1.0, 0.5)]
    return (scaled[0][0], scaled[0][2], scaled[1][1], scaled[1][2], scaled[2][1], *bias)


def tensor_options(
    box: Sequence[float],
    size: tuple[int, int],
    normal: tuple[Sequence[float], Sequence[float]],
    matrix: str,
    value_range: Range,
) -> tuple[Any, ...]:
    """``ag_yuv_totensor_options``."""
    if min(size) < 0 or max(size) > _MOST_OUT:
        raise InvalidValue(f"size is {size}, each side must lie in 0..{_MOST_OUT}")
    corners = np.asarray(box, np.float64)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise InvalidValue(f"box must be four finite numbers, got {list(box)}")
    steps = (corners[2:] - corners[:2]) / np.maximum(size, 1)
    starts = corners[:2] + 0.5 * steps
    if np.abs(steps).max() >= _MOST_STEP or np.abs(starts).max() >= _MOST_START:
        raise InvalidValue(f"box {corners.tolist()} is too large for {size[0]} x {size[1]} samples")
    mean, std = (np.asarray(values, np.float64) for values in normal)
    if std.shape != (3,) or mean.shape != (3,) or not (std > 0).all():
        raise InvalidValue(f"mean and std must be three numbers each, std above 0, got {normal}")
    mix = (yuv_to_rgb_matrix(matrix, value_range) * 255).astype(np.float32)
    scale, shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    fixed = np.rint(np.concatenate([steps, starts]) * 2.0**32).astype(np.int64).tolist()
    return (*fixed, *mix.ravel().tolist(), *scale.tolist(), *shift.tolist())


def _rgb_to_yuv(rgb: Uint8Array, planes: Planes, numbers: tuple[int, ...]) -> None:
    height, width = rgb.shape[:2]
    if not rgb.size:
        return
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        # an odd side's last pixels twice, so that every chroma sample has its four
        strip = np.pad(rgb[rows], ((0, rows.stop % 2), (0, width % 2), (0, 0)), "edge")
        whole = [strip[..., c].astype(np.uint32) for c in range(3)]
        small = [c[::2, ::2] + c[::2, 1::2] + c[1::2, ::2] + c[1::2, 1::2] for c in whole]
        r, g, b = (c * n >> 8 for c, n in zip(whole, numbers, strict=False))
        planes[0][rows] = ((r + g + b + numbers[3]) >> 8)[: rows.stop - top, :width]
        rows = slice(top // 2, (rows.stop + 1) // 2)
        r, g, b = (c * n >> 10 for c, n in zip(small, numbers[4:], strict=False))
        planes[1][rows] = (numbers[7] + b - r - g) >> 8
        r, g, b = (c * n >> 10 for c, n in zip(small, numbers[8:], strict=False))
        planes[2][rows] = (numbers[11] + r - g - b) >> 8


def _yuv_to_rgb(planes: Planes, rgb: Uint8Array, numbers: tuple[int, ...]) -> None:
    height, width = rgb.shape[:2]
    if not rgb.size:
        return
    luma, v_to_r, u_to_g, v_to_g, u_to_b, *bias = numbers
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        u, v = (_interpolated(plane, np.arange(height)[rows], width) for plane in planes[1:])
        light = (planes[0][rows].astype(np.int32) << 8) * luma >> 16
        channels = (
            light + (v * v_to_r >> 16) + bias[0],
            light + (u * u_to_g >> 16) + (v * v_to_g >> 16) + bias[1],
            light + (u * u_to_b >> 16) + bias[2],
        )
        for c, channel in enumerate(channels):
            rgb[rows, :, c] = np.clip(channel >> 5, 0, 255)


def _interpolated(plane: Uint8Array, rows: NDArray[np.int64], width: int) -> NDArray[np.int32]:
    """Chroma of some rows of pixels, less 128, times 256."""
    near = rows // 2
    far = np.clip(near + np.where(rows % 2, 1, -1), 0, plane.shape[0] - 1)
    columns = (3 * plane[near].astype(np.int32) + plane[far] - 512) * 16
    held = np.pad(columns, ((0, 0), (1, 1)), "edge")
    pixels = np.empty((len(rows), width), np.int32)
    columns *= 3
    pixels[:, ::2] = columns + held[:, :-2]
    pixels[:, 1::2] = (columns + held[:, 2:])[:, : width // 2]
    return pixels


def _yuv_to_tensor(planes: Planes, size: tuple[int, int], options: tuple[Any, ...]) -> Float32Array:
    steps, starts, rest = options[:2], options[2:4], np.array(options[4:], np.float32)
    mix, scale, shift = rest[:12].reshape(3, 4), rest[12:15], rest[15:]
    x, y = (step * np.arange(n, dtype=np.int64) + start for n, step, start in zip(size, steps, starts, strict=True))
    quarter = 1 << 30
    samples = [_bilinear(planes[0], y, x)]
    samples += [_bilinear(plane, (y >> 1) - quarter, (x >> 1) - quarter) for plane in planes[1:]]
    out = np.empty((3, size[1], size[0]), np.float32)
    for c, m in enumerate(mix):
        value = m[0] * samples[0] + m[1] * samples[1] + m[2] * samples[2] + m[3]
        out[c] = np.clip(value, np.float32(0), np.float32(255)) * scale[c] + shift[c]
    return out


def _bilinear(plane: Uint8Array, y: NDArray[np.int64], x: NDArray[np.int64]) -> Float32Array:
    top, bottom, fy = _taps(y, plane.shape[0])
    left, right, fx = _taps(x, plane.shape[1])
    upper, lower = plane[top].astype(np.int32), plane[bottom].astype(np.int32)
    columns = upper * (128 - fy[:, None]) + lower * fy[:, None]
    samples = columns[:, left] * (128 - fx) + columns[:, right] * fx
    return samples.astype(np.float32) * np.float32(1 / 16384)


def _taps(position: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    held = np.clip(position + (1 << 24), 0, (size - 1) << 32)
    low = held >> 32
    return low, np.minimum(low + 1, size - 1), (held >> 25 & 127).astype(np.int32)


def _check_rgb(rgb: Uint8Array, name: str, *, written: bool = False) -> None:
    if rgb.dtype != np.uint8:
        raise InvalidValue(f"{name} must be uint8, got {rgb.dtype.name}")
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InvalidValue(f"{name} must be (height, width, 3), got {rgb.shape}")
    if written and not (rgb.flags.writeable and is_dense(rgb)):
        raise InvalidValue(f"{name} is written: it must be writeable, its pixels side by side")


def _check_planes(planes: Planes, height: int, width: int, *, written: bool = False) -> None:
    small = ((height + 1) // 2, (width + 1) // 2)
    for name, plane, shape in zip("yuv", planes, ((height, width), small, small), strict=True):
        if plane.dtype != np.uint8:
            raise InvalidValue(f"plane {name} must be uint8, got {plane.dtype.name}")
        if plane.shape != shape:
            raise InvalidValue(f"plane {name} must be {shape} for a picture of {width} x {height}, got {plane.shape}")
        if strides_of(plane)[1] not in ({1} if name == "y" else {1, 2}):
            raise InvalidValue(f"plane {name} has samples {plane.strides[1]} bytes apart")
        if written and not plane.flags.writeable:
            raise InvalidValue(f"plane {name} is written, but cannot be")


def _check_apart(rgb: Uint8Array, planes: Planes) -> None:
    for name, plane in zip("yuv", planes, strict=True):
        if np.may_share_memory(rgb, plane):
            raise InvalidValue(f"plane {name} shares memory with the picture")
