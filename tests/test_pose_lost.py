"""When the pose fails: gaps, doubtful poses, the picture's edge, and what is said of every such frame."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.config import ON_LOST, ConvertConfig, OnLost
from animegen.errors import InvalidValue
from animegen.pose.lift import lift_track
from animegen.pose.limbs import MID_SHOULDER
from animegen.pose.lost import LostSpan, Presence, doubtful, fill_gaps, presence, trusted
from animegen.pose.smooth import smooth_track
from animegen.testing.synthetic import synthetic_pose
from animegen.types import Mask, Pose, Track

SIZE = (640, 480)
RATE = Fraction(10)
SHOT = range(0, 60)
GAP, FADE, EDGE, HOLD, REMOVED = 5, 2, 15, 20, 20
"""The module's times in frames at this rate."""

STEADY, PLACE = 1.06, 0.03
"""How much a body may grow and shrink of which half is seen, and be out of place, in heights: less than is noticed."""

EXACT = 1e-3
"""Pixels: float32 positions of some hundred pixels."""


def at(x: float, y: float = 400.0, score: float = 0.9) -> Pose:
    return synthetic_pose(feet=(x, y), height=200.0, score=score)


def walker(frames: list[int], start: float = 300.0, pace: float = 0.0) -> Track:
    return Track(3, tuple(frames), tuple(at(start + pace * frame) for frame in frames))


def seen(
    track: Track, on_lost: OnLost = "interpolate", why: dict[int, str] | None = None, shot: range = SHOT
) -> Presence:
    return presence(track, why or {}, shot=shot, size=SIZE, rate=RATE, on_lost=on_lost)


def middle(pose: Pose) -> float:
    return float(pose.bbox[[0, 2]].mean())


def by_frame(person: Presence) -> dict[int, tuple[float, bool]]:
    return {
        index: (opacity, shown)
        for index, opacity, shown in zip(person.track.frame_indices, person.opacity, person.shown, strict=True)
    }


def test_short_gaps_are_interpolated_and_long_ones_left() -> None:
    filled = fill_gaps(walker([0, 3, 12], pace=10.0), 2, "interpolate")
    assert filled.frame_indices == (0, 1, 2, 3, 12)
    assert [middle(pose) for pose in filled.poses[:4]] == pytest.approx([300, 310, 320, 330], abs=EXACT)
    assert filled.poses[1].mask is None


def test_a_held_pose_stays_where_it_was() -> None:
    filled = fill_gaps(walker([0, 3], pace=10.0), 2, "hold")
    assert [middle(pose) for pose in filled.poses] == pytest.approx([300, 300, 300, 330], abs=EXACT)


def test_who_is_lost_in_the_picture_fades_and_stays_removed_for_a_while() -> None:
    person = seen(walker(list(range(20, 31))))
    drawn = by_frame(person)
    assert [drawn[index][0] for index in (30, 31, 32, 33)] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert [drawn[index][0] for index in (20, 19, 18, 17)] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert person.track.frame_indices == tuple(range(0, 30 + FADE + REMOVED + 1))
    assert person.spans[-2:] == (LostSpan(31, 32, "unseen", "faded"), LostSpan(33, 52, "unseen", "removed"))
    assert not any(person.shown)


def test_who_walks_out_of_the_picture_is_carried_to_the_edge_and_does_not_fade() -> None:
    person = seen(walker(list(range(10, 21)), start=200.0, pace=20.0))  # the right edge is reached in frame 20
    after = [i for i, index in enumerate(person.track.frame_indices) if index > 20]
    assert {person.opacity[i] for i in after} == {1.0}
    assert [middle(person.track.poses[i]) for i in after] == pytest.approx([620, 640, 660, 680], abs=EXACT)
    assert person.track.poses[-1].bbox[0] < SIZE[0] <= person.track.poses[-1].bbox[0] + 20
    assert person.spans[-1].why == "edge"
    assert person.spans[-1].done == "carried"


