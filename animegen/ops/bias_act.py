"""Bias, noise, activation, gain and clamp of a layer's output, as one pass over it.

With u = x + bias + noise:  y = clamp(gain * act(u)).

The constants are those of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): the gain sqrt(2) keeps the variance of
what a ReLU halves (He et al. 2015, arXiv 1502.01852, equation 10), and leaky ReLU has slope 0.2. The clamp is that of
StyleGAN2-ADA in 16 bits (Karras et al. 2020, arXiv 2006.06676, appendix). elu: Clevert et al. 2016, arXiv 1511.07289;
selu: Klambauer et al. 2017, arXiv 1706.02515; swish: Ramachandran et al. 2017, arXiv 1710.05941.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.checks import computing, matched, shaped
from animegen.ops.registration import is_native, launch, register


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function of a tensor and ``alpha``, with its defaults."""

    function: Callable[[Tensor, float], Tensor]
    gain: float = 1.0
    alpha: float = 0.0


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "linear": Activation(lambda u, _: u),
        "relu": Activation(lambda u, _: functional.relu(u), math.sqrt(2)),
        "lrelu": Activation(lambda u, alpha: torch.where(u < 0, u * alpha, u), math.sqrt(2), 0.2),
        "tanh": Activation(lambda u, _: torch.tanh(u)),
        "sigmoid": Activation(lambda u, _: torch.sigmoid(u)),
        "elu": Activation(lambda u, _: functional.elu(u)),
        "selu": Activation(lambda u, _: functional.selu(u)),
        "softplus": Activation(lambda u, _: torch.logaddexp(u, torch.zeros_like(u))),
        "swish": Activation(lambda u, _: u * torch.sigmoid(u), math.sqrt(2)),
    }
)
"""Every activation by name."""


def activation(act: str) -> Activation:
    """The activation of a name. Raises InvalidValue naming what it could be."""
    try:
        return ACTIVATIONS[act]
    except KeyError:
        raise InvalidValue(f"there is no activation '{act}'", f"one of {', '.join(ACTIVATIONS)}") from None


