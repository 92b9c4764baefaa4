"""The generator: a pose, an avatar and an expression become shade layers, at every stage from 8 pixels up.

After PSGAN (Hamada et al. 2018): a progressive generator that sees the pose at every scale. What differs: it draws
shade layers (:mod:`animegen.avatar.layers`) in place of colours, so no palette has to be learned; each stage adds to
the upsampled layers of the one below, as StyleGAN2's skip connections do (Karras et al. 2020, section 4.1), so
neighbouring stages agree; and an avatar modulates the features after pixel normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.conditioning import PoseBatch, PoseMaps, resampled
from animegen.avatar.config import EXPRESSION, AvatarConfig
from animegen.avatar.layers import LAYERS
from animegen.ops.nearest_conv2d import nearest_conv2d

_SLOPE = 0.2
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
        y = functional.leaky_relu_(torch.addcmul(shift, normal, scale), _SLOPE)
        ctx.save_for_backward(normal, inverse, scale, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normal, inverse, scale, y = ctx.saved_tensors
        dy = torch.ops.aten.leaky_relu_backward(dy, y, _SLOPE, True)
        d_shift = dy.sum(dim=(2, 3), keepdim=True, dtype=torch.promote_types(dy.dtype, torch.float32)).to(dy.dtype)
        d_scale = (
            (dy * normal).sum(dim=(2, 3), keepdim=True, dtype=torch.promote_types(dy.dtype, torch.float32)).to(dy.dtype)
        )
        d_normal = dy.mul_(scale)
        along = (d_normal * normal).mean(dim=1, keepdim=True)
        return torch.addcmul(d_normal, normal, along, value=-1).mul_(inverse), d_scale, d_shift


class Modulated(nn.Module):
    """Pixel normalisation, then a scale and shift of each channel from w, then leaky ReLU."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(width, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` [B, C, H, W], ``w`` [B, width]."""
        scale, shift = self.affine(w).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = _NormModulateActivate.apply(x, 1 + scale, shift)  # type: ignore[no-untyped-call]
        return modulated


class UpConv(nn.Module):
    """Nearest x2 and a 3x3 convolution, folded into one (:mod:`animegen.ops.nearest_conv2d`)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight, a=_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, 2 H, 2 W]."""
        return nearest_conv2d(x, self.weight)


class Grid(nn.Module):
    """The features of one grid: brought up from the grid below, told the pose, refined once, and drawn as layers."""

    def __init__(self, config: AvatarConfig, side: int, maps: PoseMaps) -> None:
        super().__init__()
        self.side, self.map_size = side, config.map_size
        channels = config.channels[side]
        if side == config.grids[0]:
            self.start = nn.Parameter(torch.zeros(1, channels, side, side))
            self.up: UpConv | None = None
        else:
            self.up = UpConv(config.channels[side // 2], channels)
        self.points = nn.Conv2d(maps.point_channels, channels, 1)
        self.limbs = nn.Conv2d(maps.limb_channels, channels, 1, bias=False)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.brought = Modulated(config.width, channels)
        self.refined = Modulated(config.width, channels)
        self.head = nn.Conv2d(channels, 4 * LAYERS, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(self, below: Tensor | None, points: Tensor, limbs: Tensor, w: Tensor) -> Tensor:
        """Features [B, C, side, side]. The limb maps are projected first and resampled after: both are linear."""
        if limbs.shape[-1] > self.side:
            pose = self.limbs(resampled(limbs, self.side))
        else:
            pose = resampled(self.limbs(limbs), self.side)
        pose = pose + self.points(points)
        brought = self.up(below) if self.up is not None and below is not None else self.start
        x = self.brought(brought + pose, w)
        refined: Tensor = x + self.refined(self.refine(x), w)
        return refined

    def draw(self, x: Tensor, below: Tensor | None) -> Tensor:
        """Layers before the sigmoid, [B, 10, 2 side, 2 side]: what this grid adds to the layers of the grid below."""
        added = functional.pixel_shuffle(self.head(x).float(), 2)
        if below is None:
            return added - 2.0
        return added + functional.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)


class Generator(nn.Module):
    """Draws avatars. One set of weights serves every stage up to the configuration's largest."""

    def __init__(self, config: AvatarConfig) -> None:
        super().__init__()
        self.config = config
        self.maps = PoseMaps(config.skeleton, point_sigma=config.point_sigma, limb_sigma=config.limb_sigma)
        self.avatars = nn.Embedding(config.avatars, config.latent)
        self.mapping = nn.Sequential(
            nn.Linear(config.latent + len(EXPRESSION), config.width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(config.width, config.width),
            nn.LeakyReLU(_SLOPE),
        )
        self.grids = nn.ModuleList(Grid(config, side, self.maps) for side in config.grids)

    def kernels(self) -> list[nn.Parameter]:
        """The convolution kernels from features to features: most of the weights."""
        refining = [m.refine.weight for m in self.modules() if isinstance(m, Grid)]
        growing = [m.weight for m in self.modules() if isinstance(m, UpConv)]
        return [kernel for kernel in (*refining, *growing) if isinstance(kernel, nn.Parameter)]

    def forward(self, pose: PoseBatch, latent: Tensor, expression: Tensor, stages: Sequence[int]) -> dict[int, Tensor]:
        """Layers of each asked stage.

        ``latent`` f32 [B, latent] (rows of ``avatars`` or mixtures of them), ``expression`` f32 [B, 10]; ``stages``
        in any order. Returns f32 [B, 10, s, s] in 0..1 for each stage s.
        """
        w = self.mapping(torch.cat([latent, expression], dim=1))
        largest = max(stages)
        limbs = self.maps.limbs(pose, self.config.limb_side(largest), w.dtype)
        drawn: dict[int, Tensor] = {}
        x: Tensor | None = None
        layers: Tensor | None = None
        for side, grid in zip(self.config.grids_to(largest), self.grids, strict=False):
            assert isinstance(grid, Grid)
            x = grid(x, self.maps.points(pose, side, w.dtype), limbs, w)
            layers = grid.draw(x, layers)
            if 2 * side in stages:
                drawn[2 * side] = torch.sigmoid(layers)
        return drawn