def test_who_would_be_out_of_the_picture_before_fading_does_not_fade() -> None:
    person = seen(walker(list(range(10, 19)), start=200.0, pace=20.0))  # the edge is 40 pixels away when lost
    assert {
        opacity for index, opacity in zip(person.track.frame_indices, person.opacity, strict=True) if index > 18
    } == {1}
    assert person.spans[-1].done == "carried"


def test_who_stands_at_the_edge_fades_as_anybody() -> None:
    person = seen(walker(list(range(10, 21)), start=610.0))
    assert person.spans[-2:] == (LostSpan(21, 22, "unseen", "faded"), LostSpan(23, 42, "unseen", "removed"))


def test_who_is_found_just_after_the_start_was_there_from_the_start() -> None:
    drawn = by_frame(seen(walker(list(range(4, 58)))))
    assert {drawn[index] for index in SHOT} == {(1.0, False)}


@pytest.mark.parametrize(
    ("on_lost", "opacity", "shown", "done"),
    [
        ("interpolate", [1, 1, 1, 1], False, "interpolated"),
        ("hold", [1, 1, 1, 1], False, "held"),
        ("fade", [2 / 3, 1 / 3, 1 / 3, 2 / 3], False, "faded"),
        ("source", [2 / 3, 1 / 3, 1 / 3, 2 / 3], True, "source"),
    ],
)
def test_each_way_with_a_short_gap(on_lost: OnLost, opacity: list[float], shown: bool, done: str) -> None:
    track = fill_gaps(walker([*range(0, 30), *range(34, 60)]), GAP, on_lost)
    person = seen(track, on_lost, dict.fromkeys(range(30, 34), "unseen"))
    drawn = by_frame(person)
    assert [drawn[index][0] for index in range(30, 34)] == pytest.approx(opacity)
    assert {drawn[index][1] for index in range(30, 34)} == {shown}
    assert person.spans == (LostSpan(30, 33, "unseen", done),)


def test_a_held_person_is_held_for_a_while_and_then_fades() -> None:
    person = seen(walker(list(range(0, 11)), pace=3.0), "hold", shot=range(0, 100))
    drawn = dict(zip(person.track.frame_indices, zip(person.track.poses, person.opacity, strict=True), strict=True))
    assert all(drawn[index][1] == 1.0 for index in range(11, 11 + HOLD))
    assert {middle(drawn[index][0]) for index in range(11, 11 + HOLD)} == {middle(drawn[10][0])}
    assert drawn[11 + HOLD + FADE][1] == 0.0


def test_only_source_shows_the_person() -> None:
    for on_lost in ON_LOST:
        person = seen(walker(list(range(20, 31))), on_lost)
        assert any(person.shown) == (on_lost == "source")
    assert ConvertConfig().on_lost == "interpolate"
    with pytest.raises(InvalidValue, match="on_lost"):
        ConvertConfig(on_lost="vanish")  # type: ignore[arg-type]


def test_half_a_body_that_comes_in_is_doubtful_and_takes_the_shape_of_the_whole() -> None:
    whole, half = [at(300.0 + 4 * frame) for frame in range(10)], at(250.0, 430.0, 0.6)
    track = Track(0, tuple(range(10)), (half, *whole[1:]))
    doubts = doubtful(track, [0.7, *[0.98] * 9], RATE)
    assert doubts == {0}
    put = trusted(track, doubts).poses[0]
    assert np.ptp(put.xy, axis=0) == pytest.approx(np.ptp(whole[1].xy, axis=0), abs=EXACT)
    assert np.median(put.xy - half.xy, axis=0) == pytest.approx([0, 0], abs=EXACT)


def test_a_weak_pose_inside_a_run_is_doubtful_and_a_weak_run_is_all_there_is() -> None:
    track = walker(list(range(9)))
    assert doubtful(track, [0.9, 0.9, 0.9, 0.9, 0.3, 0.9, 0.9, 0.9, 0.9], RATE) == {4}
    assert doubtful(track, [0.3] * 9, RATE) == frozenset()
    assert trusted(track, frozenset()) is track


