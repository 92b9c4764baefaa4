"""Hair that swings: it hangs, keeps its length, stays out of colliders and comes to rest, at any frame rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rigged_avatars import LINKS, box_man, person, ponytailed, seen

from animegen.avatar.armature import Armature
from animegen.avatar.rigged_generator import RiggedGenerator
from animegen.avatar.rotations import about, from_matrices
from animegen.avatar.springs import Motion, Springs, Swing
from animegen.errors import InvalidValue
from animegen.pose.skeletons import AVATAR35

EXACT = 2e-3
"""Metres, of 40 cm of hair: turns are kept in 16 bits."""
AT_REST = 5e-3
"""Metres that it may still swing after some seconds."""
INSIDE = 5e-3
"""Metres that a tail may be inside a collider: it is brought back to its length once more."""
AT_ANY_RATE = 0.03
"""Metres, of 40 cm of hair whose end moves by 20: motions that are sampled at other moments differ a little."""
STEADY = 1.2
"""How much more than its head hair may tremble on somebody who stands still."""
HEAD = np.array((0.0, 1.47, 0.01))


@pytest.fixture(scope="module")
def hair() -> tuple[Armature, Springs]:
    return ponytailed(person())


def of(hair: tuple[Armature, Springs], **changes: object) -> Swing:
    """Hair with other settings: one number for all bones."""
    armature, springs = hair
    spread = {
        name: np.broadcast_to(np.asarray(value, np.float32), getattr(springs, name).shape)
        if name in {"stiffness", "drag", "gravity"} else value
        for name, value in changes.items()
    }  # fmt: skip
    return Swing(armature, replace(springs, **spread))


def moved(places: np.ndarray, tilts: np.ndarray | float = 0.0) -> Motion:
    """A head at places f64 [T, 3] from where it is at rest, tilted sideways by angles."""
    tilts = np.broadcast_to(np.asarray(tilts, np.float64), (len(places),))
    turns = from_matrices(about(np.tile((0.0, 0.0, 1.0), (len(places), 1)), tilts))
    return Motion(turns[:, None], (HEAD + places)[:, None])


def tails(hair: tuple[Armature, Springs], motion: Motion, turns: np.ndarray) -> np.ndarray:
    """Where the bones that swing end, f64 [T, LINKS, 3]."""
    armature, springs = hair
    swing, found = Swing(armature, springs), []
    for quaternion, place, turned in zip(motion.turns[:, 0], motion.places[:, 0], turns, strict=True):
        x, y, z, w = quaternion
        assert x == y == 0.0
        rotation = about(np.array((0.0, 0.0, 1.0)), np.asarray(2 * np.arctan2(z, w)))
        matrices = np.tile(np.eye(3, 4), (len(armature.bones), 1, 1))
        matrices[armature.bones.index("head")] = np.column_stack([rotation, place - rotation @ HEAD])
        bones = swing.applied(matrices.astype(np.float32), turned)[springs.bones].astype(np.float64)
        found.append((bones[:, :, :3] @ springs.tails[:, :, None])[..., 0] + bones[:, :, 3])
    return np.array(found)


def seconds(length: float, rate: float) -> np.ndarray:
    return np.arange(round(length * rate)) / rate


def still(count: int) -> np.ndarray:
    return np.zeros((count, 3))


def to_the_side(time: np.ndarray, metres: float = 0.2, hertz: float = 1.0) -> np.ndarray:
    """A way to the left and back, again and again."""
    return np.outer(metres * (1 - np.cos(2 * np.pi * hertz * time)), (1.0, 0.0, 0.0))


def test_a_pendulum_comes_to_rest_hanging_down(hair):
    swing, time = of(hair, stiffness=0.0, gravity=(0.0, -1.0, 0.0)), seconds(6.0, 30.0)
    motion = moved(still(len(time)), np.where(time < 0.5, 0.0, 0.3))
    turns = swing.through(motion, time)
    found = tails(hair, motion, turns)
    top = found[-1, 0] - (found[-1, 1] - found[-1, 0])
    np.testing.assert_allclose(found[-1] - top, np.outer(np.arange(1, LINKS + 1), (0.0, -0.1, 0.0)), atol=AT_REST)
    assert np.abs(np.diff(found[-10:], axis=0)).max() < AT_REST
    np.testing.assert_allclose(turns[-1, :, 2].astype(float), [-np.sin(0.15), 0.0, 0.0, 0.0], atol=0.02)


def test_hair_stays_behind_a_head_that_starts_and_comes_after(hair):
    time = seconds(4.0, 30.0)
    way = np.outer(np.clip(time - 1.0, 0.0, 0.5), (1.0, 0.0, 0.0))
    motion = moved(way)
    found = tails(hair, motion, of(hair).through(motion, time))
    behind = (found - motion.places)[:, -1, 0]
    np.testing.assert_allclose(behind[[0, -1]], 0.0, atol=AT_REST)
    assert behind[40] < -0.1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_lengths_are_kept_and_nothing_depends_on_what_comes_later(seed):
    hair, rng, time = ponytailed(person()), np.random.default_rng(seed), seconds(1.0, 25.0)
    motion = moved(np.cumsum(rng.normal(0.0, 0.03, (25, 3)), axis=0), np.cumsum(rng.normal(0.0, 0.1, 25)))
    turns = of(hair).through(motion, time)
    found = tails(hair, motion, turns)
    np.testing.assert_allclose(np.linalg.norm(np.diff(found, axis=1), axis=2), 0.1, atol=EXACT)
    assert turns.tobytes() == of(hair).through(motion, time).tobytes()


def test_a_moment_settles_the_same_alone(hair):
    swing = of(hair, gravity=(0.0, -0.5, 0.0))
    motion = moved(still(5), np.linspace(-0.5, 0.5, 5))
    together = swing.settled(motion)
    for i in range(5):
        alone = Motion(motion.turns[i : i + 1], motion.places[i : i + 1])
        assert swing.settled(alone).tobytes() == together[i : i + 1].tobytes()
        assert swing.through(alone, np.zeros(1)).tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize("long", [False, True])
def test_hair_stays_out_of_a_collider(hair, long):
    armature, _ = hair
    start = np.array((0.12, 1.35, -0.12), np.float32)
    end = start + np.float32((0.0, -0.2, 0.0)) * long
    ball = {
        "carriers": np.array([armature.bones.index("head")]), "ends": np.stack([start, end])[None],
        "reach": np.full((LINKS, 1), 0.09, np.float32),
    }  # fmt: skip
    time = seconds(3.0, 30.0)
    motion = moved(-to_the_side(time))
    depths = []
    for swing in (of(hair), of(hair, **ball)):
        found = tails(hair, motion, swing.through(motion, time)) - (motion.places - HEAD)
        share = np.clip((found - start) @ (end - start) / max((end - start) @ (end - start), 1e-9), 0, 1)
        depths.append(0.09 - np.linalg.norm(found - start - share[..., None] * (end - start), axis=2).min())
    assert depths[0] > 0.02
    assert depths[1] < INSIDE


@pytest.mark.parametrize("rate", [24.0, 25.0, 60.0, 12.0])
def test_hair_swings_alike_at_any_frame_rate(hair, rate):
    ends = []
    for one in (30.0, rate):
        time = seconds(4.0, one)
        motion = moved(to_the_side(time))
        found = (tails(hair, motion, of(hair).through(motion, time)) - motion.places)[:, -1]
        ends.append(np.stack([np.interp(np.arange(0.5, 3.9, 0.05), time, found[:, axis]) for axis in range(3)], axis=1))
    assert np.ptp(ends[0][:, 0]) > 0.1
    np.testing.assert_allclose(ends[1], ends[0], atol=AT_ANY_RATE)


@pytest.mark.parametrize("cut", ["a jump", "a gap", "a turn"])
def test_after_a_cut_hair_is_at_rest(hair, cut):
    time = seconds(2.0, 30.0)
    after = np.arange(len(time)) >= 33
    places, tilts = to_the_side(time), np.zeros(len(time))
    if cut == "a jump":
        places = places + np.outer(after, (2.0, 1.0, 0.0))
    elif cut == "a gap":
        time = time + 1.0 * after
    else:
        tilts = 2.0 * after
    motion, swing = moved(places, tilts), of(hair)
    turns = swing.through(motion, time)
    assert turns[33].tobytes() == swing.settled(motion)[33].tobytes()
    assert np.abs(turns[32] - swing.settled(motion)[32]).max() > 0.05
    assert np.isfinite(turns).all()


def test_a_quick_hand_is_no_cut_for_hair_that_may_hit_it(hair):
    armature, _ = hair
    hands = {
        "carriers": np.array([armature.bones.index("leftHand")]), "ends": np.zeros((1, 2, 3), np.float32),
        "reach": np.full((LINKS, 1), 0.01, np.float32),
    }  # fmt: skip
    time = seconds(2.0, 30.0)
    head = moved(to_the_side(time))
    hand = moved(still(len(time)) + 3.0, 2.0 * (np.arange(len(time)) == 33))
    turns, places = (np.concatenate([getattr(one, name) for one in (head, hand)], 1) for name in ("turns", "places"))
    found = of(hair, **hands).through(Motion(turns, places), time)
    np.testing.assert_allclose(found, of(hair).through(head, time), atol=EXACT)


def test_bones_that_cannot_swing_are_refused(hair):
    armature, springs = hair
    for wrong, why in (
        ({"bones": springs.bones[::-1].copy()}, "must rise"),
        ({"bones": springs.bones - springs.bones[0]}, "must rise from 1"),
        ({"tails": armature.pivots[springs.bones]}, "shorter than"),
        ({"carriers": springs.bones[:1]}, "colliders hang on bones that swing"),
    ):
        with pytest.raises(InvalidValue, match=why):
            Swing(armature, replace(springs, **wrong))
    body = replace(armature, point_bones=np.full_like(armature.point_bones, springs.bones[0]))
    with pytest.raises(InvalidValue, match="a point that drives bones"):
        Swing(body, springs)


# On an avatar


@pytest.fixture(scope="module")
def generator() -> RiggedGenerator:
    """A man with a ponytail, and one without."""
    return RiggedGenerator([box_man(ponytail=True), box_man()], AVATAR35, torch.device("cpu"))


def asked(count: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """One pose many times, as it is seen or with what a backend's points tremble by."""
    scene = seen([0.3])
    xy, z = (np.repeat(one, count, axis=0) for one in (scene.xy, scene.z))
    if rng is not None:
        xy = xy + rng.normal(0.0, 0.5 / 256, xy.shape).astype(np.float32)
        z = z + rng.normal(0.0, 2.0 / 256, z.shape).astype(np.float32)
    return {"xy": xy, "z": z, "score": np.ones(z.shape, np.float32)}


