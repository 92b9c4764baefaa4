"""How the published configurations are trained (Karras et al. 2020, arXiv 2006.06676, table 5, and its public code)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from animegen.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. ``gamma`` is the weight of R1.

    ``ema_images``: half-life of the running mean, at most the share ``ema_rampup`` of the images seen. R1 and path
    length are taken every ``r1_every`` and ``path_every`` steps, path length not at all where its weight is 0.
    ``ada_target`` is the mean sign of the discriminator's scores of real pictures that augmentation aims at; None: no
    augmentation.
    """

    batch: int
    learning_rate: float
    gamma: float
    ema_images: int
    ema_rampup: float | None = None
    path_weight: float = 2.0
    style_mixing: float = 0.9
    r1_every: int = 16
    path_every: int = 4
    ada_target: float | None = 0.6
    ada_images: int = 500_000
    mirror: bool = True


_PUBLISHED: Mapping[str, Recipe] = MappingProxyType(
    {
        "stylegan2": Recipe(32, 0.002, 10, 10_000),
        "paper256": Recipe(64, 0.0025, 1, 20_000),
        "paper512": Recipe(64, 0.0025, 0.5, 20_000),
        "paper1024": Recipe(32, 0.002, 2, 10_000),
        "cifar": Recipe(64, 0.0025, 0.01, 500_000, 0.05, path_weight=0, style_mixing=0),
    }
)


def recipe(name: str, resolution: int) -> Recipe:
    """The recipe of a configuration; ``auto`` is made for a resolution. Raises UsageError for a name that is none."""
    if name == "auto":
        batch = max(min(4096 // resolution, 32), 1)
        rate, gamma = 0.002 if resolution >= 1024 else 0.0025, 0.0002 * resolution**2 / batch
        return Recipe(batch, rate, gamma, batch * 10_000 // 32, 0.05)
    if name not in _PUBLISHED:
        raise UsageError(f"there is no configuration {name!r}", f"choose one of {', '.join(['auto', *_PUBLISHED])}")
    return _PUBLISHED[name]
