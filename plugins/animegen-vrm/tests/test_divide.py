"""Facets of a card: how they follow what textures show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from animegen_vrm.divide import divided
from animegen_vrm.facets import Facets
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.paint import Painter
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.tpose import mesh_of
from cards import SIDE, TWO_COLOURS, card, picture

OVER = 2  # facets that are cut at what is clear become two
FLAT = 1e-3  # metres: float32 on matrices of a few factors
TEXEL = 1 / SIDE  # metres: the card is one metre wide
CUT = 1 / 128  # metres: a cut edge is found in seven halvings, and half a texel is mixed
LEVEL = 1  # of 255: rounding


def cut(avatar: Avatar, count: int, shown: bool = True) -> Facets:
    """All of an avatar's triangles, divided, or none."""
    mesh = mesh_of(avatar, Rig(avatar).apply(BodyPose()))
    return divided(Painter(avatar), mesh, np.full((len(mesh.triangles), 2), shown), count)


def _halves(square: Primitive) -> Primitive:
    """A card whose two triangles have vertices of their own."""
    corner = np.array([0, 1, 2, 0, 2, 3])
    return replace(
        square,
        positions=square.positions[corner], normals=square.normals[corner], uvs=square.uvs[corner],
        joints=square.joints[corner], weights=square.weights[corner],
        triangles=np.arange(6, dtype=np.uint32).reshape(2, 3),
    )  # fmt: skip


def areas(drawn: Facets) -> np.ndarray:
    a, b, c = drawn.positions[drawn.triangles].transpose(1, 0, 2)
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


@pytest.mark.parametrize("count", [1, 50, 400])
def test_there_are_about_as_many_facets_as_asked_for_and_no_holes(count: int) -> None:
    drawn = cut(card(TWO_COLOURS), count)
    assert max(2, 0.9 * count) <= len(drawn.triangles) <= max(2, count)
    assert areas(drawn).sum() == pytest.approx(1.0)


def test_a_texture_is_divided_along_its_edge() -> None:
    drawn = cut(card(TWO_COLOURS), 800)
    middles = drawn.positions[drawn.triangles].mean(axis=1)
    near = np.abs(middles[:, 0]) < 2 * TEXEL
    assert near.mean() > 0.7
    assert areas(drawn)[near].mean() < areas(drawn)[~near].mean() / 50
    away = np.abs(drawn.positions[:, 0]) > TEXEL / 2
    left = drawn.positions[:, 0] < 0
    np.testing.assert_allclose(drawn.colours[left & away], [(0, 255, 0, 0)] * (left & away).sum(), atol=LEVEL)
    np.testing.assert_allclose(drawn.colours[~left & away], [(0, 0, 0, 255)] * (~left & away).sum(), atol=LEVEL)


def _edges(drawn: Facets) -> set[frozenset[tuple[float, float]]]:
    """Edges of facets by where their ends lie on the card."""
    places = np.round(drawn.positions[:, :2] - (0, 1), 6)
    ends = np.stack([drawn.triangles, np.roll(drawn.triangles, -1, axis=1)], axis=2).reshape(-1, 2)
    return {frozenset(map(tuple, places[pair].tolist())) for pair in ends}


@pytest.mark.parametrize("bent", [0.0, 0.2])
def test_edges_lie_along_those_of_a_texture_unless_that_bends_the_surface(bent: float) -> None:
    """A valley along one diagonal of the card, whose facets share the other one."""
    valley = card(picture(lambda x, y: {0: 4 * np.abs(x - y)}))
    (square,) = valley.primitives
    apart = square.positions + np.array((0, 0, bent), np.float32) * np.array((1, 0, 1, 0))[:, None]
    drawn = cut(replace(valley, primitives=(replace(square, positions=apart.astype(np.float32)),)), 2)
    rising, falling = frozenset({(-0.5, -0.5), (0.5, 0.5)}), frozenset({(-0.5, 0.5), (0.5, -0.5)})
    assert _edges(drawn) & {rising, falling} == {rising if bent else falling}


@pytest.mark.parametrize("count", [50, 800])
def test_patterns_that_mirror_themselves_leave_no_holes(count: int) -> None:
    """Where many pairs of facets gain alike, none is flipped with two neighbours at once."""
    middle = (SIDE - 1) / 2
    ring = picture(lambda x, y: {1: np.where(np.abs(np.hypot(x - middle, y - middle) - 20) < 3, 255, 0)})
    triangles = cut(card(ring), count).triangles
    ways = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2)
    assert len(np.unique(ways, axis=0)) == len(ways)


