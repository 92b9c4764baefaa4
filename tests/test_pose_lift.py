"""Poses in three dimensions, against figures whose three dimensions are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from animegen.errors import InvalidValue
from animegen.pose.convert import to_avatar35
from animegen.pose.head import FACE, HUMAN_FACE, fit_heads
from animegen.pose.lift import lift_points, lift_track
from animegen.pose.limbs import HEAD, HUMAN_LEAN, JOINTS, LIMBS, MID_HIP, MID_SHOULDER, USUAL_LENGTHS
from animegen.pose.skeletons import AVATAR35, BLAZEPOSE33, BODY25, COCO17, COCO_WHOLEBODY133
from animegen.testing import synthetic_pose
from animegen.types import Track

HEIGHT = 400.0
BACKEND_SCALE = 3.0
"""BlazePose's depth is about so many times too large."""
DEPTH_ERROR = 0.05
"""Mean error of depth in heights: a limb at full length tells its own only roughly."""
LENGTH_ERROR = 0.12
ANGLE_ERROR = np.radians(6)
SHRUG = 0.02
"""Heights by which shoulders are raised: of a neck of 0.12, which a lean of 34 degrees would shorten as much."""
ANGLE_OF_A_SHRUG = 7.0
CROUCH_ERROR = 0.15
"""Of the size of somebody of whom, for two thirds of a second, two limbs at most are seen at their full length."""


