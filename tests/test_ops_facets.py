"""Facets on pictures: what they cover, which is nearest, what pixels show; native and reference to the same bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from animegen.errors import InvalidValue, OpsError
from animegen.ops import library
from animegen.ops.facets import KIND, NOTHING, VERTEX, Window, facets, facets_reference
from animegen.ops.tensors import call

pytestmark = pytest.mark.usefixtures("native_ops")

LAYERS, PARTS, PARTLESS = 10, 6, 6
ALPHA, RGB = 0, slice(7, 10)
ON_THE_EDGE = 2e-3
"""Samples; one this near to an edge may be on either side: facets reach a little over their edges."""
ONE_DEPTH = 1e-3
"""Two facets whose depths differ by less may be in either order."""
A_LEVEL = 0.51
"""What rounding a level costs, and a little for float32."""
EXTREME = 1e-4
"""The share of a level by which float32 may miss what changes by hundreds of levels in a sample."""
ANY = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.floats(-4, 20, width=32), st.sampled_from([0.0, 1.0])
)


class Mesh(NamedTuple):
    """What :func:`facets` draws: f32 [N, V, 8], int64 [F, 3], f32 [F, 5]."""

    vertices: Tensor
    corners: Tensor
    kinds: Tensor


def facet(
    corners: object,
    depth: object = 1.0,
    *,
    light: object = 1.0,
    colours: object = 100.0,
    dark: float = 0.5,
    part: float = 0.0,
    gain: float = 1.0,
    offset: float = 0.0,
    sides: float = 0.0,
) -> tuple[np.ndarray, list[float]]:
    """A triangle with corners (x, y), f64 [3, 8], and its kind; ``depth``, ``light`` and ``colours`` [.., 4] at each
    or at all.
    """
    vertices = np.empty((3, len(VERTEX)))
    vertices[:, :2], vertices[:, 2], vertices[:, 3], vertices[:, 4:] = corners, depth, light, colours
    return vertices, [part, dark, gain, offset, sides]


def mesh(*drawn: tuple[np.ndarray, list[float]]) -> Mesh:
    """Triangles with vertices of their own, in one picture."""
    vertices = torch.tensor(np.array([own for own, _ in drawn]), dtype=torch.float32)
    kinds = torch.tensor([kind for _, kind in drawn], dtype=torch.float32)
    return Mesh(vertices.view(1, -1, len(VERTEX)), torch.arange(3 * len(drawn)).view(-1, 3), kinds)


def both(drawn: Mesh, *, side: int, scale: int = 1, window: Window | None = None) -> tuple[Tensor, Tensor]:
    """The picture and the keys, natively, which must be those of the reference."""
    found, wanted = (op(*drawn, side=side, scale=scale, window=window) for op in (facets, facets_reference))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert torch.equal(one, other)
    return found


def numbers(*drawn: tuple[np.ndarray, list[float]], side: int = 7) -> list[list[int]]:
    """Which of some facets each sample shows, -1 for none."""
    keys = both(mesh(*drawn), side=side)[1][0]
    return torch.where(keys == NOTHING, -1, keys & 0xFFFFFFFF).tolist()


def crowd(pictures: int, count: int, side: int, seed: int = 0) -> Mesh:
    """Triangles of all sizes and both windings, seen from one side or both, some off the picture."""
    rng = np.random.default_rng(seed)
    size = rng.choice([0.5, 3.0, 12.0], (pictures, count, 1, 1))
    vertices = np.empty((pictures, count, 3, len(VERTEX)))
    vertices[..., :2] = rng.uniform(-4, side + 4, (pictures, count, 1, 2)) + rng.normal(
        0, size, (pictures, count, 3, 2)
    )
    vertices[..., 2] = rng.uniform(0.5, 2, (pictures, count, 1)) + rng.normal(0, 0.05, (pictures, count, 3))
    vertices[..., 3] = rng.uniform(-0.5, 1.5, vertices.shape[:-1])
    vertices[..., 4:] = rng.uniform(-20, 280, (pictures, count, 3, 4))
    of_facet = (
        rng.integers(-1, 8, count), rng.uniform(0, 1, count), rng.uniform(-2, 2, count), rng.uniform(-0.5, 1, count),
        rng.choice([0, 0, 1, -1], count),
    )  # fmt: skip
    kinds = torch.from_numpy(np.stack(of_facet, axis=1)).float().view(count, len(KIND))
    places = torch.from_numpy(vertices).float().view(pictures, 3 * count, len(VERTEX))
    return Mesh(places, torch.arange(3 * count).view(count, 3), kinds)


def plainly(drawn: Mesh, picture: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a picture's facets in float64 the corners [F, 3, 8], the kinds, and whether they are turned away."""
    own = drawn.vertices[picture].double().numpy()[drawn.corners.numpy()]
    (ax, ay), (bx, by), (cx, cy) = (own[:, i, :2].T for i in range(3))
    return own, drawn.kinds.double().numpy(), (bx - ax) * (cy - by) - (by - ay) * (cx - bx) > 0


