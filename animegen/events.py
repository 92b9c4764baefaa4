"""What happens during a run, as one typed stream: progress bars, ``--json`` and windows are listeners."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins; ``total`` is its number of steps (frames, bytes) or None where it is unknown."""

    stage: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` steps of a stage are finished."""

    stage: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended after ``seconds`` of wall time with ``done`` steps."""

    stage: str
    done: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know that does not stop the run."""

    message: str


@dataclass(frozen=True, slots=True)
class PoseLost:
    """In frames ``first`` .. ``last`` of the source the pose of ``person`` failed, for the reason ``why``, and this was
    ``done``; the words are those of :class:`animegen.pose.lost.LostSpan`.
    """

    person: str
    first: int
    last: int
    why: str
    done: str


@dataclass(frozen=True, slots=True)
class ClipStarted:
    """Of several inputs, the one with this ``number`` (from 1) of ``total`` begins."""

    source: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class ClipFailed:
    """Of several inputs, this one cannot be converted; the others go on."""

    source: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over; ``output`` is the path that now stands."""

    output: str


Event: TypeAlias = StageStarted | Progress | StageFinished | Warned | PoseLost | ClipStarted | ClipFailed | Finished
Listener: TypeAlias = Callable[[Event], None]


def as_dict(event: Event) -> dict[str, Any]:
    """The event as plain values with its kind under ``event``: one JSON line of ``--json``."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


def ignore(event: Event) -> None:
    """A listener that does not listen."""
