"""The options of the face backend, apart from its code so that listing them is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import InvalidValue

DETECTOR, PARSER = "facexlib-detector", "facexlib-parser"
"""The names of the weights that an option replaces by a file of the user's."""

_STRIDE = 32
"""The coarsest grid of RetinaFace, of which the sides of its input are multiples."""


@dataclass(frozen=True)
class FaceOptions:
    """Options of the face backend ``facexlib``.

    ``detector``, ``parser``: files in the place of the downloaded ones, RetinaFace with ResNet-50 or MobileNet and
    ParseNet or BiSeNet. ``size``: pixels of the square that a picture is fitted into for detection. ``min_score``:
    faces surer than this are found, 0..1. ``outline``: whether faces come with the outline that the parser sees.
    """

    detector: Path | None = None
    parser: Path | None = None
    size: int = 320
    min_score: float = 0.8
    outline: bool = True

    def __post_init__(self) -> None:
        if self.size < _STRIDE or self.size % _STRIDE:
            raise InvalidValue(f"size must be a multiple of {_STRIDE}, got {self.size}")
        if not 0 < self.min_score < 1:
            raise InvalidValue(f"min_score must be between 0 and 1, got {self.min_score}")

    @property
    def weights(self) -> Mapping[str, Path]:
        """The files of the user's own by the names of the weights in whose place they stand."""
        own = {DETECTOR: self.detector, PARSER: self.parser}
        return {name: path for name, path in own.items() if path is not None}
