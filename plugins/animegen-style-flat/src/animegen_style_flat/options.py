"""What can be set on the style; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from animegen.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class FlatOptions:
    """How the doll looks.

    ``head`` and ``outline`` scale the head and the outlines, ``hair`` chooses a cut for everybody (``auto``: one by
    the person), points with a score below ``min_score`` are not used.
    """

    head: float = 1.0
    outline: float = 1.0
    hair: Literal["auto", "short", "bob", "long", "ponytail", "twintails"] = "auto"
    min_score: float = 0.3

    def __post_init__(self) -> None:
        for name, low, high in (("head", 0.5, 2.0), ("outline", 0.0, 3.0), ("min_score", 0.0, 1.0)):
            if not low <= getattr(self, name) <= high:
                raise InvalidValue(f"{name} must be {low}..{high}, got {getattr(self, name)}")
