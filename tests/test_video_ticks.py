"""The arithmetic of times: nearest ticks, and decoding times for packets that are shown in another order."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.errors import InvalidValue
from animegen.video.ticks import decode_ticks, nearest_tick, reorder_delay, rescale

bases = st.builds(Fraction, st.integers(1, 1001), st.integers(1, 120_000))
risings = st.lists(st.integers(1, 10_000), min_size=1, max_size=60).map(lambda gaps: np.cumsum(gaps, dtype=np.int64))


@given(time=st.fractions(-1000, 1000), base=bases)
def test_nearest_tick_is_within_half_a_tick(time: Fraction, base: Fraction) -> None:
    assert abs(nearest_tick(time, base) * base - time) <= base / 2


@given(ticks=risings, base=bases)
def test_a_time_base_that_can_state_the_times_keeps_them_exactly(ticks: np.ndarray, base: Fraction) -> None:
    assert rescale(ticks, base, base / 3) == (ticks * 3).tolist()


@given(ticks=risings, source=bases, target=bases)
def test_rescaled_ticks_rise_and_do_not_drift(ticks: np.ndarray, source: Fraction, target: Fraction) -> None:
    out = rescale(ticks, source, target)
    assert all(b > a for a, b in itertools.pairwise(out))
    if np.diff(ticks).min(initial=10_000) * source >= target:  # frames no closer than a tick of the target
        assert all(abs(o * target - int(t) * source) <= 1.5 * target for o, t in zip(out, ticks, strict=True))


@st.composite
def decoding_orders(draw: st.DrawFn) -> list[int]:
    """Frames in decoding order as encoders give them: nothing is decoded more than three frames late."""
    count = draw(st.integers(1, 40))
    keys = [i + draw(st.integers(0, 3)) for i in range(count)]
    return sorted(range(count), key=lambda i: (keys[i], -i))


@given(order=decoding_orders(), data=st.data())
def test_decoding_times_rise_and_never_pass_showing_times(order: list[int], data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.integers(1, 500), min_size=len(order), max_size=len(order)))
    pts = np.cumsum(gaps).tolist()
    delay = reorder_delay(order)
    dts = decode_ticks(pts, delay, data.draw(st.integers(delay, delay + 900)))
    assert len(dts) == len(pts)
    assert all(b > a for a, b in itertools.pairwise(dts))
    assert all(d <= pts[shown] for d, shown in zip(dts, order, strict=True))


def test_an_order_that_misses_a_frame_is_refused() -> None:
    with pytest.raises(InvalidValue):
        reorder_delay([0, 2])
