"""Upsampling, an FIR filter and downsampling of pictures, as one pass over them.

In one dimension, with the filter f of n taps and p the padding in front, of which a negative one crops:

    y[o] = gain * sum over i of x[i] f[n - 1 - (i up + p - o down)]

which is zero insertion, padding, convolution and decimation (Vaidyanathan 1993, Multirate Systems and Filter Banks,
section 4.1). Its gradient has the same form with up and down exchanged, the filter reversed and p' = n - 1 - p, so
gradients of every order are the same pass.

:func:`fir_bias_act` goes on with what follows the filter in a synthesis layer of StyleGAN2 (Karras et al. 2020, arXiv
1912.04958, section 2.2 and figure 2): demodulation, noise, bias, activation, clamp, and the next layer's modulation.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.bias_act import bias_act, bias_act_reference, checked, constants
from animegen.ops.checks import computing, matched, shaped
from animegen.ops.registration import differentiates, is_native, launch, register

Pair = int | Sequence[int]
"""One number for both axes, or that of x and that of y."""


def fir_filter(taps: Sequence[float] | Sequence[Sequence[float]], *, normalise: bool = True) -> Tensor:
    """A filter from its taps, f32: [n], applied along both axes, or [ny, nx]. ``normalise``: to the sum 1."""
    fir = torch.tensor(taps, dtype=torch.float32)
    return fir / fir.sum() if normalise else fir


def upfirdn2d(
    x: Tensor,
    fir: Tensor | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Upsample by zero insertion, pad or crop, convolve with ``fir``, downsample: a new tensor of the dtype of ``x``.

    ``x`` float [B, C, H, W] of any strides; ``fir`` f32 [n] (along both axes), [ny, nx], or None for [1]. ``up`` and
    ``down`` whole factors from 1. ``padding`` in pixels of the upsampled picture, negative to crop: one number, (x, y),
    or (left, right, top, bottom). ``flip_filter``: correlate in place of convolving. ``gain`` multiplies the result.
    H' = floor((H up + top + bottom - ny) / down) + 1, W' likewise. Computes in float32 (float64 for float64).
    Differentiable in ``x``, any number of times. Raises InvalidValue naming what does not fit.
    """
    _check(x, fir)
    ups, downs, pads = _factors("up", up), _factors("down", down), _padding(padding)
    output_size(x, fir, ups, downs, pads)
    if is_native(x):
        return _upfirdn2d(x, fir, ups, downs, pads, flip_filter, gain)
    return upfirdn2d_reference(x, fir, up=ups, down=downs, padding=pads, flip_filter=flip_filter, gain=gain)


def fir_bias_act(
    x: Tensor,
    fir: Tensor | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    demodulation: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float | None = None,
    act_gain: float | None = None,
    clamp: float | None = None,
    modulation: Tensor | None = None,
) -> Tensor:
    """``bias_act(upfirdn2d(x) * demodulation, bias, noise) * modulation``, as one pass over ``x``.

    Options as in :func:`upfirdn2d` and :func:`animegen.ops.bias_act.bias_act` (``act_gain`` is its gain);
    ``demodulation`` and ``modulation`` [B, C] of the dtype in which x computes (:func:`computing`). Differentiable
    twice in all tensors but the filter. Raises InvalidValue naming what does not fit.
    """
    _check(x, fir)
    ups, downs, pads = _factors("up", up), _factors("down", down), _padding(padding)
    height, width = output_size(x, fir, ups, downs, pads)
    bias, noise = checked(x, (*x.shape[:2], height, width), bias, noise)
    demodulation = _per_channel(x, "demodulation", demodulation)
    modulation = _per_channel(x, "modulation", modulation)
    numbers = constants(act, alpha, act_gain, clamp)
    if is_native(x):
        if not differentiates(x, demodulation, noise, bias, modulation):
            resampling = (fir, ups, downs, pads, flip_filter, gain)
            return _fir_bias_act(x, *resampling, demodulation, noise, bias, modulation, *numbers)
        same = fir is None and ups == downs == (1, 1) and pads == (0, 0, 0, 0) and gain == 1
        u = x if same else _upfirdn2d(x, fir, ups, downs, pads, flip_filter, gain)
        if demodulation is not None:
            u = u * demodulation.to(u.dtype)[:, :, None, None]
        y = bias_act(u, bias, noise=noise, act=act, alpha=alpha, gain=act_gain, clamp=clamp)
        return y if modulation is None else y * modulation.to(y.dtype)[:, :, None, None]
    return fir_bias_act_reference(
        x,
        fir,
        up=ups,
        down=downs,
        padding=pads,
        flip_filter=flip_filter,
        gain=gain,
        demodulation=demodulation,
        noise=noise,
        bias=bias,
        act=act,
        alpha=alpha,
        act_gain=act_gain,
        clamp=clamp,
        modulation=modulation,
    )


