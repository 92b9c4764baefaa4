"""How many threads OpenCV takes for one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


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
