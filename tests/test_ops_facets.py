"""Facets on pictures: what they cover, which is nearest, what pixels show; native and reference to the same bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from animegen.errors import InvalidValue, OpsError
from animegen.ops import library
from animegen.ops.facets import FIELDS, NOTHING, VALUES, facets, facets_reference
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
ANY = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.floats(-4, 20, width=32), st.sampled_from([0.0, 1.0])
)


def facet(
    corners: object,
    depth: object = 1.0,
    *,
    light: object = 1.0,
    colours: object = 100.0,
    dark: float = 0.5,
    part: float = 0.0,
) -> list[float]:
    """The fields of a triangle with corners (x, y); ``depth``, ``light`` and ``colours`` [.., 4] at each or at all."""
    corners = np.asarray(corners, np.float64)
    values = np.empty((3, len(VALUES)))
    values[:, 0], values[:, 1], values[:, 2:] = depth, light, colours
    middle = corners.mean(axis=0)
    spokes = corners - middle
    lines = [np.linalg.solve(spokes[[i, (i + 1) % 3]], np.ones(2)) for i in range(3)]
    by_x, by_y = np.linalg.solve(spokes[:2], values[:2] - values.mean(axis=0))
    return np.concatenate([middle, *lines, values.mean(axis=0), by_x, by_y, (dark, part)]).tolist()


def both(fields: Tensor, *, side: int, scale: int = 1) -> tuple[Tensor, Tensor]:
    """The picture and the keys, natively, which must be those of the reference."""
    found, wanted = (op(fields, side=side, scale=scale) for op in (facets, facets_reference))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert torch.equal(one, other)
    return found


def numbers(*drawn: list[float], side: int = 7) -> list[list[int]]:
    """Which of some facets each sample shows, -1 for none."""
    keys = both(torch.tensor([drawn]), side=side)[1][0]
    return torch.where(keys == NOTHING, -1, keys & 0xFFFFFFFF).tolist()


def crowd(pictures: int, count: int, side: int, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Triangles of all sizes and both windings, some off the picture, and their corners f64 [N, M, 3, 2]."""
    rng = np.random.default_rng(seed)
    size = rng.choice([0.5, 3.0, 12.0], (pictures, count, 1, 1))
    corners = rng.uniform(-4, side + 4, (pictures, count, 1, 2)) + rng.normal(0, size, (pictures, count, 3, 2))
    rows = [
        [
            facet(
                own, rng.uniform(0.5, 2) + rng.normal(0, 0.05, 3), light=rng.uniform(-0.5, 1.5, 3),
                colours=rng.uniform(-20, 280, (3, 4)), dark=rng.uniform(0, 1), part=rng.integers(-1, 8),
            )
            for own in picture
        ]
        for picture in corners
    ]  # fmt: skip
    return torch.tensor(rows, dtype=torch.float32), corners


WHOLE = ((-20.0, -10.0), (30.0, -10.0), (3.0, 40.0))
"""A triangle over all of a picture of 7 samples."""