def over(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What vertices f64 [3, 8] have at places, linearly: [.., 8]."""
    (px, py), u, v = corners[0, :2], corners[1] - corners[0], corners[2] - corners[0]
    second, third = np.linalg.solve(np.stack([u[:2], v[:2]], axis=1), np.stack([(x - px).ravel(), (y - py).ravel()]))
    return (corners[0] + second[:, None] * u + third[:, None] * v).reshape(*np.shape(x), -1)


WHOLE = ((-20.0, -10.0), (3.0, 40.0), (30.0, -10.0))
"""A triangle over all of a picture of 7 samples, seen from the front."""


def test_a_crowd_shows_what_the_formulas_say():
    """Against float64 over all samples of each triangle, but for those that lie on the edge of one."""
    drawn = crowd(2, 120, 24)
    _, keys = both(drawn, side=12, scale=2)
    row, column = np.mgrid[:24, :24].astype(np.float64)
    for picture, key in enumerate(keys.numpy()):
        nearest, number, sure = np.full((24, 24), np.inf), np.full((24, 24), -1), np.ones((24, 24), bool)
        for i, (corners, kind, away) in enumerate(zip(*plainly(drawn, picture), strict=True)):
            if kind[4] * (1 if away else -1) > 0:
                continue
            places = corners[:, :2]
            edges = np.roll(places, -1, axis=0) - places
            aside = [
                (ex * (row - py) - ey * (column - px)) / np.hypot(ex, ey)
                for (ex, ey), (px, py) in zip(edges, places, strict=True)
            ]
            within = ((1 if away else -1) * np.stack(aside)).min(axis=0)
            z = over(corners, column, row)[..., 2]
            sure &= np.abs(within) > ON_THE_EDGE
            seen = (within >= 0) & (z > 0)
            sure &= ~seen | ((np.abs(z - nearest) > ONE_DEPTH) & (np.abs(z) > ONE_DEPTH))
            closer = seen & (z < nearest)
            nearest[closer], number[closer] = z[closer], i
        found = np.where(key == NOTHING, -1, key & 0xFFFFFFFF)
        assert sure.mean() > 0.9
        assert (number >= 0).mean() > 0.3
        np.testing.assert_array_equal(found[sure], number[sure])
        depths = (key >> 32).astype(np.int32).view(np.float32)
        covered = sure & (number >= 0)
        np.testing.assert_allclose(depths[covered], nearest[covered], rtol=1e-4)


def test_samples_show_light_and_colours_as_documented():
    drawn = crowd(1, 120, 24)
    picture, keys = (a[0].numpy() for a in both(drawn, side=24))
    corners, kinds, away = plainly(drawn, 0)
    shown = np.argwhere(keys != NOTHING)
    parts, turned = set(), set()
    for row, column in shown:
        i = keys[row, column] & 0xFFFFFFFF
        part, dark, gain, offset, _ = kinds[i]
        values = over(corners[i], np.float64(column), np.float64(row))
        light = dark + (1 - dark) * np.clip(values[3] * (-gain if away[i] else gain) + offset, 0, 1)
        levels = np.clip(light * values[4:], 0, 255)
        wanted = np.zeros(LAYERS)
        wanted[ALPHA], wanted[RGB] = 255, levels[1:]
        if 0 <= part < PARTS:
            wanted[1 + int(part)] = levels[0]
        steep = np.abs(corners[i, :, 4:]).max() + np.abs(over(corners[i], column + 1.0, float(row)) - values).max()
        np.testing.assert_allclose(picture[row, column], wanted, rtol=0, atol=A_LEVEL + EXTREME * steep)
        parts.add(part)
        turned.add((away[i], kinds[i, 4]))
    assert parts == set(range(-1, 8))
    assert turned == {(False, 0), (True, 0), (False, 1), (True, -1)}
    assert not picture[keys == NOTHING].any()


@pytest.mark.parametrize(("sides", "front", "back"), [(0, 0, 0), (1, 0, -1), (-3, -1, 0), (float("nan"), 0, 0)])
def test_facets_are_seen_from_their_sides(sides, front, back):
    assert numbers(facet(WHOLE, sides=sides)) == [[front] * 7] * 7
    assert numbers(facet(WHOLE[::-1], sides=sides)) == [[back] * 7] * 7


def test_light_falls_on_the_other_side_from_behind():
    for corners, wanted in ((WHOLE, 75), (WHOLE[::-1], 25)):
        picture, _ = both(mesh(facet(corners, light=0.5, dark=0.0, gain=0.5, offset=0.5)), side=7)
        assert picture[0, 3, 3, 7] == wanted


def test_vertices_are_shared():
    """A square of two facets."""
    corners = np.array([(-0.2, -0.2), (5.2, -0.2), (5.2, 5.2), (-0.2, 5.2)])
    vertices = np.concatenate([corners, np.ones((4, 1)), np.ones((4, 1)), np.full((4, 4), 90.0)], axis=1)
    of_two = torch.tensor([[0, 1, 2], [0, 2, 3]])
    kinds = torch.tensor([facet(WHOLE)[1]] * 2)
    _, keys = both(Mesh(torch.from_numpy(vertices).float()[None], of_two, kinds), side=7)
    assert (keys[0] != NOTHING).nonzero().tolist() == [[i, j] for i in range(6) for j in range(6)]


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
@pytest.mark.parametrize(
    "window", [(0, 0, 12, 12), (3, 0, 9, 5), (7, 4, 1, 8), (11, 11, 1, 1), (2, 5, 4, 0), (12, 0, 0, 3)]
)
def test_a_window_shows_its_part_of_the_picture(at_level, level, window):
    at_level(level)
    drawn = crowd(2, 150, 36)
    whole, keys = both(drawn, side=12, scale=3)
    left, top, width, height = window
    part, some = both(drawn, side=12, scale=3, window=Window(*window))
    assert torch.equal(part, whole[:, top : top + height, left : left + width])
    assert torch.equal(some, keys[:, 3 * top : 3 * (top + height), 3 * left : 3 * (left + width)])


def test_a_triangle_covers_the_samples_within_it_either_way_round():
    wanted = [[0, 0, 0, 0], [0, 0, 0, -1], [0, 0, -1, -1], [0, -1, -1, -1]]
    corners = ((-0.2, -0.2), (3.4, -0.2), (-0.2, 3.4))
    assert numbers(facet(corners), side=4) == wanted
    assert numbers(facet(corners[::-1]), side=4) == wanted
    assert numbers(facet(((0.2, 0.2), (0.8, 0.2), (0.2, 0.8))), side=2) == [[-1, -1], [-1, -1]]


def test_the_nearest_is_shown_and_of_equals_the_lower_number():
    near, far = facet(WHOLE, 1.0), facet(WHOLE, 1.5)
    assert numbers(far, near, far) == [[1] * 7] * 7
    assert numbers(near, near, far) == [[0] * 7] * 7
    across = np.array(WHOLE)[:, 0] - 3
    assert numbers(facet(WHOLE, 1 + 0.02 * across), facet(WHOLE, 1.01)) == [[0, 0, 0, 0, 1, 1, 1]] * 7
    # what reaches behind the eye is not there
    assert numbers(facet(WHOLE, 0.4 + 0.02 * across)) == [[-1] * 7] * 7


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 40))
def test_triangles_with_common_edges_leave_no_sample_between_them(seed, size):
    """A fan around any spot in a box."""
    rng = np.random.default_rng(seed)
    low, extent = rng.uniform(-5, 20, 2), rng.uniform(0.2, 1, 2) * size
    box, spot = low + extent * ((0, 0), (1, 0), (1, 1), (0, 1)), low + extent * rng.beta(0.3, 0.3, 2)
    fan = [facet((box[i], box[(i + 1) % 4], spot)) for i in range(4)]
    keys = both(mesh(*fan), side=32)[1][0].numpy()
    row, column = np.mgrid[:32, :32]
    inside = (column >= low[0]) & (column <= low[0] + extent[0]) & (row >= low[1]) & (row <= low[1] + extent[1])
    assert (keys[inside] != NOTHING).all()


def test_a_mesh_has_no_holes_far_from_the_first_sample():
    """There float32 has few digits left for places, and facets with common edges do not quite meet."""
    lattice = np.stack(np.meshgrid(np.linspace(1997, 3024, 60), np.linspace(1997, 3024, 60)), axis=-1)
    lattice += np.random.default_rng(3).normal(0, 4, lattice.shape)
    cells = lattice[:-1, :-1], lattice[:-1, 1:], lattice[1:, 1:], lattice[1:, :-1]
    a, b, c, d = (corner.reshape(-1, 2) for corner in cells)
    drawn = [facet(corners) for triple in ((a, b, c), (a, c, d)) for corners in zip(*triple, strict=True)]
    _, keys = facets(*mesh(*drawn), side=1024, scale=3)
    assert (keys[0, 2030:2990, 2030:2990] != NOTHING).all()


@pytest.mark.parametrize("number", range(len(VERTEX) + len(KIND)))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-42])
def test_numbers_that_are_none(number, value):
    vertices, kind = facet(((1, 1), (5, 1), (3, 6)))
    if number < len(VERTEX):
        vertices[1, number] = value
    else:
        kind[number - len(VERTEX)] = value
    shown = numbers((vertices, kind), facet(WHOLE, 5.0))
    assert shown[0][0] in {0, 1}
    if np.isnan(value) and number < 3:
        assert shown == [[1] * 7] * 7


def test_a_light_or_colour_of_nan_is_dark():
    picture, _ = both(mesh(facet(WHOLE, light=np.nan, colours=100.0, dark=0.3)), side=7)
    assert picture[0, 3, 3].tolist() == [255, 30, 0, 0, 0, 0, 0, 30, 30, 30]
    for wrong in ({"colours": np.nan}, {"dark": np.nan}):
        picture, _ = both(mesh(facet(WHOLE, **wrong)), side=7)
        assert picture[0, 3, 3].tolist() == [255] + 9 * [0]


@pytest.mark.parametrize(
    ("part", "layer"),
    [(0, 1), (5, 6), (0.99999994, 1), (6, None), (-1, None), (-0.5, None), (1e30, None), (np.nan, None)],
)
def test_parts_have_layers(part, layer):
    picture, _ = both(mesh(facet(WHOLE, part=part)), side=7)
    assert np.flatnonzero(picture[0, 3, 3, 1:7]).tolist() == ([] if layer is None else [layer - 1])
    assert picture[0, 3, 3, RGB].tolist() == [100, 100, 100]


@pytest.mark.parametrize(("light", "share"), [(-3.0, 0.5), (0.0, 0.5), (0.5, 0.75), (1.0, 1.0), (7.0, 1.0)])
def test_light_is_held_between_dark_and_full(light, share):
    picture, _ = both(mesh(facet(WHOLE, light=light, colours=(40, 80, 120, 400))), side=7)
    wanted = [40 * share, 0, 0, 0, 0, 0, 80 * share, 120 * share, min(400 * share, 255)]
    np.testing.assert_allclose(picture[0, 3, 3, 1:], wanted, atol=A_LEVEL)


def test_what_has_no_area_or_no_depth_covers_nothing():
    corners = ((1, 1), (5, 1), (3, 6))
    behind, partly = facet(corners, -1.0), facet(corners, (1.0, 1.0, -0.01))
    for covers_nothing in (facet(((1, 1), (5, 1), (3, 1))), facet(((2, 2), (2, 2), (2, 2))), behind, partly):
        assert numbers(covers_nothing) == [[-1] * 7] * 7


def test_a_huge_triangle_covers_all_and_one_far_off_nothing():
    huge = 1e6 * (np.array(WHOLE) - 3)
    assert numbers(facet(huge)) == [[0] * 7] * 7
    for x, y in ((1e6, 3), (-1e6, 3), (3, 1e6), (3, -1e6), (60, 60)):
        away = np.array(((-3.0, -3.0), (3.0, -3.0), (0.0, 3.0)))
        assert numbers(facet(away + np.array((x, y)))) == [[-1] * 7] * 7


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_native_and_reference_give_the_same_bytes(data):
    """Whatever the numbers are: triangles of which any have been replaced by any number."""
    pictures, count, side, scale = (data.draw(st.integers(*ends)) for ends in ((0, 2), (0, 4), (1, 5), (1, 4)))
    drawn = crowd(pictures, count, side * scale, data.draw(st.integers(0, 1000)))
    for given_numbers in (drawn.vertices.view(-1), drawn.kinds.view(-1)):
        for i in data.draw(st.lists(st.integers(0, max(len(given_numbers) - 1, 0)), max_size=6)):
            if len(given_numbers):
                given_numbers[i] = data.draw(ANY)
    both(drawn, side=side, scale=scale)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    for scale in (1, 2, 3, 4):
        both(crowd(1, 200, 48, seed=scale), side=48 // scale, scale=scale)


@pytest.mark.parametrize(("side", "scale"), [(1, 1), (1, 16), (2, 3), (17, 2)])
def test_any_number_of_threads(side, scale):
    drawn = crowd(3, 60, side * scale)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            both(drawn, side=side, scale=scale)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("pictures", "count"), [(0, 5), (2, 0), (0, 0), (2, 5)])
def test_no_pictures_no_facets(pictures, count):
    one = mesh(facet(WHOLE))
    drawn = Mesh(one.vertices.expand(pictures, -1, -1), one.corners.expand(count, -1), one.kinds.expand(count, -1))
    shown, keys = both(drawn, side=3)
    assert shown.shape == (pictures, 3, 3, LAYERS)
    assert keys.shape == (pictures, 3, 3)
    assert (keys == NOTHING).all() if not count else (keys & 0xFFFFFFFF == 0).all()


@pytest.mark.parametrize(("value", "covered", "shown"), [(1, 1, 0), (2, 1, 1), (255, 1, 64), (255, 4, 255), (1, 2, 1)])
def test_pixels_are_rounded_means(value, covered, shown):
    spots = [(i % 2, i // 2) for i in range(covered)]
    drawn = [facet(((x - 0.2, y - 0.2), (x, y + 0.4), (x + 0.4, y)), colours=value) for x, y in spots]
    picture, _ = both(mesh(*drawn), side=1, scale=2)
    assert picture[0, 0, 0, [1, 7, 8, 9]].tolist() == [shown] * 4
    assert picture[0, 0, 0, ALPHA] == (255 * covered + 2) // 4


def test_pixels_of_very_many_samples():
    assert facets(*mesh(facet(100 * np.array(WHOLE), colours=255)), side=1, scale=64)[0][0, 0, 0, 7] == 255


def test_memory_that_is_not_dense():
    drawn = crowd(4, 30, 16)
    wanted = both(Mesh(drawn.vertices[::2].contiguous(), *drawn[1:]), side=16)
    odd = Mesh(*(t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in (drawn.vertices[::2], *drawn[1:])))
    for given_mesh in (Mesh(drawn.vertices[::2], *drawn[1:]), odd):
        assert all(map(torch.equal, both(given_mesh, side=16), wanted))


def test_what_does_not_fit_is_named():
    vertices, corners, kinds = crowd(2, 5, 4)
    for wrong in (vertices.double(), vertices[0], vertices[..., :7]):
        with pytest.raises(InvalidValue, match=r"vertices must be torch.float32 \[N, V, 8\], got "):
            facets(wrong, corners, kinds, side=4, scale=1)
    for wrong in (corners.int(), corners[0], corners[:, :2]):
        with pytest.raises(InvalidValue, match=r"corners must be torch.int64 \[F, 3\], got "):
            facets(vertices, wrong, kinds, side=4, scale=1)
    for wrong in (kinds.double(), kinds[0], kinds[:, :4]):
        with pytest.raises(InvalidValue, match=r"kinds must be torch.float32 \[F, 5\], got "):
            facets(vertices, corners, wrong, side=4, scale=1)
    with pytest.raises(InvalidValue, match="kinds must be those of 5 facets, got 4"):
        facets(vertices, corners, kinds[:4], side=4, scale=1)
    for side, scale in ((0, 1), (4, 0), (-1, -1), (1, 65), (1 << 13, 3)):
        with pytest.raises(InvalidValue, match=f"pictures of {side} pixels by {scale} samples of 5 facets"):
            facets(vertices, corners, kinds, side=side, scale=scale)
    for window in ((-1, 0, 2, 2), (0, 0, 5, 4), (0, 3, 4, 2), (0, 0, -1, 4)):
        with pytest.raises(InvalidValue, match="is no part of a picture of 4 pixels"):
            facets(vertices, corners, kinds, side=4, scale=1, window=Window(*window))


def test_the_library_itself_refuses_what_does_not_fit():
    """The C ABI is checked too: other callers have no binding of ours before it."""
    native = library.native("cpu")
    assert native is not None
    out, keys = torch.empty(2, 4, 4, LAYERS, dtype=torch.uint8), torch.empty(2, 8, 8, dtype=torch.int64)
    drawn = crowd(2, 5, 8)
    vertices, corners, kinds = drawn
    wrong = {
        "number of tensors": [out, keys, vertices],
        "dtype does not fit .* detail 0": [out.int(), keys, *drawn],
        "dtype does not fit .* detail 1": [out, keys.double(), *drawn],
        "dtype does not fit .* detail 2": [out, keys, vertices.double(), corners, kinds],
        "dtype does not fit .* detail 3": [out, keys, vertices, corners.float(), kinds],
        "dtype does not fit .* detail 4": [out, keys, vertices, corners, kinds.double()],
        "shape does not fit .* detail 0": [out[..., :9].contiguous(), keys, *drawn],
        "shape does not fit .* detail 1": [out, keys[:, :7].contiguous(), *drawn],
        "shape does not fit .* detail 2": [out, keys, vertices[..., :7].contiguous(), corners, kinds],
        "shape does not fit .* detail 3": [out, keys, vertices, corners[:, :2].contiguous(), kinds],
        "shape does not fit .* detail 4": [out, keys, vertices, corners, kinds[:4]],
        "strides do not fit .* detail 0": [out.transpose(1, 2), keys, *drawn],
        "strides do not fit .* detail 2": [out, keys, vertices.mT.contiguous().mT, corners, kinds],
    }
    for words, tensors in wrong.items():
        with pytest.raises(OpsError, match=words):
            call(native, "facets", tensors, struct.pack("@iii", 2, 0, 0))
    for tensors in ([out[0], keys, *drawn], [out, keys, vertices[:1], corners, kinds]):
        with pytest.raises(OpsError, match="shape does not fit"):
            call(native, "facets", tensors, struct.pack("@iii", 2, 0, 0))
    for outside in (-1, 15):
        strange = corners.clone()
        strange[3, 1] = outside
        with pytest.raises(OpsError, match=r"shape does not fit .* detail 3"):
            call(native, "facets", [out, keys, vertices, strange, kinds], struct.pack("@iii", 2, 0, 0))
    for options in ((0, 0, 0), (-2, 0, 0), (65, 0, 0), (2, -1, 0), (2, 0, -1), (2, 1 << 23, 0), (2, 0, 1 << 30)):
        with pytest.raises(OpsError, match="option is out of range"):
            call(native, "facets", [out, keys, *drawn], struct.pack("@iii", *options))
