"""Time on a GPU, where work is queued: between two events on the stream that it is queued on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from animegen.measure.timing import Stopwatch, wall_seconds

RUNS = 10
"""Runs in a row between two events: launches of one overlap the work of the one before, as they do in use."""


def gpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of one of :data:`RUNS` runs of what queues work on the current stream."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(RUNS):
        work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3 / RUNS


def stopwatch(device: str, otherwise: Stopwatch = wall_seconds) -> Stopwatch:
    """What times work on a device: events on a GPU, else ``otherwise``."""
    return gpu_seconds if device == "cuda" else otherwise
