"""Spring bones hang, keep their lengths, stay out of colliders and come to rest."""

from __future__ import annotations

import numpy as np
import pytest
from animegen_vrm import quaternions as q
from animegen_vrm.model import Avatar, Collider, Posed, Spring
from animegen_vrm.motion import random_pose
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.springs import SpringSimulation, settle
from hypothesis import given, settings
from hypothesis import strategies as st
from stick_avatar import stick_avatar

from animegen.errors import InvalidValue

LINKS = 4
LENGTH = 0.1
EXACT = 1e-5  # metres
INSIDE = 2e-3  # metres that a tail may be inside a collider: bringing it back to its length moves it once more


def hair(
    stiffness: float, gravity: float, colliders: tuple[Collider, ...] = (), out: tuple[float, float, float] = (0, 0, -1)
) -> Avatar:
    """A strand of four bones behind the head, or along ``out``."""
    first = 22  # the bones of the stick avatar stand before it
    spring = Spring(
        nodes=tuple(range(first, first + LINKS + 1)),
        stiffness=(stiffness,) * (LINKS + 1),
        gravity=(gravity,) * (LINKS + 1),
        gravity_direction=((0.0, -1.0, 0.0),) * (LINKS + 1),
        drag=(0.4,) * (LINKS + 1),
        radius=(0.01,) * (LINKS + 1),
        colliders=colliders,
    )
    offset = tuple(LENGTH * float(value) for value in out)
    return stick_avatar(chain=spring, chain_nodes=[(0.0, 0.1, -0.1), *[offset] * LINKS])


def strand(avatar: Avatar, posed: Posed) -> np.ndarray:
    return posed.globals[list(avatar.springs[0].nodes), :3, 3]


def test_stiff_hair_without_gravity_stays_at_rest() -> None:
    rig = Rig(hair(1.0, 0.0))
    posed = rig.apply(BodyPose())
    np.testing.assert_allclose(settle(rig, posed).globals, posed.globals, atol=EXACT)


def test_soft_hair_hangs_down() -> None:
    rig = Rig(hair(0.0, 1.0))
    points = strand(rig.avatar, settle(rig, rig.apply(BodyPose())))
    np.testing.assert_allclose(np.diff(points, axis=0), [(0.0, -LENGTH, 0.0)] * LINKS, atol=EXACT)


def test_between_stiffness_and_gravity_hair_settles_below_its_rest() -> None:
    rig = Rig(hair(1.0, 0.5))
    before = strand(rig.avatar, rig.apply(BodyPose()))
    after = strand(rig.avatar, settle(rig, rig.apply(BodyPose())))
    assert (after[1:, 1] < before[1:, 1] - 0.02).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_lengths_are_kept_and_the_result_depends_on_the_pose_alone(seed: int) -> None:
    rig = Rig(hair(0.5, 0.5, (Collider(5, (0.0, 0.05, 0.0), 0.12),)))
    pose = random_pose(np.random.default_rng(seed))
    one, other = settle(rig, rig.apply(pose)), settle(Rig(rig.avatar), rig.apply(pose))
    np.testing.assert_array_equal(one.globals, other.globals)
    lengths = np.linalg.norm(np.diff(strand(rig.avatar, one), axis=0), axis=1)
    np.testing.assert_allclose(lengths, LENGTH, atol=EXACT)


@pytest.mark.parametrize("tail", [None, (0.0, -0.5, -0.12)])
def test_hair_stays_outside_of_colliders(tail: tuple[float, float, float] | None) -> None:
    head = stick_avatar().humanoid["head"]
    collider = Collider(head, (0.0, -0.05, -0.12), 0.08, tail)
    rig = Rig(hair(0.1, 1.0, (collider,), out=(0.0, -1.0, -0.2)))
    free = Rig(hair(0.1, 1.0, (), out=(0.0, -1.0, -0.2)))

    def depth(points: np.ndarray) -> float:
        start = np.array((0.0, 1.48, -0.12))
        end = start if tail is None else np.array((0.0, 1.03, -0.12))
        along = end - start
        share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
        return float((0.09 - np.linalg.norm(points - start - share[:, None] * along, axis=1)).max())

    assert depth(strand(free.avatar, settle(free, free.apply(BodyPose())))[1:]) > 0.02
    assert depth(strand(rig.avatar, settle(rig, rig.apply(BodyPose())))[1:]) < INSIDE


def test_a_simulation_starts_at_rest_and_comes_back_to_it() -> None:
    rig = Rig(hair(1.0, 0.3))
    rest, calm = rig.apply(BodyPose()), settle(rig, rig.apply(BodyPose()))
    simulation = SpringSimulation(rig)
    np.testing.assert_allclose(simulation.step(rest, 1 / 30).globals, calm.globals, atol=EXACT)
    nod = rig.apply(BodyPose({"head": q.about((1.0, 0.0, 0.0), 0.6).astype(np.float32)}))
    swung = simulation.step(nod, 1 / 30)
    assert np.abs(swung.globals - settle(rig, nod).globals).max() > 0.01
    for _ in range(300):
        last = simulation.step(rest, 1 / 30)
    np.testing.assert_allclose(last.globals, calm.globals, atol=1e-3)


def test_reset_forgets_all_movement() -> None:
    rig = Rig(hair(1.0, 0.3))
    simulation = SpringSimulation(rig)
    simulation.step(rig.apply(BodyPose(hips=np.array((5.0, 0.0, 0.0), np.float32))), 1 / 30)
    simulation.reset()
    posed = rig.apply(BodyPose())
    np.testing.assert_array_equal(simulation.step(posed, 1 / 30).globals, settle(rig, posed).globals)


@pytest.mark.parametrize("dt", [0.0, -1.0, 2.0, float("nan")])
def test_a_time_step_out_of_range_is_refused(dt: float) -> None:
    rig = Rig(hair(1.0, 0.0))
    with pytest.raises(InvalidValue, match="time step"):
        SpringSimulation(rig).step(rig.apply(BodyPose()), dt)
