"""Arms stay outside of trunks: on a man of ellipsoids, whose trunk is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rigged_avatars import box_man
from test_avatar_solve import PIXEL, Scene, drawn, film, pose, rotation

from animegen.avatar.armature import PosedBones
from animegen.avatar.chain import Chain, World
from animegen.avatar.contact import Contact
from animegen.avatar.rotations import from_matrices, turned
from animegen.avatar.solids import Solids, solids_of
from animegen.avatar.solve import Solver
from animegen.pose.skeletons import AVATAR35

MEASURED_WITHIN = 0.03
"""Metres: a slice of a body is as wide as its widest place."""
DEEP, OUT = 0.03, 0.01
"""Metres: how deep a wrist is put into a belly, at least, and lies in it afterwards, at most."""
TOUCHED = 0.01
"""Metres: how deep a wrist lies in a back, at least, that comes out behind."""
JUMP = 0.02
"""Metres that a wrist moves at most while an arm swings by 0.013 radians, which move it by 0.006."""
NEAR = 2.0 * PIXEL
"""A wrist stays about where it is seen: what an arm's length does not allow is shared among its points."""
EXACT = 1e-5
NUDGE, SLOPE_WITHIN = 1e-6, 1e-4
"""Radians a turn is changed by, and the relative error of the slope of a cost of second order in it."""


@pytest.fixture(scope="module")
def man():
    return box_man()


@pytest.fixture(scope="module")
def chain(man) -> Chain:
    return Chain(man.armature, AVATAR35.points)


def folded(man, yaw: float = 0.0) -> Scene:
    """Arms whose wrists are in the belly."""
    local = pose(np.random.default_rng(2), 0.0)
    for side, out in (("left", 1.0), ("right", -1.0)):
        local[f"{side}UpperArm"] = rotation(np.array((0.0, 0.0, -1.2 * out)))
        local[f"{side}LowerArm"] = rotation(np.array((0.0, -0.3 * out, -1.2 * out)))
    return film(man.armature, [local], [rotation(np.array((0.0, yaw, 0.0)))])


def solved(man, scene: Scene, solids: Solids) -> PosedBones:
    return Solver(man.armature, AVATAR35.points, solids).solve(scene.xy, scene.z, scene.score)


def world_of(chain: Chain, man, bones: PosedBones) -> World:
    """The same bones as slots, in metres from the hips."""
    matrices = bones.matrices.astype(np.float64) * np.array((1.0, -1.0, -1.0))[:, None]
    rows = [man.armature.bones.index(bone) for bone in chain.bones]
    size = np.linalg.norm(matrices[:, :1, :, 0], axis=2)[..., None]
    slots = matrices[:, rows]
    turns = slots[..., :3] / size[..., None]
    pivots = ((slots[..., :3] @ chain.origins[:, :, None])[..., 0] + slots[..., 3]) / size
    return World(turns, pivots - pivots[:, :1], np.zeros((len(matrices), 0, 3)))


def test_a_trunk_is_measured_where_it_is(man):
    solids = solids_of(man)
    assert solids.bones == ("hips", "spine", "upperChest", "upperChest")
    hips, _, chest, _ = solids.radii
    np.testing.assert_allclose(hips[[0, 2]], (0.14, 0.09), atol=MEASURED_WITHIN)
    np.testing.assert_allclose(chest[[0, 2]], (0.15, 0.1), atol=MEASURED_WITHIN)
    assert solids.forearm == pytest.approx(0.035, abs=0.01) and solids.hand == pytest.approx(0.02, abs=0.01)


def test_an_avatar_of_which_nothing_is_there_to_measure_has_nothing_solid(man):
    hair = man.table.copy()
    hair[:, 0] = 0
    assert solids_of(replace(man, table=hair)).bones == ()


@pytest.mark.parametrize("yaw", [0.0, 0.6, -0.6])
def test_wrists_come_out_of_the_belly_and_stay_where_they_are_seen(man, chain, yaw):
    scene, contact = folded(man, yaw), Contact(chain, solids_of(man))
    before, after = (solved(man, scene, solids) for solids in (Solids.none(), solids_of(man)))
    worlds = [world_of(chain, man, bones) for bones in (before, after)]
    ways = contact.ways(worlds[0])
    deep, out = (contact.depth(world, ways)[0] for world in worlds)
    assert deep > DEEP and out < OUT
    wrists = [AVATAR35.index(f"{side}_wrist") for side in ("left", "right")]
    assert np.linalg.norm(drawn(man.armature, after)[0, wrists] - scene.xy[0, wrists], axis=1).max() < NEAR
    shown = after.matrices[0, man.armature.bones.index("leftHand")] @ (*chain.origins[chain.slot["leftHand"]], 1.0)
    chest = after.matrices[0, man.armature.bones.index("chest")] @ (*chain.origins[chain.slot["chest"]], 1.0)
    assert shown[2] < chest[2]  # in front of the body, which faces the camera


