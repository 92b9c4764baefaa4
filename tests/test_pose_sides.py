from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.pose.convert import convert_pose
from animegen.pose.sides import repair_sides
from animegen.pose.skeletons import BLAZEPOSE33, COCO17, SKELETONS
from animegen.protocols import PluginContext
from animegen.types import Pose, Skeleton, Track

WIDTH = 1024.0
"""A mirror's width: a power of two, and positions in whole pixels, so that mirroring is exact in float32."""

SEEDS = st.integers(0, 2**32 - 1)
SKELETON = st.sampled_from(sorted(SKELETONS))

# Metres from the middle of the hips: across to the person's left, up, and forwards. A right point mirrors its left one.
FIGURE = {
    "nose": (0.0, 0.66, 0.1),
    "left_eye": (0.035, 0.69, 0.08),
    "left_ear": (0.075, 0.67, 0.0),
    "left_shoulder": (0.18, 0.5, 0.0),
    "left_elbow": (0.25, 0.22, -0.02),
    "left_wrist": (0.28, -0.02, 0.05),
    "left_hip": (0.1, 0.0, 0.0),
    "left_knee": (0.1, -0.42, 0.02),
    "left_ankle": (0.1, -0.84, -0.02),
}
LEGS = ("knee", "ankle", "toe", "heel", "foot")


def body(turn: float = 0.0, step: float = 0.0) -> Pose:
    """A person of 400 pixels, turned by ``turn`` radians from facing the camera, the left leg ``step`` m in front."""
    points = []
    for name in COCO17.points:
        across, up, front = FIGURE[name.replace("right", "left")]
        side = -1 if "right" in name else 1
        if name.endswith(("knee", "ankle")):
            front += side * step * -up
        across *= side
        x, z = across * np.cos(turn) + front * np.sin(turn), across * np.sin(turn) - front * np.cos(turn)
        points.append((500 + 250 * x, 300 - 250 * up, 250 * z))
    place = np.array(points, np.float32)
    box = np.array([400, 120, 600, 520], np.float32)
    return Pose(COCO17, place[:, :2], np.full(17, 0.9, np.float32), box, place[:, 2])


def film(poses: list[Pose], frames: list[int] | None = None) -> Track:
    return Track(3, tuple(frames or range(len(poses))), tuple(poses))


def wandering(seed: int, count: int, skeleton: Skeleton) -> Track:
    """A person who faces some way and whose points walk at random."""
    rng = np.random.default_rng(seed)
    start = convert_pose(body(rng.choice([0, np.pi]) + rng.uniform(-0.6, 0.6)), skeleton)
    whole = np.cumsum(rng.normal(0, 8, (count, 1, 2)), axis=0)
    walk = whole + np.cumsum(rng.normal(0, 0.8, (count, len(skeleton), 2)), axis=0)
    depth = None if rng.random() < 0.3 else np.cumsum(rng.normal(0, 2, (count, len(skeleton))), axis=0)
    return film(
        [
            replace(
                start,
                xy=np.round(start.xy + walk[i]).astype(np.float32),
                score=np.where(start.score > 0, rng.uniform(0.5, 1, len(skeleton)), 0).astype(np.float32),
                z=None if depth is None or start.z is None else (start.z + depth[i]).astype(np.float32),
            )
            for i in range(count)
        ]
    )


def exchanged(pose: Pose, only: Callable[[str], bool] = lambda name: True) -> Pose:
    """The pose with left and right exchanged."""
    order = np.arange(len(pose.skeleton))
    for a, b in pose.skeleton.flip_pairs:
        if only(pose.skeleton.points[a]):
            order[[a, b]] = b, a
    return replace(pose, xy=pose.xy[order], score=pose.score[order], z=None if pose.z is None else pose.z[order])


def mistaken(track: Track, frames: set[int], only: Callable[[str], bool] = lambda name: True) -> Track:
    poses = [exchanged(pose, only) if i in frames else pose for i, pose in enumerate(track.poses)]
    return Track(track.id, track.frame_indices, tuple(poses))


def same_place(a: Track, b: Track) -> bool:
    return a.frame_indices == b.frame_indices and all(
        np.array_equal(p.xy, q.xy) and np.array_equal(p.score, q.score) and np.array_equal(p.bbox, q.bbox)
        for p, q in zip(a.poses, b.poses, strict=True)
    )


def is_leg(name: str) -> bool:
    return any(word in name for word in LEGS)