def canvas(left: np.ndarray) -> np.ndarray:
    """Squares of 300 pixels f64 [T, 3]."""
    return np.column_stack([left, np.full(len(left), 100.0), np.full(len(left), 300.0)])


def test_a_canvas_that_moves_through_the_frame_moves_hair(generator):
    time = seconds(2.0, 25.0)
    pose = asked(len(time))
    stays, goes = (
        generator.swings(**pose, avatar=0, canvas=canvas(left), seconds=time, check=tuple)
        for left in (np.full(len(time), 50.0), 50.0 + 60.0 * (1 - np.cos(2 * np.pi * time)))
    )
    assert stays.shape == goes.shape == (len(time), LINKS, 3)
    assert np.abs(stays).max() < 0.01
    assert np.abs(goes).max() > 0.1


def test_who_asks_for_a_stop_is_heard(generator):
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    time = seconds(0.2, 25.0)
    with pytest.raises(Stopped):
        generator.swings(**asked(len(time)), avatar=0, canvas=canvas(time), seconds=time, check=stop)


def test_nothing_swings_on_who_has_no_springs(generator):
    time = seconds(0.2, 25.0)
    found = generator.swings(**asked(len(time)), avatar=1, canvas=canvas(time), seconds=time, check=tuple)
    assert found.shape == (len(time), 0, 3)


