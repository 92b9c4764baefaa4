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
