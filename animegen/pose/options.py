"""Options of the skeleton style; light, so that listing the styles imports no picture library."""

from __future__ import annotations

from dataclasses import dataclass

from animegen.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class SkeletonOptions:
    """How the figure is drawn.

    ``thickness`` scales the limbs (1: about a person's own), ``opacity`` is 0..1, ``face`` draws eyes and mouth,
    ``min_score`` is the score below which a point is not drawn.
    """

    thickness: float = 1.0
    opacity: float = 1.0
    face: bool = True
    min_score: float = 0.3

    def __post_init__(self) -> None:
        if not 0.1 <= self.thickness <= 3:
            raise InvalidValue(f"thickness must be 0.1..3, got {self.thickness}")
        if not 0 < self.opacity <= 1:
            raise InvalidValue(f"opacity must be above 0 and at most 1, got {self.opacity}")
        if not 0 <= self.min_score < 1:
            raise InvalidValue(f"min_score must be at least 0 and below 1, got {self.min_score}")