def test_a_crowd_shows_what_the_formulas_say():
    """Against float64 over all samples of each triangle, but for those that lie on the edge of one."""
    fields, corners = crowd(2, 120, 24)
    _, keys = both(fields, side=12, scale=2)
    row, column = np.mgrid[:24, :24].astype(np.float64)
    for own, spots, key in zip(fields.double().numpy(), corners, keys.numpy(), strict=True):
        nearest, number, sure = np.full((24, 24), np.inf), np.full((24, 24), -1), np.ones((24, 24), bool)
        for i, ((x, y, *_), places) in enumerate(zip(own, spots, strict=True)):
            edges = np.roll(places, -1, axis=0) - places
            aside = [
                (ex * (row - py) - ey * (column - px)) / np.hypot(ex, ey)
                for (ex, ey), (px, py) in zip(edges, places, strict=True)
            ]
            turn = np.sign(edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0])
            within = (turn * np.stack(aside)).min(axis=0)
            z = own[i, 8] + own[i, 14] * (column - x) + own[i, 20] * (row - y)
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
    fields, _ = crowd(1, 120, 24)
    picture, keys = (a[0].numpy() for a in both(fields, side=24))
    row, column = np.nonzero(keys != NOTHING)
    own = fields[0].double().numpy()[keys[row, column] & 0xFFFFFFFF]
    values = own[:, 8:14] + own[:, 14:20] * (column - own[:, 0])[:, None] + own[:, 20:26] * (row - own[:, 1])[:, None]
    dark, part = own[:, 26], own[:, 27]
    light = dark + (1 - dark) * np.clip(values[:, 1], 0, 1)
    wanted = np.zeros((len(row), LAYERS))
    wanted[:, ALPHA] = 255
    levels = np.clip(light[:, None] * values[:, 2:], 0, 255)
    has = (part >= 0) & (part < PARTS)
    wanted[has, 1 + part[has].astype(int)] = levels[has, 0]
    wanted[:, RGB] = levels[:, 1:]
    assert set(part) == set(range(-1, 8))
    np.testing.assert_allclose(picture[row, column], wanted, rtol=0, atol=A_LEVEL)
    assert not picture[keys == NOTHING].any()


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
    assert numbers(facet(WHOLE, 1 + 0.1 * across), facet(WHOLE, 1.05)) == [[0, 0, 0, 0, 1, 1, 1]] * 7
    # what would lie behind the eye is not there
    assert numbers(facet(WHOLE, 0.25 + 0.1 * across)) == [[-1, 0, 0, 0, 0, 0, 0]] * 7


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 40))
def test_triangles_with_common_edges_leave_no_sample_between_them(seed, size):
    """A fan around any spot in a box."""
    rng = np.random.default_rng(seed)
    low, extent = rng.uniform(-5, 20, 2), rng.uniform(0.2, 1, 2) * size
    box, spot = low + extent * ((0, 0), (1, 0), (1, 1), (0, 1)), low + extent * rng.beta(0.3, 0.3, 2)
    fan = [facet((box[i], box[(i + 1) % 4], spot)) for i in range(4)]
    keys = both(torch.tensor([fan]), side=32)[1][0].numpy()
    row, column = np.mgrid[:32, :32]
    inside = (column >= low[0]) & (column <= low[0] + extent[0]) & (row >= low[1]) & (row <= low[1] + extent[1])
    assert (keys[inside] != NOTHING).all()


def test_a_mesh_has_no_holes_far_from_the_first_sample():
    """There float32 has few digits left for places, and facets with common edges do not quite meet."""
    lattice = np.stack(np.meshgrid(np.linspace(1997, 3024, 60), np.linspace(1997, 3024, 60)), axis=-1)
    lattice += np.random.default_rng(3).normal(0, 4, lattice.shape)
    cells = lattice[:-1, :-1], lattice[:-1, 1:], lattice[1:, 1:], lattice[1:, :-1]
    a, b, c, d = (corner.reshape(-1, 2) for corner in cells)
    mesh = [facet(corners) for triple in ((a, b, c), (a, c, d)) for corners in zip(*triple, strict=True)]
    _, keys = facets(torch.tensor([mesh]), side=1024, scale=3)
    assert (keys[0, 2030:2990, 2030:2990] != NOTHING).all()


@pytest.mark.parametrize("field", range(FIELDS))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-42])
def test_fields_that_are_no_numbers(field, value):
    odd = facet(((1, 1), (5, 1), (3, 6)))
    odd[field] = value
    shown = numbers(odd, facet(WHOLE, 5.0))
    assert shown[0][0] in {0, 1}
    if np.isnan(value) and field < 9:
        assert shown == [[1] * 7] * 7