def test_both_sides_of_a_seam_have_one_colour() -> None:
    whole = card(TWO_COLOURS)
    (square,) = whole.primitives
    normals = np.repeat(np.array([(0, 0, 1), (0, 0.1, 1)], np.float32), 3, axis=0)
    halves = replace(_halves(square), normals=normals)
    drawn = cut(replace(whole, primitives=(halves,)), 200)
    places, place = np.unique(drawn.positions, axis=0, return_inverse=True)
    assert len(drawn.positions) > len(places)
    for number in np.flatnonzero(np.bincount(place.reshape(-1)) > 1):
        assert len(np.unique(drawn.colours[place.reshape(-1) == number], axis=0)) == 1


def test_a_corners_colour_is_that_of_all_around_it() -> None:
    lines = card(picture(lambda x, _: {1: np.where((x == 0) | (x == SIDE - 1), 255, 0)}))
    drawn = cut(lines, 2)
    assert len(drawn.triangles) == 2
    assert drawn.colours[:, 2].max() < 0.25 * 255


def test_no_corner_has_a_colour_that_its_texture_has_not() -> None:
    grey = picture(lambda x, _: {k: np.where(x < SIDE // 2, 100, 150) for k in range(3)})
    colours = cut(card(grey), 40).colours[:, 1:]
    assert colours.min() >= 100 and colours.max() <= 150


def test_no_two_vertices_are_alike() -> None:
    drawn = cut(card(TWO_COLOURS), 800)
    assert len(np.unique(np.column_stack([drawn.positions, drawn.uvs]), axis=0)) == len(drawn.positions)
    assert len(drawn.positions) < 0.7 * len(drawn.triangles)


def test_what_bends_does_not_come_apart() -> None:
    """No vertex lies within an edge whose ends move with other bones, also where its two sides have own vertices."""
    bare = card(TWO_COLOURS)
    (square,) = bare.primitives
    corner = np.array([0, 1, 2, 0, 2, 3])
    bent = replace(
        _halves(square),
        joints=np.tile(np.array((0, 1, 0, 0), np.uint16), (6, 1)),
        weights=np.column_stack([1 - corner / 3, corner / 3, np.zeros((6, 2))]).astype(np.float32),
    )
    within = []
    for primitive in (square, bent):
        drawn = cut(replace(bare, primitives=(primitive,)), 300)
        ends = drawn.positions[np.concatenate([drawn.triangles, np.roll(drawn.triangles, -1, axis=1)], axis=1)]
        a, b = ends[:, :3].reshape(-1, 1, 3), ends[:, 3:].reshape(-1, 1, 3)
        share = np.sum((drawn.positions - a) * (b - a), axis=2) / np.sum((b - a) ** 2, axis=2)
        beside = np.linalg.norm(drawn.positions - (a + share[..., None] * (b - a)), axis=2)
        within.append(int(((beside < 1e-9) & (share > 1e-6) & (share < 1 - 1e-6)).sum()))
    assert within[0] > 0
    assert within[1] == 0


@pytest.mark.parametrize("count", [2, 500])
def test_a_clear_texture_is_cut_along_a_straight_edge(count: int) -> None:
    half = picture(lambda x, _: {3: np.where(x < SIDE // 2, 255, 0)})
    drawn = cut(card(half, alpha_mode="mask"), count)
    assert len(drawn.triangles) <= OVER * count
    assert drawn.positions[:, 0].max() <= CUT
    assert areas(drawn).sum() == pytest.approx(0.5, abs=CUT)
    edge = np.abs(drawn.positions[:, 0]) <= CUT
    np.testing.assert_allclose((drawn.positions[edge, 1].min(), drawn.positions[edge, 1].max()), (0.5, 1.5), atol=FLAT)
    assert (drawn.colours[:, 1] == 255).all()  # clear texels lend no colour


def test_of_what_is_blended_the_more_solid_half_is_there() -> None:
    alpha = picture(lambda x, _: {3: np.where(x < SIDE // 2, 115, 140)})
    drawn = cut(card(alpha, alpha_mode="blend"), 200)
    assert drawn.positions[:, 0].min() >= -CUT
    assert areas(drawn).sum() == pytest.approx(0.5, abs=CUT)
    assert areas(cut(card(alpha), 200)).sum() == pytest.approx(1.0)  # alpha means nothing in what is opaque


@pytest.mark.parametrize("shown", [False, True])
def test_dividing_ends_whatever_there_is(shown: bool) -> None:
    clear = card(picture(lambda x, _: {3: 0 * x}), alpha_mode="mask")
    flat = card(TWO_COLOURS)
    square = flat.primitives[0]
    flat = replace(flat, primitives=(replace(square, positions=np.ones_like(square.positions)),))
    assert len(cut(clear, 100, shown).triangles) == 0
    assert len(cut(flat, 100, shown).triangles) == 2 * shown
