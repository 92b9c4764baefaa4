"""Overlapping work on a stream of frames: iterators that run ahead in a thread, and a parallel map that keeps order.

The first and third passes are built of these. Both keep the order of the items and hold a bounded number of them, so
the result never depends on timing, and memory does not grow with the length of a clip.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.05


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield ``items`` in order, while a thread takes up to ``depth`` of them from the iterator in advance.

    An exception that the iterator raises is raised here, after the items before it. Closing this generator stops the
    thread and closes the iterator.
    """
    queue: Queue[tuple[T] | BaseException | None] = Queue(depth)
    stop = threading.Event()

    def put(entry: tuple[T] | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                queue.put(entry, timeout=_POLL_SECONDS)
                return True
            except Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item,)):
                    return
            put(None)
        except BaseException as error:  # handed over whole: the consumer decides
            put(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=produce, name="animegen-ahead", daemon=True)
    thread.start()
    try:
        while (entry := queue.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stop.set()
        while thread.is_alive():
            try:
                queue.get_nowait()
            except Empty:
                thread.join(_POLL_SECONDS)


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int, depth: int) -> Generator[R, None, None]:
    """Yield ``function(item)`` in the order of ``items``, computed by ``workers`` threads, at most ``depth`` ahead."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="animegen-map") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` consecutive items; the last one may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