def _turned(degrees: float) -> Pose:
    """Somebody of the given facing: 0 to the viewer, 180 away."""
    front, side = at(300.0), synthetic_pose(feet=(300.0, 400.0), height=200.0, facing="left")
    assert front.z is not None
    assert side.z is not None
    share, depth = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    xy = np.stack([300 + share * (front.xy[:, 0] - 300) + depth * (side.xy[:, 0] - 300), front.xy[:, 1]], axis=1)
    return replace(front, xy=xy.astype(np.float32), z=(share * front.z + depth * side.z).astype(np.float32))


def test_a_body_squashed_for_a_moment_is_doubtful_and_one_that_turns_is_not() -> None:
    back = [_turned(180.0) for _ in range(12)]
    flat = replace(
        back[5], xy=np.array([300, 0], np.float32) + back[5].xy * np.float32([0, 1]), z=np.zeros(33, np.float32)
    )
    squashed = Track(0, tuple(range(12)), (*back[:5], flat, *back[6:]))
    assert doubtful(squashed, [0.9] * 12, RATE) == {5}
    turning = Track(0, tuple(range(12)), tuple(_turned(180.0 * min(max(i - 3, 0), 4) / 4) for i in range(12)))
    assert doubtful(turning, [0.9] * 12, RATE) == frozenset()


def test_who_is_carried_on_keeps_the_silhouette() -> None:
    mask = Mask(np.full((4, 4), 255, np.uint8), np.array([[10.0, 0, 300], [0, 10.0, 200]]))
    track = walker(list(range(10, 21)), start=200.0, pace=20.0)
    track = replace(track, poses=(*track.poses[:-1], replace(track.poses[-1], mask=mask)))
    carried = seen(track).track.poses[-1].mask
    assert carried is not None
    assert (carried.alpha >= mask.alpha).all()
    assert carried.affine[0, 2] > mask.affine[0, 2]


@pytest.mark.parametrize("edge", ["left", "bottom"])
def test_who_is_half_out_of_the_picture_keeps_size_and_place(edge: str) -> None:
    poses = []
    for frame in range(60):
        out = 100.0 * np.sin(np.pi * frame / 59) ** 2  # as far as the middle of the body, and back
        pose = at(100.0 - out, 400.0) if edge == "left" else at(300.0, 440.0 + out)
        outside = pose.xy[:, 0] < 0 if edge == "left" else pose.xy[:, 1] > SIZE[1]
        poses.append(replace(pose, score=np.where(outside, np.float32(0), pose.score)))
    lifted = lift_track(smooth_track(Track(0, tuple(range(60)), tuple(poses)), 30))
    height = lifted.lengths.height
    assert height.max() <= STEADY * height.min()
    middle_of_body = lifted.joints[:, MID_SHOULDER, :2] - [pose.xy[[11, 12]].mean(axis=0) for pose in poses]
    assert np.abs(middle_of_body).max() <= PLACE * 200.0


@settings(deadline=None, max_examples=60)
@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=40),
    st.sampled_from(ON_LOST),
    st.floats(-30, 30),
    st.floats(0, 640),
)
def test_every_frame_is_found_or_accounted_for(frames: set[int], on_lost: OnLost, pace: float, start: float) -> None:
    track = fill_gaps(walker(sorted(frames), start, pace), GAP, on_lost)
    why = dict.fromkeys(set(track.frame_indices) - frames, "unseen")
    person = seen(track, on_lost, why)
    told = [index for span in person.spans for index in range(span.first, span.last + 1)]
    assert len(told) == len(set(told))
    first, last = person.track.frame_indices[0], person.track.frame_indices[-1]
    assert sorted([*told, *frames]) == list(range(first, last + 1))
    assert set(range(first, last + 1)) <= set(SHOT)
    there = dict(zip(person.track.frame_indices, person.track.poses, strict=True))
    assert all(there[index] is pose for index, pose in zip(track.frame_indices, track.poses, strict=True))
    assert all(0 <= opacity <= 1 for opacity in person.opacity)
    assert all(by_frame(person)[index] == (1.0, False) for index in frames)