def bias_act(
    x: Tensor,
    bias: Tensor | None = None,
    *,
    noise: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """``clamp(gain * act(x + bias + noise))``: a new tensor of the shape and dtype of ``x``.

    ``x`` float of any shape; ``bias`` [size of ``dim``]; ``noise`` [1 or B, 1, H, W] for ``x`` [B, C, H, W]; both of
    the dtype of ``x`` (under autocast they are brought to it). ``act``: a name of :data:`ACTIVATIONS`, with its
    ``gain`` and its ``alpha`` (the slope of lrelu) unless they are given. ``clamp`` c limits the result to -c..c.
    Computes in float32 (float64 for float64) and rounds once. Differentiable twice. Raises InvalidValue naming what
    does not fit.
    """
    bias, noise = checked(x, x.shape, bias, noise, dim)
    options = constants(act, alpha, gain, clamp)
    if is_native(x):
        if x.ndim == 4 and dim in {1, -3}:
            return _bias_act(x, bias, noise, *options)
        dim = dim % max(x.ndim, 1)
        before, after = math.prod(x.shape[:dim]), math.prod(x.shape[dim + 1 :])
        channels = x.shape[dim] if x.ndim else 1
        if after == 1:  # channels side by side, as in a picture of so many pixels
            pixels = x.reshape(1, before, 1, channels).permute(0, 3, 1, 2)
            return _bias_act(pixels, bias, None, *options).permute(0, 2, 3, 1).reshape(x.shape)
        return _bias_act(x.reshape(before, channels, 1, after), bias, None, *options).reshape(x.shape)
    return bias_act_reference(x, bias, noise=noise, dim=dim, act=act, alpha=alpha, gain=gain, clamp=clamp)


def bias_act_reference(
    x: Tensor,
    bias: Tensor | None = None,
    *,
    noise: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """:func:`bias_act` in PyTorch."""
    kind = activation(act)
    u = x.to(computing(x.dtype))
    if noise is not None:
        u = u + noise
    if bias is not None:
        u = u + bias.reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    y = kind.function(u, kind.alpha if alpha is None else alpha) * (kind.gain if gain is None else gain)
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return y.to(x.dtype)


def constants(
    act: str, alpha: float | None, gain: float | None, clamp: float | None
) -> tuple[int, float, float, float]:
    """An activation as the native ops take it: its number, alpha, gain, and the clamp, -1 for none.

    Raises InvalidValue naming what does not fit.
    """
    kind = activation(act)
    if clamp is not None and not clamp >= 0:
        raise InvalidValue(f"clamp must be at least 0, got {clamp}")
    return (
        list(ACTIVATIONS).index(act),
        kind.alpha if alpha is None else float(alpha),
        kind.gain if gain is None else float(gain),
        -1.0 if clamp is None else float(clamp),
    )


def checked(
    x: Tensor, shape: Sequence[int], bias: Tensor | None, noise: Tensor | None, dim: int = 1
) -> tuple[Tensor | None, Tensor | None]:
    """Bias and noise for a tensor like ``x`` but of ``shape``. Raises InvalidValue naming what does not fit."""
    if not x.is_floating_point():
        raise InvalidValue(f"x must be of floats, got {x.dtype}")
    if bias is not None:
        if not -len(shape) <= dim < len(shape):
            raise InvalidValue(f"x has no dimension {dim}, its shape is {tuple(shape)}")
        bias = matched("bias", shaped("bias", bias, shape[dim]), x, x.dtype)
    if noise is not None:
        if len(shape) != 4 or noise.ndim != 4 or noise.shape[0] not in {1, shape[0]}:
            raise InvalidValue(f"noise {tuple(noise.shape)} does not go with x {tuple(shape)}")
        noise = matched("noise", shaped("noise", noise, noise.shape[0], 1, *shape[2:]), x, x.dtype)
    return bias, noise


_FORWARD = struct.Struct("@dddi4xd7i")
_GRADIENT = struct.Struct("@dddi")
_STRAIGHT = {"linear", "relu", "lrelu"}
"""Activations without curvature."""


def _compute(x: Tensor, bias: Tensor | None, noise: Tensor | None, *constants: float) -> Tensor:
    act, alpha, gain, clamp = constants
    options = _FORWARD.pack(alpha, gain, clamp, act, 1.0, 1, 1, 1, 1, 0, 0, 0)
    return launch("fir_bias_act", torch.empty_like(x), (x, None, None, noise, bias, None), options)


def _compute_gradient(
    dy: Tensor, x: Tensor, bias: Tensor | None, noise: Tensor | None, *constants: float, ddx: Tensor | None = None
) -> Tensor:
    act, alpha, gain, clamp = constants
    options = _GRADIENT.pack(alpha, gain, clamp, act)
    ddx = None if ddx is None else _laid_out_as(ddx, x)
    return launch("bias_act_gradient", torch.empty_like(x), (x, _laid_out_as(dy, x), ddx, noise, bias), options)


def _laid_out_as(given: Tensor, x: Tensor) -> Tensor:
    """The same numbers in the layout of ``x``, in which they are met side by side."""
    return given if given.stride() == x.stride() else torch.empty_like(x).copy_(given)


def _compute_second_gradient(ddx: Tensor, dy: Tensor, x: Tensor, *rest: Any) -> Tensor:
    return _compute_gradient(dy, x, *rest, ddx=ddx)


def _like_x(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - named so by PyTorch
    tensors = [value for value in inputs if not isinstance(value, (int, float))]
    ctx.save_for_backward(*tensors)
    ctx.constants = inputs[len(tensors) :]


def _summed(du: Tensor | None, wanted: Sequence[bool], noise: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of the gradient of u those of x, bias and noise, which were broadcast, where they are ``wanted``."""
    if du is None:
        return None, None, None
    d_bias = du.sum(dim=(0, 2, 3)) if wanted[1] else None
    d_noise = du.sum(dim=1, keepdim=True).sum_to_size(noise.shape) if noise is not None and wanted[2] else None
    return du, d_bias, d_noise


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, bias, noise = ctx.saved_tensors
    du = _bias_act_gradient(dy, x, bias, noise, *ctx.constants)
    return *_summed(du, ctx.needs_input_grad, noise), None, None, None, None


def _backward_of_gradient(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
    dy, x, bias, noise = ctx.saved_tensors
    d_dy = _bias_act_gradient(ddx, x, bias, noise, *ctx.constants)
    du = None
    if list(ACTIVATIONS)[ctx.constants[0]] not in _STRAIGHT:
        du = _bias_act_second_gradient(ddx, dy, x, bias, noise, *ctx.constants)
    return d_dy, *_summed(du, ctx.needs_input_grad[1:], noise), None, None, None, None


_CONSTANTS = "Tensor? bias, Tensor? noise, int act, float alpha, float gain, float clamp"
_bias_act = register(f"bias_act(Tensor x, {_CONSTANTS}) -> Tensor", _compute, _like_x, save=_save, backward=_backward)
_bias_act_gradient = register(
    f"bias_act_gradient(Tensor dy, Tensor x, {_CONSTANTS}) -> Tensor",
    _compute_gradient,
    lambda _, x, *__: torch.empty_like(x),
    save=_save,
    backward=_backward_of_gradient,
)
_bias_act_second_gradient = register(
    f"bias_act_second_gradient(Tensor ddx, Tensor dy, Tensor x, {_CONSTANTS}) -> Tensor",
    _compute_second_gradient,
    lambda _, __, x, *___: torch.empty_like(x),
)
