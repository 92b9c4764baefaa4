"""Hems: what hangs over trousers moves with them, and trousers right under it are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from animegen_vrm import visibility
from animegen_vrm.hems import with_bound_hems
from animegen_vrm.model import Avatar
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.rigged import rigged_of
from animegen_vrm.tpose import mesh_of
from dressed import CLOTH, FLAT, JACKET, LEG, wearing
from stick_avatar import places, stick_avatar

from animegen.types import PARTS, Float64Array

X = 0.09  # metres: a leg's middle beside the body's
EDGE, HEM = 0.95, 0.75  # metres: where trousers begin, where the shirt ends
CLOSE, WIDE = LEG + 0.01, LEG + 0.08  # metres: radii of a shirt on the leg and of one that stands off
SOME = 150_000  # points by which is told what is seen: enough for so small an avatar


def in_shirt(radius: float, hem: float = HEM) -> Avatar:
    """Someone with one trouser leg, in a shirt of a radius around it that hangs on the hips alone."""
    leg = ("leftUpperLeg", (X, 0.0), LEG, (0.48, EDGE), CLOTH)
    return wearing(leg, ("hips", (X, 0.0), radius, (hem, 1.2), JACKET))


def shirt_with_raised_thigh(avatar: Avatar) -> tuple[Float64Array, Float64Array]:
    """Places f64 [V, 3] of the shirt's vertices at rest and with the left thigh raised by 60 degrees."""
    rig, half = Rig(avatar), np.radians(60) / 2
    raised = rig.apply(BodyPose({"leftUpperLeg": np.array((-np.sin(half), 0, 0, np.cos(half)), np.float32)}))
    count = len(avatar.primitives[-1].positions)
    before, after = (mesh_of(avatar, posed).positions[-count:] for posed in (rig.apply(BodyPose()), raised))
    return before, after


def test_a_shirt_over_trousers_moves_with_the_thigh_under_it() -> None:
    before, after = shirt_with_raised_thigh(in_shirt(CLOSE))
    np.testing.assert_allclose(after, before, atol=FLAT)
    before, after = shirt_with_raised_thigh(with_bound_hems(in_shirt(CLOSE)))
    hem = before[:, 1] < HEM + 0.02
    hip = places()["leftUpperLeg"]
    back = np.array(((1, 0, 0), (0, 0.5, -(0.75**0.5)), (0, 0.75**0.5, 0.5)))  # of 60 degrees
    np.testing.assert_allclose((after[hem] - hip) @ back.T, before[hem] - hip, atol=1e-4)
    above = before[:, 1] > EDGE
    np.testing.assert_allclose(after[above], before[above], atol=FLAT)


def test_between_edge_and_hem_it_goes_over_smoothly() -> None:
    before, after = shirt_with_raised_thigh(with_bound_hems(in_shirt(CLOSE)))
    order = np.argsort(before[:, 1], kind="stable")
    shift = np.linalg.norm(after - before, axis=1)[order].reshape(-1, 16).mean(axis=1)  # ring by ring, from the hem
    assert (np.diff(shift) < FLAT).all()
    assert np.abs(np.diff(shift)).max() < 0.3 * shift.max()


def test_what_stands_off_and_who_wears_no_trousers_stays() -> None:
    before, after = shirt_with_raised_thigh(with_bound_hems(in_shirt(WIDE)))
    np.testing.assert_allclose(after, before, atol=FLAT)
    bare = stick_avatar()
    assert with_bound_hems(bare) is bare


def test_a_shirt_that_was_bound_in_another_space_stays() -> None:
    """Joints of the trousers would take it to where these were bound."""
    avatar = in_shirt(CLOSE)
    *others, shirt = avatar.primitives
    twice = np.concatenate([avatar.inverse_binds, avatar.inverse_binds @ np.diag((2, 2, 2, 1)).astype(np.float32)])
    other = replace(shirt, positions=shirt.positions / 2, joints=shirt.joints + len(avatar.joint_nodes))
    odd = replace(
        avatar, joint_nodes=np.tile(avatar.joint_nodes, 2), inverse_binds=twice, primitives=(*others, other)
    )  # fmt: skip
    before, after = shirt_with_raised_thigh(with_bound_hems(odd))
    np.testing.assert_allclose(after, before, atol=FLAT)


def test_fewer_joints_than_a_vertex_can_hang_on() -> None:
    avatar = in_shirt(CLOSE)
    used = sorted({int(one.joints[0, 0]) for one in avatar.primitives[-2:]})
    few = replace(
        avatar,
        joint_nodes=avatar.joint_nodes[used],
        inverse_binds=avatar.inverse_binds[used],
        primitives=tuple(
            replace(one, joints=np.searchsorted(used, one.joints).astype(np.uint16)) for one in avatar.primitives[-2:]
        ),
    )
    shirt = with_bound_hems(few).primitives[-1]
    np.testing.assert_allclose(shirt.weights.sum(axis=1), 1.0, atol=1e-6)
    assert shirt.joints.max() == 1
    before, after = shirt_with_raised_thigh(with_bound_hems(few))
    assert np.abs(after - before)[before[:, 1] < HEM + 0.02].max() > 0.05


def test_weights_stay_shares() -> None:
    shirt = with_bound_hems(in_shirt(CLOSE)).primitives[-1]
    np.testing.assert_allclose(shirt.weights.sum(axis=1), 1.0, atol=1e-6)
    assert (shirt.weights >= 0).all()


@pytest.mark.parametrize(
    ("radius", "hem", "lowest"), [(CLOSE, HEM, True), (CLOSE, 0.9, False), (LEG - 0.003, HEM, False)]
)
def test_trousers_are_left_out_right_under_a_shirt_that_ends_below_the_hips(
    radius: float, hem: float, lowest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends above the hip joints (0.88 m) may be tucked in, and one that lies within is."""
    monkeypatch.setattr(visibility, "_POINTS", SOME)
    made = rigged_of(in_shirt(radius, hem), 2000)
    trousers = made.table[made.materials, 0] == PARTS.index("lower")
    heights = made.positions[made.corners[trousers], 1]
    assert bool(heights.max() < HEM + 0.06) is lowest
    assert heights.max() > hem - 0.02
    assert heights.min() == pytest.approx(0.48, abs=0.01)
