"""Layers of cloth: they move as one, and what is covered lies deeper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from animegen_vrm import visibility
from animegen_vrm.layers import settled
from animegen_vrm.model import Avatar
from animegen_vrm.paint import Painter
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.rigged import rigged_of
from animegen_vrm.tpose import Mesh, mesh_of
from dressed import BARE, CLOTH, FLAT, JACKET, RINGS, SIDES, TIE, Piece, wearing

from animegen.types import Float64Array

COAT, VEST, BODY = 0.13, 0.128, 0.126  # metres: radii
ROOM = 0.007  # metres, at least: a tube's sides are flat
HEM, NECK = 1.0, 1.4  # metres: where the coat ends
VERTICES = RINGS * SIDES
ROUNDED = 0.1  # of a weight: near the ends of a tube the means are of one side


@pytest.fixture(autouse=True)
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "_POINTS", 100_000)  # enough for so little cloth


def coat(bone: str = "spine") -> Piece:
    return (bone, (0.0, 0.0), COAT, (HEM, NECK), JACKET)


def vest(bone: str = "hips", radius: float = VEST) -> Piece:
    """It is longer than the coat on both ends."""
    return (bone, (0.0, 0.0), radius, (0.8, 1.5), TIE)


def at_rest(avatar: Avatar) -> tuple[Mesh, Mesh]:
    """The mesh and how it is settled."""
    mesh = mesh_of(avatar, Rig(avatar).apply(BodyPose()))
    return mesh, settled(avatar, Painter(avatar), mesh, np.zeros(mesh.weights.shape[1], bool))


def radii(mesh: Mesh, tube: int) -> tuple[Float64Array, Float64Array]:
    """Heights and radii of a tube's vertices, counted from the last one back."""
    places = mesh.positions[len(mesh.positions) - tube * VERTICES :][:VERTICES]
    return places[:, 1], np.hypot(places[:, 0], places[:, 2])


def test_what_is_covered_lies_deeper_and_what_is_seen_stays() -> None:
    mesh, after = at_rest(wearing(coat(), vest()))
    height, radius = radii(after, 1)
    covered = (height > HEM + 0.04) & (height < NECK - 0.04)
    assert radius[covered].max() < COAT - ROOM
    np.testing.assert_allclose(radius[(height < HEM - 0.01) | (height > NECK + 0.01)], VEST, atol=FLAT)
    assert (np.diff(np.sort(radius)) < 0.6 * (1.5 - 0.8) / (RINGS - 1)).all()  # it slopes
    np.testing.assert_allclose(radii(after, 2)[1], COAT, atol=FLAT)
    np.testing.assert_array_equal(after.triangles, mesh.triangles)


def test_the_inner_layer_of_two_lies_deepest() -> None:
    inner = ("hips", (0.0, 0.0), BODY, (0.8, 1.5), BARE)
    _, after = at_rest(wearing(coat(), vest(), inner))
    (height, skin), (_, cloth) = radii(after, 1), radii(after, 2)
    covered = (height > HEM + 0.04) & (height < NECK - 0.04)
    assert (cloth - skin)[covered].min() > 0.0
    assert cloth[covered].max() < COAT - ROOM


