"""Threads: OpenCV's own, and ours over independent pieces of one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 2
"""More gain little, the pieces being bound by memory, and each thread holds several pictures."""


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``[function(item) for item in items]``, computed in a few threads; for work that releases the interpreter."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="animegen-composite") as pool:
        return list(pool.map(function, items))


@contextmanager
def one_thread_per_call() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own while several of ours already call it.

    The number is OpenCV's, one for the whole process; it is put back on leaving. Serves as a decorator too.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