def test_arms_behind_the_back_stay_there(man, chain):
    local = pose(np.random.default_rng(2), 0.0)
    for side, out in (("left", 1.0), ("right", -1.0)):
        local[f"{side}UpperArm"] = rotation(np.array((0.2, 0.0, 0.0))) @ rotation(np.array((0.0, 0.0, -1.2 * out)))
        local[f"{side}LowerArm"] = rotation(np.array((0.0, 0.0, -1.0 * out)))
    scene = film(man.armature, [local], [np.eye(3)])
    contact, after = Contact(chain, solids_of(man)), solved(man, scene, solids_of(man))
    before = world_of(chain, man, solved(man, scene, Solids.none()))
    wrist = chain.slot["leftHand"]
    assert contact.depth(before, contact.ways(before))[0] > TOUCHED
    assert world_of(chain, man, after).pivots[0, wrist, 2] < before.pivots[0, wrist, 2] < 0.0  # away from the camera


@pytest.mark.parametrize("degrees", [65, 75, 85])
def test_arms_that_hang_beside_the_body_swing_without_jumps(man, chain, degrees):
    poses = []
    for forward in np.linspace(-0.25, 0.25, 40):
        local = pose(np.random.default_rng(2), 0.0)
        for side, out in (("left", 1.0), ("right", -1.0)):
            down = rotation(np.array((0.0, 0.0, -np.radians(degrees) * out)))
            local[f"{side}UpperArm"] = rotation(np.array((-forward, 0.0, 0.0))) @ down
            local[f"{side}LowerArm"] = np.eye(3)
        poses.append(local)
    scene = film(man.armature, poses, [np.eye(3)] * len(poses))
    wrists = world_of(chain, man, solved(man, scene, solids_of(man))).pivots[:, chain.slot["leftHand"]]
    assert np.linalg.norm(np.diff(wrists, axis=0), axis=1).max() < JUMP


def test_the_rest_of_the_body_stays_as_it_is(man):
    scene = folded(man)
    before, after = (solved(man, scene, solids).matrices for solids in (Solids.none(), solids_of(man)))
    still = [i for i, bone in enumerate(man.armature.bones) if bone in ("hips", "chest", "head", "leftFoot")]
    np.testing.assert_allclose(after[:, still], before[:, still], atol=EXACT)


def test_arms_that_touch_nothing_are_as_without(man):
    local = pose(np.random.default_rng(2), 0.0)
    scene = film(man.armature, [local], [np.eye(3)])  # arms to the sides
    before, after = (solved(man, scene, solids) for solids in (Solids.none(), solids_of(man)))
    assert after.matrices.tobytes() == before.matrices.tobytes()


def test_a_pose_is_the_same_alone_and_among_others(man):
    alone = folded(man)
    other = film(man.armature, [pose(np.random.default_rng(3))] * 2, [np.eye(3)] * 2)
    both = Scene(*(np.concatenate([getattr(other, n), getattr(alone, n)]) for n in ("matrices", "xy", "z")))
    solids = solids_of(man)
    assert solved(man, both, solids).matrices[2].tobytes() == solved(man, alone, solids).matrices[0].tobytes()


def test_the_slope_of_the_cost_is_that_of_its_change(man, chain):
    solids = solids_of(man)
    contact, unknowns = Contact(chain, solids), 3 * len(chain.bones) + 5
    local = pose(np.random.default_rng(2), 0.0)
    for side, out in (("left", 1.0), ("right", -1.0)):
        local[f"{side}UpperArm"] = rotation(np.array((0.1, 0.2 * out, -1.2 * out)))
        local[f"{side}LowerArm"] = rotation(np.array((0.0, -0.3 * out, -1.2 * out)))
    quaternions = from_matrices(np.stack([local.get(bone, np.eye(3)) for bone in chain.bones])[None])

    ways = contact.ways(chain.world(quaternions))

    def cost(change: np.ndarray) -> tuple[float, np.ndarray]:
        normal, gradient = np.zeros((1, unknowns, unknowns)), np.zeros((1, unknowns))
        at = chain.world(turned(quaternions, change.reshape(1, -1, 3)))
        return float(contact.add(at, ways, normal, gradient)[0]), gradient[0]

    here = np.zeros(3 * len(chain.bones))
    _, gradient = cost(here)
    assert np.count_nonzero(gradient) >= len(contact.unknowns) / 2
    for unknown in contact.unknowns:
        step = np.zeros_like(here)
        step[unknown] = NUDGE
        measured = (cost(here + step)[0] - cost(here - step)[0]) / (2 * NUDGE)
        assert 2 * gradient[unknown] == pytest.approx(
            measured, rel=SLOPE_WITHIN, abs=SLOPE_WITHIN * abs(gradient).max()
        )
