"""A layer's picture added to the upsampled one of the layer below: the skip connection of StyleGAN2.

Karras et al. 2020, arXiv 1912.04958, section 4.1 and figure 7: a modulated 1x1 convolution without demodulation, a
bias, and the sum with the picture of half the side, upsampled by the same filter as the features.
"""

from __future__ import annotations

import struct
from typing import Any

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.checks import computing, shaped
from animegen.ops.registration import differentiates, is_native, launch, register
from animegen.ops.upfirdn2d import taps_of, upfirdn2d


def to_rgb_skip(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor | None = None,
    *,
    skip: Tensor | None = None,
    fir: Tensor | None = None,
    clamp: float | None = None,
) -> Tensor:
    """``clamp(conv(x * styles, weight) + bias) + upsampled(skip)``: [B, O, H, W].

    ``x`` float [B, I, H, W]; ``weight`` [O, I, 1, 1], ``styles`` [B, I] (with the layer's weight gain) and ``bias``
    [O], any float dtype; ``skip`` [B, O, H / 2, W / 2], upsampled by ``fir`` as in
    :func:`animegen.ops.upfirdn2d.upfirdn2d` with gain 4. ``skip`` and the result are float32 (float64 for float64
    ``x``), so that a picture keeps its precision from stage to stage. Differentiable twice. Raises InvalidValue naming
    what does not fit.
    """
    _check(x, weight, styles, bias, skip)
    if is_native(x) and not differentiates(x, weight, styles, bias, skip):
        wide = computing(x.dtype)
        product = weight[None, :, :, 0, 0].to(wide) * styles[:, None, :].to(wide)
        bias = None if bias is None else bias.to(wide)
        return _to_rgb_skip(x, product, bias, skip, fir, -1.0 if clamp is None else clamp)
    return to_rgb_skip_reference(x, weight, styles, bias, skip=skip, fir=fir, clamp=clamp)


def to_rgb_skip_reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor | None = None,
    *,
    skip: Tensor | None = None,
    fir: Tensor | None = None,
    clamp: float | None = None,
) -> Tensor:
    """:func:`to_rgb_skip` in PyTorch."""
    dtype = computing(x.dtype)
    modulated = weight[None, :, :, 0, 0].to(dtype) * styles[:, None, :].to(dtype)
    pixels = x.flatten(2)
    beside = pixels.stride(1) == 1  # channels side by side: so is then the gradient
    y = _Pointwise.apply(pixels.mT, modulated).mT if beside else modulated @ pixels.to(dtype)  # type: ignore[no-untyped-call]
    y = y.view(len(x), len(weight), *x.shape[2:])
    if bias is not None:
        y = y + bias.to(dtype)[:, None, None]
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return y if skip is None else y + upsampled(skip, fir)


class _Pointwise(torch.autograd.Function):
    """Products [B, P, O] of pixels [B, P, I] with a few rows [B, O, I], in whose dtype they come.

    The gradients are the products whose long dimension matrix multiplication is made for, in the dtype of the pixels.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(pixels, rows)
        return pixels.to(rows.dtype) @ rows.mT

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        pixels, rows = ctx.saved_tensors
        dy = dy.to(pixels.dtype)
        d_pixels = dy @ rows.to(pixels.dtype) if ctx.needs_input_grad[0] else None
        d_rows = (dy.mT @ pixels).to(rows.dtype) if ctx.needs_input_grad[1] else None
        return d_pixels, d_rows


def upsampled(picture: Tensor, fir: Tensor | None) -> Tensor:
    """Twice the side, centred: n taps reach (n + 1) // 2 pixels of zeros before the picture and (n - 2) // 2 after."""
    taps_y, taps_x = taps_of(fir)
    pads = ((taps_x + 1) // 2, (taps_x - 2) // 2, (taps_y + 1) // 2, (taps_y - 2) // 2)
    return upfirdn2d(picture, fir, up=2, padding=pads, gain=4)


def _check(x: Tensor, weight: Tensor, styles: Tensor, bias: Tensor | None, skip: Tensor | None) -> None:
    if x.ndim != 4 or weight.ndim != 4 or weight.shape[1:] != (x.shape[1], 1, 1):
        raise InvalidValue(f"weight {tuple(weight.shape)} does not go with x {tuple(x.shape)}")
    shaped("styles", styles, *x.shape[:2])
    if bias is not None:
        shaped("bias", bias, weight.shape[0])
    if skip is not None:
        shaped("skip", skip, x.shape[0], weight.shape[0], x.shape[2] // 2, x.shape[3] // 2)
        if skip.dtype != computing(x.dtype):
            raise InvalidValue(f"skip must be {computing(x.dtype)}, got {skip.dtype}")


_OPTIONS = struct.Struct("@d")


def _shape(x: Tensor, weight: Tensor, *_: Any) -> Tensor:
    return torch.empty(x.shape[0], weight.shape[1], *x.shape[2:], dtype=weight.dtype, device=x.device)


def _compute(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    bias, skip, fir, clamp = rest
    return launch("to_rgb_skip", _shape(x, weight), (x, weight, bias, skip, fir), _OPTIONS.pack(clamp))


_to_rgb_skip = register(
    "to_rgb_skip(Tensor x, Tensor weight, Tensor? bias, Tensor? skip, Tensor? fir, float clamp) -> Tensor",
    _compute,
    _shape,
)
