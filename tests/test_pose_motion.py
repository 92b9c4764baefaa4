from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.errors import InvalidValue, UsageError
from animegen.pose.clip import PoseClip
from animegen.pose.convert import convert_pose, to_blazepose33, to_body25, to_coco17, to_coco_wholebody133, to_halpe26
from animegen.pose.interpolate import in_between, interpolate_clip
from animegen.pose.skeletons import BODY25, COCO17, SKELETONS
from animegen.pose.smooth import OneEuro, smooth_track
from animegen.types import Mask, Pose, Skeleton, Track

EXACT = 0.01
"""Pixels: float32 positions of some thousand pixels, and the ridge of the regression."""

SEEDS = st.integers(0, 2**32 - 1)


def pose_of(xy: np.ndarray, score: np.ndarray | float = 1.0, skeleton: Skeleton = COCO17) -> Pose:
    points = xy.astype(np.float32)
    scores = np.broadcast_to(np.float32(score), len(skeleton)).astype(np.float32)
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return Pose(skeleton, points, scores, box, np.zeros(len(skeleton), np.float32))


def random_pose(seed: int, skeleton: Skeleton = COCO17) -> Pose:
    rng = np.random.default_rng(seed)
    return pose_of(rng.uniform(0, 1000, (len(skeleton), 2)), rng.uniform(0.1, 1, len(skeleton)), skeleton)


def positions(track: Track) -> np.ndarray:
    return np.array([pose.xy for pose in track.poses])


def test_skeletons_are_what_they_are_called() -> None:
    counts = {name: len(skeleton) for name, skeleton in SKELETONS.items()}
    bodies = {"coco17": 17, "blazepose33": 33, "halpe26": 26, "body25": 25}
    assert counts == {**bodies, "blazepose75": 75, "body67": 67, "coco_wholebody133": 133}
    for skeleton in SKELETONS.values():
        flipped = [point for pair in skeleton.flip_pairs for point in pair]
        assert len(flipped) == len(set(flipped))
        sided = {i for i, name in enumerate(skeleton.points) if "left" in name or "right" in name}
        assert sided <= set(flipped)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_every_conversion_keeps_the_points_of_coco(seed: int) -> None:
    pose = random_pose(seed)
    for convert in (to_blazepose33, to_halpe26, to_body25, to_coco_wholebody133):
        back = to_coco17(convert(pose))
        assert np.array_equal(back.xy, pose.xy)
        assert np.array_equal(back.score, pose.score)
        assert np.array_equal(back.bbox, pose.bbox)


def test_neck_is_the_middle_of_the_shoulders_and_as_sure_as_the_less_sure() -> None:
    pose = random_pose(5)
    shoulders = [COCO17.index("left_shoulder"), COCO17.index("right_shoulder")]
    body = to_body25(pose)
    neck = BODY25.index("neck")
    assert np.allclose(body.xy[neck], pose.xy[shoulders].mean(axis=0))
    assert body.score[neck] == pose.score[shoulders].min()
    assert body.score[BODY25.index("left_heel")] == 0


def test_a_skeleton_without_a_body_cannot_be_converted() -> None:
    hand = Skeleton("hand2", ("wrist", "tip"), ((0, 1),), ())
    with pytest.raises(UsageError, match="hand2"):
        convert_pose(random_pose(0), hand)


def irregular(rng: np.random.Generator, count: int) -> tuple[Fraction, ...]:
    ticks = np.cumsum(rng.integers(2000, 4500, count))
    return tuple(Fraction(int(tick), 90000) for tick in ticks)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, count=st.integers(3, 40))
def test_constant_velocity_passes_unchanged_at_a_variable_rate(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 500, (17, 2)), rng.uniform(-150, 150, (17, 2))
    times = irregular(rng, count)
    track = Track(0, tuple(range(count)), tuple(pose_of(start + speed * float(t)) for t in times))
    smooth = smooth_track(track, 30, times)
    assert np.abs(positions(smooth) - positions(track)).max() < EXACT


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_smoothing_backwards_is_smoothing_forwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 25
    times = irregular(rng, count)
    path = np.cumsum(rng.normal(0, 8, (count, 17, 2)), axis=0) + 300
    poses = tuple(pose_of(xy, rng.uniform(0.1, 1, 17)) for xy in path)
    forwards = smooth_track(Track(0, tuple(range(count)), poses), 30, times)
    mirrored = tuple(times[-1] - time for time in reversed(times))
    backwards = smooth_track(Track(0, tuple(range(count)), poses[::-1]), 30, mirrored)
    assert np.abs(positions(forwards) - positions(backwards)[::-1]).max() < EXACT


@pytest.mark.parametrize("fps", [8, 15, 30, 60])
def test_noise_falls_at_every_frame_rate(fps: int) -> None:
    rng = np.random.default_rng(4)
    body = rng.uniform(0, 400, (17, 2))
    noise = rng.normal(0, 2, (60, 17, 2))
    track = Track(0, tuple(range(60)), tuple(pose_of(xy, 0.9) for xy in body + noise))
    smooth = positions(smooth_track(track, fps))
    assert np.std((smooth - body)[5:-5]) < 0.7 * np.std(noise)


