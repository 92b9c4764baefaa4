"""Tracking of drawn walkers: noise, dropouts, crossings. Who is who is known exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.errors import InvalidValue
from animegen.pose.skeletons import BLAZEPOSE33, COCO17
from animegen.protocols import PluginContext, Tracker
from animegen.testing import check_tracker
from animegen.tracking import join_tracks, keep_longest, track_clip
from animegen.tracking.clip import broken, follow, make_track
from animegen.tracking.crossings import undo_swaps
from animegen.tracking.oks import make_tracker
from animegen.tracking.options import OksTrackerOptions
from animegen.types import Pose, Track

# A standing person of height 1 with the middle of the hips at (0, 0), in COCO's point order.
STANDING = np.array(
    [
        (0, -0.42), (0.02, -0.44), (-0.02, -0.44), (0.04, -0.43), (-0.04, -0.43), (0.1, -0.3), (-0.1, -0.3),
        (0.13, -0.15), (-0.13, -0.15), (0.14, -0.01), (-0.14, -0.01), (0.06, 0), (-0.06, 0), (0.06, 0.24),
        (-0.06, 0.24), (0.06, 0.48), (-0.06, 0.48),
    ]
)  # fmt: skip
HEIGHT = 300.0
EXAMPLES = 15
LEFT_OUT = 2
"""Poses that may belong to no track: one who reappears far from where expected is a stranger for a moment."""
AT_CROSSING = 8
"""Poses at the middle of a crossing that may stay with the other: there nobody can say who is who."""
SHADOW = 0.15
"""Nearer than this share of the height, the one behind cannot be seen: a body is about as wide."""


def tracker(**options: float) -> Tracker:
    return make_tracker(OksTrackerOptions(**options), PluginContext())  # type: ignore[arg-type]


def walker(x: float, y: float, step: float, *, height: float = HEIGHT, score: float = 0.8, noise=None) -> Pose:
    """A person with the hips at (x, y); ``step`` is the phase of the stride in radians."""
    xy = STANDING * height
    swing = 0.12 * height * np.sin(step)
    for point, share in ((13, 0.5), (15, 1.0), (8, 0.3), (10, 0.7)):
        xy[point, 0] += share * swing
    for point, share in ((14, 0.5), (16, 1.0), (7, 0.3), (9, 0.7)):
        xy[point, 0] -= share * swing
    xy = xy + (x, y) + (0.0 if noise is None else noise)
    box = np.array([*(xy.min(axis=0) - 0.05 * height), *(xy.max(axis=0) + 0.05 * height)], np.float32)
    return Pose(COCO17, xy.astype(np.float32), np.full(17, score, np.float32), box)


def owners(tracks: list[Track], truth: dict[int, str]) -> list[set[str]]:
    """The people whose poses each track holds."""
    return [{truth[id(pose)] for pose in track.poses} for track in tracks]


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    speed=st.floats(3.0, 12.0),
    apart=st.floats(0.0, 40.0),
    hidden=st.integers(0, 12),
    size=st.floats(0.75, 1.3),
)
def test_two_who_cross_keep_their_tracks(seed: int, speed: float, apart: float, hidden: int, size: float) -> None:
    """The one behind is unseen while in front's shadow and for up to 12 frames; noise and random dropouts besides."""
    random = np.random.default_rng(seed)
    frames, truth = [], {}
    count = 60
    for index in range(count):
        t = index - count / 2
        both = {
            "front": walker(500 + speed * t, 400, 0.5 * index, noise=random.normal(0, 2.5, (17, 2))),
            "behind": walker(
                500 - speed * t, 400 - apart, 0.45 * index, height=size * HEIGHT, noise=random.normal(0, 2.5, (17, 2))
            ),
        }
        if abs(t) <= hidden / 2 or abs(2 * speed * t) < SHADOW * HEIGHT:
            del both["behind"]
        seen = [(who, pose) for who, pose in both.items() if random.random() > 0.08]
        random.shuffle(seen)
        truth |= {id(pose): who for who, pose in seen}
        frames.append((index, [pose for _, pose in seen]))
    tracks = track_clip(frames, tracker)
    assert sorted(map(sorted, owners(tracks, truth))) == [["behind"], ["front"]]
    held = Counter(truth[id(pose)] for track in tracks for pose in track.poses)
    assert (Counter(truth.values()) - held).total() <= LEFT_OUT


