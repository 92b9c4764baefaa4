"""Overlapping stages: order, bounded look-ahead, and failures at their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.config import SEGMENT_FRAMES
from animegen.pipeline.flow import ahead, batched, ordered_map
from animegen.pipeline.run import segments_of


@given(st.lists(st.integers(), max_size=40), st.integers(1, 5))
def test_ahead_yields_the_same_items_in_order(items: list[int], depth: int) -> None:
    assert list(ahead(items, depth)) == items


@given(st.lists(st.integers(), max_size=40), st.integers(1, 4), st.integers(1, 6))
def test_ordered_map_keeps_the_order(items: list[int], workers: int, depth: int) -> None:
    assert list(ordered_map(lambda x: x * 2, items, workers, depth)) == [x * 2 for x in items]


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_batches_hold_every_item_once(items: list[int], size: int) -> None:
    batches = list(batched(items, size))
    assert [x for batch in batches for x in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])


def test_ahead_never_holds_more_than_its_depth() -> None:
    produced = 0
    depth = 3

    def numbers() -> Iterator[int]:
        nonlocal produced
        for number in range(50):
            produced = number + 1
            yield number

    for taken, _ in enumerate(ahead(numbers(), depth), start=1):
        # beside the queue, one item may be on its way in
        assert produced <= taken + depth + 1


def test_a_failure_comes_after_the_items_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise RuntimeError("the source broke")

    taken = []
    with pytest.raises(RuntimeError, match="the source broke"):
        taken.extend(ahead(numbers(), 2))
    stream = ahead(numbers(), 2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="the source broke"):
        next(stream)


def test_closing_stops_the_producer_and_its_thread() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    stream = ahead(numbers(), 2)
    assert next(stream) == 0
    stream.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "animegen-ahead"]


@given(st.integers(0, 1000), st.integers(1, 5000))
def test_segments_cover_the_range_evenly(start: int, count: int) -> None:
    segments = segments_of(start, start + count)
    assert segments[0].start == start
    assert segments[-1].stop == start + count
    assert all(a.stop == b.start for a, b in pairwise(segments))
    lengths = {len(segment) for segment in segments}
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= 1.5 * SEGMENT_FRAMES
