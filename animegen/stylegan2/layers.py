"""Layers that generator and discriminator share.

Weights are stored with unit variance and scaled when used (equalised learning rate, Karras et al. 2018, arXiv
1710.10196, section 4.1). Names and shapes of parameters are those of NVIDIA's PyTorch code.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.ops.bias_act import activation, bias_act
from animegen.ops.modulated_conv2d import conv2d_resample
from animegen.ops.upfirdn2d import fir_filter, upfirdn2d


class Dense(nn.Module):
    """A fully connected layer: f32 [B, inputs] -> [B, outputs], with bias and activation."""

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(
        self, inputs: int, outputs: int, *, act: str = "linear", lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.act, self.lr_multiplier = act, lr_multiplier
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.prepared: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def prepare(self) -> None:
        """Scale weights and bias once: later changes of them, and gradients in them, pass unseen."""
        weight, bias = self._scaled()
        self.prepared[weight.dtype] = weight.detach(), bias.detach()

    def _scaled(self) -> tuple[Tensor, Tensor]:
        gain = self.lr_multiplier / math.sqrt(self.weight.shape[1])
        return self.weight * gain, self.bias * self.lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        weight, bias = self.prepared.get(x.dtype) or self._scaled()
        if self.act == "linear":
            return functional.linear(x, weight, bias)
        return bias_act(functional.linear(x, weight), bias, act=self.act)


class Conv(nn.Module):
    """A convolution at the same, twice or half the resolution: [B, inputs, H, W] -> [B, outputs, H', W'].

    ``resample`` "up" enlarges after a 1x1 convolution, "down" filters and then takes every second pixel. The weights
    are cast to the dtype of the input.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    fir: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        act: str = "linear",
        bias: bool = True,
        resample: Literal["up", "down"] | None = None,
        taps: tuple[float, ...] = (1, 3, 3, 1),
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.act, self.clamp, self.resample = act, clamp, resample
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("fir", fir_filter(taps), persistent=False)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """The layer's output, times ``gain``, which scales the limit of the clamp too."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        up, down = (2, 1) if self.resample == "up" else (1, 2) if self.resample == "down" else (1, 1)
        x = conv2d_resample(
            x,
            weight,
            self.fir.float(),
            up=up,
            down=down,
            padding=weight.shape[2] // 2,
            flip_weight=self.resample != "up",
        )
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return bias_act(x, bias, act=self.act, gain=act_gain(self.act, gain), clamp=clamped(self.clamp, gain))


def act_gain(act: str, gain: float) -> float:
    """The gain of an activation by name, times ``gain``."""
    return activation(act).gain * gain


def clamped(clamp: float | None, gain: float) -> float | None:
    """The limit of a layer's output that is scaled by ``gain``."""
    return None if clamp is None else clamp * gain


def downsample(picture: Tensor, fir: Tensor) -> Tensor:
    """A picture at half its size: the filter ``fir`` f32 [n] and every second pixel."""
    taps = len(fir)
    return upfirdn2d(picture, fir, down=2, padding=((taps - 1) // 2, (taps - 2) // 2) * 2)


def unit_length(x: Tensor) -> Tensor:
    """Vectors [B, n] scaled to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
