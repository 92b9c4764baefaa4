"""Captured motions on avatars: limbs point as captured, people stand upright on the floor and face the camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import quaternions as q
from animegen_vrm.motion import Motion, read_motion
from animegen_vrm.motion.bvh import read_bvh
from animegen_vrm.motion.reading import bvh_take
from animegen_vrm.motion.retarget import Take
from animegen_vrm.rig import Rig
from stick_avatar import stick_avatar

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "motion"
CLIPS = ("5yr_old_running", "cmu_1006_walking", "fair1_jumping", "cmu_01_01_first1000", "martial_04", "salsa_10")
LIMBS = (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
ANGLE = 0.1  # degrees: rounding of float32 along a chain of bones
WRONG_BEND = (
    25.0  # degrees that captured elbows and knees may bend beside their hinge, from noise and from carrying angles
)

needs_clips = pytest.mark.skipif(not FOLDER.is_dir(), reason="captured motions do not lie beside the checkout")


def clip(name: str) -> tuple[Take, Motion]:
    path = FOLDER / f"{name}.bvh"
    return bvh_take(read_bvh(path), path), read_motion(path)


def frames(motion: Motion, count: int = 24) -> list[int]:
    return [int(frame) for frame in np.linspace(0, len(motion) - 1, count)]


@needs_clips
@pytest.mark.parametrize("name", CLIPS)
def test_limbs_point_as_captured(name: str) -> None:
    take, motion = clip(name)
    avatar = stick_avatar()
    rig = Rig(avatar)
    straightened = motion.rotations[0, motion.bones.index("hips")]
    heading = q.multiply(straightened, q.inverse(take.turns["hips"][0]))
    for frame in frames(motion):
        posed = rig.apply(motion[frame])
        for side in ("left", "right"):
            for bone, child in LIMBS:
                captured = q.rotate(take.turns[side + bone][frame], take.rest[side + child] - take.rest[side + bone])
                ends = [posed.globals[avatar.humanoid[side + each], :3, 3] for each in (bone, child)]
                cosine = q.unit(ends[1] - ends[0]) @ q.unit(q.rotate(heading, captured))
                assert np.degrees(np.arccos(min(cosine, 1.0))) < ANGLE


@needs_clips
@pytest.mark.parametrize("name", CLIPS)
def test_people_start_upright_over_the_origin_and_face_forward(name: str) -> None:
    _, motion = clip(name)
    avatar = stick_avatar()
    posed = Rig(avatar).apply(motion.at(0.5))
    place = {bone: posed.globals[node, :3, 3] for bone, node in avatar.humanoid.items()}
    up = q.unit(place["head"] - place["hips"])
    left = q.unit(place["leftUpperLeg"] - place["rightUpperLeg"])
    assert up[1] > 0.9
    assert left[0] > 0.9
    np.testing.assert_allclose(motion.hips[0, [0, 2]], 0.0, atol=1e-6)
    assert max(place["leftFoot"][1], place["rightFoot"][1]) < place["hips"][1]


@needs_clips
@pytest.mark.parametrize("name", CLIPS)
def test_feet_touch_the_floor_where_the_captured_do(name: str) -> None:
    _, motion = clip(name)
    rig = Rig(stick_avatar())
    lowest = np.array([rig.lowest(rig.apply(motion[frame])) for frame in frames(motion)])
    np.testing.assert_allclose(lowest, motion.clearance[frames(motion)] * rig.hip_height, atol=1e-4)
    assert (motion.clearance >= 0.0).all()
    assert (motion.clearance < 0.03).mean() > 0.5


@needs_clips
def test_walking_stays_on_the_floor_and_jumping_leaves_it() -> None:
    assert clip("cmu_1006_walking")[1].clearance.max() < 0.02
    jumping = clip("fair1_jumping")[1].clearance
    assert jumping.max() > 0.15
    assert (jumping == 0.0).mean() > 0.6


@needs_clips
@pytest.mark.parametrize("name", CLIPS)
def test_elbows_and_knees_bend_about_their_hinges(name: str) -> None:
    _, motion = clip(name)
    for side, out in (("left", 1.0), ("right", -1.0)):
        for bone, along, axis in (
            (f"{side}LowerArm", (out, 0.0, 0.0), (0.0, -out, 0.0)),
            (f"{side}LowerLeg", (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)),
        ):
            bent = q.rotate(motion.rotations[:, motion.bones.index(bone)], along)
            aside = np.degrees(np.arcsin(np.clip(np.abs(bent @ np.asarray(axis)), 0.0, 1.0)))
            forward = np.degrees(np.arctan2(bent @ np.cross(axis, along), bent @ np.asarray(along)))
            assert np.quantile(aside, 0.95) < WRONG_BEND
            assert np.quantile(forward, 0.02) > -WRONG_BEND


@needs_clips
@pytest.mark.parametrize("name", CLIPS)
def test_retargeting_adds_no_jumps(name: str) -> None:
    take, motion = clip(name)
    captured = max(fastest(turns) for turns in take.turns.values())  # captures have jumps of their own
    assert fastest(motion.rotations) < 1.5 * captured


def fastest(rotations: np.ndarray) -> float:
    """Largest turn from one frame to the next, in radians."""
    cosines = np.abs((rotations[1:] * rotations[:-1]).sum(axis=-1))
    return float(2.0 * np.arccos(np.clip(cosines, 0.0, 1.0)).max())
