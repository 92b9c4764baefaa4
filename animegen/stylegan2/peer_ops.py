"""The ops of other implementations of StyleGAN2, loaded from checkouts for the bench. Nothing is copied."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from torch import Tensor

from animegen.errors import UsageError
from animegen.stylegan2.peers import module_of

Operations: TypeAlias = Mapping[str, Callable[..., Tensor]]


def peer_ops(name: str, checkout: Path) -> Operations:
    """``bias_act``, ``upfirdn2d`` and ``fir_bias_act`` as ours are called, made of what ``checkout`` has.

    Activations are the leaky ReLU. Raises UsageError for a name that is not among :data:`PEERS`, and InputError for a
    folder that holds something else.
    """
    if name not in PEERS:
        raise UsageError(f"'{name}' is no peer of this bench", f"it is one of {', '.join(PEERS)}")
    return PEERS[name](checkout)


def _nvidia(checkout: Path) -> Operations:
    with module_of(checkout, "torch_utils.ops.bias_act") as activation:
        filtering = importlib.import_module("torch_utils.ops.upfirdn2d")
        fma = importlib.import_module("torch_utils.ops.fma").fma

    def bias_act(x: Tensor, bias: Tensor, *, noise: Tensor, **options: Any) -> Tensor:
        result: Tensor = activation.bias_act(x + noise, bias, **options)
        return result

    def upfirdn2d(x: Tensor, fir: Tensor, **options: Any) -> Tensor:
        result: Tensor = filtering.upfirdn2d(x, fir, **options)
        return result

    def layer(x: Tensor, bias: Tensor, *, demodulation: Tensor, noise: Tensor, **options: Any) -> Tensor:
        result: Tensor = activation.bias_act(fma(x, demodulation, noise), bias, **options)
        return result

    return {"bias_act": bias_act, "upfirdn2d": upfirdn2d, "fir_bias_act": _layer(upfirdn2d, layer)}


def _rosinality(checkout: Path) -> Operations:
    with module_of(checkout, "op.upfirdn2d") as filtering:
        activation = importlib.import_module("op.fused_act")

    def bias_act(x: Tensor, bias: Tensor, *, noise: Tensor, **_: Any) -> Tensor:
        result: Tensor = activation.fused_leaky_relu(x + noise, bias)  # it has no clamp
        return result

    def upfirdn2d(x: Tensor, fir: Tensor, *, up: int = 1, down: int = 1, padding: Any = 0, gain: float = 1) -> Tensor:
        pads = (padding,) * 4 if isinstance(padding, int) else padding
        result: Tensor = filtering.upfirdn2d(x, (gain * fir.outer(fir)).to(x.dtype), up=up, down=down, pad=pads)
        return result

    def layer(x: Tensor, bias: Tensor, *, demodulation: Tensor, noise: Tensor, **_: Any) -> Tensor:
        return bias_act(x * demodulation, bias, noise=noise)

    return {"bias_act": bias_act, "upfirdn2d": upfirdn2d, "fir_bias_act": _layer(upfirdn2d, layer)}


def _layer(upfirdn2d: Callable[..., Tensor], rest: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What goes on between two convolutions, in as many passes as their layers take."""

    def fir_bias_act(
        x: Tensor, fir: Tensor, *, padding: Any, gain: float, demodulation: Tensor, modulation: Tensor, **options: Any
    ) -> Tensor:
        before, after = (factors.to(x.dtype)[:, :, None, None] for factors in (demodulation, modulation))
        return rest(upfirdn2d(x, fir, padding=padding, gain=gain), demodulation=before, **options) * after

    return fir_bias_act


PEERS: Mapping[str, Callable[[Path], Operations]] = MappingProxyType(
    {"stylegan2-ada-pytorch": _nvidia, "stylegan3": _nvidia, "rosinality": _rosinality}
)
"""Whose ops can be had, by the name of the repository (rosinality's is called after its author)."""
