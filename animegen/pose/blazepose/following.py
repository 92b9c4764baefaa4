"""Parts of people, such as hands, looked at in every frame: each is followed by its own last landmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from animegen.pose.blazepose.regions import Region
from animegen.types import Uint8Array

PRESENT = 0.5
"""Presence from which a part is there, as in MediaPipe's graphs."""


class Look(Protocol):
    """What a model sees of a part in a region: how surely it is there, and the region told by its landmarks."""

    @property
    def presence(self) -> float:
        """0..1."""
        ...

    @property
    def next(self) -> Region:
        """The region of the same part, refined by what was seen."""
        ...


LookT = TypeVar("LookT", bound=Look)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part is looked for next; ``refined`` by its own landmarks, else as the body tells."""

    region: Region
    refined: bool


class Follower(Generic[LookT]):
    """Looks at all parts of one kind through a segment: twice at one that is new, once in every later frame.

    The landmarks of a part tell its place better than those of the whole body, so they lead on. Where nothing is seen,
    the next look is where the body tells, and the one after that where this look points.
    """

    def __init__(self, look: Callable[[Uint8Array, Region], LookT]) -> None:
        self._look = look
        self._last: list[_Place] = []
        self._now: list[_Place] = []

    def next_frame(self) -> None:
        """To be called before the looks of each frame."""
        self._last, self._now = self._now, []

    def look(self, image: Uint8Array, told: Region) -> LookT:
        """What is seen in a uint8 [H, W, 3] RGB image of the part that the body's points tell to be in a region."""
        near = [place for place in self._last if place.region.near(told)]
        last = min(near, key=lambda place: place.region.distance(told), default=None)
        if last is None:
            look = self._look(image, self._look(image, told).next)
            refined = True
        else:
            look = self._look(image, last.region if last.refined else told)
            refined = last.refined
        follow = look.presence >= PRESENT or not refined
        self._now.append(_Place(look.next if follow else told, follow))
        return look