def upfirdn2d_reference(
    x: Tensor,
    fir: Tensor | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """:func:`upfirdn2d` in PyTorch."""
    fir = torch.ones(1, device=x.device) if fir is None else fir
    (up_x, up_y), (down_x, down_y), pads = _factors("up", up), _factors("down", down), _padding(padding)
    batch, channels, height, width = x.shape
    if x.numel() == 0:
        return x.new_zeros(batch, channels, *output_size(x, fir, (up_x, up_y), (down_x, down_y), pads))
    u = x.to(computing(x.dtype))
    if up_x * up_y > 1:
        u = functional.pad(u[:, :, :, None, :, None], (0, up_x - 1, 0, 0, 0, up_y - 1))
        u = u.reshape(batch, channels, height * up_y, width * up_x)
    u = functional.pad(u, pads)
    kernel = (fir if flip_filter else fir.flip(list(range(fir.ndim)))).to(u.dtype)
    if kernel.ndim == 1:
        parts = [(kernel[None, :], (1, down_x)), (kernel[:, None] * gain, (down_y, 1))]
    else:
        parts = [(kernel * gain, (down_y, down_x))]
    for part, stride in parts:
        u = functional.conv2d(u, part.expand(channels, 1, *part.shape), stride=stride, groups=channels)
    return u.to(x.dtype)


def fir_bias_act_reference(
    x: Tensor,
    fir: Tensor | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    demodulation: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float | None = None,
    act_gain: float | None = None,
    clamp: float | None = None,
    modulation: Tensor | None = None,
) -> Tensor:
    """:func:`fir_bias_act` in PyTorch."""
    u = x.to(computing(x.dtype))
    u = upfirdn2d_reference(u, fir, up=up, down=down, padding=padding, flip_filter=flip_filter, gain=gain)
    if demodulation is not None:
        u = u * demodulation[:, :, None, None]
    y = bias_act_reference(u, bias, noise=noise, act=act, alpha=alpha, gain=act_gain, clamp=clamp)
    if modulation is not None:
        y = y * modulation[:, :, None, None]
    return y.to(x.dtype)


def output_size(
    x: Tensor, fir: Tensor | None, up: tuple[int, int], down: tuple[int, int], pads: Sequence[int]
) -> tuple[int, int]:
    """Height and width of what :func:`upfirdn2d` gives. Raises InvalidValue where nothing would be left."""
    taps_y, taps_x = taps_of(fir)
    wide = x.shape[3] * up[0] + pads[0] + pads[1] - taps_x
    high = x.shape[2] * up[1] + pads[2] + pads[3] - taps_y
    if wide < 0 or high < 0:
        raise InvalidValue(f"x {tuple(x.shape)} is too small for a filter of {taps_y} x {taps_x} taps", "pad it more")
    return high // down[1] + 1, wide // down[0] + 1


def taps_of(fir: Tensor | None) -> tuple[int, int]:
    """How many taps a filter has along y and x."""
    return (1, 1) if fir is None else (fir.shape[0], fir.shape[-1])


def _check(x: Tensor, fir: Tensor | None) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise InvalidValue(f"x must be of floats [B, C, H, W], got {x.dtype} {tuple(x.shape)}")
    if fir is None:
        return
    if fir.ndim not in {1, 2} or 0 in fir.shape or fir.dtype != torch.float32:
        raise InvalidValue(f"the filter must be float32 [n] or [ny, nx], got {fir.dtype} {tuple(fir.shape)}")
    if fir.requires_grad:
        raise InvalidValue("the filter has no gradient", "detach it")
    if fir.device != x.device:
        raise InvalidValue(f"the filter is on {fir.device}, x on {x.device}", f"bring it to {x.device}")


def _factors(name: str, value: Pair) -> tuple[int, int]:
    factors = (value, value) if isinstance(value, int) else tuple(value)
    if len(factors) != 2 or min(factors) < 1:
        raise InvalidValue(f"{name} must be one or two whole numbers from 1, got {value}")
    return factors[0], factors[1]


def _padding(value: Pair) -> tuple[int, int, int, int]:
    pads = (value,) * 4 if isinstance(value, int) else tuple(value)
    if len(pads) == 2:
        return pads[0], pads[0], pads[1], pads[1]
    if len(pads) != 4:
        raise InvalidValue(f"padding must be one, two or four whole numbers, got {value}")
    return pads[0], pads[1], pads[2], pads[3]


def _per_channel(x: Tensor, name: str, factors: Tensor | None) -> Tensor | None:
    if factors is None:
        return None
    return matched(name, shaped(name, factors, *x.shape[:2]), x, computing(x.dtype))


_OPTIONS = struct.Struct("@dddi4xd7i")
_NOTHING = (0, 0.0, 1.0, -1.0)
"""The linear activation with gain 1 and no clamp."""


def _compute(x: Tensor, fir: Tensor | None, *resampling: Any) -> Tensor:
    return _compute_all(x, fir, *resampling, None, None, None, None, *_NOTHING)


def _compute_all(x: Tensor, fir: Tensor | None, *given: Any) -> Tensor:
    up, down, pads, flip, gain, demodulation, noise, bias, modulation, act, alpha, act_gain, clamp = given
    options = _OPTIONS.pack(alpha, act_gain, clamp, act, gain, *up, *down, pads[0], pads[2], flip)
    out = _shape(x, fir, up, down, pads)
    return launch("fir_bias_act", out, (x, fir, demodulation, noise, bias, modulation), options)


def _shape(
    x: Tensor, fir: Tensor | None, up: tuple[int, int], down: tuple[int, int], pads: Sequence[int], *_: Any
) -> Tensor:
    """An empty result, its channels side by side where those of ``x`` are."""
    size = (*x.shape[:2], *output_size(x, fir, up, down, pads))
    inside = x.shape[1] > 1 and x.stride(1) == 1
    layout = torch.channels_last if inside else torch.contiguous_format
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, fir, *ctx.resampling = inputs
    ctx.save_for_backward(fir)
    ctx.size = x.shape[2:], output.shape[2:]


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (fir,) = ctx.saved_tensors
    up, down, pads, flip, gain = ctx.resampling
    taps_y, taps_x = taps_of(fir)
    (height, width), (high, wide) = ctx.size
    left, top = taps_x - 1 - pads[0], taps_y - 1 - pads[2]
    # What is left over at the right and below, where decimation had skipped pixels, brings back the size of x.
    right = (width - 1) * up[0] + taps_x - wide * down[0] - left
    bottom = (height - 1) * up[1] + taps_y - high * down[1] - top
    return _upfirdn2d(dy, fir, down, up, (left, right, top, bottom), not flip, gain), *(None,) * 6


_RESAMPLING = "Tensor x, Tensor? fir, int[] up, int[] down, int[] pads, bool flip, float gain"
_upfirdn2d = register(f"upfirdn2d({_RESAMPLING}) -> Tensor", _compute, _shape, save=_save, backward=_backward)
_fir_bias_act = register(
    f"fir_bias_act({_RESAMPLING}, Tensor? demodulation, Tensor? noise, Tensor? bias, Tensor? modulation, "
    "int act, float alpha, float act_gain, float clamp) -> Tensor",
    _compute_all,
    _shape,
)
