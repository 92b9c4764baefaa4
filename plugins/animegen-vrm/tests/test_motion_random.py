"""Random poses keep to what joints can do, and vary."""

from __future__ import annotations

import numpy as np
from animegen_vrm import quaternions as q
from animegen_vrm.motion import random_expression, random_look, random_pose
from animegen_vrm.rig import BONES, BodyPose, Rig
from hypothesis import given, settings
from hypothesis import strategies as st
from stick_avatar import stick_avatar

ROUNDING = 0.1  # degrees

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> BodyPose:
    return random_pose(np.random.default_rng(seed))


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_seed_draws_one_pose(seed: int) -> None:
    one, other = drawn(seed), drawn(seed)
    assert one.clearance == other.clearance
    assert all(np.array_equal(one.rotations[bone], other.rotations[bone]) for bone in one.rotations)


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_elbows_and_knees_bend_the_right_way_only(seed: int) -> None:
    pose = drawn(seed)
    for side, out in (("left", 1.0), ("right", -1.0)):
        forearm = q.rotate(pose.rotations[f"{side}LowerArm"], (out, 0.0, 0.0))
        assert abs(forearm[1]) < 1e-5
        assert -ROUNDING < np.degrees(np.arctan2(forearm[2], out * forearm[0])) < 150.0
        shin = q.rotate(pose.rotations[f"{side}LowerLeg"], (0.0, -1.0, 0.0))
        assert abs(shin[0]) < 1e-5
        assert -ROUNDING < np.degrees(np.arctan2(-shin[2], -shin[1])) < 151.0


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_rotations_are_units_of_known_bones_over_the_floor(seed: int) -> None:
    pose = drawn(seed)
    assert set(pose.rotations) <= set(BONES)
    np.testing.assert_allclose([np.linalg.norm(turn) for turn in pose.rotations.values()], 1.0, atol=1e-5)
    assert all(turn.dtype == np.float32 for turn in pose.rotations.values())
    rig = Rig(stick_avatar())
    posed = rig.apply(pose)
    assert rig.lowest(posed) > -1e-4
    head, hips = (posed.globals[rig.avatar.humanoid[bone], 1, 3] for bone in ("head", "hips"))
    assert head > hips


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_hands_stay_outside_of_the_trunk(seed: int) -> None:
    avatar = stick_avatar()
    posed = Rig(avatar).apply(drawn(seed))
    chest = np.linalg.inv(posed.globals[avatar.humanoid["upperChest"]])
    for side in ("left", "right"):
        hand = (chest @ posed.globals[avatar.humanoid[f"{side}Hand"]])[:3, 3]
        assert not (np.hypot(hand[0] * 0.8, hand[2]) < 0.1 and -0.5 < hand[1] < 0.1)


def test_poses_vary() -> None:
    avatar = stick_avatar()
    rig = Rig(avatar)
    hands, knees, hips = [], [], []
    for seed in range(200):
        posed = rig.apply(drawn(seed))
        hands.append(posed.globals[avatar.humanoid["leftHand"], :3, 3] - posed.globals[avatar.humanoid["hips"], :3, 3])
        knees.append(posed.globals[avatar.humanoid["leftLowerLeg"], :3, 3])
        hips.append(posed.globals[avatar.humanoid["hips"], 1, 3])
    assert (np.ptp(hands, axis=0) > (0.7, 0.9, 0.7)).all()
    assert (np.ptp(knees, axis=0) > (0.2, 0.5, 0.5)).all()
    assert min(hips) < 0.5
    assert max(hips) > 0.93


def test_faces_are_mostly_calm_and_know_all_their_expressions() -> None:
    rng = np.random.default_rng(0)
    faces = [random_expression(rng) for _ in range(500)]
    assert {"aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight", "happy", "angry"} <= {n for f in faces for n in f}
    assert all(0.0 <= weight <= 1.0 for face in faces for weight in face.values())
    assert 0.2 < np.mean([not face for face in faces]) < 0.7
    looks = np.array([random_look(rng) for _ in range(200)])
    assert np.abs(looks).max() <= 1.0
