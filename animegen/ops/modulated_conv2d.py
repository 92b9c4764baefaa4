"""Convolutions with resampling, and the modulated convolution of StyleGAN2.

A modulated convolution scales each input channel by a style and brings each output channel back to unit variance
(Karras et al. 2020, arXiv 1912.04958, equations 1 to 3). The scales commute with the convolution, so the weights stay
shared by the batch: with s the styles and W the weights,

    y = conv(x s, W) d,   d[b, o] = rsqrt(sum over i of s[b, i]^2 (sum over the kernel of W[o, i]^2) + 1e-8)

where d is one small matrix product for the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.bias_act import constants
from animegen.ops.checks import computing, shaped
from animegen.ops.registration import differentiates
from animegen.ops.upfirdn2d import fir_bias_act, taps_of, upfirdn2d

_EPSILON = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class PreparedWeight:
    """Weights that do not change, as :func:`modulated_conv2d` takes them with the least work: make it by :meth:`of`.

    ``kernel`` [O, I, k, k] in the dtype and layout of the convolution; ``energy`` [O, I], float32 or float64: the sums
    of squares over the kernel, which demodulation needs.
    """

    kernel: Tensor
    energy: Tensor

    @classmethod
    def of(cls, weight: Tensor, dtype: torch.dtype, *, up: int = 1) -> PreparedWeight:
        """``weight`` [O, I, k, k] for ``x`` of ``dtype`` (not float16, whose weights are scaled anew each time)."""
        if dtype == torch.float16:
            raise InvalidValue("weights for float16 cannot be prepared", "hand over the weight itself")
        kernel = weight.detach().to(dtype)
        if up > 1:  # a transposed convolution takes its inputs first
            kernel = kernel.transpose(0, 1).contiguous(memory_format=torch.channels_last).transpose(0, 1)
        else:
            kernel = kernel.contiguous(memory_format=torch.channels_last)
        return cls(kernel, energy_of(weight.detach().to(computing(dtype))))


def conv2d_resample(
    x: Tensor,
    weight: Tensor,
    fir: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    flip_weight: bool = True,
) -> Tensor:
    """Convolution of ``x`` upsampled by ``up``, or convolution and downsampling by ``down``, with ``fir`` between.

    ``x`` [B, I, H, W], ``weight`` [O, I, k, k] (brought to the dtype of ``x``), ``fir`` as in
    :func:`animegen.ops.upfirdn2d.upfirdn2d`, which holds what the grids cannot. ``padding`` (k - 1) / 2 gives
    [B, O, H up / down, W up / down]. ``flip_weight``: correlation, as in ``torch.nn.functional.conv2d``; False is
    convolution. Differentiable as often as PyTorch's convolutions are. Raises InvalidValue naming what does not fit.
    """
    convolved, pads = _convolved(x, weight, fir, up=up, down=down, padding=padding, flip_weight=flip_weight)
    if up == 1:
        return convolved
    inserted = up if weight.shape[-1] == 1 else 1
    return upfirdn2d(convolved, fir, up=inserted, padding=pads, gain=up * up)


def modulated_conv2d(
    x: Tensor,
    weight: Tensor | PreparedWeight,
    styles: Tensor,
    fir: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    demodulate: bool = True,
    flip_weight: bool = True,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """The modulated convolution and what follows it in its layer: [B, O, H up / down, W up / down], dtype of ``x``.

    ``x`` [B, I, H, W]; ``weight`` [O, I, k, k], or prepared, and ``styles`` [B, I], any float dtype. ``fir``, ``up``,
    ``down``, ``padding`` and ``flip_weight`` as in :func:`conv2d_resample`; noise, bias, activation, gain and clamp as
    in :func:`animegen.ops.bias_act.bias_act`, in the same pass as the filter and the demodulation. Differentiable
    twice, with prepared weights once. Raises InvalidValue naming what does not fit.
    """
    kernel = weight.kernel if isinstance(weight, PreparedWeight) else weight
    shaped("styles", styles, x.shape[0], kernel.shape[1])
    wide, demodulation = computing(x.dtype), None
    styles = styles.to(wide)
    if demodulate:
        if x.dtype == torch.float16:
            kernel, styles = _scaled(kernel.to(wide), styles)
        energy = weight.energy if isinstance(weight, PreparedWeight) else energy_of(kernel.to(wide))
        demodulation = torch.rsqrt(styles.square() @ energy.T + _EPSILON)
    frozen = isinstance(weight, PreparedWeight) and kernel.shape[-1] > 1 and down == 1 and not differentiates(bias)
    if frozen and demodulation is not None and act == "lrelu" and differentiates(x, styles, noise):
        how = _Frozen(fir, up, padding, flip_weight, *constants(act, alpha, gain, clamp)[1:])
        return _frozen_layer(x, kernel, styles, demodulation, noise, bias, how)
    # The scales of the only example of a batch can as well go into the weights, where these are fewer. Gradients of the
    # scales alone are cheaper without those of the weights, which cost another convolution.
    if len(x) == 1 and kernel.numel() < x.numel() and (differentiates(kernel) or not differentiates(styles)):
        modulated, kernel = x, kernel * styles[0, :, None, None]
    else:
        modulated = x * styles.to(x.dtype)[:, :, None, None]
    convolved, pads = _convolved(modulated, kernel, fir, up=up, down=down, padding=padding, flip_weight=flip_weight)
    return fir_bias_act(
        convolved,
        fir if up > 1 else None,
        up=up if kernel.shape[-1] == 1 else 1,
        padding=pads,
        gain=up * up,
        demodulation=demodulation,
        noise=noise,
        bias=bias,
        act=act,
        alpha=alpha,
        act_gain=gain,
        clamp=clamp,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Frozen:
    """How a layer of frozen weights computes; ``clamp`` is negative for none."""

    fir: Tensor | None
    up: int
    padding: int
    flip_weight: bool
    alpha: float
    gain: float
    clamp: float


class _FrozenLayer(torch.autograd.Function):
    """A demodulated layer with leaky ReLU whose weights and bias have no gradients.

    With d the demodulation and u the filtered convolution, y = gain lrelu(d u + noise + bias) tells all of u that the
    gradients need. For g = dy lrelu'(y), gain (d u + noise + bias) g is y dy, so that of d, summed over the pixels, is
    (sum(y dy) - gain sum((noise + bias) g)) / d.
    """

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        *tensors, how = given
        x, kernel, styles, demodulation, noise, bias = tensors
        modulated = x * styles.to(x.dtype)[:, :, None, None]
        convolved, pads = _convolved(
            modulated, kernel, how.fir, up=how.up, down=1, padding=how.padding, flip_weight=how.flip_weight
        )
        y = fir_bias_act(
            convolved,
            how.fir if how.up > 1 else None,
            padding=pads,
            gain=how.up**2,
            demodulation=demodulation,
            noise=noise,
            bias=bias,
            act="lrelu",
            alpha=how.alpha,
            act_gain=how.gain,
            clamp=how.clamp if how.clamp >= 0 else None,
        )
        ctx.how, ctx.pads = how, pads
        ctx.save_for_backward(*tensors, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, styles, demodulation, noise, bias, y = ctx.saved_tensors
        how: _Frozen = ctx.how
        dy = dy if dy.stride() == y.stride() else torch.empty_like(y).copy_(dy)
        if how.clamp >= 0:
            dy = torch.ops.aten.hardtanh_backward(dy, y, -how.clamp, how.clamp)  # zero at the limits
        g = torch.ops.aten.leaky_relu_backward(dy, y, how.alpha, True)
        d_noise, added = None, 0.0
        if noise is not None:
            added = (noise.to(g.dtype).flatten(2).expand(len(g), -1, -1) @ g.flatten(2).mT)[:, 0].to(styles.dtype)
            if ctx.needs_input_grad[4]:
                d_noise = (how.gain * g.sum(dim=1, keepdim=True)).sum_to_size(noise.shape)
        if bias is not None:
            added = added + bias.to(styles.dtype) * g.sum(dim=(2, 3)).to(styles.dtype)
        d_demodulation = ((dy * y).sum(dim=(2, 3)).to(styles.dtype) - how.gain * added) / demodulation
        du = g.mul_((how.gain * demodulation).to(g.dtype)[:, :, None, None])
        if how.up > 1:
            taps_y, taps_x = taps_of(how.fir)
            left, right, top, bottom = ctx.pads
            pads = (taps_x - 1 - left, taps_x - 1 - right, taps_y - 1 - top, taps_y - 1 - bottom)
            du = upfirdn2d(du, how.fir, padding=pads, flip_filter=True, gain=how.up**2)
        d_modulated = _adjoint(du, kernel.to(x.dtype), how)
        d_styles = (d_modulated * x).sum(dim=(2, 3)).to(styles.dtype)
        dx = d_modulated.mul_(styles.to(x.dtype)[:, :, None, None]) if ctx.needs_input_grad[0] else None
        return dx, None, d_styles, d_demodulation, d_noise, None, None


def _frozen_layer(*given: Tensor | _Frozen | None) -> Tensor:
    layer: Tensor = _FrozenLayer.apply(*given)  # type: ignore[no-untyped-call]
    return layer


def _adjoint(du: Tensor, kernel: Tensor, how: _Frozen) -> Tensor:
    """The gradient of what was convolved, of that of the result."""
    kernel = kernel if how.flip_weight == (how.up == 1) else kernel.flip(2, 3)
    if how.up == 1:
        return functional.conv_transpose2d(du, kernel, padding=how.padding)
    return functional.conv2d(du, kernel.transpose(0, 1), stride=how.up)


def energy_of(weight: Tensor) -> Tensor:
    """The sums of squares of weights [O, I, k, k] over the kernel: [O, I]."""
    return weight.square().sum(dim=(2, 3))


def _scaled(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and styles whose products stay within float16; demodulation takes the scales out again."""
    fan_in = weight[0].numel()
    weight = weight / (weight.abs().amax(dim=(1, 2, 3), keepdim=True) * fan_in**0.5)
    return weight, styles / styles.abs().amax(dim=1, keepdim=True)