def test_a_light_or_colour_of_nan_is_dark():
    picture, _ = both(torch.tensor([[facet(WHOLE, light=np.nan, colours=100.0, dark=0.3)]]), side=7)
    assert picture[0, 3, 3].tolist() == [255, 30, 0, 0, 0, 0, 0, 30, 30, 30]
    for wrong in ({"colours": np.nan}, {"dark": np.nan}):
        picture, _ = both(torch.tensor([[facet(WHOLE, **wrong)]]), side=7)
        assert picture[0, 3, 3].tolist() == [255] + 9 * [0]


@pytest.mark.parametrize(
    ("part", "layer"),
    [(0, 1), (5, 6), (0.99999994, 1), (6, None), (-1, None), (-0.5, None), (1e30, None), (np.nan, None)],
)
def test_parts_have_layers(part, layer):
    picture, _ = both(torch.tensor([[facet(WHOLE, part=part)]]), side=7)
    assert np.flatnonzero(picture[0, 3, 3, 1:7]).tolist() == ([] if layer is None else [layer - 1])
    assert picture[0, 3, 3, RGB].tolist() == [100, 100, 100]


@pytest.mark.parametrize(("light", "share"), [(-3.0, 0.5), (0.0, 0.5), (0.5, 0.75), (1.0, 1.0), (7.0, 1.0)])
def test_light_is_held_between_dark_and_full(light, share):
    picture, _ = both(torch.tensor([[facet(WHOLE, light=light, colours=(40, 80, 120, 400))]]), side=7)
    wanted = [40 * share, 0, 0, 0, 0, 0, 80 * share, 120 * share, min(400 * share, 255)]
    np.testing.assert_allclose(picture[0, 3, 3, 1:], wanted, atol=A_LEVEL)


def test_what_has_no_area_or_no_depth_covers_nothing():
    flat, line, behind = (facet(((1, 1), (5, 1), (3, 6)), depth) for depth in (1.0, 1.0, -1.0))
    flat[2:8] = [0.0] * 6
    line[4:8] = [2 * line[2], 2 * line[3], -3 * line[2], -3 * line[3]]
    assert numbers(flat, line, behind) == [[-1] * 7] * 7


def test_a_huge_triangle_covers_all_and_one_far_off_nothing():
    huge = 1e6 * (np.array(WHOLE) - 3)
    assert numbers(facet(huge)) == [[0] * 7] * 7
    for x, y in ((1e9, 3), (-1e9, 3), (3, 1e9), (3, -1e9), (60, 60)):
        assert numbers(facet(((-3.0, -3.0), (3.0, -3.0), (0.0, 3.0))), side=7)[3][3] == -1
        away = facet(((-3.0, -3.0), (3.0, -3.0), (0.0, 3.0)))
        away[:2] = [x, y]
        assert numbers(away) == [[-1] * 7] * 7


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_native_and_reference_give_the_same_bytes(data):
    """Whatever the fields are: a triangle of which any have been replaced by any number."""
    pictures, count, side, scale = (data.draw(st.integers(*ends)) for ends in ((0, 2), (0, 4), (1, 5), (1, 4)))
    fields, _ = crowd(pictures, count, side * scale, data.draw(st.integers(0, 1000)))
    fields = fields.view(pictures, count, FIELDS)
    for i in data.draw(st.lists(st.integers(0, max(fields.numel() - 1, 0)), max_size=8)):
        if fields.numel():
            fields.view(-1)[i] = data.draw(ANY)
    both(fields, side=side, scale=scale)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    for scale in (1, 2, 3, 4):
        both(crowd(1, 200, 48, seed=scale)[0], side=48 // scale, scale=scale)


@pytest.mark.parametrize(("side", "scale"), [(1, 1), (1, 16), (2, 3), (17, 2)])
def test_any_number_of_threads(side, scale):
    fields, _ = crowd(3, 60, side * scale)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            both(fields, side=side, scale=scale)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("pictures", "count"), [(0, 5), (2, 0), (0, 0), (2, 5)])
