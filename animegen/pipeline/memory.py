"""Memory that was freed is given back, so that a long clip needs no more than a short one."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Return freed memory to the system, so that no segment carries the gaps that those before left.

    glibc keeps a heap for every thread and gives nothing back from its middle unless it is told to; other C
    libraries have no such call and no such need.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