class Leftmost:
    """A tracker that counts from the left, and so takes everybody who crosses for the other."""

    def update(self, frame_index: int, poses: Sequence[Pose]) -> list[int | None]:
        ranks = sorted(range(len(poses)), key=lambda i: float(poses[i].bbox[0]))
        return [ranks.index(i) for i in range(len(poses))]


def crossing(truth: dict[int, str], hidden: range) -> list[tuple[int, list[Pose]]]:
    """Two walkers who cross at frame 30; the one behind is not found in the frames of ``hidden``."""
    frames = []
    for index in range(60):
        t = index - 30
        both = {"front": walker(500 + 9 * t, 400, 0.5 * index), "behind": walker(500 - 9 * t, 390, 0.4 * index)}
        if index in hidden:
            del both["behind"]
        truth.update({id(pose): name for name, pose in both.items()})
        frames.append((index, list(both.values())))
    return frames


def look_of(truth: dict[int, str]) -> Callable[[Track, Track], float]:
    """How different two tracks look: the share of the second's poses that are not of who is most of the first."""

    def look(a: Track, b: Track) -> float:
        ((who, _),) = Counter(truth[id(pose)] for pose in a.poses).most_common(1)
        return float(np.mean([truth[id(pose)] != who for pose in b.poses]))

    return look


def strangers(tracks: list[Track], truth: dict[int, str]) -> list[int]:
    """How many poses of each track are not of the person who is most of it."""
    counts = [Counter(truth[id(pose)] for pose in track.poses) for track in tracks]
    return [count.total() - max(count.values()) for count in counts]


@pytest.mark.parametrize("hidden", [range(0), range(28, 34)])
def test_looks_undo_a_swap(hidden: range) -> None:
    truth: dict[int, str] = {}
    followed = follow(crossing(truth, hidden), Leftmost())
    assert max(strangers(followed, truth)) > 20
    undone = undo_swaps(followed, look_of(truth))
    assert sum(len(track.poses) for track in undone) == sum(len(track.poses) for track in followed)
    assert max(strangers(undone, truth)) <= AT_CROSSING
    assert undo_swaps(followed, lambda a, b: 0.3) == followed  # looks that tell nothing change nothing


def test_a_tail_goes_to_whom_it_looks_like() -> None:
    """The one in front was lost at the crossing, and the other's track went on upon that body."""
    truth: dict[int, str] = {}
    frames = dict(crossing(truth, range(0)))
    front = {i: poses[0] for i, poses in frames.items()}
    behind = {i: poses[1] for i, poses in frames.items()}
    lost = make_track(0, [(i, front[i]) for i in range(29)])
    mixed = make_track(1, [(i, behind[i] if i < 29 else front[i]) for i in range(60)])
    undone = undo_swaps([lost, mixed], look_of(truth))
    assert strangers(undone, truth) == [0, 0]
    assert [len(track.poses) for track in undone] == [60, 29]


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), people=st.integers(1, 6))
def test_a_crowd_walking_about_keeps_its_tracks(seed: int, people: int) -> None:
    random = np.random.default_rng(seed)
    start = random.permutation(people) * 260.0 + 150
    pace = random.uniform(-5, 5, people)
    frames, truth = [], {}
    for index in range(50):
        poses = []
        for who in range(people):
            noise = random.normal(0, 2, (17, 2))
            pose = walker(start[who] + pace[who] * index, 300 + 60 * who, index / 3 + who, noise=noise)
            if random.random() > 0.1:
                truth[id(pose)] = str(who)
                poses.append(pose)
        frames.append((index, poses))
    found = owners(track_clip(frames, tracker), truth)
    assert sorted(map(sorted, found)) == [[str(who)] for who in range(people)]


