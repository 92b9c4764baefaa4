"""What shapes a StyleGAN2 network, and the published configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from animegen.errors import InvalidValue, UsageError

Architecture: TypeAlias = Literal["orig", "skip", "resnet"]

SMALLEST = 4
"""Side of the first block in pixels."""

_LARGEST = 4096
_MOST_CHANNELS = 16384
_MOST_LAYERS = 64


def resolutions(resolution: int) -> list[int]:
    """The sides of the blocks in pixels, from 4 up to ``resolution``."""
    return [2**n for n in range(2, resolution.bit_length())]


@dataclass(frozen=True, slots=True)
class _NetworkConfig:
    """What generator and discriminator have in common."""

    resolution: int
    channels: int = 3
    c_dim: int = 0
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    mapping_width: int | None = None
    embed_width: int | None = None
    lr_multiplier: float = 0.01
    activation: str = "lrelu"
    clamp: float | None = None
    num_fp16_res: int = 0
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)

    def __post_init__(self) -> None:
        if self.resolution not in resolutions(_LARGEST):
            raise InvalidValue(f"resolution must be a power of two from 4 to {_LARGEST}, got {self.resolution}")
        limits = {
            "channels": (1, 64),
            "c_dim": (0, 100_000),
            "channel_base": (SMALLEST, 2**22),
            "channel_max": (1, _MOST_CHANNELS),
            "mapping_layers": (0, _MOST_LAYERS),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= most):
                raise InvalidValue(f"{name} must be a whole number from {least} to {most}, got {value!r}")

    @property
    def resolutions(self) -> list[int]:
        """The sides of the blocks in pixels, from 4 up."""
        return resolutions(self.resolution)

    def width(self, resolution: int) -> int:
        """Number of feature channels at a resolution."""
        return max(1, min(self.channel_base // resolution, self.channel_max))

    def to_json(self) -> str:
        """One line of JSON that ``from_json`` reads back to an equal configuration."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class GeneratorConfig(_NetworkConfig):
    """A generator: ``channels`` of the picture (3: RGB, 4: RGBA), width of labels ``c_dim`` and of latents.

    A block of side r has min(channel_base / r, channel_max) channels. ``clamp`` limits activations (and is there for
    float16), ``num_fp16_res`` is how many of the largest blocks may run in 16 bits.
    """

    z_dim: int = 512
    w_dim: int = 512
    architecture: Architecture = "skip"
    use_noise: bool = True
    w_avg_beta: float = 0.995

    @property
    def num_ws(self) -> int:
        """How many latents w the synthesis network takes: one a convolution, and one for the last colours."""
        return 2 * len(self.resolutions)

    @classmethod
    def from_json(cls, text: str) -> GeneratorConfig:
        """Read a configuration back; raises InvalidValue naming what does not fit."""
        return cls(**_values(cls, text))


@dataclass(frozen=True, slots=True)
class DiscriminatorConfig(_NetworkConfig):
    """A discriminator: ``group_size`` and ``group_channels`` are those of the minibatch standard deviation.

    ``cmap_dim`` is the width of the mapped label, by default that of the 4 px block.
    """

    architecture: Architecture = "resnet"
    cmap_dim: int | None = None
    group_size: int | None = 4
    group_channels: int = 1

    @classmethod
    def from_json(cls, text: str) -> DiscriminatorConfig:
        """Read a configuration back; raises InvalidValue naming what does not fit."""
        return cls(**_values(cls, text))


def _values(cls: type[_NetworkConfig], text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"the configuration is no JSON: {error}") from error
    known = {field.name for field in fields(cls)}
    if not isinstance(values, dict) or not set(values) <= known:
        raise InvalidValue(f"the configuration holds {sorted(set(values) - known)}, which is unknown")
    if "resample_filter" in values:
        values["resample_filter"] = tuple(values["resample_filter"])
    return values


@dataclass(frozen=True, slots=True)
class _Published:
    """What differs between the published configurations: share of the full channels, mapping layers, group size."""

    share: float
    mapping_layers: int
    group_size: int
    discriminator: Architecture = "resnet"


CONFIGS: Mapping[str, _Published] = MappingProxyType(
    {
        "stylegan2": _Published(1, 8, 4),
        "paper256": _Published(0.5, 8, 8),
        "paper512": _Published(1, 8, 8),
        "paper1024": _Published(1, 8, 4),
        "cifar": _Published(1, 2, 32, "orig"),
    }
)
"""The published configurations by the names of the official training tool; ``auto`` is made for a resolution."""


def published(
    name: str, resolution: int, *, channels: int = 3, c_dim: int = 0
) -> tuple[GeneratorConfig, DiscriminatorConfig]:
    """Both networks of a published configuration (Karras et al. 2020, arXiv 2006.06676, and its public code).

    Raises UsageError for a name that is none.
    """
    if name == "auto":
        chosen = _Published(1 if resolution >= 512 else 0.5, 2, 4)
    elif name in CONFIGS:
        chosen = CONFIGS[name]
    else:
        raise UsageError(f"there is no configuration {name!r}", f"choose one of {', '.join(['auto', *CONFIGS])}")
    base = int(chosen.share * 32768)
    generator = GeneratorConfig(
        resolution,
        channels=channels,
        c_dim=c_dim,
        channel_base=base,
        mapping_layers=chosen.mapping_layers,
        clamp=256.0,
        num_fp16_res=4,
    )
    discriminator = DiscriminatorConfig(
        resolution,
        channels=channels,
        c_dim=c_dim,
        channel_base=base,
        clamp=256.0,
        num_fp16_res=4,
        architecture=chosen.discriminator,
        group_size=chosen.group_size,
    )
    return generator, discriminator