def _convolved(
    x: Tensor, weight: Tensor, fir: Tensor | None, *, up: int, down: int, padding: int, flip_weight: bool
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """The convolution, and the padding for the filter that is to follow where ``up`` asks for one.

    Let the whole be zero insertion, padding, convolution by k taps and then by n, decimation. n - up more pixels of
    padding keep the grids centred; a transposed convolution has used k - 1 of them before its first pixel, and
    k - up after its last.
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise InvalidValue(f"weight {tuple(weight.shape)} does not go with x {tuple(x.shape)}")
    if min(up, down) < 1 or (up > 1 and down > 1):
        raise InvalidValue(f"up and down must be whole numbers of which one is 1, got {up} and {down}")
    weight = weight.to(x.dtype)
    taps_y, taps_x = taps_of(fir)
    kernel = weight.shape[2:]
    if up == 1:
        weight = weight if flip_weight else weight.flip(2, 3)
        if down == 1:
            return functional.conv2d(x, weight, padding=padding), (0, 0, 0, 0)
        before = [padding + (taps - down + 1) // 2 for taps in (taps_x, taps_y)]
        after = [padding + (taps - down) // 2 for taps in (taps_x, taps_y)]
        pointwise = kernel == (1, 1)
        pads = (before[0], after[0], before[1], after[1])
        filtered = upfirdn2d(x, fir, down=down if pointwise else 1, padding=pads)
        return functional.conv2d(filtered, weight, stride=1 if pointwise else down), (0, 0, 0, 0)
    before = [padding + (taps + up - 1) // 2 for taps in (taps_x, taps_y)]
    after = [padding + (taps - up) // 2 for taps in (taps_x, taps_y)]
    if kernel == (1, 1):
        return functional.conv2d(x, weight), (before[0], after[0], before[1], after[1])
    used = [(size - 1, size - up) for size in (kernel[1], kernel[0])]
    pads = (before[0] - used[0][0], after[0] - used[0][1], before[1] - used[1][0], after[1] - used[1][1])
    weight = weight.flip(2, 3) if flip_weight else weight
    return functional.conv_transpose2d(x, weight.transpose(0, 1), stride=up), pads