def test_first_frames_are_unconfirmed_live_and_kept_in_a_clip() -> None:
    frames = [(i, [walker(300 + 4 * i, 300, i / 3)]) for i in range(10)]
    live = tracker(confirm_hits=3)
    assert [live.update(index, poses) for index, poses in frames[:4]] == [[None], [None], [0], [0]]
    (track,) = track_clip(frames, lambda: tracker(confirm_hits=3))
    assert track.frame_indices == tuple(range(10))


def test_a_very_sure_person_is_confirmed_at_once() -> None:
    assert tracker().update(0, [walker(300, 300, 0, score=0.95)]) == [0]


def test_one_frame_is_a_clip() -> None:
    (track,) = track_clip([(7, [walker(300, 300, 0)])], lambda: tracker(confirm_hits=1))
    assert track.frame_indices == (7,)


def test_weak_short_poses_and_second_findings_are_no_people() -> None:
    frames = []
    for index in range(40):
        poses = [walker(300 + 3 * index, 300, index / 3)]
        if index % 2:  # the same person found twice, a little off
            poses.append(walker(308 + 3 * index, 304, index / 3, score=0.7))
        if 10 <= index < 14:
            poses.append(walker(900, 300, 0, score=0.55, height=120))
        frames.append((index, poses))
    (track,) = track_clip(frames, tracker)
    assert len(track.poses) == 40


def test_left_and_right_exchanged_is_the_same_person() -> None:
    def turned(pose: Pose) -> Pose:
        order = list(range(17))
        for a, b in COCO17.flip_pairs:
            order[a], order[b] = b, a
        return Pose(COCO17, pose.xy[order], pose.score, pose.bbox)

    poses = [walker(300 + 2 * i, 300, i / 3) for i in range(30)]
    frames = [(i, [turned(pose) if i >= 15 else pose]) for i, pose in enumerate(poses)]
    (track,) = track_clip(frames, tracker)
    assert len(track.poses) == 30


def broken_in_two(gap: int) -> list[Track]:
    def piece(track_id: int, frames: range) -> Track:
        return Track(track_id, tuple(frames), tuple(walker(300 + 3 * i, 300, i / 3) for i in frames))

    return [piece(0, range(0, 20)), piece(1, range(20 + gap, 60 + gap))]


def test_pieces_join_by_motion_and_not_against_looks() -> None:
    pieces = broken_in_two(gap=30)
    assert len(join_tracks(pieces)) == 1
    assert len(join_tracks(pieces, appearance=lambda a, b: 0.9)) == 2
    assert len(join_tracks(pieces, appearance=lambda a, b: None)) == 1


def test_pieces_far_apart_join_by_looks_only() -> None:
    pieces = broken_in_two(gap=400)
    assert len(join_tracks(pieces)) == 2
    (joined,) = join_tracks(pieces, appearance=lambda a, b: 0.05)
    assert joined.frame_indices == pieces[0].frame_indices + pieces[1].frame_indices


def cut_between(truth: dict[int, str]) -> list[tuple[int, list[Pose]]]:
    """Two who walk on the spot; after the cut before frame 30 each stands where the other stood."""
    frames = []
    for index in range(60):
        places = (300, 700) if index < 30 else (700, 300)
        both = {name: walker(x, 400, 0.4 * index) for name, x in zip(("a", "b"), places, strict=True)}
        truth.update({id(pose): name for name, pose in both.items()})
        frames.append((index, list(both.values())))
    return frames


