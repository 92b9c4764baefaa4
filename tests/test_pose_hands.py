"""Hands: found where they are, carried on where they are not, and the bends of their fingers."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from animegen.config import ConvertConfig
from animegen.pipeline.stages import resolve
from animegen.pose.blazepose import BlazePoseOptions, make_blazepose
from animegen.pose.blazepose.following import PRESENT, Follower
from animegen.pose.blazepose.regions import Region
from animegen.pose.convert import convert_pose, to_avatar35
from animegen.pose.files import load_poses
from animegen.pose.hands import KNUCKLES, carry_hands, measure_hand
from animegen.pose.sides import repair_sides
from animegen.pose.skeletons import AVATAR35, BLAZEPOSE33, BLAZEPOSE75, COCO_WHOLEBODY133
from animegen.pose.smooth import smooth_track
from animegen.protocols import PluginContext
from animegen.testing import synthetic_pose, synthetic_track
from animegen.types import Float64Array, Frame, Pose, Track
from animegen.video import open_video

SIDES = ("left", "right")
HANDS = {side: [BLAZEPOSE75.index(f"{side}_hand_{i}") for i in range(21)] for side in SIDES}
SURE = 0.5
HAND_ERROR = 0.2
"""Mean distance of a surely seen hand's points from the annotated ones, in longer sides of the annotated box: COCO's
hands are 10 to 30 pixels, of which annotators miss one or two."""
BELOW_FACE = slice(BLAZEPOSE33.index("left_shoulder"), len(BLAZEPOSE33))
BEND = 1e-3
"""Radians; the angles of bones without noise follow exactly, but for the part that counts as straight."""


def scored(pose: Pose, side: str, score: float) -> Pose:
    scores = pose.score.copy()
    scores[HANDS[side]] = score
    return replace(pose, score=scores)


def test_where_bodies_are_measured_neither_hands_nor_faces_are_looked_at(
    blazepose_weights: dict[str, Path], shared: Path
) -> None:
    del blazepose_weights  # fetched by now
    picture = np.asarray(Image.open(sorted((shared / "pose").glob("*.jpg"))[0]).convert("RGB"))
    stages = resolve(ConvertConfig(), print, kinds=("pose",))
    both, bodies = (
        next(iter(backend.estimate([Frame(0, Fraction(0), picture)])))
        for backend in (stages.pose_backend(), stages.body_backend())
    )
    assert any(pose.skeleton is BLAZEPOSE75 for pose in both)
    for whole, body in zip(both, bodies, strict=True):
        assert body.skeleton is BLAZEPOSE33
        assert body.expression is None
        assert np.array_equal(body.xy[BELOW_FACE], whole.xy[BELOW_FACE])


def test_hands_that_are_surely_seen_are_where_annotators_put_them(
    blazepose_weights: dict[str, Path], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = make_blazepose(BlazePoseOptions(face=False), PluginContext(weights=blazepose_weights))
    errors, annotated = [], 0
    truth = load_poses(shared / "pose" / "test_coco_wholebody.json")
    for path, people in zip(sorted((shared / "pose").glob("*.jpg")), truth.poses, strict=True):
        frame = Frame(0, Fraction(0), np.asarray(Image.open(path).convert("RGB")))
        found = next(iter(backend.estimate([frame])))
        for person, side in ((person, side) for person in people for side in SIDES):
            points = [COCO_WHOLEBODY133.index(f"{side}_hand_{i}") for i in range(21)]
            known = person.score[points] > 0
            if not known.any():
                continue
            annotated += 1
            place, size = person.xy[points], np.ptp(person.xy[points][known], axis=0).max()
            sure = [pose for pose in found if pose.score[HANDS[side]].mean() >= SURE]
            away = [np.linalg.norm(pose.xy[HANDS[side]] - place, axis=1)[known].mean() / size for pose in sure]
            if away and min(away) < 1:  # another person's hand is further away
                errors.append(min(away))
    with capsys.disabled():
        mean = np.mean(errors)
        sys.stdout.write(f"\nhands: {len(errors)} of {annotated} annotated are sure, mean error {mean:.3f} sizes ")
    assert errors
    assert np.mean(errors) < HAND_ERROR


def test_signing_hands_are_followed(blazepose_weights: dict[str, Path], shared: Path) -> None:
    backend = make_blazepose(BlazePoseOptions(face=False), PluginContext(weights=blazepose_weights))
    with open_video(shared / "video" / "intel_asl_help.mkv") as video:
        found = list(backend.estimate(video.frames(12, 34)))
    assert all(len(poses) == 1 for poses in found)
    track = Track(0, tuple(range(len(found))), tuple(poses[0] for poses in found))
    seen = {side: np.array([pose.score[HANDS[side]].mean() >= SURE for pose in track.poses]) for side in SIDES}
    assert min(shown.mean() for shown in seen.values()) > 0.5
    both = seen["left"] & seen["right"]
    apart = [
        np.linalg.norm(pose.xy[HANDS["left"]] - pose.xy[HANDS["right"]], axis=1).mean()
        for pose, shown in zip(track.poses, both, strict=True)
        if shown
    ]
    assert min(apart) > 10, "one hand never stands for both"
    hand = measure_hand(smooth_track(repair_sides(track), 30), "right")
    assert hand is not None
    thumb_up = slice(2, 6)  # frames 14 to 17 of the clip: a fist with its thumb up
    fingers = hand.bends[thumb_up, 1:].sum(axis=2).mean()
    assert fingers > 1.5
    assert hand.bends[thumb_up, 0, 1:].sum(axis=1).mean() < 0.7 * fingers


class Look:
    """What a model sees that knows one hand: the nearer the region, the more of it."""

    def __init__(self, region: Region, at: float | None) -> None:
        self.presence = 0.0 if at is None or abs(region.x - at) > 20 else 1 - abs(region.x - at) / 40
        self.next = region if at is None else Region((region.x + at) / 2, region.y, region.side)


def test_what_is_followed_is_looked_at_once_a_frame_from_its_own_place() -> None:
    looked: list[float] = []
    hand: float | None = 115.0

    def look(image: object, region: Region) -> Look:
        looked.append(region.x)
        return Look(region, hand)

    follower: Follower[Look] = Follower(look)
    image = np.zeros((4, 4, 3), np.uint8)
    told = Region(100.0, 0.0, 100.0)

    def frame() -> list[float]:
        looked.clear()
        follower.next_frame()
        follower.look(image, told)
        return list(looked)

    assert frame() == [100.0, 107.5], "one that is new is looked at twice"
    assert frame() == [111.25], "then its own landmarks lead"
    hand = None
    assert len(frame()) == 1
    assert frame() == [100.0], "lost, it is sought where the body tells"
    hand = 130.0
    assert [frame(), frame()] == [[100.0], [100.0]]
    assert frame() == [115.0], "and then where that look points, though it saw little"
    assert PRESENT == 0.5


def test_absent_hands_change_nothing() -> None:
    plain = synthetic_pose(BLAZEPOSE33, seed=3)
    pose = convert_pose(plain, BLAZEPOSE75)
    for target in (BLAZEPOSE33, AVATAR35):
        there, here = convert_pose(pose, target), convert_pose(plain, target)
        assert np.array_equal(there.xy, here.xy)
        assert np.array_equal(there.score, here.score)
    full = synthetic_pose(BLAZEPOSE75, seed=3)
    off = scored(scored(full, "left", 0.0), "right", 0.0)
    there, here = to_avatar35(off), to_avatar35(convert_pose(full, BLAZEPOSE33))
    known = here.score > 0
    assert np.array_equal(there.score, here.score)
    assert np.array_equal(there.xy[known], here.xy[known])


@given(score=st.floats(0, 1), step=st.floats(0, 0.05))
def test_knuckles_go_over_from_the_body_to_the_hand_without_a_jump(score: float, step: float) -> None:
    pose = synthetic_pose(BLAZEPOSE75, seed=5)
    index, knuckle = AVATAR35.index("left_index"), HANDS["left"][KNUCKLES[0]]
    body = pose.xy[BLAZEPOSE75.index("left_index")]
    before, after = (to_avatar35(scored(pose, "left", min(s, 1.0))).xy[index] for s in (score, score + step))
    whole = float(np.linalg.norm(pose.xy[knuckle] - body))
    assert np.linalg.norm(after - before) <= whole * 2.1 * step + 1e-3
    assert np.allclose(to_avatar35(scored(pose, "left", 0.9)).xy[index], pose.xy[knuckle], atol=1e-3)


def test_fingers_follow_their_arm_when_sides_were_mistaken() -> None:
    track = synthetic_track(BLAZEPOSE75, length=12, step=(1.0, 0.0))
    order = np.arange(len(BLAZEPOSE75))
    for a, b in BLAZEPOSE75.flip_pairs:
        order[[a, b]] = b, a
    poses = list(track.poses)
    for i in (5, 6, 7):
        depth = poses[i].z
        assert depth is not None
        poses[i] = replace(poses[i], xy=poses[i].xy[order], score=poses[i].score[order], z=depth[order])
    mended = repair_sides(Track(0, track.frame_indices, tuple(poses)))
    for read, right in zip(mended.poses, track.poses, strict=True):
        assert np.array_equal(read.xy, right.xy)


def appearing(frames: int, first: int, last: int) -> Track:
    """A person who walks and whose right hand is seen in some frames only; else its points lie at the wrist."""
    track = synthetic_track(BLAZEPOSE75, length=frames, step=(3.0, 0.0))
    poses = []
    for i, pose in enumerate(track.poses):
        seen = scored(pose, "right", 0.95)
        if not first <= i <= last:
            xy = seen.xy.copy()
            xy[HANDS["right"]] = xy[BLAZEPOSE75.index("right_wrist")]
            seen = scored(replace(seen, xy=xy), "right", 0.0)
        poses.append(seen)
    return Track(0, track.frame_indices, tuple(poses))


def test_a_hand_out_of_sight_rides_on_its_wrist() -> None:
    whole, carried = synthetic_track(BLAZEPOSE75, length=30, step=(3.0, 0.0)), carry_hands(appearing(30, 10, 19))
    for read, wanted in zip(carried.poses, whole.poses, strict=True):
        assert np.allclose(read.xy, wanted.xy, atol=1e-2)
    assert carried.poses[0].score[HANDS["right"]].max() == 0


def test_hands_come_and_go_without_a_jump() -> None:
    smooth = smooth_track(appearing(40, 15, 26), 30)
    tip = HANDS["right"][8]
    moved = [np.linalg.norm(b.xy[tip] - a.xy[tip]) for a, b in pairwise(smooth.poses)]
    assert max(moved) < 1.2 * 3.0, "no faster than the person walks"
    score = np.array([pose.score[tip] for pose in smooth.poses])
    assert score[20] > 0.9
    assert score[[0, -1]].max() == 0
    assert np.abs(np.diff(score)).max() < 0.35, "over several frames"


def drawn_hand(bends: Float64Array, side: str, turn: Rotation) -> NDArray[np.float64]:
    """f64 [21, 3]: a hand whose fingers bend by these angles f64 [5, 3], made bone by bone; turned in space.

    Before the turn its fingers point up and a right hand shows its back, so that its thumb points to the left.
    """
    points = np.zeros((21, 3))
    points[1:5] = [[-0.25, -0.2, 0], [-0.45, -0.4, 0], [-0.6, -0.55, 0], [-0.7, -0.65, 0]]
    for finger, knuckle in enumerate(KNUCKLES):
        at, angle = np.array([0.12 * finger - 0.18, -1.0, 0.0]), 0.0
        points[knuckle] = at
        for joint, length in enumerate((0.45, 0.28, 0.2)):
            angle += bends[finger + 1, joint]
            at = at + length * np.array([0.0, -np.cos(angle), np.sin(angle)])
            points[knuckle + 1 + joint] = at
    mirror = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0])
    moved: NDArray[np.float64] = turn.apply(100.0 * points * mirror)
    return moved


@settings(max_examples=40, deadline=None)
@given(
    bends=st.lists(st.floats(0.15, 1.2), min_size=15, max_size=15),
    side=st.sampled_from(SIDES),
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
)
def test_bends_are_measured_however_a_hand_is_turned(
    bends: list[float], side: str, angles: tuple[float, float, float]
) -> None:
    asked = np.array(bends).reshape(5, 3)
    points = drawn_hand(asked, side, Rotation.from_euler("xyz", angles))
    pose = synthetic_pose(BLAZEPOSE75)
    xy, z = pose.xy.copy(), np.zeros(len(BLAZEPOSE75), np.float32)
    xy[HANDS[side]], z[HANDS[side]] = points[:, :2] + 500, points[:, 2]
    hand = measure_hand(Track(0, (0,), (replace(pose, xy=xy, z=z),)), side)
    assert hand is not None
    straight = 0.1  # what counts as straight at the outer joints
    outer = np.clip(asked[1:, 1:] - straight, 0, np.radians([110, 80]))
    # The line to a knuckle leans to the side by a little, and so does the finger's plane.
    assert np.allclose(hand.bends[0, 1:, 1:], outer, atol=BEND)
    assert np.allclose(hand.bends[0, 1:, 0], asked[1:, 0], atol=BEND)
    assert np.allclose(hand.fans, 0, atol=np.radians(10))


def test_no_fingers_no_hand() -> None:
    assert measure_hand(synthetic_track(BLAZEPOSE33), "left") is None
    unseen = tuple(scored(pose, "left", 0.0) for pose in synthetic_track(BLAZEPOSE75).poses)
    assert measure_hand(Track(0, tuple(range(len(unseen))), unseen), "left") is None
