"""A rig poses what an avatar has, by the rules of VRM's normalised humanoid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import quaternions as q
from animegen_vrm.model import Avatar, LookAt, Posed
from animegen_vrm.motion import random_pose
from animegen_vrm.read import read_avatar
from animegen_vrm.rig import BONES, BodyPose, Rig, vrm_expressions
from hypothesis import given, settings
from hypothesis import strategies as st
from stick_avatar import HIP_HEIGHT, places, stick_avatar

from animegen.errors import InvalidValue
from animegen.types import Expression

EXACT = 1e-5  # metres: rounding of float32 along a chain of bones
SHARED = Path(__file__).resolve().parents[4] / "shared" / "avatars"


def where(avatar: Avatar, posed: Posed, bone: str) -> np.ndarray:
    return posed.globals[avatar.humanoid[bone], :3, 3]


def turn(bone: str, axis: tuple[float, float, float], degrees: float) -> dict[str, np.ndarray]:
    return {bone: q.about(axis, np.radians(degrees)).astype(np.float32)}


def test_identity_is_the_rest_pose() -> None:
    rig = Rig(stick_avatar(turned=3))
    np.testing.assert_allclose(rig.apply(BodyPose()).globals, rig.rest, atol=EXACT)


@pytest.mark.parametrize("path", sorted(SHARED.glob("*.vrm")), ids=lambda path: path.stem)
def test_real_avatars_rest_in_the_t_pose_with_their_left_at_plus_x(path: Path) -> None:
    rig = Rig(read_avatar(path))
    np.testing.assert_allclose(rig.apply(BodyPose()).globals, rig.rest, atol=EXACT)
    assert rig.rest_position("leftHand")[0] > 0.2 > -0.2 > rig.rest_position("rightHand")[0]
    assert abs(rig.lowest(rig.apply(BodyPose()))) < 0.01


def test_a_bone_turns_in_the_axes_of_the_world() -> None:
    avatar = stick_avatar(turned=1)
    posed = Rig(avatar).apply(BodyPose(turn("leftUpperArm", (0, 0, 1), 90)))
    np.testing.assert_allclose(where(avatar, posed, "leftHand"), (0.12, 1.40 + 0.48, 0.0), atol=EXACT)
    np.testing.assert_allclose(where(avatar, posed, "rightHand"), (-0.60, 1.40, 0.0), atol=EXACT)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_rest_rotations_of_a_file_change_nothing(seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    plain, turned = stick_avatar(), stick_avatar(turned=seed)
    one, other = Rig(plain).apply(pose), Rig(turned).apply(pose)
    np.testing.assert_allclose(one.globals[:, :3, 3], other.globals[:, :3, 3], atol=EXACT)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_missing_bones_hand_their_turn_on(seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    whole = stick_avatar()
    partial = stick_avatar(without=("upperChest", "neck", "leftShoulder", "rightShoulder", "leftToes", "rightToes"))
    one, other = Rig(whole).apply(pose), Rig(partial).apply(pose)
    for bone in ("head", "leftHand", "rightUpperArm", "rightFoot"):
        np.testing.assert_allclose(
            one.globals[whole.humanoid[bone], :3, :3], other.globals[partial.humanoid[bone], :3, :3], atol=EXACT
        )


def test_hips_move_in_hip_heights() -> None:
    avatar = stick_avatar()
    posed = Rig(avatar).apply(BodyPose(hips=np.array((1.0, -0.2, 0.5), np.float32)))
    np.testing.assert_allclose(where(avatar, posed, "hips"), np.array((1.0, 0.8, 0.5)) * HIP_HEIGHT, atol=EXACT)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.5))
@settings(max_examples=30, deadline=None)
def test_clearance_is_the_height_of_the_lowest_point(seed: int, clearance: float) -> None:
    rig = Rig(stick_avatar())
    posed = rig.apply(replace(random_pose(np.random.default_rng(seed)), clearance=clearance))
    assert rig.lowest(posed) == pytest.approx(clearance * HIP_HEIGHT, abs=EXACT)
    feet = [posed.globals[rig.avatar.humanoid[f"{side}Foot"]] for side in ("left", "right")]
    inverse = [np.linalg.inv(rig.rest[rig.avatar.humanoid[f"{side}Foot"]]) for side in ("left", "right")]
    for foot, back, primitive in zip(feet, inverse, rig.avatar.primitives, strict=True):
        corners = np.column_stack([primitive.positions, np.ones(len(primitive.positions))]) @ (foot @ back).T
        assert corners[:, 1].min() >= clearance * HIP_HEIGHT - EXACT


def test_hanging_arms_at_rest_are_brought_into_the_t_pose() -> None:
    avatar = stick_avatar(arms_down=45.0, turned=2)
    posed = Rig(avatar).apply(BodyPose())
    np.testing.assert_allclose(where(avatar, posed, "leftHand"), places()["leftHand"], atol=EXACT)
    raised = Rig(avatar).apply(BodyPose(turn("leftUpperArm", (0, 0, 1), 90)))
    np.testing.assert_allclose(where(avatar, raised, "leftHand"), (0.12, 1.88, 0.0), atol=EXACT)


def test_every_bone_of_vrm_is_known_and_stands_after_its_parent() -> None:
    assert len(BONES) == 55
    order = list(BONES)
    assert all(not parent or order.index(parent) < i for i, parent in enumerate(BONES.values()))


def test_a_gaze_is_expressions_where_the_avatar_wants_that() -> None:
    names = ("lookDown", "lookLeft", "lookRight", "lookUp")
    rig = Rig(stick_avatar(expressions=names, look_at=LookAt("expression")))
    seen = rig.apply(BodyPose(), {}, (0.5, -0.25)).expressions
    assert {name: weight for name, weight in seen.items() if weight} == {"lookLeft": 0.5, "lookDown": 0.25}


def test_lids_that_move_only_together_blink_together() -> None:
    rig = Rig(stick_avatar(expressions=("aa", "blink")))
    assert rig.apply(BodyPose(), {"blinkLeft": 1.0, "aa": 2.0, "happy": 1.0}).expressions == {"aa": 1.0, "blink": 0.5}
    face = vrm_expressions(Expression(blink_l=1.0, blink_r=1.0), rig.avatar)
    assert {name: weight for name, weight in face.items() if weight} == {"blink": 1.0}


def test_an_avatar_without_hips_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no humanoid bone 'hips'"):
        Rig(replace(stick_avatar(), humanoid={"head": 0}))