def test_after_a_cut_people_are_found_again_by_looks_and_never_by_place() -> None:
    truth: dict[int, str] = {}
    frames = cut_between(truth)
    shots = [range(30), range(30, 60)]
    whole = track_clip(frames, tracker, shots=shots, width=1000, appearance=look_of(truth))
    assert [len(track.poses) for track in whole] == [60, 60]
    assert strangers(whole, truth) == [0, 0]
    apart = track_clip(frames, tracker, shots=shots, width=1000)
    assert [len(track.poses) for track in apart] == [30, 30, 30, 30]
    assert strangers(apart, truth) == [0, 0, 0, 0]
    # without knowing of the cut, places win
    assert max(strangers(track_clip(frames, tracker, width=1000), truth)) == 30


def test_a_track_is_broken_where_somebody_was_absent_for_long() -> None:
    track = make_track(3, [(i, walker(300, 300, 0)) for i in (*range(10), *range(15, 20), *range(60, 70))])
    assert [piece.frame_indices for piece in broken([track])] == [
        (*range(10), *range(15, 20)),
        tuple(range(60, 70)),
    ]


def test_a_person_who_takes_over_anothers_track_while_that_one_is_away_is_told_by_looks() -> None:
    """One leaves; half a minute later somebody else stands there: a tracker's long memory joins the two."""
    truth: dict[int, str] = {}
    frames = []
    for index in range(120):
        who = "a" if index < 40 else "b"
        pose = walker(500 + 2 * index, 400, 0.4 * index)
        truth[id(pose)] = who
        frames.append((index, [pose] if index < 40 or index >= 75 else []))
    tracks = track_clip(frames, tracker, width=1000, appearance=look_of(truth))
    assert strangers(tracks, truth) == [0, 0]


def test_joined_looks_are_the_mean_of_their_parts() -> None:
    """No track is described again when it grows: only pieces that were there at first are ever compared."""
    pieces = [
        Track(n, tuple(range(400 * n, 400 * n + 20)), tuple(walker(300, 300, i / 3) for i in range(20)))
        for n in range(4)
    ]
    asked = []

    def look(a: Track, b: Track) -> float:
        asked.append((len(a.poses), len(b.poses)))
        return 0.05

    (joined,) = join_tracks(pieces, appearance=look)
    assert len(joined.poses) == 80
    assert set(asked) == {(20, 20)}
    assert len(asked) == 6


def test_people_visible_at_once_never_join() -> None:
    frames = tuple(range(20))
    pair = [Track(n, frames, tuple(walker(300 + 5 * n, 300, i / 3) for i in frames)) for n in range(2)]
    assert len(join_tracks(pair, appearance=lambda a, b: 0.0)) == 2


def test_keep_longest_keeps_order_and_ids() -> None:
    lengths = (3, 9, 5)
    tracks = [Track(n, tuple(range(k)), (walker(0, 0, 0),) * k) for n, k in enumerate(lengths)]
    assert [t.id for t in keep_longest(tracks, 2)] == [1, 2]
    assert keep_longest(tracks, 9) == tracks


def test_bad_calls_name_the_value() -> None:
    live = tracker()
    live.update(5, [walker(0, 0, 0)])
    with pytest.raises(InvalidValue, match="got 5 after 5"):
        live.update(5, [])
    other = Pose(BLAZEPOSE33, np.zeros((33, 2), np.float32), np.ones(33, np.float32), np.ones(4, np.float32))
    with pytest.raises(InvalidValue, match="blazepose33 and coco17"):
        live.update(6, [other])
    with pytest.raises(InvalidValue, match=r"confident must be 0\.\.1, got 2"):
        OksTrackerOptions(confident=2)


def test_poses_that_stand_alone_between_long_absences_are_left_out() -> None:
    """What a backend makes of someone fully hidden: a pose or two somewhere near."""
    seen = [*range(20), 30, 31, *range(41, 70)]
    frames = [(i, [walker(300 + 2 * i, 300, i / 3)] if i in seen else []) for i in range(70)]
    (track,) = track_clip(frames, tracker)
    assert track.frame_indices == (*range(20), *range(41, 70))


def test_the_contract() -> None:
    check_tracker(tracker)
