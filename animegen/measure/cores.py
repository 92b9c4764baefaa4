"""How many processor cores there are to use; imports nothing heavy."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
