"""Announces the beginning, progress and end of a stage of work to a listener."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from animegen.events import Listener, Progress, StageFinished, StageStarted
from animegen.memory import give_back_memory


@contextmanager
def stage(name: str, total: int | None, on_event: Listener) -> Iterator[Callable[[int], None]]:
    """Announce a stage; yields ``advance(steps)``. The end is announced only when the stage did not fail."""
    started = time.perf_counter()
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        on_event(Progress(name, done, total))

    on_event(StageStarted(name, total))
    yield advance
    on_event(StageFinished(name, done, time.perf_counter() - started))
    give_back_memory()
