"""Memory that was freed serves again or is given back, so that a long clip needs no more than a short one.

Both calls are glibc's; other C libraries have no such calls and no such need.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of ``malloc.h``: how many heaps glibc keeps."""

_ITEMS = 8
"""Pictures after which freed memory is returned: seldom enough to cost a millisecond a picture at most."""


def share_one_heap() -> None:
    """Let all threads that start from now on allocate from one heap.

    glibc gives every thread a heap of its own, and frames pass from thread to thread: each heap would grow to the
    most that any stage ever held, though they never hold it at once.
    """
    _glibc("mallopt", _ARENA_MAX, 1)


def give_back_memory() -> None:
    """Return freed memory to the system, so that nothing carries the gaps that what came before it left."""
    _glibc("malloc_trim", 0)


def giving_back(items: Iterable[T]) -> Iterator[T]:
    """The items unchanged; freed memory is returned after every :data:`_ITEMS` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _ITEMS == 0:
            give_back_memory()


def _glibc(name: str, *arguments: Any) -> None:
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*arguments)