def test_noise_falls_where_a_person_stands_and_a_jump_keeps_its_height() -> None:
    rng = np.random.default_rng(0)
    fps, count = 30, 120
    seconds = np.arange(count) / fps
    body = rng.uniform(0, 400, (17, 2))
    # A jump of 0.6 s after two seconds of standing: a parabola 80 px high on a person of about 560 px.
    phase = np.clip((seconds - 2) / 0.6, 0, 1)
    true = body + np.stack([np.zeros(count), -80 * 4 * phase * (1 - phase)], axis=1)[:, None]
    noisy = true + rng.normal(0, 2, true.shape)
    track = Track(0, tuple(range(count)), tuple(pose_of(xy, 0.9) for xy in noisy))
    smooth = positions(smooth_track(track, fps))
    standing = slice(5, 50)
    assert np.std((smooth - true)[standing]) < 0.5 * np.std((noisy - true)[standing])
    rise = np.ptp(smooth[:, :, 1].mean(axis=1))
    assert 76 < rise < 82
    assert np.abs(smooth - true)[:, :, 1].mean(axis=1).max() < 5


def test_a_glitch_and_unsure_points_are_drawn_from_their_neighbours() -> None:
    body = np.random.default_rng(1).uniform(0, 500, (17, 2))
    poses = []
    for i in range(30):
        xy, score = body.copy(), np.full(17, 0.95)
        if i == 12:
            xy[9] += (200, -150)
        if i in {20, 21, 22}:
            xy[10] += 40
            score[10] = 0.02
        poses.append(pose_of(xy, score))
    smooth = smooth_track(Track(0, tuple(range(30)), tuple(poses)), 30)
    assert np.abs(smooth.poses[12].xy[9] - body[9]).max() < 1
    assert np.abs(smooth.poses[21].xy[10] - body[10]).max() < 1
    assert smooth.poses[21].score[10] > 0.5


def test_masks_stay_and_short_tracks_pass() -> None:
    mask = Mask(np.zeros((4, 4), np.uint8), np.eye(2, 3))
    pose = random_pose(3)
    masked = Pose(pose.skeleton, pose.xy, pose.score, pose.bbox, None, mask)
    for count in (1, 2, 5):
        smooth = smooth_track(Track(0, tuple(range(count)), (masked,) * count), 25)
        assert all(p.mask is mask and p.z is None for p in smooth.poses)
    with pytest.raises(InvalidValue, match="rate"):
        smooth_track(Track(0, (0,), (pose,)), 0)


def test_one_euro_calms_and_follows() -> None:
    rng = np.random.default_rng(2)
    calm = OneEuro()
    still = np.array([calm.update(i / 30, rng.normal(100, 1, 2)) for i in range(200)])
    assert still[50:].std() < 0.5
    quick = OneEuro(beta=0.05)
    moved = np.array([quick.update(i / 30, np.array([10.0 * i])) for i in range(60)])
    assert moved[-1, 0] > 590 - 15
    with pytest.raises(InvalidValue, match="rise"):
        quick.update(0, np.zeros(1))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, share=st.floats(0, 1))
def test_limbs_of_an_in_between_are_as_long_as_between_its_keys(seed: int, share: float) -> None:
    for skeleton in (COCO17, SKELETONS["blazepose33"]):
        before, after = random_pose(seed, skeleton), random_pose(seed ^ 1, skeleton)
        pose = in_between(before, after, share)
        for name in ("elbow-wrist", "shoulder-elbow", "hip-knee", "knee-ankle"):
            a, b = (skeleton.index(f"left_{point}") for point in name.split("-"))
            keys = [float(np.hypot(*(p.xy[a] - p.xy[b]).astype(float))) for p in (before, after)]
            length = float(np.hypot(*(pose.xy[a] - pose.xy[b]).astype(float)))
            assert min(keys) - EXACT <= length <= max(keys) + EXACT


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_in_betweens_begin_and_end_at_the_keys(seed: int) -> None:
    before, after = random_pose(seed), random_pose(seed ^ 1)
    assert np.allclose(in_between(before, after, 0).xy, before.xy, atol=EXACT)
    assert np.allclose(in_between(before, after, 1).xy, after.xy, atol=EXACT)


def test_an_arm_swings_in_a_circle_and_unknown_points_stay_unknown() -> None:
    xy = random_pose(9).xy.copy()
    elbow, wrist = COCO17.index("left_elbow"), COCO17.index("left_wrist")
    up, side = xy.copy(), xy.copy()
    up[wrist], side[wrist] = xy[elbow] + (0, -100), xy[elbow] + (100, 0)
    score = np.ones(17)
    score[0] = 0
    half = in_between(pose_of(up, score), pose_of(side), 0.5)
    assert np.allclose(half.xy[wrist] - half.xy[elbow], (100 / np.sqrt(2), -100 / np.sqrt(2)), atol=0.1)
    assert half.score[0] == 0


def test_interpolated_clip_counts_frames_and_times() -> None:
    keys = PoseClip(
        (100, 100),
        COCO17,
        (0, 5, 9),
        (Fraction(0), Fraction(1), Fraction(7)),
        tuple((random_pose(i),) for i in range(3)),
        ((None,), (None,), (None,)),
    )
    clip = interpolate_clip(keys, 3, Fraction(24))
    assert clip.frame_indices == tuple(range(9))
    assert clip.times[-1] == Fraction(8, 24)
    assert clip.poses[4] == keys.poses[1]
    assert len(clip.tracks()) == 1
    with pytest.raises(InvalidValue, match="two key poses"):
        interpolate_clip(PoseClip((1, 1), COCO17, (), (), (), ()), 3)


def test_depth_that_is_not_a_number_is_refused():
    pose = pose_of(np.zeros((len(COCO17), 2)))
    assert pose.z is not None
    with pytest.raises(InvalidValue, match=r"Pose\.z"):
        replace(pose, z=np.full_like(pose.z, np.nan))