def test_nothing_swings_in_no_time(generator):
    time = np.zeros(0)
    found = generator.swings(**asked(0), avatar=0, canvas=canvas(time), seconds=time, check=tuple)
    assert found.shape == (0, LINKS, 3)


def test_hair_trembles_no_more_than_the_head_of_who_stands_still(generator):
    time = seconds(4.0, 25.0)
    pose = asked(len(time), np.random.default_rng(0))
    turns = generator.swings(**pose, avatar=0, canvas=canvas(np.full(len(time), 50.0)), seconds=time, check=tuple)
    figure = generator.figures[0]
    posed, springs = figure.solver.solve(**pose), figure.avatar.springs
    trembling = []
    for own in (turns, np.zeros_like(turns)):
        bones = np.stack([figure.swung(*one) for one in zip(posed.matrices, own, strict=True)])[:, springs.bones]
        places = (bones[..., :3] @ springs.tails[:, :, None])[..., 0] + bones[..., 3]
        trembling.append(np.linalg.norm(np.diff(places[..., :2], n=2, axis=0), axis=2).mean())
    assert trembling[0] < STEADY * trembling[1]


def test_what_swings_is_drawn_where_it_swings(generator):
    pose = asked(2) | {"expression": np.zeros((2, 10), np.float32), "avatar": np.array([0, 1]), "stage": 64}
    aside = np.zeros((LINKS, 3), np.float16)
    rest, still = generator.draw(**pose), generator.draw(**pose, swung=[aside, None])
    assert rest.tobytes() == still.tobytes()
    aside[:, 2] = 0.25
    turned = generator.draw(**pose, swung=[aside, np.zeros((0, 3), np.float16)])
    assert (turned[0] != rest[0]).any() and turned[1].tobytes() == rest[1].tobytes()
    alone = {name: value[:1] if isinstance(value, np.ndarray) else value for name, value in pose.items()}
    assert generator.draw(**alone, swung=[aside]).tobytes() == turned[:1].tobytes()
    with pytest.raises(InvalidValue, match=r"what swings must be \(4, 3\), got \(0, 3\)"):
        generator.draw(**alone, swung=[aside[:0]])
