"""Timing of several things that are to be compared: in turns, so that a slow moment of the machine meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one thing over several rounds: the median, the least and the most."""

    median: float
    least: float
    most: float

    def rate(self, amount: float) -> tuple[float, float, float]:
        """``amount`` a second: at the median, the slowest and the fastest round."""
        return amount / self.median, amount / self.most, amount / self.least


def timed_in_turns(variants: Mapping[Key, Callable[[], object]], rounds: int) -> dict[Key, Timing]:
    """Time every variant once a round, after one round that does not count.

    A variant returns when its work is done: on a GPU it waits for it.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        work()
    for _ in range(rounds):
        for name, work in variants.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(statistics.median(taken), min(taken), max(taken)) for name, taken in seconds.items()}
