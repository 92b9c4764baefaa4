"""Discs on pictures: what they cover, which is nearest, what pixels show; native and reference to the same bytes."""

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
from animegen.ops.splat import DISC_FIELDS, NOTHING, splat, splat_reference
from animegen.ops.tensors import call

pytestmark = pytest.mark.usefixtures("native_ops")

FIELDS = len(DISC_FIELDS)
ON_THE_EDGE = 1e-4
"""A sample this near to a disc's edge may be on either side: roots and quotients are rounded."""
ANY = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.floats(-4, 20, width=32), st.sampled_from([0.0, 1.0])
)


def disc(x: float, y: float, radius: float, depth: float = 1.0, **others: float) -> list[float]:
    """The fields of a circle, and any ``others``."""
    fields = {"x": x, "y": y, "depth": depth, "a": radius**-2, "c": radius**-2, **others}
    return [fields.get(name, 0.0) for name in DISC_FIELDS]


def both(discs: Tensor, values: Tensor, *, side: int, scale: int = 1) -> tuple[Tensor, Tensor]:
    """The picture and the keys, natively, which must be those of the reference."""
    found, wanted = (op(discs, values, side=side, scale=scale) for op in (splat, splat_reference))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert torch.equal(one, other)
    return found


def numbers(*discs: list[float], side: int = 7) -> list[list[int]]:
    """Which of some discs each sample shows, -1 for none."""
    values = torch.zeros(1, len(discs), 1, dtype=torch.uint8)
    keys = both(torch.tensor([discs]), values, side=side)[1][0]
    return torch.where(keys == NOTHING, -1, keys & 0xFFFFFFFF).tolist()