def turned(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def figure(frames=90, *, turns=1.0):
    """f64 [T, 38, 3]: someone of usual lengths who bends arms and knees while turning round; z is away."""
    joints = np.zeros((frames, JOINTS, 3))
    phase = np.linspace(0, 2 * np.pi, frames)
    angles = {
        "upper_arm": 0.6 + 0.5 * np.sin(phase),
        "forearm": 1.3 + 0.6 * np.sin(phase),
        "foot": np.full(frames, 1.4),
    }
    angles |= {"thigh": 0.5 + 0.4 * np.cos(phase), "shin": -0.4 - 0.3 * np.cos(phase), "heel": np.full(frames, -0.8)}
    for limb in LIMBS:
        bend = angles.get(limb.part, np.zeros(frames))
        across, down, _ = limb.rest
        way = np.stack([np.full(frames, across), down * np.cos(bend), -np.sin(bend) * abs(down)], axis=1)
        joints[:, limb.child] = joints[:, limb.parent] + USUAL_LENGTHS[limb.part] * way
    joints[:, FACE] = joints[:, HEAD, None] + HUMAN_FACE
    rotations = np.stack([turned(d) for d in np.linspace(0, 360 * turns, frames)])
    return HEIGHT * np.einsum("tij,tkj->tki", rotations, joints) + [500.0, 300.0, 0.0]


def lifted(joints, *, depth=True, score=None):
    points = joints[:, : len(AVATAR35)]
    score = np.ones(points.shape[:2]) if score is None else score
    z = BACKEND_SCALE * (points[..., 2] - joints[:, MID_HIP, None, 2]) if depth else None
    return lift_points(points[..., :2], score, z, np.arange(len(points), dtype=np.float64))


def test_a_known_figure_is_lifted():
    truth = figure()
    found = lifted(truth)
    relative = truth[..., 2] - truth[:, MID_HIP, None, 2]
    assert np.abs(found.joints[..., 2] - relative).mean() < DEPTH_ERROR * HEIGHT
    assert np.allclose(found.joints[:, : len(AVATAR35), :2], truth[:, : len(AVATAR35), :2])
    for part in ("trunk", "thigh", "shin", "upper_arm", "forearm", "shoulder"):
        assert found.lengths.parts[part] == pytest.approx(USUAL_LENGTHS[part], rel=LENGTH_ERROR), part
    assert np.median(found.lengths.height) == pytest.approx(HEIGHT, rel=LENGTH_ERROR)


def test_depth_never_jumps():
    found = lifted(figure())
    speed = np.abs(np.diff(found.joints[..., 2], axis=0)) / HEIGHT
    truth = np.abs(np.diff(figure()[..., 2], axis=0)) / HEIGHT
    assert speed.max() < 4 * truth.max()  # near full length depth follows the root of what is seen, which is steeper


@pytest.mark.parametrize(("degrees", "nearer"), [(0, True), (180, False)])
def test_without_depth_knees_bend_forward(degrees, nearer):
    joints = figure(20, turns=0)
    joints = (joints - joints[:, MID_HIP, None]) @ turned(degrees).T + joints[:, MID_HIP, None]
    found = lifted(joints, depth=False)
    hip, knee, ankle = (AVATAR35.index(f"left_{name}") for name in ("hip", "knee", "ankle"))
    sign = -1 if nearer else 1
    z = found.joints[..., 2].mean(axis=0)
    assert sign * (z[knee] - z[hip]) > 0.02 * HEIGHT
    assert sign * (z[ankle] - z[knee]) < 0


def test_someone_who_comes_nearer_keeps_their_lengths():
    truth = figure(120, turns=0.2)
    growth = np.linspace(1.0, 2.0, 120)
    found = lifted(truth * growth[:, None, None])
    assert np.allclose(found.lengths.height / growth, HEIGHT, rtol=LENGTH_ERROR)


def test_who_crouches_and_stands_up_stays_as_large():
    upright, crouched = figure(140, turns=0), figure(140, turns=0)
    for limb in LIMBS:
        way = upright[:, limb.child] - upright[:, limb.parent]
        short = 1.0 if limb.part in ("upper_arm", "forearm", "neck") else 0.6  # the others point at the camera
        crouched[:, limb.child] = crouched[:, limb.parent] + short * way
    crouched[:, FACE] += crouched[:, HEAD, None] - upright[:, HEAD, None]
    truth = np.concatenate([upright[:60], crouched[60:80], upright[80:]])
    assert np.allclose(lifted(truth, depth=False).lengths.height, HEIGHT, rtol=CROUCH_ERROR)


def test_who_shrugs_does_not_stick_out_their_neck():
    calm = figure(90, turns=0)
    shrugging = calm.copy()
    arms = [i for i, name in enumerate(AVATAR35.points) if name.split("_")[1:] and name.split("_")[1] in _ARMS]
    shrugging[40:60, arms, 1] -= SHRUG * HEIGHT
    found = lifted(shrugging, depth=False).joints[45:55]
    way = found[:, HEAD] - found[:, MID_SHOULDER]
    assert np.degrees(np.arctan2(-way[:, 2], -way[:, 1])).max() < HUMAN_LEAN["neck"] + ANGLE_OF_A_SHRUG
    assert way[0, 1] == pytest.approx((calm[0, HEAD] - calm[0, MID_SHOULDER])[1] + SHRUG / 2 * HEIGHT, abs=1)


_ARMS = ("shoulder", "elbow", "wrist", "index", "pinky", "thumb")


def test_legs_that_are_never_seen_have_the_usual_length():
    score = np.ones((90, len(AVATAR35)))
    hidden = [i for i, name in enumerate(AVATAR35.points) if name.split("_")[1:] and name.split("_")[1] in _LEGS]
    score[:, hidden] = 0
    truth = figure()
    truth[:, hidden] = 0
    found = lifted(truth, score=score)
    assert found.lengths.parts["thigh"] / found.lengths.parts["trunk"] == pytest.approx(0.243 / 0.29, rel=LENGTH_ERROR)
    assert np.median(found.lengths.height) == pytest.approx(HEIGHT, rel=LENGTH_ERROR)
    assert (found.joints[:, hidden, 1] > found.joints[:, MID_HIP, None, 1]).all()
    assert not found.known[:, hidden].any()


_LEGS = ("knee", "ankle", "heel", "foot")


def test_a_point_lost_for_some_frames_is_drawn_from_those_around():
    truth, score = figure(), np.ones((90, len(AVATAR35)))
    elbow = AVATAR35.index("left_elbow")
    score[40:46, elbow] = 0
    broken = truth.copy()
    broken[40:46, elbow, :2] = -1000
    found = lifted(broken, score=score)
    assert np.abs(found.joints[40:46, elbow, :2] - truth[40:46, elbow, :2]).max() < 0.03 * HEIGHT


def test_nothing_known_is_taken():
    found = lifted(figure(5), score=np.zeros((5, len(AVATAR35))))
    assert np.isfinite(found.joints).all()
    assert not found.known.any()
    with pytest.raises(InvalidValue, match="no pose"):
        lift_track(Track(3, (), ()))


@pytest.mark.parametrize("skeleton", [BLAZEPOSE33, COCO17, BODY25, COCO_WHOLEBODY133], ids=lambda s: s.name)
@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize(("facing", "towards"), [("front", 1), ("back", -1), ("left", 0), ("right", 0)])
def test_front_and_back_are_told_apart(skeleton, depth, facing, towards):
    pose = synthetic_pose(skeleton, facing=facing)
    pose = pose if depth else replace(pose, z=None)
    head = lift_track(Track(0, tuple(range(5)), (pose,) * 5)).head
    assert head.facing == pytest.approx(towards, abs=0.35)
    if towards == 0:
        assert np.all(head.rotation[:, 0, 2] < 0) == (facing == "left")  # the back points away from where they face


def test_someone_from_behind_whose_face_was_made_up_is_seen_from_behind():
    """A detector may draw a face on the back of a head, with less certainty; nobody looks straight backwards."""
    poses = []
    for _ in range(30):
        pose = to_avatar35(synthetic_pose(facing="back"))
        xy, score = pose.xy.copy(), pose.score.copy()
        face = list(FACE)
        mirror = [AVATAR35.index("right_ear"), AVATAR35.index("left_ear")]
        xy[face] = pose.xy[face]
        xy[[AVATAR35.index("left_ear"), AVATAR35.index("right_ear")]] = pose.xy[mirror]
        xy[[AVATAR35.index("left_eye"), AVATAR35.index("right_eye")]] = xy[
            [AVATAR35.index("right_eye"), AVATAR35.index("left_eye")]
        ]
        score[face] = 0.4
        poses.append(replace(pose, xy=xy, score=score))
    head = lift_track(Track(0, tuple(range(30)), tuple(poses))).head
    assert (head.facing < -0.5).all()


def test_a_head_is_found_however_it_is_turned():
    rng = np.random.default_rng(5)
    axes = rng.normal(size=(60, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.radians(rng.uniform(0, 60, 60))
    cross = np.cross(np.eye(3)[None], axes[:, None]).transpose(0, 2, 1)
    sin, cos = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    truth = np.eye(3) + sin * cross + (1 - cos) * cross @ cross
    face = 500.0 * np.einsum("tij,pj->tpi", truth, HUMAN_FACE)
    found = fit_heads(
        face[..., :2],
        np.ones((60, 7)),
        face[..., 2],
        trunk=np.tile(np.eye(3), (60, 1, 1)),
        size=np.full(60, 500.0),
        time=np.arange(60) * 100.0,  # far apart, so that none is steadied by another
    )
    trace = np.einsum("tij,tij->t", found.rotation, truth)
    assert np.arccos(np.clip((trace - 1) / 2, -1, 1)).max() < ANGLE_ERROR
    assert np.abs(found.centre).max() < 0.01 * 500


def test_hands_of_a_whole_body_skeleton_give_finger_tips():
    assert to_avatar35(synthetic_pose(BLAZEPOSE33)).score[AVATAR35.index("left_index_tip")] == 0
    assert to_avatar35(synthetic_pose(COCO_WHOLEBODY133)).score[AVATAR35.index("left_index_tip")] > 0
    xy = np.zeros((133, 2), np.float32)
    xy[COCO_WHOLEBODY133.index("right_hand_8")] = (3, 4)
    whole = replace(synthetic_pose(COCO_WHOLEBODY133), xy=xy, score=np.ones(133, np.float32))
    assert tuple(to_avatar35(whole).xy[AVATAR35.index("right_index_tip")]) == (3, 4)
    assert to_avatar35(synthetic_pose(COCO17)).score[AVATAR35.index("left_heel")] == 0


def test_a_finger_whose_tip_is_out_of_sight_is_straight():
    joints = figure(30, turns=0.0)
    tip, knuckle, wrist = (AVATAR35.index(f"left_{name}") for name in ("index_tip", "index", "wrist"))
    score = np.ones((30, len(AVATAR35)))
    score[10:, tip] = 0
    found = lifted(joints, score=score).joints[..., :2]
    finger, hand = found[10:, tip] - found[10:, knuckle], found[10:, knuckle] - found[10:, wrist]
    cosine = (finger * hand).sum(axis=1) / np.linalg.norm(finger, axis=1) / np.linalg.norm(hand, axis=1)
    assert np.arccos(np.clip(cosine, -1, 1)).max() < ANGLE_ERROR
