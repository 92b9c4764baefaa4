"""People hidden behind others are kept where they must be. The people are drawn, so their places are known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.pose.skeletons import COCO17
from animegen.tracking import fill_hidden
from animegen.tracking.clip import make_track
from animegen.types import Pose, Track

SHAPE = np.array(
    [
        (0, -0.42), (0.02, -0.44), (-0.02, -0.44), (0.04, -0.43), (-0.04, -0.43), (0.1, -0.3), (-0.1, -0.3),
        (0.13, -0.15), (-0.13, -0.15), (0.14, -0.01), (-0.14, -0.01), (0.06, 0), (-0.06, 0), (0.06, 0.24),
        (-0.06, 0.24), (0.06, 0.48), (-0.06, 0.48),
    ]
)  # fmt: skip
HEIGHT = 300.0
EXAMPLES = 20
MOST = 90


def pose(x: float, height: float = HEIGHT) -> Pose:
    xy = SHAPE * height + (x, 200.0)
    box = np.concatenate([xy.min(axis=0), xy.max(axis=0)])
    return Pose(COCO17, xy.astype(np.float32), np.full(17, 0.8, np.float32), box.astype(np.float32))


def standing(frames: Iterable[int], x: float, track: int = 0) -> Track:
    return make_track(track, [(frame, pose(x)) for frame in frames])


def x_of(track: Track, frame: int) -> float:
    return float(np.median(track.poses[track.frame_indices.index(frame)].xy[:, 0]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(gap=st.integers(1, MOST), pace=st.floats(-3.0, 3.0), beside=st.floats(-40.0, 40.0))
def test_who_is_lost_behind_somebody_stays_between_there_and_behind(gap: int, pace: float, beside: float) -> None:
    front = make_track(0, [(frame, pose(400 + pace * frame)) for frame in range(gap + 40)])
    seen = [*range(20), *range(20 + gap, gap + 40)]
    lost = make_track(1, [(frame, pose(400 + pace * frame + beside)) for frame in seen])
    (same, nobody), (whole, fronts) = fill_hidden([front, lost], MOST)
    assert (same.frame_indices, nobody) == (front.frame_indices, {})
    assert whole.frame_indices == tuple(range(gap + 40))
    assert fronts == dict.fromkeys(range(20, 20 + gap), 0)
    for frame in range(20, 20 + gap):
        away = x_of(whole, frame) - x_of(front, frame)
        assert min(0.0, beside) - 0.01 <= away <= max(0.0, beside) + 0.01  # float32 coordinates


def test_nobody_is_put_where_no_one_stands_in_front() -> None:
    lost = standing([*range(20), *range(60, 80)], 400.0, 1)
    far, gone = standing(range(80), 900.0), standing(range(30), 400.0)
    for other in (far, gone):
        (_, _), (kept, fronts) = fill_hidden([other, lost], MOST)
        assert (kept.frame_indices, fronts) == (lost.frame_indices, {})


def test_nobody_is_hidden_for_longer_than_asked() -> None:
    lost = standing([*range(20), *range(61, 80)], 400.0, 1)
    assert len(fill_hidden([standing(range(80), 400.0), lost], 40)[1][0].poses) == len(lost.poses)
    assert len(fill_hidden([standing(range(80), 400.0), lost], 41)[1][0].poses) == 80


def test_stunted_bodies_beside_an_absence_are_replaced() -> None:
    seen = [*range(20), *range(60, 80)]
    lost = make_track(1, [(frame, pose(400, 120.0 if 16 <= frame < 64 else HEIGHT)) for frame in seen])
    whole, fronts = fill_hidden([standing(range(80), 400.0), lost], MOST)[1]
    assert sorted(fronts) == list(range(16, 64))
    heights = [float(np.ptp(one.xy[:, 1])) for one in whole.poses]
    assert min(heights) > 0.9 * max(heights)  # the shape itself is 0.92 of its height tall at every size
