"""Options of the style ``anime-face``; light, so that listing the styles imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from animegen.errors import InvalidValue

BASE, ANIME = "demo-heads-base", "demo-heads-anime"
"""The names of the pair of generators that comes with animegen."""
_DEMO_STRETCH, _DEMO_LIKENESS = 1.4, 0.4


@dataclass(frozen=True, slots=True)
class AnimeFaceOptions:
    """Which generators draw, and how long faces are sought.

    ``base`` and ``anime``: checkpoints that share a base, as safetensors; in ``base`` the latents of a face are sought,
    ``anime`` draws them. Where none is named, the demo pair is taken. ``swap``: from this resolution on the layers are
    those of ``anime``, below those of ``base``. ``steps`` of the search, ``likeness`` 0..1 how far its latents may go
    from the mean face: all the way at 1; where it is not said, 0.4 for the demo pair, whose eyes blur further off, and
    1 for others. ``stretch``: how much longer people's faces are, from the eyes to the chin, than those that the
    generators draw; where it is not said, 1.4 for the demo pair and 1 for others.
    """

    base: Path | None = None
    anime: Path | None = None
    swap: int = 16
    steps: int = 300
    likeness: float | None = None
    stretch: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InvalidValue(f"steps must be at least 1, got {self.steps}")
        if self.likeness is not None and not 0 <= self.likeness <= 1:
            raise InvalidValue(f"likeness must lie between 0 and 1, got {self.likeness}")
        if self.stretch is not None and not 0.5 <= self.stretch <= 2:
            raise InvalidValue(f"stretch must lie between 0.5 and 2, got {self.stretch}")

    @property
    def longer(self) -> float:
        """The stretch that holds for the pair."""
        return self.stretch or (_DEMO_STRETCH if self.base is None else 1.0)

    @property
    def near(self) -> float:
        """The likeness that holds for the pair."""
        usual = _DEMO_LIKENESS if self.base is None else 1.0
        return usual if self.likeness is None else self.likeness

    @property
    def weights(self) -> dict[str, Path | None]:
        """The files in the place of the demo pair, by its names."""
        return {BASE: self.base, ANIME: self.anime}
