"""The options of the face backend and of the identity preserver, apart from the code so that listing them is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import InvalidValue

DETECTOR, EMBEDDER = "insightface-detector", "insightface-embedder"
"""The names of the weights that an option replaces by a file of the user's."""

_STRIDE = 32
"""The coarsest grid of an SCRFD detector, of which the sides of its input are multiples."""


@dataclass(frozen=True)
class ModelOptions:
    """What both have in common.

    ``detector``, ``embedder``: ONNX files in the place of the downloaded ones. ``size``: pixels of the square that a
    picture is fitted into for detection. ``min_score``: faces surer than this are found, 0..1.
    """

    detector: Path | None = None
    embedder: Path | None = None
    size: int = 320
    min_score: float = 0.5

    def __post_init__(self) -> None:
        if self.size < _STRIDE or self.size % _STRIDE:
            raise InvalidValue(f"size must be a multiple of {_STRIDE}, got {self.size}")
        if not 0 < self.min_score < 1:
            raise InvalidValue(f"min_score must be between 0 and 1, got {self.min_score}")

    @property
    def weights(self) -> Mapping[str, Path]:
        """The files of the user's own by the names of the weights in whose place they stand."""
        own = {DETECTOR: self.detector, EMBEDDER: self.embedder}
        return {name: path for name, path in own.items() if path is not None}


@dataclass(frozen=True)
class FaceOptions(ModelOptions):
    """Options of the face backend ``insightface``; ``embed`` says whether faces come with an embedding."""

    embed: bool = True


@dataclass(frozen=True)
class IdentityOptions(ModelOptions):
    """Options of the identity preserver ``insightface``.

    ``min_face``: height in pixels from which a face in the picture of a person tells who it is. ``min_cosine``: cosine
    of two faces down to which they are one person's. ``max_distance``: as of the preserver ``appearance``, for
    those of whom no face was seen.
    """

    size: int = 640
    min_face: float = 20.0
    min_cosine: float = 0.35
    max_distance: float = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_face <= 0:
            raise InvalidValue(f"min_face must be positive, got {self.min_face}")
        if not -1 < self.min_cosine < 1:
            raise InvalidValue(f"min_cosine must be between -1 and 1, got {self.min_cosine}")
        if not 0 < self.max_distance < 1:
            raise InvalidValue(f"max_distance must be between 0 and 1, got {self.max_distance}")
