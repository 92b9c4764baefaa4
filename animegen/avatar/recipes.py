"""How a generator is trained: stages one after the other, each with its share of the images, batch and rate.

Light on purpose: the command line reads names from here and imports nothing heavy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from animegen.errors import UsageError

AUGMENTATIONS = ("flip", "turn", "noise", "dropout", "shade")
"""``flip`` mirrors picture and labels; ``turn`` rotates, scales and shifts; ``noise`` moves points a little;
``dropout`` hides depth, faces, finger tips or single points, as pose backends do; ``shade`` makes each part a little
lighter or darker: shade layers have no colours, so this is their colour augmentation. It is off where nobody asks for
it, because the layers' linearity already serves every palette."""

DEFAULT_AUGMENTATIONS = ("flip", "turn", "noise", "dropout")


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training at one stage.

    ``share`` of all images, ``adversarial`` weight of the discriminator, ``rate`` where it is not the recipe's;
    with ``fade`` the stage is blended in over the stretch (Karras et al. 2018, section 2).
    """

    stage: int
    share: float
    batch: int = 16
    adversarial: float = 0.0
    rate: float | None = None
    fade: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named way to train. ``rate`` is the optimisers', reached after ``warmup`` images and brought down as a cosine.

    ``images`` is how long it takes and ``augment`` how data is varied where nothing else is asked for; ``clip`` the
    largest norm of a gradient; ``ema`` what the averaged weights keep at each step. ``channels`` are those of the
    generator's grids (:class:`animegen.avatar.config.AvatarConfig`) where they are not the usual ones; ``patch`` tells
    whether faces are drawn on one of their own; ``often`` weighs what pictures show where they are drawn
    (:data:`animegen.avatar.data.FRAMINGS`); with ``only_faces`` nothing is learned but what patches are painted with.
    ``judge_first``: how many images of an adversarial phase the discriminator learns alone, so that a generator that
    draws already is not led by one that knows nothing.
    """

    name: str
    phases: tuple[Phase, ...]
    images: int = 600_000
    rate: float = 8e-4
    warmup: int = 2000
    final_rate: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    augment: tuple[str, ...] = DEFAULT_AUGMENTATIONS
    channels: Mapping[int, int] | None = None
    patch: bool = True
    often: Mapping[str, float] = field(default_factory=dict)
    only_faces: bool = False
    judge_first: int = 0

    @property
    def resolution(self) -> int:
        """The largest stage, in pixels."""
        return self.phases[-1].stage

    def limited_to(self, resolution: int) -> Recipe:
        """The same recipe ending at a smaller stage, without the images of the later ones.

        Raises UsageError where it has no such stage.
        """
        return self._only([phase for phase in self.phases if phase.stage <= resolution], resolution)

    def beginning_at(self, stage: int) -> Recipe:
        """The same recipe without the smaller stages, to train on what can draw already. Raises UsageError likewise."""
        return self._only([phase for phase in self.phases if phase.stage >= stage], stage)

    def _only(self, phases: list[Phase], stage: int) -> Recipe:
        """These phases, which have to hold the stage, with their shares scaled up to the whole."""
        if stage not in {phase.stage for phase in phases}:
            stages = ", ".join(str(stage) for stage in sorted({phase.stage for phase in self.phases}))
            raise UsageError(f"recipe '{self.name}' has no stage of {stage} px", f"it has {stages}")
        total = sum(phase.share for phase in phases)
        images = round(self.images * total / sum(phase.share for phase in self.phases))
        return replace(self, phases=tuple(replace(phase, share=phase.share / total) for phase in phases), images=images)

    def with_batch(self, batch: int) -> Recipe:
        """The same recipe with batches of one size in all phases."""
        return replace(self, phases=tuple(replace(phase, batch=batch) for phase in self.phases))

    def with_rate(self, rate: float) -> Recipe:
        """The same recipe with one rate for all phases."""
        return replace(self, rate=rate, phases=tuple(replace(phase, rate=None) for phase in self.phases))

    def with_adversarial(self, weight: float) -> Recipe:
        """The same recipe with the discriminator's weight in its last phase."""
        return replace(self, phases=(*self.phases[:-1], replace(self.phases[-1], adversarial=weight)))

    def with_judge_first(self, images: int) -> Recipe:
        """The same recipe whose discriminator learns alone at first."""
        return replace(self, judge_first=images)

    def with_only_faces(self) -> Recipe:
        """The same recipe that learns what faces are painted with, and nothing else."""
        return replace(self, only_faces=True)

    def at(self, image: int, images: int) -> tuple[Phase, int, int]:
        """The phase that image number ``image`` of ``images`` belongs to, and the images where it begins and ends."""
        begin, end = 0, 0.0
        for phase in self.phases:
            end += phase.share
            if image < round(end * images):
                return phase, begin, round(end * images)
            begin = round(end * images)
        return self.phases[-1], begin, max(images, begin + 1)

    def rate_at(self, image: int, images: int) -> float:
        """The optimisers' rate at image number ``image`` of ``images``."""
        phase, _, _ = self.at(image, images)
        rate = self.rate if phase.rate is None else phase.rate
        warm = min(1.0, (image + 1) / self.warmup)
        fall = self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * image / images))
        return rate * warm * fall


