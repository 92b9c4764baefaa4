"""Networks with numbers that need no file: every tensor is drawn by a seed that its name gives."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.synthesis import Generator

SCALES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"affine.bias": (0.2, 1.0), "bias": (0.2, 0.0), "noise_strength": (0.0, 0.3), "w_avg": (0.3, 0.0)}
)
"""Deviation and mean by the end of a name; biases and noise strengths are not zero, so that they count."""


def numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor f32 of a name and shape."""
    scale, shift = next((value for end, value in SCALES.items() if name.endswith(end)), (1.0, 0.0))
    if name.startswith("mapping.fc") and name.endswith("weight"):
        scale = 100.0  # the mapping network's weights are stored over its learning rate multiplier
    drawn = np.random.RandomState(zlib.crc32(name.encode())).randn(*shape)
    return torch.from_numpy(np.asarray(drawn * scale + shift, np.float32))


def filled(network: Any) -> Any:
    """A network, ours or the official one, whose tensors are those of :func:`numbers`."""
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if not name.endswith(("resample_filter", "fir", "kernel")):
                tensor.copy_(numbers(name, tuple(tensor.shape)))
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class Case:
    """A pair of small networks and what is drawn with them."""

    resolution: int
    architecture: str = "skip"
    channels: int = 3
    c_dim: int = 0
    psi: float = 0.7
    cutoff: int | None = None
    noise: str = "const"
    clamp: float | None = None
    base: int = 2048
    most: int = 64

    @property
    def stride(self) -> int:
        """Every how many pixels a reference holds; odd, so that it meets even and odd rows."""
        return {64: 3, 256: 7, 1024: 23}[self.resolution]

    def generator(self) -> Generator:
        config = GeneratorConfig(
            self.resolution, z_dim=64, w_dim=48, mapping_layers=3, **self._common(self.architecture)
        )
        return filled(Generator(config))

    def discriminator(self) -> Discriminator:
        config = DiscriminatorConfig(self.resolution, mapping_layers=2, group_size=2, **self._common(self.architecture))
        return filled(Discriminator(config))

    def _common(self, architecture: str) -> dict[str, Any]:
        return {
            "channels": self.channels,
            "c_dim": self.c_dim,
            "channel_base": self.base,
            "channel_max": self.most,
            "clamp": self.clamp,
            "architecture": architecture,
        }

    def z(self, count: int = 2) -> torch.Tensor:
        return torch.from_numpy(np.random.RandomState(1).randn(count, 64))

    def label(self, count: int = 2) -> torch.Tensor:
        label = torch.zeros(count, self.c_dim)
        for place in range(count if self.c_dim else 0):
            label[place, place % self.c_dim] = 1
        return label

    def pictures(self) -> torch.Tensor:
        """What the discriminator is asked about: numbers, not the generator's output, so that errors do not add up."""
        return numbers("pictures", (2, self.channels, self.resolution, self.resolution)) * 0.5


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "skip-64": Case(64),
        "no-noise-64": Case(64, noise="none", psi=1.0),
        "clamped-64": Case(64, clamp=0.6),
        "conditional-rgba-resnet-64": Case(64, "resnet", channels=4, c_dim=5, cutoff=4),
        "plain-64": Case(64, "orig"),
        "conditional-256": Case(256, c_dim=3),
        "skip-1024": Case(1024, base=4096, most=32),
    }
)