@pytest.mark.parametrize("points", [70_000, 100_000, 150_000])
def test_what_bulges_through_its_cover_is_put_under_it(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    monkeypatch.setattr(visibility, "_POINTS", points)
    _, after = at_rest(wearing(coat(), vest(radius=COAT + 0.001), vest(radius=COAT - 0.004)))
    for tube, room in ((1, ROOM), (2, 0.0)):
        height, radius = radii(after, tube)
        assert radius[(height > HEM + 0.04) & (height < NECK - 0.04)].max() < COAT - room


def test_layers_move_as_one() -> None:
    mesh, after = at_rest(wearing(coat("spine"), vest("hips")))
    outside, inside = (after.weights[len(after.weights) - tube * VERTICES :][:VERTICES] for tube in (2, 1))
    heights = [radii(mesh, tube)[0] for tube in (2, 1)]
    middle = [(height > HEM + 0.05) & (height < NECK - 0.05) for height in heights]
    means = [layer[some].mean(axis=0) for layer, some in zip((outside, inside), middle, strict=True)]
    np.testing.assert_allclose(*means, atol=ROUNDED)
    assert means[0].max() < 1 - ROUNDED  # neither goes its own way
    np.testing.assert_allclose(after.weights.sum(axis=1), mesh.weights.sum(axis=1), atol=1e-6)


def test_springs_swing_and_trousers_stay_with_their_bones() -> None:
    avatar = wearing(coat("spine"), vest("hips"), ("leftUpperLeg", (0.0, 0.0), VEST, (0.5, 1.1), CLOTH))
    mesh = mesh_of(avatar, Rig(avatar).apply(BodyPose()))
    hips = mesh.weights[len(mesh.weights) - 2 * VERTICES].astype(bool)
    after = settled(avatar, Painter(avatar), mesh, hips)
    tubes = len(mesh.weights) - 3 * VERTICES
    np.testing.assert_allclose(after.weights[tubes:], mesh.weights[tubes:], atol=1e-6)


def test_one_layer_or_none_stays_where_it_is() -> None:
    for avatar in (wearing(coat()), wearing(), replace(wearing(coat()), primitives=wearing(coat()).primitives[-1:])):
        mesh, after = at_rest(avatar)
        np.testing.assert_array_equal(after.positions, mesh.positions)


def test_points_of_a_dense_layer_below_do_not_hide_the_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the points next to the vest most are of what is under it."""
    monkeypatch.setattr(visibility, "_POINTS", 300_000)
    shirts = [("hips", (0.0, 0.0), VEST - 0.001 - 1e-3 * i, (0.8, 1.5), CLOTH) for i in range(4)]
    _, after = at_rest(wearing(*shirts, coat(), vest()))
    height, radius = radii(after, 1)
    assert radius[(height > HEM + 0.04) & (height < NECK - 0.04)].max() < COAT - ROOM


def test_seams_stay_closed() -> None:
    """At hard edges vertices in one place face different ways."""
    avatar = wearing(coat(), vest())
    *others, tube = avatar.primitives
    turned = tube.normals @ np.array(((0.95, 0, 0.3), (0, 1, 0), (-0.3, 0, 0.95)), np.float32)
    split = replace(
        tube,
        positions=np.tile(tube.positions, (2, 1)),
        normals=np.concatenate([tube.normals, turned]),
        uvs=np.tile(tube.uvs, (2, 1)),
        joints=np.tile(tube.joints, (2, 1)),
        weights=np.tile(tube.weights, (2, 1)),
        triangles=np.concatenate([tube.triangles[::2], tube.triangles[1::2] + VERTICES]),
    )
    mesh, after = at_rest(replace(avatar, primitives=(*others, split)))
    one, two = (after.positions[len(after.positions) - 2 * VERTICES :].reshape(2, VERTICES, 3)[i] for i in (0, 1))
    used = [np.unique(split.triangles[: len(split.triangles) // 2]), np.unique(split.triangles[1::2] % VERTICES)]
    both = np.intersect1d(*used)
    np.testing.assert_allclose(one[both], two[both], atol=FLAT)
    assert np.abs(after.positions - mesh.positions).max() > ROOM / 2


def test_what_is_sewn_to_trousers_moves_with_them_at_the_seam() -> None:
    trousers = ("leftUpperLeg", (0.0, 0.0), VEST, (0.1, 0.8), CLOTH)
    avatar = wearing(("spine", (0.0, 0.0), COAT, (0.7, NECK), JACKET), trousers, vest())
    mesh, after = at_rest(avatar)
    bottom, top = (radii(mesh, 1)[0] < 0.8 + FLAT), (radii(mesh, 1)[0] > 1.0)
    before, now = (each.weights[-VERTICES:] for each in (mesh, after))
    np.testing.assert_allclose(now[bottom], before[bottom], atol=1e-6)
    assert np.abs(now[top] - before[top]).max() > ROUNDED


def test_cloth_that_is_cut_out_covers_nothing() -> None:
    avatar = wearing(coat(), vest())
    materials = list(avatar.materials)
    materials[JACKET] = replace(materials[JACKET], alpha_mode="mask", lit=(*materials[JACKET].lit[:3], 0.0))
    mesh, after = at_rest(replace(avatar, materials=tuple(materials)))
    np.testing.assert_array_equal(after.positions, mesh.positions)
    np.testing.assert_array_equal(after.weights[-VERTICES:], mesh.weights[-VERTICES:])


def test_rigged_avatars_are_settled() -> None:
    made = rigged_of(wearing(coat(), vest()), 3000)
    radius = np.hypot(made.positions[:, 0], made.positions[:, 2])
    within = (np.abs(made.positions[:, 1] - 1.2) < 0.1) & (radius > 0.1)
    assert within.any()
    assert not ((radius < COAT - 0.001) & (radius > COAT - ROOM))[within].any()
