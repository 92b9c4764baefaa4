"""What a user may set of the BlazePose backend; light, so that the built-ins can name it without loading OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from animegen.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class BlazePoseOptions:
    """How people are looked for.

    ``max_people``: most people followed at once. ``detect_every``: frames from one look for newcomers to the next,
    each at one tile of the picture in turn (the first frame of a segment is looked at in all tiles).
    ``min_detection``: score 0..1 of the detector below which a place is not looked at closer. ``min_presence``:
    score 0..1 of the landmark model below which a region holds nobody. ``face``: measure the expressions of faces that
    are large enough, and how heads are turned. ``hands``: find the finger points of hands that are large enough.
    """

    max_people: int = 12
    detect_every: int = 1
    min_detection: float = 0.5
    min_presence: float = 0.5
    face: bool = True
    hands: bool = True

    def __post_init__(self) -> None:
        for name in ("max_people", "detect_every"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("min_detection", "min_presence"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidValue(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