@st.composite
def runs(draw: st.DrawFn, count: int) -> set[int]:
    """Runs of frames that together are less than half of the clip."""
    starts = draw(st.lists(st.integers(0, count - 1), max_size=4))
    lengths = draw(st.lists(st.integers(1, count // 10), min_size=len(starts), max_size=len(starts)))
    return {i for start, length in zip(starts, lengths, strict=True) for i in range(start, min(start + length, count))}


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, frames=runs(50), name=SKELETON)
def test_exchanged_runs_come_back(seed: int, frames: set[int], name: str) -> None:
    track = wandering(seed, 50, SKELETONS[name])
    repaired = repair_sides(mistaken(track, frames))
    assert same_place(repaired, track)
    assert all(repaired.poses[i] is track.poses[i] for i in range(50) if i not in frames)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, frames=runs(50))
def test_legs_exchanged_alone_come_back(seed: int, frames: set[int]) -> None:
    track = wandering(seed, 50, COCO17)
    assert same_place(repair_sides(mistaken(track, frames, is_leg)), track)


@settings(max_examples=30, deadline=None)
@given(start=st.floats(0, 6.3), degrees=st.floats(-1, 1), pace=st.floats(0.2, 0.5), flat=st.booleans(), name=SKELETON)
def test_who_turns_round_and_walks_stays(start: float, degrees: float, pace: float, flat: bool, name: str) -> None:
    fastest = 20 if flat else 35  # degrees a frame: without depth, faster turns cannot be told from exchanges
    poses = []
    for i in range(60):
        pose = body(start + np.radians(fastest * degrees) * min(max(i - 15, 0), 30), 0.3 * np.sin(pace * i))
        poses.append(convert_pose(replace(pose, z=None) if flat else pose, SKELETONS[name]))
    track = film(poses)
    assert repair_sides(track) is track


@pytest.mark.parametrize("degrees", [-30, -12, 12, 30])
def test_exchanges_during_a_turn_come_back(degrees: float) -> None:
    track = film([body(np.radians(degrees) * i) for i in range(40)])
    frames = {4, 5, 17, 30, 31, 32}
    assert same_place(repair_sides(mistaken(track, frames)), track)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, frames=runs(40), name=SKELETON)
def test_a_mirrored_person_is_repaired_alike(seed: int, frames: set[int], name: str) -> None:
    def mirrored(track: Track) -> Track:
        poses = []
        for pose in track.poses:
            low, high = WIDTH - pose.bbox[2], WIDTH - pose.bbox[0]
            box = np.array([low, pose.bbox[1], high, pose.bbox[3]], np.float32)
            across = np.stack([np.float32(WIDTH) - pose.xy[:, 0], pose.xy[:, 1]], axis=1)
            poses.append(exchanged(replace(pose, xy=across, bbox=box)))
        return Track(track.id, track.frame_indices, tuple(poses))

    track = mistaken(wandering(seed, 40, SKELETONS[name]), frames)
    assert same_place(repair_sides(mirrored(track)), mirrored(repair_sides(track)))


def test_depth_of_an_exchanged_pose_is_as_before_and_after() -> None:
    behind = film([body(np.pi)] * 20)
    front = body(0.0)
    assert front.z is not None
    # Someone seen from behind is taken for someone seen from the front: the nose is believed to be near.
    wrong = replace(behind.poses[9], xy=exchanged(behind.poses[9]).xy, z=front.z)
    repaired = repair_sides(Track(0, behind.frame_indices, (*behind.poses[:9], wrong, *behind.poses[10:])))
    assert same_place(repaired, behind)
    assert repaired.poses[9].z is not None
    assert np.array_equal(repaired.poses[9].z, behind.poses[9].z)


def test_who_comes_back_facing_the_other_way_stays() -> None:
    frames = [*range(30), *range(90, 110)]
    track = film([body(0.1)] * 30 + [body(np.pi)] * 20, frames)
    assert repair_sides(track) is track


def test_exchanges_across_short_gaps_come_back() -> None:
    frames = [i for i in range(60) if i % 7 not in (2, 3)]
    track = film([body(0.4, 0.2 * np.sin(i / 3)) for i in frames], frames)
    assert same_place(repair_sides(mistaken(track, {0, 8, 9, 20, 39})), track)


def test_nothing_to_tell_by_leaves_the_track() -> None:
    no_pairs = Skeleton("rope", ("a", "b"), ((0, 1),), ())
    rope = Pose(no_pairs, np.zeros((2, 2), np.float32), np.ones(2, np.float32), np.zeros(4, np.float32))
    unknown = replace(body(), score=np.zeros(17, np.float32))
    for poses in ([], [body()], [body(), exchanged(body())], [rope] * 5, [unknown, exchanged(unknown)] * 5):
        track = film(poses, list(range(len(poses))))
        assert repair_sides(track) is track


def test_points_of_any_names_are_repaired() -> None:
    creature = Skeleton("crab", ("eye_stalk", "claw_l", "claw_r"), ((0, 1), (0, 2)), ((1, 2),))
    rng = np.random.default_rng(0)
    place = np.array([(0, 0), (50, 10), (-50, 10)]) + np.cumsum(rng.normal(0, 1, (30, 3, 2)), axis=0)
    box = np.array([-50, -50, 50, 50], np.float32)
    track = film([Pose(creature, xy.astype(np.float32), np.ones(3, np.float32), box) for xy in place])
    assert same_place(repair_sides(mistaken(track, {3, 12, 13, 29})), track)


def test_real_people_are_repaired(shared: Path, blazepose_weights: dict[str, Path]) -> None:
    from animegen.pose.blazepose import BlazePoseOptions, make_blazepose
    from animegen.video import open_video

    backend = make_blazepose(BlazePoseOptions(), PluginContext(threads=2, weights=blazepose_weights))
    with open_video(shared / "video" / "intel_one_by_one_person.mp4") as video:
        track = film([poses[0] for poses in backend.estimate(video.frames(140, 194))])
    repaired = repair_sides(mistaken(track, {10, 21, 22, 23, 40, 50, 51}))
    assert same_place(repaired, repair_sides(track))
    # She walks away from the camera, so her left shoulder is on the left in every frame.
    left, right = (BLAZEPOSE33.index(f"{side}_shoulder") for side in ("left", "right"))
    assert all(pose.xy[left, 0] < pose.xy[right, 0] for pose in repaired.poses)
