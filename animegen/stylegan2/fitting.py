"""Fitting of a generator to pictures whose latents are known: pictures that were made by what a seed's latent says.

The generator learns by regression what each seed is to show (Dosovitskiy et al. 2015, arXiv 1411.5928, section 3). That
takes a hundredth of the time of a game against a discriminator, and two generators that are fitted to the same seeds in
two looks agree on all of them; but what a seed does not decide, they draw as its mean.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import InputError
from animegen.stylegan2.checkpoint import Checkpoint, save_checkpoint
from animegen.stylegan2.distance import Multiscale
from animegen.stylegan2.pictures import PictureFolder
from animegen.stylegan2.synthesis import Generator
from animegen.types import Float32Array

_HALF_LIFE, _HALF_LIFE_SHARE = 1000.0, 0.05
"""Of the running mean, in pictures: the first, but at most the second of those that were seen."""
_GROWTH = ((0.35, 16), (0.7, 32))
"""Up to which share of the pictures a new generator is fitted no further than to which side in px: as in progressive
growing (Karras et al. 2018, arXiv 1710.10196), small blocks learn cheaply before large ones refine what they draw."""
_COOLING = 0.5
"""The last share of the pictures, over which the learning rate falls to nothing."""
_BETAS = (0.9, 0.99)
_MEAN_SEEDS = 4096


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit: pictures shown in all and in a step, learning rate; whether the mapping network stays as it is, and
    whether the small blocks are to learn first, which suits a new generator."""

    images: int
    batch: int = 16
    learning_rate: float = 0.004
    freeze_mapping: bool = False
    grow: bool = False
    seed: int = 0


class SeededPictures:
    """The pictures of a folder, each with the seed that is its name: ``000012.png`` shows what seed 12 is to show.

    Raises InputError for a folder without pictures and for a name that is no number.
    """

    def __init__(self, folder: Path, resolution: int, channels: int) -> None:
        self._pictures = PictureFolder(folder, resolution, channels)
        names = [path.stem for path in self._pictures.paths]
        strange = next((name for name in names if not name.isdecimal()), None)
        if strange is not None:
            raise InputError(
                f"{folder}: the picture '{strange}' is not named by a seed", "as `animegen vrm heads` does"
            )
        self._seeds = [int(name) for name in names]

    def __len__(self) -> int:
        return len(self._seeds)

    def batch(self, places: list[int], z_dim: int) -> tuple[Float32Array, Float32Array]:
        """Pictures f32 [B, C, H, W] of -1..1 and their latents z f32 [B, z_dim]."""
        pictures, _ = self._pictures.batch(places, [False] * len(places))
        return pictures, _latents([self._seeds[place] for place in places], z_dim)


def fit(
    start: Checkpoint,
    data: SeededPictures,
    output: Path,
    options: FitOptions,
    *,
    every: int,
    device: str = "cpu",
    on_step: Callable[[int, float], None],
) -> None:
    """Fit the generator of ``start`` and write it with its running mean, every so many pictures and at the end.

    Noise is left out: its strengths stay what they are, 0 in a new network. ``on_step`` hears how many pictures were
    shown, and the distance of the last ones. Raises OutputError where the disk refuses the file.
    """
    generator = deepcopy(start.generator).to(device).train().requires_grad_(requires_grad=True)
    generator.mapping.requires_grad_(requires_grad=not options.freeze_mapping)
    average = deepcopy(generator).requires_grad_(requires_grad=False)
    optimiser, distance = _optimiser(generator, options), Multiscale()
    draw, seen = np.random.default_rng(options.seed), 0
    while seen < options.images:
        places = draw.integers(len(data), size=options.batch).tolist()
        pictures, z = (torch.from_numpy(one).to(device) for one in data.batch(places, generator.config.z_dim))
        drawn = _drawn(generator, z, _side(options, seen / options.images))
        pictures = functional.adaptive_avg_pool2d(pictures, drawn.shape[-1])
        loss = distance.between(drawn, distance.describe(pictures)).mean()
        for group in optimiser.param_groups:
            group["lr"] = group["most"] * min(1.0, (1.0 - seen / options.images) / _COOLING)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seen += options.batch
        _follow(average, generator, options.batch, seen)
        on_step(seen, float(loss.detach()))
        if seen // every > (seen - options.batch) // every or seen >= options.images:
            if not options.freeze_mapping:
                average.mapping.w_avg.copy_(_mean_latent(average))
            save_checkpoint(output, Checkpoint(average, generator, notes={"origin": "fitted"}))


def _side(options: FitOptions, done: float) -> float:
    """The largest side in px that is fitted after a share of the pictures."""
    return next((side for share, side in _GROWTH if options.grow and done < share), float("inf"))


def _drawn(generator: Generator, z: Tensor, side: float) -> Tensor:
    """The pictures of latents at that side, or at the network's own."""
    pictures = generator.synthesis.pictures(generator.latents(z), "none")
    return next(p for p in pictures if p.shape[-1] >= min(side, generator.config.resolution))


def _optimiser(generator: Generator, options: FitOptions) -> torch.optim.Adam:
    """Adam; the mapping network's weights are stored over its learning rate multiplier, and move as much farther."""
    mapping = [parameter for parameter in generator.mapping.parameters() if parameter.requires_grad]
    rates = (
        (options.learning_rate, [*generator.synthesis.parameters()]),
        (options.learning_rate / generator.config.lr_multiplier, mapping),
    )
    groups = [{"params": learning, "lr": rate, "most": rate} for rate, learning in rates if learning]
    return torch.optim.Adam(groups, betas=_BETAS)


@torch.no_grad()
def _follow(average: Generator, generator: Generator, batch: int, seen: int) -> None:
    """Move the running mean towards the generator."""
    beta = 0.5 ** (batch / min(_HALF_LIFE, _HALF_LIFE_SHARE * seen))
    for mean, value in zip(average.parameters(), generator.parameters(), strict=True):
        mean.copy_(value.lerp(mean, beta))


@torch.no_grad()
def _mean_latent(generator: Generator) -> Tensor:
    """The mean of w f32 [w_dim] over many seeds."""
    z = torch.from_numpy(np.random.RandomState(0).randn(_MEAN_SEEDS, generator.config.z_dim).astype(np.float32))
    mean: Tensor = generator.mapping(z.to(generator.mapping.w_avg.device)).mean(dim=0)
    return mean


def _latents(seeds: list[int], z_dim: int) -> Float32Array:
    """The latents z f32 [N, z_dim] of seeds, as the official tool draws them."""
    return np.concatenate([np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]).astype(np.float32)
