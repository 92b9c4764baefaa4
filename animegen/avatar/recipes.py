"""How a generator is trained: stages one after the other, each with its share of the images, batch and rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """A named way to train. ``rate`` is Adam's, reached after ``warmup`` images and brought down as a cosine."""

    name: str
    phases: tuple[Phase, ...]
    rate: float = 8e-4
    warmup: int = 2000
    final_rate: float = 0.05
    clip: float = 1.0
    ema: float = 0.998

    def limited_to(self, resolution: int) -> Recipe:
        """The same recipe ending at a smaller stage: later phases' shares go to the last one left."""
        kept = [phase for phase in self.phases if phase.stage <= resolution]
        if not kept or kept[-1].stage != resolution:
            stages = sorted({phase.stage for phase in self.phases})
            raise UsageError(f"recipe '{self.name}' has no stage of {resolution} px", f"it has {stages}")
        total = sum(phase.share for phase in kept)
        return replace(self, phases=tuple(replace(phase, share=phase.share / total) for phase in kept))

    def at(self, image: int, images: int) -> tuple[Phase, int]:
        """The phase that image number ``image`` of ``images`` belongs to, and the image at which it ends."""
        end = 0.0
        for phase in self.phases:
            end += phase.share
            if image < round(end * images):
                return phase, round(end * images)
        return self.phases[-1], images


ANIME = Recipe(
    "anime",
    (
        Phase(32, 0.09, 32),
        Phase(64, 0.36),
        Phase(128, 0.42),
        Phase(256, 0.13),
    ),
)

RECIPES = {recipe.name: recipe for recipe in (ANIME,)}
