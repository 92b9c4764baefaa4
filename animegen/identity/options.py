"""The options of the built-in identity preserver, apart from its code so that listing them imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from animegen.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class PaletteOptions:
    """Options of the identity preserver ``palette``.

    ``max_difference``: CIEDE2000 up to which two palettes are taken for one person's.
    """

    max_difference: float = 8.0

    def __post_init__(self) -> None:
        if self.max_difference <= 0:
            raise InvalidValue(f"max_difference must be positive, got {self.max_difference}")


@dataclass(frozen=True, slots=True)
class AppearanceOptions:
    """Options of the identity preserver ``appearance``.

    ``max_distance``: distance of look, 0 (alike) .. 1, up to which two people are taken for one.
    """

    max_distance: float = 0.35

    def __post_init__(self) -> None:
        if not 0 < self.max_distance < 1:
            raise InvalidValue(f"max_distance must be between 0 and 1, got {self.max_distance}")
