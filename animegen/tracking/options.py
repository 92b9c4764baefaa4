"""The options of the built-in tracker, apart from its code so that listing them imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from animegen.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class OksTrackerOptions:
    """Options of the tracker ``oks``.

    ``max_lost``: frames for which an unseen person is waited for. ``confirm_hits``: times a new pose must be seen
    before it is a person; one of strength ``instant`` or more is a person at once. ``confident``: strength from
    which a pose may start a person and is associated first. ``min_similarity`` and ``min_similarity_weak``: the
    least likeness, 0..1, of a confident and of a weak pose to a person's prediction.
    """

    max_lost: int = 45
    confirm_hits: int = 3
    instant: float = 0.9
    confident: float = 0.5
    min_similarity: float = 0.15
    min_similarity_weak: float = 0.35

    def __post_init__(self) -> None:
        if self.max_lost < 0:
            raise InvalidValue(f"max_lost must not be negative, got {self.max_lost}")
        if self.confirm_hits < 1:
            raise InvalidValue(f"confirm_hits must be at least 1, got {self.confirm_hits}")
        for name in ("instant", "confident", "min_similarity", "min_similarity_weak"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidValue(f"{name} must be 0..1, got {getattr(self, name)}")
