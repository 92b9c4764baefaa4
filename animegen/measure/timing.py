"""Timing of several things that are to be compared: in turns, so that a slow moment of the machine meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

Key = TypeVar("Key")

Stopwatch: TypeAlias = Callable[[Callable[[], object]], float]
"""Runs something, and tells the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one thing over several rounds: the median, the least and the most."""

    median: float
    least: float
    most: float

    def rate(self, amount: float) -> tuple[float, float, float]:
        """``amount`` a second: at the median, the slowest and the fastest round."""
        return amount / self.median, amount / self.most, amount / self.least


def wall_seconds(work: Callable[[], object]) -> float:
    """Seconds from start to finish."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def core_seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor, which other programs do not lengthen much."""
    start = time.process_time()
    work()
    return time.process_time() - start


def timed_in_turns(
    variants: Mapping[Key, Callable[[], object]],
    rounds: int,
    stopwatch: Stopwatch = wall_seconds,
    renew: Callable[[], object] | None = None,
) -> dict[Key, Timing]:
    """Time every variant once a round, after one round that does not count; ``renew`` changes the inputs of a round.

    A variant returns when its work is done, unless the stopwatch waits for it.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        work()
    for _ in range(rounds):
        if renew is not None:
            renew()
        for name, work in variants.items():
            seconds[name].append(stopwatch(work))
    return {name: Timing(statistics.median(taken), min(taken), max(taken)) for name, taken in seconds.items()}
