"""What the avatar generator's networks are built of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.ops.nearest_conv2d import PreparedKernel, nearest_conv2d

SLOPE = 0.2
_EPSILON = 1e-6


class _NormModulateActivate(torch.autograd.Function):
    """Pixel normalisation, scale and shift of each channel, leaky ReLU, with a gradient written out.

    On a CPU these passes over memory cost more than the convolutions around them; autograd's own chain makes three
    times as many.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        mean = x.square().mean(dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
        inverse = torch.rsqrt(mean + _EPSILON).to(x.dtype)
        normal = x * inverse
        y = functional.leaky_relu_(torch.addcmul(shift, normal, scale), SLOPE)
        ctx.save_for_backward(normal, inverse, scale, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normal, inverse, scale, y = ctx.saved_tensors
        dy = torch.ops.aten.leaky_relu_backward(dy, y, SLOPE, True)
        d_shift = dy.sum(dim=(2, 3), keepdim=True, dtype=torch.promote_types(dy.dtype, torch.float32)).to(dy.dtype)
        d_scale = (
            (dy * normal).sum(dim=(2, 3), keepdim=True, dtype=torch.promote_types(dy.dtype, torch.float32)).to(dy.dtype)
        )
        d_normal = dy.mul_(scale)
        along = (d_normal * normal).mean(dim=1, keepdim=True)
        return torch.addcmul(d_normal, normal, along, value=-1).mul_(inverse), d_scale, d_shift


class Linear(nn.Linear):
    """A linear map that, when it draws on a CPU, gives a row the same bits beside any others.

    In a product of small matrices the place of a row decides how a processor's library adds it up: rows go one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] to [B, outputs]."""
        if self.training or x.device.type != "cpu":
            return super().forward(x)
        return torch.cat([super(Linear, self).forward(row.clone()) for row in torch.split(x, 1)])


class Modulated(nn.Module):
    """Pixel normalisation, then a scale and shift of each channel from w, then leaky ReLU."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.affine = Linear(width, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` [B, C, H, W], ``w`` [B, width]."""
        scale, shift = self.affine(w).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = _NormModulateActivate.apply(x, 1 + scale, shift)  # type: ignore[no-untyped-call]
        return modulated


class UpConv(nn.Module):
    """Nearest x2 and a 3x3 convolution, folded into one (:mod:`animegen.ops.nearest_conv2d`)."""

    weight: nn.Parameter

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight, a=SLOPE)
        self.prepared: PreparedKernel | None = None

    def prepare(self, dtype: torch.dtype) -> None:
        """Lay the kernel out for drawing in ``dtype``; its later changes pass unseen."""
        self.prepared = PreparedKernel.of(self.weight, dtype, self.side)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, side, side] to [B, outputs, 2 side, 2 side]."""
        return nearest_conv2d(x, self.weight if self.prepared is None else self.prepared)
