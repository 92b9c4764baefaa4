"""How a generator is trained: stages one after the other, each with its share of the images, batch and rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from animegen.errors import UsageError


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training at one stage: ``share`` of all images, ``adversarial`` weight of the discriminator."""

    stage: int
    share: float
    batch: int = 16
    adversarial: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named way to train. ``rate`` is Adam's, reached after ``warmup`` images and brought down as a cosine.

    ``images`` is how long it takes where nothing else is asked for.
    """

    name: str
    phases: tuple[Phase, ...]
    images: int = 600_000
    rate: float = 8e-4
    warmup: int = 2000
    final_rate: float = 0.05
    clip: float = 1.0
    ema: float = 0.998

    @property
    def resolution(self) -> int:
        """The largest stage, in pixels."""
        return self.phases[-1].stage

    def limited_to(self, resolution: int) -> Recipe:
        """The same recipe ending at a smaller stage: the shares of the phases left are scaled up to the whole."""
        kept = [phase for phase in self.phases if phase.stage <= resolution]
        if not kept or kept[-1].stage != resolution:
            stages = ", ".join(str(stage) for stage in sorted({phase.stage for phase in self.phases}))
            raise UsageError(f"recipe '{self.name}' has no stage of {resolution} px", f"it has {stages}")
        total = sum(phase.share for phase in kept)
        return replace(self, phases=tuple(replace(phase, share=phase.share / total) for phase in kept))

    def with_batch(self, batch: int) -> Recipe:
        """The same recipe with batches of one size in all phases."""
        return replace(self, phases=tuple(replace(phase, batch=batch) for phase in self.phases))

    def with_adversarial(self, weight: float) -> Recipe:
        """The same recipe with the discriminator's weight in its last phase."""
        return replace(self, phases=(*self.phases[:-1], replace(self.phases[-1], adversarial=weight)))

    def at(self, image: int, images: int) -> tuple[Phase, int]:
        """The phase that image number ``image`` of ``images`` belongs to, and the image at which it ends."""
        end = 0.0
        for phase in self.phases:
            end += phase.share
            if image < round(end * images):
                return phase, round(end * images)
        return self.phases[-1], images


_ANIME_512 = Recipe(
    "anime",
    (
        Phase(32, 0.09, 32),
        Phase(64, 0.36),
        Phase(128, 0.42),
        Phase(256, 0.13),
        Phase(512, 0.13),
    ),
)

ANIME = _ANIME_512.limited_to(256)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in (_ANIME_512,)})
"""Recipes by name, up to the largest stage that each knows."""