def crowd(pictures: int, count: int, side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ellipses of all sizes, some off the picture, sloped, cut and bulging, with three values each."""
    rng = np.random.default_rng(seed)
    size = (pictures, count)
    turn, long, short = rng.uniform(0, np.pi, size), rng.uniform(0.5, 6, size), rng.uniform(0.3, 2, size)
    c, s = np.cos(turn), np.sin(turn)
    fields = np.stack([
        rng.uniform(-4, side + 4, size), rng.uniform(-4, side + 4, size), rng.uniform(-0.1, 2, size),
        *rng.normal(0, 0.03, (2, *size)),
        (c / long) ** 2 + (s / short) ** 2, c * s * (long**-2 - short**-2), (s / long) ** 2 + (c / short) ** 2,
        rng.uniform(0, 0.3, size), *rng.normal(0, 0.3, (4, *size)),
    ], axis=2)  # fmt: skip
    values = rng.integers(0, 256, (*size, 3), np.uint8)
    return torch.from_numpy(fields.astype(np.float32)), torch.from_numpy(values)


def test_a_crowd_shows_what_the_formulas_say():
    """Against float64 over all samples of each disc, but for those that lie on the edge of one."""
    discs, values = crowd(2, 100, 24)
    pictures, keys = both(discs, values, side=12, scale=2)
    row, column = np.mgrid[:24, :24].astype(np.float64)
    for fields, key in zip(discs.double().numpy(), keys.numpy(), strict=True):
        nearest, number, sure = np.full((24, 24), np.inf), np.full((24, 24), -1), np.ones((24, 24), bool)
        for i, (x, y, depth, by_x, by_y, a, b, c, bulge, cut_x, cut_y, other_x, other_y) in enumerate(fields):
            if depth <= 0:
                continue
            dx, dy = column - x, row - y
            q = a * dx * dx + 2 * b * dx * dy + c * dy * dy
            edges = np.stack([q, cut_x * dx + cut_y * dy, other_x * dx + other_y * dy])
            z = depth + by_x * dx + by_y * dy + bulge * q
            sure &= (np.abs(edges.max(axis=0) - 1) > ON_THE_EDGE) & (np.abs(z) > ON_THE_EDGE)
            sure &= np.abs(z - nearest) > ON_THE_EDGE
            seen = (edges.max(axis=0) <= 1) & (z > 0) & (z < nearest)
            nearest[seen], number[seen] = z[seen], i
        found = np.where(key == NOTHING, -1, key & 0xFFFFFFFF)
        assert sure.mean() > 0.95
        assert (number >= 0).mean() > 0.5
        np.testing.assert_array_equal(found[sure], number[sure])
        depths = (key >> 32).astype(np.int32).view(np.float32)
        covered = sure & (number >= 0)
        np.testing.assert_allclose(depths[covered], nearest[covered], rtol=1e-5, atol=1e-6)
    own = torch.where(keys == NOTHING, 0, keys & 0xFFFFFFFF)
    shown = values[torch.arange(2)[:, None, None], own] * (keys != NOTHING)[..., None]
    sums = shown.reshape(2, 12, 2, 12, 2, 3).sum(dim=(2, 4)).numpy()
    np.testing.assert_array_equal(pictures, (sums + 2) // 4)


def test_a_circle_covers_the_samples_within_it():
    assert numbers(disc(2, 2, 1), side=5) == [
        [-1, -1, -1, -1, -1], [-1, -1, 0, -1, -1], [-1, 0, 0, 0, -1], [-1, -1, 0, -1, -1], [-1, -1, -1, -1, -1],
    ]  # fmt: skip
    assert numbers(disc(0.4, 0.4, 0.5), side=2) == [[-1, -1], [-1, -1]]
    assert numbers(disc(-1, 1, 1.1), side=3) == [[-1, -1, -1], [0, -1, -1], [-1, -1, -1]]


def test_the_nearest_is_shown_and_of_equals_the_lower_number():
    near, far = disc(3, 3, 2, 1.0), disc(3, 3, 2, 1.5)
    assert numbers(far, near, far)[3][3] == 1
    assert numbers(near, near, far)[3][3] == 0
    slope = disc(3, 3, 3, 1.0, by_x=0.1)
    assert numbers(slope, disc(3, 3, 3, 1.05))[3] == [0, 0, 0, 0, 1, 1, 1]
    # 0.1 and what follows are nearer than nothing at all, what would lie behind the eye is not there
    assert numbers(disc(3, 3, 3, 0.25, by_x=0.1))[3] == [-1, 0, 0, 0, 0, 0, 0]


def test_discs_that_bulge_meet_half_way():
    for order in ((2, 6), (6, 2)):
        row = numbers(*(disc(x, 4, 4, bulge=0.1) for x in order), side=9)[4]
        left = order.index(2)
        assert row == [left] * 4 + [0] + [1 - left] * 4


def test_a_disc_ends_at_its_lines():
    assert numbers(disc(3, 3, 3, cut_x=1.0))[3] == [0, 0, 0, 0, 0, -1, -1]
    assert numbers(disc(3, 3, 3, cut_x=1.0, other_x=-0.5))[3] == [-1, 0, 0, 0, 0, -1, -1]
    assert [row[3] for row in numbers(disc(3, 3, 3, other_y=1.0))] == [0, 0, 0, 0, 0, -1, -1]


@pytest.mark.parametrize("field", DISC_FIELDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38, -3e38])
def test_fields_that_are_no_numbers(field, value):
    odd = disc(3, 3, 2)
    odd[DISC_FIELDS.index(field)] = value
    shown = numbers(odd, disc(3, 3, 1, 5.0))
    assert shown[3][3] == 1 if np.isnan(value) else shown[3][3] in {0, 1}
    if np.isnan(value):
        assert shown == numbers(disc(3, 3, 2, -1.0), disc(3, 3, 1, 5.0))


@pytest.mark.parametrize("fields", [{"depth": 0.0}, {"depth": -1.0}, {"a": 0.0}, {"b": 1.0}, {"a": -1.0, "c": -1.0}])
def test_what_has_no_place_or_no_size_covers_nothing(fields):
    assert numbers(disc(1, 1, 1, **fields), side=3) == [[-1] * 3] * 3


def test_a_huge_disc_covers_all_and_one_far_off_nothing():
    assert numbers(disc(3, 3, 1e9)) == [[0] * 7] * 7
    for x, y in ((1e30, 3), (-1e30, 3), (3, 1e30), (3, -1e30), (30, 30)):
        assert numbers(disc(x, y, 4)) == [[-1] * 7] * 7


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_native_and_reference_give_the_same_bytes(data):
    pictures, count, layers, side, scale = (
        data.draw(st.integers(*ends)) for ends in ((0, 2), (0, 4), (0, 3), (1, 5), (1, 4))
    )
    numbers = data.draw(st.lists(ANY, min_size=pictures * count * FIELDS, max_size=pictures * count * FIELDS))
    discs = torch.tensor(numbers, dtype=torch.float32).view(pictures, count, FIELDS)
    values = torch.full((pictures, count, layers), data.draw(st.integers(0, 255)), dtype=torch.uint8)
    both(discs, values, side=side, scale=scale)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    for scale in (1, 2, 3, 4):
        both(*crowd(1, 400, 48, seed=scale), side=48 // scale, scale=scale)


@pytest.mark.parametrize(("side", "scale"), [(1, 1), (1, 16), (2, 3), (17, 2)])
def test_any_number_of_threads(side, scale):
    discs, values = crowd(3, 60, side * scale)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            both(discs, values, side=side, scale=scale)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("pictures", "count", "layers"), [(0, 5, 3), (2, 0, 3), (2, 5, 0), (0, 0, 0), (2, 0, 0)])
def test_no_pictures_no_discs_no_layers(pictures, count, layers):
    discs = torch.tensor(disc(1, 1, 1)).expand(pictures, count, -1)
    values = torch.full((pictures, count, layers), 9, dtype=torch.uint8)
    shown, keys = both(discs, values, side=3)
    assert shown.shape == (pictures, 3, 3, layers)
    assert keys.shape == (pictures, 3, 3)
    assert ((keys != NOTHING).sum() == 5 * pictures) if count else (keys == NOTHING).all()


@pytest.mark.parametrize(("value", "covered", "shown"), [(1, 1, 0), (2, 1, 1), (255, 1, 64), (255, 4, 255), (1, 2, 1)])
def test_pixels_are_rounded_means(value, covered, shown):
    discs = torch.tensor([[disc(i % 2, i // 2, 0.5) for i in range(covered)]])
    picture, _ = both(discs, torch.full((1, covered, 1), value, dtype=torch.uint8), side=1, scale=2)
    assert picture.item() == shown


def test_a_pixel_of_very_many_samples():
    """Their sum is nearly 2^32."""
    values = torch.full((1, 1, 1), 255, dtype=torch.uint8)
    assert splat(torch.tensor([[disc(0, 0, 1e6)]]), values, side=1, scale=4096)[0].item() == 255


def test_memory_that_is_not_dense():
    discs, values = crowd(4, 30, 16)
    wanted = both(discs[::2].contiguous(), values[::2].contiguous(), side=16)
    for given_discs, given_values in (
        (discs[::2], values[::2]),
        (discs[::2].transpose(1, 2).contiguous().transpose(1, 2), values[::2].flip(2).flip(2)),
    ):
        found = both(given_discs, given_values, side=16)
        assert all(map(torch.equal, found, wanted))


def test_what_does_not_fit_is_named():
    discs, values = crowd(2, 5, 4)
    for wrong in (discs.double(), discs[0], discs[..., :12]):
        with pytest.raises(InvalidValue, match=r"discs must be float32 \[N, M, 13\], got "):
            splat(wrong, values, side=4, scale=1)
    for wrong in (values.int(), values[0]):
        with pytest.raises(InvalidValue, match=r"values must be uint8 \[N, M, L\], got "):
            splat(discs, wrong, side=4, scale=1)
    for wrong in (values[:1], values[:, :4]):
        with pytest.raises(InvalidValue, match=r"values must be \(2, 5, 3\), got "):
            splat(discs, wrong, side=4, scale=1)
    with pytest.raises(InvalidValue, match="values is on meta"):
        splat(discs, values.to("meta"), side=4, scale=1)
    for side, scale in ((0, 1), (4, 0), (-1, -1), (1, 4097), (1 << 13, 3)):
        with pytest.raises(InvalidValue, match=f"pictures of {side} pixels by {scale} samples of 5 discs"):
            splat(discs, values, side=side, scale=scale)


def test_the_library_itself_refuses_what_does_not_fit():
    """The C ABI is checked too: other callers have no binding of ours before it."""
    native = library.native("cpu")
    assert native is not None
    out, keys = torch.empty(2, 4, 4, 3, dtype=torch.uint8), torch.empty(2, 8, 8, dtype=torch.int64)
    good = [out, keys, *crowd(2, 5, 8)]
    discs, values = good[2:]
    wrong = {
        "number of tensors": good[:3],
        "dtype does not fit .* detail 1": [out, keys.double(), discs, values],
        "dtype does not fit .* detail 3": [out, keys, discs, values.long()],
        "shape does not fit .* detail 0": [out[0], keys, discs, values],
        "shape does not fit .* detail 1": [out, keys[:, :7].contiguous(), discs, values],
        "shape does not fit .* detail 2": [out, keys, discs[..., :12].contiguous(), values],
        "shape does not fit .* detail 3": [out, keys, discs, values[:1]],
        "strides do not fit .* detail 0": [out.transpose(1, 2), keys, discs, values],
        "strides do not fit .* detail 2": [out, keys, discs.flip(2)[..., ::1].mT.contiguous().mT, values],
    }
    for words, tensors in wrong.items():
        with pytest.raises(OpsError, match=words):
            call(native, "splat", tensors, struct.pack("@i", 2))
    for scale in (0, -2, 4097):
        with pytest.raises(OpsError, match="option is out of range"):
            call(native, "splat", good, struct.pack("@i", scale))
    tall = library.tensor(0, library.INT64, (0, 2**24 + 2, 2), (2**25 + 4, 2, 1))
    empty = [
        library.tensor(0, kind, size, size)
        for kind, size in (
            (library.UINT8, (0, 2**23 + 1, 1, 1)),
            (library.FLOAT32, (0, 1, 13)),
            (library.UINT8, (0, 1, 1)),
        )
    ]
    with pytest.raises(OpsError, match="fit"):
        native.call("splat", [empty[0], tall, *empty[1:]], struct.pack("@i", 2), library.place())
    with pytest.raises(OpsError, match="device does not fit"):
        native.call("splat", [tall], struct.pack("@i", 1), library.place(device=0))
