"""How fast the ops are beside what users would take instead, and how exact: every case in turns, on fresh inputs.

On the CPU times are those of the processor (core-milliseconds); on a GPU they are between events.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from animegen.measure.timing import Stopwatch, core_seconds

Variant: TypeAlias = Callable[[Any], Any] | str
"""What takes inputs and gives a result; or why it cannot be had here."""

NOT_ASKED = "--no-compile"
"""Why there is nothing of torch.compile."""


@dataclass(frozen=True, slots=True)
class Case:
    """One op at one size.

    ``make`` draws fresh inputs; each of the ``variants`` takes them and returns when the result is there, or on a GPU
    when it is queued; ``error`` is the largest difference of a result from float64, in the result's units.
    ``traffic``: bytes that must be read and written at the least.
    """

    op: str
    traffic: int
    make: Callable[[np.random.Generator], Any]
    variants: Mapping[str, Variant]
    error: Callable[[Any, Any], float]


@dataclass(frozen=True, slots=True)
class Line:
    """What one variant of one case took: milliseconds over the rounds, and its error. None: not measured, and why."""

    op: str
    variant: str
    median: float | None
    least: float | None
    most: float | None
    gbytes: float | None
    error: float | None
    reason: str = ""


def measured(cases: Iterable[Case], rounds: int, stopwatch: Stopwatch = core_seconds) -> list[Line]:
    """Time every variant of every case once a round, on fresh inputs, after two rounds that do not count."""
    return [line for case in cases for line in _measured(case, rounds, stopwatch)]


def _measured(case: Case, rounds: int, stopwatch: Stopwatch) -> list[Line]:
    rng = np.random.default_rng(0)
    runs = {name: run for name, run in case.variants.items() if not isinstance(run, str)}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    errors = {}
    for turn in range(-2, rounds):
        inputs = case.make(rng)
        for name, run in runs.items():
            own = copy.deepcopy(inputs)
            if turn == -1:
                errors[name] = case.error(inputs, run(own))
                continue
            seconds = stopwatch(partial(run, own))
            if turn >= 0:
                taken[name].append(1e3 * seconds)
    return [
        Line(case.op, name, None, None, None, None, None, variant)
        if isinstance(variant, str)
        else _line(case, name, taken[name], errors[name])
        for name, variant in case.variants.items()
    ]


def _line(case: Case, name: str, taken: list[float], error: float) -> Line:
    median = statistics.median(taken)
    return Line(case.op, name, median, min(taken), max(taken), case.traffic / median / 1e6 if median else None, error)