def test_no_pictures_no_facets(pictures, count):
    fields = torch.tensor(facet(WHOLE)).expand(pictures, count, -1)
    shown, keys = both(fields, side=3)
    assert shown.shape == (pictures, 3, 3, LAYERS)
    assert keys.shape == (pictures, 3, 3)
    assert (keys == NOTHING).all() if not count else (keys & 0xFFFFFFFF == 0).all()


@pytest.mark.parametrize(("value", "covered", "shown"), [(1, 1, 0), (2, 1, 1), (255, 1, 64), (255, 4, 255), (1, 2, 1)])
def test_pixels_are_rounded_means(value, covered, shown):
    spots = [(i % 2, i // 2) for i in range(covered)]
    drawn = [facet(((x - 0.2, y - 0.2), (x + 0.4, y), (x, y + 0.4)), colours=value) for x, y in spots]
    picture, _ = both(torch.tensor([drawn]), side=1, scale=2)
    assert picture[0, 0, 0, [1, 7, 8, 9]].tolist() == [shown] * 4
    assert picture[0, 0, 0, ALPHA] == (255 * covered + 2) // 4


def test_pixels_of_very_many_samples():
    assert facets(torch.tensor([[facet(100 * np.array(WHOLE), colours=255)]]), side=1, scale=64)[0][0, 0, 0, 7] == 255


def test_memory_that_is_not_dense():
    fields, _ = crowd(4, 30, 16)
    wanted = both(fields[::2].contiguous(), side=16)
    for given_fields in (fields[::2], fields[::2].transpose(1, 2).contiguous().transpose(1, 2)):
        assert all(map(torch.equal, both(given_fields, side=16), wanted))


def test_what_does_not_fit_is_named():
    fields, _ = crowd(2, 5, 4)
    for wrong in (fields.double(), fields[0], fields[..., :27]):
        with pytest.raises(InvalidValue, match=r"fields must be float32 \[N, F, 28\], got "):
            facets(wrong, side=4, scale=1)
    for side, scale in ((0, 1), (4, 0), (-1, -1), (1, 65), (1 << 13, 3)):
        with pytest.raises(InvalidValue, match=f"pictures of {side} pixels by {scale} samples of 5 facets"):
            facets(fields, side=side, scale=scale)


def test_the_library_itself_refuses_what_does_not_fit():
    """The C ABI is checked too: other callers have no binding of ours before it."""
    native = library.native("cpu")
    assert native is not None
    out, keys = torch.empty(2, 4, 4, LAYERS, dtype=torch.uint8), torch.empty(2, 8, 8, dtype=torch.int64)
    fields, _ = crowd(2, 5, 8)
    wrong = {
        "number of tensors": [out, keys],
        "dtype does not fit .* detail 0": [out.int(), keys, fields],
        "dtype does not fit .* detail 1": [out, keys.double(), fields],
        "dtype does not fit .* detail 2": [out, keys, fields.double()],
        "shape does not fit .* detail 0": [out[..., :9].contiguous(), keys, fields],
        "shape does not fit .* detail 1": [out, keys[:, :7].contiguous(), fields],
        "shape does not fit .* detail 2": [out, keys, fields[..., :27].contiguous()],
        "strides do not fit .* detail 0": [out.transpose(1, 2), keys, fields],
        "strides do not fit .* detail 2": [out, keys, fields.mT.contiguous().mT],
    }
    for words, tensors in wrong.items():
        with pytest.raises(OpsError, match=words):
            call(native, "facets", tensors, struct.pack("@i", 2))
    for tensors in ([out[0], keys, fields], [out, keys, fields[:1]]):
        with pytest.raises(OpsError, match="shape does not fit"):
            call(native, "facets", tensors, struct.pack("@i", 2))
    for scale in (0, -2, 65):
        with pytest.raises(OpsError, match="option is out of range"):
            call(native, "facets", [out, keys, fields], struct.pack("@i", scale))
