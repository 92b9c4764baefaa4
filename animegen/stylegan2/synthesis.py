"""The synthesis network and the whole generator (Karras et al. 2020, arXiv 1912.04958, section 2 and figure 7).

Modules and parameters have the names of NVIDIA's PyTorch code: ``synthesis.b8.conv0.affine.weight``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from animegen.errors import InvalidValue
from animegen.ops.modulated_conv2d import PreparedWeight, modulated_conv2d
from animegen.ops.to_rgb_skip import to_rgb_skip
from animegen.ops.upfirdn2d import fir_filter
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.layers import Conv, Dense, act_gain, clamped
from animegen.stylegan2.mapping import GeneratorMapping

NoiseMode: TypeAlias = Literal["const", "random", "none"]

Noise: TypeAlias = Mapping[str, Tensor]
"""Noise pictures [1 or B, 1, r, r] by the names of their layers, such as ``b8.conv0``."""


class SynthesisLayer(nn.Module):
    """A modulated 3x3 convolution, at twice the resolution where ``up`` is 2, with noise, bias and activation."""

    noise_const: Tensor
    fir: Tensor

    def __init__(self, config: GeneratorConfig, inputs: int, outputs: int, side: int, *, up: int) -> None:
        super().__init__()
        self.up, self.side, self.act, self.clamp = up, side, config.activation, config.clamp
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.prepared: dict[torch.dtype, PreparedWeight] = {}
        self.use_noise = config.use_noise
        if config.use_noise:
            self.register_buffer("noise_const", torch.randn(side, side))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("fir", fir_filter(config.resample_filter), persistent=False)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | NoiseMode, gain: float = 1.0) -> Tensor:
        """Features [B, outputs, side, side] of features ``x`` and latents ``w`` [B, w_dim]."""
        added = self._noise(x, noise)
        return modulated_conv2d(
            x,
            self.prepared.get(x.dtype, self.weight),
            self.affine(w),
            self.fir.float(),
            up=self.up,
            padding=1,
            flip_weight=self.up == 1,
            noise=None if added is None else added.to(x.dtype),
            bias=self.bias.to(x.dtype),
            act=self.act,
            gain=act_gain(self.act, gain),
            clamp=clamped(self.clamp, gain),
        )

    def _noise(self, x: Tensor, noise: Tensor | NoiseMode) -> Tensor | None:
        if not self.use_noise or (isinstance(noise, str) and noise == "none"):
            return None
        if isinstance(noise, str):
            random = torch.randn(len(x), 1, self.side, self.side, device=x.device) if noise == "random" else None
            noise = self.noise_const[None, None] if random is None else random
        return noise * self.noise_strength


class ToRgb(nn.Module):
    """A modulated 1x1 convolution to colours, added to the picture of the block below."""

    def __init__(self, config: GeneratorConfig, inputs: int) -> None:
        super().__init__()
        self.clamp = config.clamp
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.channels))

    def forward(self, x: Tensor, w: Tensor, picture: Tensor | None, fir: Tensor) -> Tensor:
        """A picture f32 [B, channels, r, r] of features, latents [B, w_dim] and a picture of half the side."""
        styles = self.affine(w) / math.sqrt(self.weight.shape[1])
        return to_rgb_skip(x, self.weight, styles, self.bias, skip=picture, fir=fir, clamp=self.clamp)


class SynthesisBlock(nn.Module):
    """The layers of one resolution; the first block begins with a constant."""

    fir: Tensor

    def __init__(self, config: GeneratorConfig, side: int) -> None:
        super().__init__()
        self.side, self.architecture = side, config.architecture
        inputs, outputs = config.width(side // 2), config.width(side)
        if side == 4:
            self.const = nn.Parameter(torch.randn(outputs, side, side))
        else:
            self.conv0 = SynthesisLayer(config, inputs, outputs, side, up=2)
            if config.architecture == "resnet":
                taps = config.resample_filter
                self.skip = Conv(inputs, outputs, 1, bias=False, resample="up", taps=taps)
        self.conv1 = SynthesisLayer(config, outputs, outputs, side, up=1)
        self.has_rgb = config.architecture == "skip" or side == config.resolution
        if self.has_rgb:
            self.torgb = ToRgb(config, outputs)
        self.register_buffer("fir", fir_filter(config.resample_filter), persistent=False)

    @property
    def convolutions(self) -> int:
        """How many latents the block takes for itself; its colours take the first one of the next block."""
        return 1 if self.side == 4 else 2

    def forward(
        self, x: Tensor | None, picture: Tensor | None, ws: Tensor, noise: Noise | NoiseMode, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor | None]:
        """Features and picture at this resolution; ``ws`` [B, convolutions + 1, w_dim]."""
        if x is None:
            features = self.const.to(dtype).expand(len(ws), *self.const.shape)
            features = self._layer("conv1", features, ws[:, 0], noise)
        elif self.architecture == "resnet":
            x = x.to(dtype)
            skipped = self.skip(x, gain=math.sqrt(0.5))
            inner = self._layer("conv0", x, ws[:, 0], noise)
            features = skipped + self._layer("conv1", inner, ws[:, 1], noise, math.sqrt(0.5))
        else:
            inner = self._layer("conv0", x.to(dtype), ws[:, 0], noise)
            features = self._layer("conv1", inner, ws[:, 1], noise)
        if self.has_rgb:
            picture = self.torgb(features, ws[:, self.convolutions], picture, self.fir.float())
        return features, picture

    def _layer(self, name: str, x: Tensor, w: Tensor, noise: Noise | NoiseMode, gain: float = 1.0) -> Tensor:
        given = noise if isinstance(noise, str) else noise.get(f"b{self.side}.{name}", "const")
        features: Tensor = self.get_submodule(name)(x, w, given, gain)
        return features


class Synthesis(nn.Module):
    """From latents w, one a layer, to a picture."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for side in config.resolutions:
            self.add_module(f"b{side}", SynthesisBlock(config, side))

    def block(self, side: int) -> SynthesisBlock:
        """The block of a resolution."""
        block = self.get_submodule(f"b{side}")
        assert isinstance(block, SynthesisBlock)
        return block

    def prepare(self, half: torch.dtype | None = None) -> None:
        """Lay the weights of all layers out for drawing with this ``half`` dtype too, the quickest way there is.

        Later changes of the weights, moves to a device and gradients in them pass unseen: this is for networks that
        only draw.
        """
        for side in self.config.resolutions:
            dtype = self.dtype_at(side, half)
            for layer in self.block(side).modules():
                if isinstance(layer, SynthesisLayer) and dtype not in {torch.float16, *layer.prepared}:
                    layer.prepared[dtype] = PreparedWeight.of(layer.weight, dtype, up=layer.up)
                elif isinstance(layer, Dense):
                    layer.prepare()

    def dtype_at(self, side: int, half: torch.dtype | None, whole: torch.dtype = torch.float32) -> torch.dtype:
        """In what a block computes: the ``num_fp16_res`` largest in ``half`` where given, but never the first."""
        halved = side > 4 and side * 2**self.config.num_fp16_res > self.config.resolution
        return half if half is not None and halved else whole

    def layers(self) -> dict[str, SynthesisLayer]:
        """Every convolution by its name, such as ``b8.conv0``, in the order of the latents."""
        return {name: module for name, module in self.named_modules() if isinstance(module, SynthesisLayer)}

    def forward(self, ws: Tensor, noise: Noise | NoiseMode = "const", *, half: torch.dtype | None = None) -> Tensor:
        """Pictures f32 [B, channels, r, r], -1..1 nearly, of latents ``ws`` f32 [B, num_ws, w_dim].

        ``noise``: the stored pictures, new random ones, none, or pictures by the names of layers (the stored ones for
        layers that are not named). ``half``: the dtype of the ``num_fp16_res`` largest blocks; without it, all
        computes in float32. Raises InvalidValue where the latents do not fit.
        """
        config = self.config
        if ws.ndim != 3 or ws.shape[1:] != (config.num_ws, config.w_dim):
            raise InvalidValue(f"latents must be (B, {config.num_ws}, {config.w_dim}), got {tuple(ws.shape)}")
        *_, picture = self.pictures(ws, noise, half=half)
        return picture

    def pictures(
        self, ws: Tensor, noise: Noise | NoiseMode = "const", *, half: torch.dtype | None = None
    ) -> Iterator[Tensor]:
        """The picture after every block that has colours, from the smallest to the largest; as :meth:`forward`."""
        config = self.config
        x: Tensor | None = None
        picture: Tensor | None = None
        first = 0
        for side in config.resolutions:
            block = self.block(side)
            own = ws[:, first : first + block.convolutions + 1]
            x, picture = block(x, picture, own, noise, self.dtype_at(side, half, ws.dtype))
            first += block.convolutions
            if picture is not None:
                yield picture


class Generator(nn.Module):
    """Mapping and synthesis: from z f32 [B, z_dim], and a label, to pictures f32 [B, channels, r, r], -1..1 nearly."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.synthesis = Synthesis(config)
        self.mapping = GeneratorMapping(config)

    def latents(self, z: Tensor, label: Tensor | None = None, *, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Latents ws f32 [B, num_ws, w_dim]; ``psi`` truncates the first ``cutoff`` of them (all without it)."""
        return self.mapping.truncated(self.mapping(z, label), psi, cutoff)

    def forward(
        self,
        z: Tensor,
        label: Tensor | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
        noise: Noise | NoiseMode = "const",
        half: torch.dtype | None = None,
    ) -> Tensor:
        """The pictures; options as in :meth:`latents` and :class:`Synthesis`."""
        pictures: Tensor = self.synthesis(self.latents(z, label, psi=psi, cutoff=cutoff), noise, half=half)
        return pictures
