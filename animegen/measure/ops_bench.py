"""How fast the ops are beside what users would take instead, and how exact: every case in turns, on fresh inputs.

On the CPU times are those of the processor (core-milliseconds), which other programs do not lengthen much; on a GPU
they are from start to finish.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Case:
    """One op at one size.

    ``make`` draws fresh inputs; each of the ``variants`` takes them and returns when the result is there, or is None
    where it cannot be had here; ``error`` is the largest difference of a result from float64, in the result's units.
    ``traffic``: bytes that must be read and written at the least.
    """

    op: str
    traffic: int
    make: Callable[[np.random.Generator], Any]
    variants: Mapping[str, Callable[[Any], Any] | None]
    error: Callable[[Any, Any], float]


@dataclass(frozen=True, slots=True)
class Line:
    """What one variant of one case took: milliseconds over the rounds, and its error. None: not measured."""

    op: str
    variant: str
    median: float | None
    least: float | None
    most: float | None
    gbytes: float | None
    error: float | None


def measured(cases: Iterable[Case], rounds: int, clock: Callable[[], float] = time.process_time) -> list[Line]:
    """Time every variant of every case once a round, on fresh inputs, after two rounds that do not count."""
    return [line for case in cases for line in _measured(case, rounds, clock)]


def _measured(case: Case, rounds: int, clock: Callable[[], float]) -> list[Line]:
    rng = np.random.default_rng(0)
    runs = {name: run for name, run in case.variants.items() if run is not None}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    errors = dict.fromkeys(runs, 0.0)
    for turn in range(-2, rounds):
        inputs = case.make(rng)
        for name, run in runs.items():
            own = copy.deepcopy(inputs)
            start = clock()
            result = run(own)
            seconds = clock() - start
            if turn >= 0:
                taken[name].append(1e3 * seconds)
            elif turn == -1:
                errors[name] = case.error(inputs, result)
    return [_line(case, name, taken.get(name), errors.get(name)) for name in case.variants]


def _line(case: Case, name: str, taken: list[float] | None, error: float | None) -> Line:
    if not taken:
        return Line(case.op, name, None, None, None, None, None)
    median = statistics.median(taken)
    return Line(case.op, name, median, min(taken), max(taken), case.traffic / median / 1e6 if median else None, error)
