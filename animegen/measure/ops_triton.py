"""The ops of a layer written in Triton, as a rival: what one would write by hand in place of ours.

Two kernels, for pictures [B, C, H, W] that are contiguous and the leaky ReLU: what follows a convolution, and the same
after resampling with a separable filter. Each thread block has a part of one plane; of the filter only those taps are
looked at that meet a pixel. Triton is no dependency: this module loads only where it is installed.
"""
# Triton reads the annotations of kernels, which may name nothing but its own types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from animegen.ops.bias_act import constants
from animegen.ops.upfirdn2d import output_size

_CELLS = 1024
_TILE = (8, 128)


@triton.jit
def _activated(u, alpha, gain, clamp):
    y = tl.where(u < 0, u * alpha, u) * gain
    return tl.minimum(tl.maximum(y, -clamp), clamp)


@triton.jit
def _bias_act(  # noqa: PLR0917 - kernels have no keywords
    out, x, noise, bias, channels, area, alpha, gain, clamp,
    cells: tl.constexpr,
):  # fmt: skip
    plane = tl.program_id(1)
    cell = tl.program_id(0) * cells + tl.arange(0, cells)
    inside = cell < area
    begin = plane.to(tl.int64) * area
    u = tl.load(x + begin + cell, inside).to(tl.float32) + tl.load(noise + cell, inside).to(tl.float32)
    u += tl.load(bias + plane % channels).to(tl.float32)
    tl.store(out + begin + cell, _activated(u, alpha, gain, clamp), inside)


@triton.jit
def _resampled(  # noqa: PLR0917 - kernels have no keywords
    out, x, fir, noise, bias, demodulation, modulation,
    channels, height, width, high, wide, left, top,
    fir_gain, alpha, gain, clamp,
    up: tl.constexpr, down: tl.constexpr, taps: tl.constexpr, layer: tl.constexpr,
    rows: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    plane = tl.program_id(2)
    row = tl.program_id(1) * rows + tl.arange(0, rows)
    column = tl.program_id(0) * columns + tl.arange(0, columns)
    # the first tap that meets a pixel; remainders have the sign of what is divided
    y, x0 = row * down - top, column * down - left
    tap_y, tap_x = (up - y % up) % up, (up - x0 % up) % up
    source = x + plane.to(tl.int64) * height * width
    t = tl.zeros((rows, columns), tl.float32)
    for i in tl.static_range((taps + up - 1) // up):
        ky, sy = tap_y + i * up, y + tap_y + i * up
        weight_y = tl.load(fir + taps - 1 - ky, ky < taps, 0.0)
        there_y = (ky < taps) & (sy >= 0) & (sy < height * up)
        for j in tl.static_range((taps + up - 1) // up):
            kx, sx = tap_x + j * up, x0 + tap_x + j * up
            weight_x = tl.load(fir + taps - 1 - kx, kx < taps, 0.0)
            there_x = (kx < taps) & (sx >= 0) & (sx < width * up)
            place = source + (sy // up)[:, None] * width + (sx // up)[None, :]
            value = tl.load(place, there_y[:, None] & there_x[None, :], 0.0).to(tl.float32)
            t += value * (weight_y[:, None] * weight_x[None, :])
    t *= fir_gain
    inside = (row < high)[:, None] & (column < wide)[None, :]
    cell = row[:, None] * wide + column[None, :]
    if layer:
        t *= tl.load(demodulation + plane)
        t += tl.load(noise + cell, inside).to(tl.float32) + tl.load(bias + plane % channels).to(tl.float32)
        t = _activated(t, alpha, gain, clamp) * tl.load(modulation + plane)
    tl.store(out + plane.to(tl.int64) * high * wide + cell, t, inside)


def bias_act(x: Tensor, bias: Tensor, *, noise: Tensor, act: str, clamp: float) -> Tensor:
    """As :func:`animegen.ops.bias_act.bias_act`, of contiguous pictures and the leaky ReLU."""
    out = torch.empty_like(x)
    area = x.shape[2] * x.shape[3]
    grid = (triton.cdiv(area, _CELLS), x.shape[0] * x.shape[1])
    _, *numbers = constants(act, None, None, clamp)
    _bias_act[grid](out, x, noise, bias, x.shape[1], area, *numbers, cells=_CELLS)
    return out


def upfirdn2d(x: Tensor, fir: Tensor, *, up: int = 1, down: int = 1, padding: Any = 0, gain: float = 1.0) -> Tensor:
    """As :func:`animegen.ops.upfirdn2d.upfirdn2d`, of contiguous pictures and a filter [n]."""
    return _resample(x, fir, (up, down), padding, (gain, 0.0, 1.0, 0.0))


def fir_bias_act(
    x: Tensor,
    fir: Tensor,
    *,
    padding: Any,
    gain: float,
    demodulation: Tensor,
    noise: Tensor,
    bias: Tensor,
    modulation: Tensor,
    act: str,
    clamp: float,
) -> Tensor:
    """As :func:`animegen.ops.upfirdn2d.fir_bias_act`, of contiguous pictures, a filter [n] and the leaky ReLU."""
    _, *numbers = constants(act, None, None, clamp)
    return _resample(x, fir, (1, 1), padding, (gain, *numbers), noise, bias, demodulation, modulation)


def _resample(
    x: Tensor,
    fir: Tensor,
    factors: tuple[int, int],
    padding: Any,
    numbers: tuple[float, ...],
    *layer: Tensor,
) -> Tensor:
    left, right, top, bottom = (padding,) * 4 if isinstance(padding, int) else padding
    (up, down), (batch, channels, height, width), (rows, columns) = factors, x.shape, _TILE
    high, wide = output_size(x, fir, (up, up), (down, down), (left, right, top, bottom))
    out = x.new_empty(batch, channels, high, wide)
    grid = (triton.cdiv(wide, columns), triton.cdiv(high, rows), batch * channels)
    sizes = (channels, height, width, high, wide, left, top)
    constexprs = {"up": up, "down": down, "taps": len(fir), "layer": bool(layer), "rows": rows, "columns": columns}
    _resampled[grid](out, x, fir, *(layer or (x,) * 4), *sizes, *numbers, **constexprs)
    return out
