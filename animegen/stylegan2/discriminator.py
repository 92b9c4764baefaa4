"""The discriminator (Karras et al. 2020, arXiv 1912.04958, section 4.1), with labels by projection of the output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from animegen.errors import InvalidValue
from animegen.ops.upfirdn2d import fir_filter
from animegen.stylegan2.config import DiscriminatorConfig
from animegen.stylegan2.layers import Conv, Dense, downsample
from animegen.stylegan2.mapping import Mapping


class DiscriminatorBlock(nn.Module):
    """Two convolutions and a step to half the resolution."""

    fir: Tensor

    def __init__(self, config: DiscriminatorConfig, side: int) -> None:
        super().__init__()
        self.first, self.architecture = side == config.resolution, config.architecture
        inputs, outputs = config.width(side), config.width(side // 2)
        taps, act, clamp = config.resample_filter, config.activation, config.clamp
        if self.first or self.architecture == "skip":
            self.fromrgb = Conv(config.channels, inputs, 1, act=act, clamp=clamp)
        self.conv0 = Conv(inputs, inputs, 3, act=act, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, act=act, clamp=clamp, resample="down", taps=taps)
        if self.architecture == "resnet":
            self.skip = Conv(inputs, outputs, 1, bias=False, resample="down", taps=taps)
        self.register_buffer("fir", fir_filter(taps), persistent=False)

    def forward(self, x: Tensor | None, picture: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features and picture (where a later block wants it), both at half the resolution."""
        if picture is not None:
            colours = self.fromrgb(picture)
            x = colours if x is None else x + colours
            picture = downsample(picture, self.fir.float()) if self.architecture == "skip" else None
        if self.architecture != "resnet":
            return self.conv1(self.conv0(x)), picture
        skipped = self.skip(x, gain=math.sqrt(0.5))
        return skipped + self.conv1(self.conv0(x), gain=math.sqrt(0.5)), picture


class Epilogue(nn.Module):
    """The last block: minibatch standard deviation, a convolution, two dense layers."""

    def __init__(self, config: DiscriminatorConfig, cmap_dim: int) -> None:
        super().__init__()
        width, act = config.width(4), config.activation
        self.group_size, self.group_channels = config.group_size, config.group_channels
        if config.architecture == "skip":
            self.fromrgb = Conv(config.channels, width, 1, act=act)
        self.conv = Conv(width + config.group_channels, width, 3, act=act, clamp=config.clamp)
        self.fc = Dense(width * 16, width, act=act)
        self.out = Dense(width, cmap_dim or 1)

    def forward(self, x: Tensor, picture: Tensor | None) -> Tensor:
        """f32 [B, 1], or [B, cmap_dim] to be multiplied with the mapped label."""
        if picture is not None:
            x = x + self.fromrgb(picture)
        if self.group_channels:
            x = torch.cat([x, minibatch_deviation(x, self.group_size, self.group_channels)], dim=1)
        return self.out(self.fc(self.conv(x).flatten(1)))  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """Tells real pictures from generated ones: pictures [B, channels, H, W] in -1..1 -> f32 [B, 1], unbounded.

    ``half`` is the dtype of the ``num_fp16_res`` largest blocks; without it, all computes in float32.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.cmap_dim = (config.cmap_dim or config.width(4)) if config.c_dim else 0
        for side in config.resolutions[:0:-1]:
            self.add_module(f"b{side}", DiscriminatorBlock(config, side))
        if config.c_dim:
            self.mapping = Mapping(config, 0, self.cmap_dim)
        self.b4 = Epilogue(config, self.cmap_dim)

    def forward(self, picture: Tensor, label: Tensor | None = None, *, half: torch.dtype | None = None) -> Tensor:
        """How real the pictures look; ``label`` f32 [B, c_dim] for a conditional network."""
        config = self.config
        wanted = (len(picture), config.channels, config.resolution, config.resolution)
        if tuple(picture.shape) != wanted:
            raise InvalidValue(f"the picture must be {wanted}, got {tuple(picture.shape)}")
        x: Tensor | None = None
        rest: Tensor | None = picture
        for place, side in enumerate(config.resolutions[:0:-1]):
            dtype = half if half is not None and place < config.num_fp16_res else picture.dtype
            x, rest = self.get_submodule(f"b{side}")(_cast(x, dtype), _cast(rest, dtype))
        score: Tensor = self.b4(_cast(x, picture.dtype), _cast(rest, picture.dtype))
        if not self.cmap_dim:
            return score
        mapped = self.mapping(None, label)
        projected: Tensor = (score * mapped).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return projected


def minibatch_deviation(x: Tensor, group_size: int | None, channels: int) -> Tensor:
    """Standard deviations over groups of a batch, as ``channels`` pictures: [B, channels, H, W].

    The groups are those of samples B / group apart. Source: Karras et al. 2018, arXiv 1710.10196, section 3.
    """
    batch, features, height, width = x.shape
    group = min(group_size or batch, batch)
    if batch % group:
        raise InvalidValue(f"a batch of {batch} has no groups of {group}", "choose a multiple, or another group size")
    deviation = x.reshape(group, -1, channels, features // channels, height, width)
    deviation = ((deviation - deviation.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()
    return deviation.mean(dim=(2, 3, 4)).reshape(-1, channels, 1, 1).repeat(group, 1, height, width)


def _cast(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if x is None else x.to(dtype)
