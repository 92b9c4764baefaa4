"""Options of the style ``vrm``; light, so that listing the styles imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animegen.errors import UsageError


@dataclass(frozen=True, slots=True)
class VrmOptions:
    """Who plays whom, and in which colours.

    ``avatar``: VRM files, given to the people by their time on the screen, the longest first; where there are fewer
    than people, from the start again. ``colours``: ``own`` those of the files, ``person`` those of the person.
    """

    avatar: tuple[Path, ...] = ()
    colours: Literal["own", "person"] = "own"

    def __post_init__(self) -> None:
        if not self.avatar:  # told before any work is done
            raise UsageError("the style vrm needs an avatar", "give one or more with --set avatar=my.vrm,other.vrm")