_ANIME_512 = Recipe(
    "anime",
    (
        Phase(32, 0.11, 32),
        Phase(64, 0.30),
        Phase(128, 0.27),
        Phase(256, 0.32),
        Phase(512, 0.14),
    ),
    images=684_000,
    often=MappingProxyType({"full": 0.6, "head": 2.6, "loose": 0.6}),
)
"""Whole figures are most of a dataset and teach nothing of faces, so heads are drawn more often."""

_ANIME_HEAD = Recipe(
    "anime-head",
    (Phase(32, 0.12, 32), Phase(64, 0.44), Phase(128, 0.44)),
    images=200_000,
    channels=MappingProxyType({4: 160, 8: 160, 16: 160, 32: 128, 64: 72}),
    patch=False,
)
"""A smaller generator for heads alone, which fill the picture and vary less than whole figures."""

_ANIME_HAND = Recipe(
    "anime-hand",
    (Phase(32, 0.2, 32), Phase(64, 0.8)),
    images=200_000,
    rate=1e-3,
    augment=("noise",),
    channels=MappingProxyType({4: 128, 8: 128, 16: 128, 32: 96}),
    patch=False,
)
"""A smaller one still for right hands. Mirrored they would be left ones, and every point is known of all that it draws:
where finger tips are not, straight fingers are better than those that could be anywhere."""

_PUBLISHED_RATES = {4: 1e-3, 8: 1e-3, 16: 1e-3, 32: 1e-3, 64: 1e-3, 128: 8e-4, 256: 6e-4, 512: 2e-4}
_PUBLISHED_BATCHES = {256: 14, 512: 6}
_IMAGES_A_PHASE = 800_000


def _grown(stages: Mapping[int, float]) -> tuple[Phase, ...]:
    """Each stage blended in and then trained for as long again; the first one has nothing to be blended with."""
    share = 1 / (2 * len(stages) - 1)
    phases = [
        Phase(stage, share, _PUBLISHED_BATCHES.get(stage, 16), rate=rate, fade=fade)
        for stage, rate in stages.items()
        for fade in (True, False)
    ]
    return tuple(phases[1:])


_PSGAN_512 = Recipe(
    "psgan-2018",
    _grown(_PUBLISHED_RATES),
    images=_IMAGES_A_PHASE * (2 * len(_PUBLISHED_RATES) - 1),
    warmup=1,
    final_rate=1.0,
    clip=math.inf,
    ema=0.999,
    augment=(),
)

ANIME = _ANIME_512.limited_to(256)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (_ANIME_512, _ANIME_HEAD, _ANIME_HAND, _PSGAN_512)}
)
"""Recipes by name, up to the largest stage that each knows: published or ours."""
