"""Sprites over a picture: the native op has the reference's bytes at every CPU level, and the reference is right."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.errors import InvalidValue, OpsError
from animegen.measure.exact_pictures import exact_composite
from animegen.ops import library
from animegen.ops.pictures import composite, composite_reference

ROUNDED = 1.0
"""A sample and its sum with the picture are each rounded once, to whole levels."""

STEPPED = 255 / 256 * 2
"""Positions are in 1/128 pixels: half a step along each axis, between neighbours as unlike as can be."""

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def random(rng, *shape):
    return rng.integers(0, 256, shape, np.uint8)


def random_sprite(rng, height, width):
    rgba = random(rng, height, width, 4)
    rgba[..., :3] = rgba[..., :3] * (rgba[..., 3:] / 255)
    return rgba


def some_affine(rng):
    linear = rng.normal(size=(2, 2)) * rng.uniform(0.1, 4)
    return np.column_stack([linear, rng.uniform(-40, 120, 2)])


@pytest.fixture
def both(native_ops):
    """Lays sprites with the native op and with the reference, and asserts that they agree; returns the picture."""

    def lay(picture, sprites, affines, threads=1):
        wanted = picture.copy()
        composite_reference(wanted, sprites, affines)
        composite(picture, sprites, affines, threads=threads)
        np.testing.assert_array_equal(picture, wanted)
        return picture

    return lay


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_native_has_the_bytes_of_the_reference(both, channels, seed):
    rng = np.random.default_rng(seed)
    picture = random(rng, 67, 131, channels)
    sprites = [random_sprite(rng, *size) for size in ((40, 31), (1, 9), (64, 64), (7, 1), (1, 1))]
    before = picture.copy()
    both(picture, sprites, [some_affine(rng) for _ in sprites])
    assert (picture != before).any()


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_cpu_level_has_the_same_bytes(at_level, both, level):
    at_level(level)
    rng = np.random.default_rng(7)
    sprites = [random_sprite(rng, 150, 90), random_sprite(rng, 30, 200)]
    both(random(rng, 128, 257, 3), sprites, [some_affine(rng) for _ in sprites])


@pytest.mark.parametrize("channels", [3, 4])
def test_the_result_is_that_of_real_numbers(channels):
    rng = np.random.default_rng(1)
    for _ in range(5):
        picture, sprite, affine = random(rng, 60, 80, channels), random_sprite(rng, 33, 25), some_affine(rng)
        wanted = exact_composite(picture, sprite, affine)
        composite_reference(picture, [sprite], [affine])
        assert np.abs(picture - wanted).max() <= ROUNDED + STEPPED


def test_a_smooth_sprite_is_laid_to_within_a_level():
    ramp = np.linspace(0, 200, 64)
    sprite = np.dstack(
        [ramp[None, :].repeat(64, 0), ramp[:, None].repeat(64, 1), np.full((64, 64), 90), np.full((64, 64), 210)]
    )
    sprite = np.rint(sprite).astype(np.uint8)
    affine = np.array([[1.3, -0.4, 30.2], [0.5, 1.1, 3.7]])
    picture = np.full((90, 120, 3), 77, np.uint8)
    wanted = exact_composite(picture, sprite, affine)
    composite_reference(picture, [sprite], [affine])
    inside = exact_composite(np.zeros((90, 120, 4)), np.full((64, 64, 4), 255, np.uint8), affine)[..., 3] > 254.9
    assert inside.sum() > 2000
    assert np.abs(picture - wanted)[inside].max() <= ROUNDED + 3.2 / 64  # the ramp has 3.2 levels a pixel


def test_a_sprite_at_whole_pixels_is_copied(both):
    rng = np.random.default_rng(2)
    sprite = random(rng, 20, 30, 4)
    sprite[..., 3] = 255
    picture = both(random(rng, 50, 60, 3), [sprite], [np.array([[1.0, 0.0, 11.0], [0.0, 1.0, 7.0]])])
    np.testing.assert_array_equal(picture[7:27, 11:41], sprite[..., :3])


def test_what_is_transparent_changes_nothing(both):
    rng = np.random.default_rng(3)
    picture = random(rng, 50, 60, 3)
    before = picture.copy()
    both(picture, [np.zeros((40, 40, 4), np.uint8)], [some_affine(rng)])
    np.testing.assert_array_equal(picture, before)


def test_sprites_are_laid_in_order(both):
    red, blue = np.zeros((2, 8, 8, 4), np.uint8)
    red[..., [0, 3]] = blue[..., [2, 3]] = 255
    picture = both(np.zeros((8, 8, 3), np.uint8), [red, blue], [IDENTITY, IDENTITY])
    assert (picture == (0, 0, 255)).all()


def test_more_sprites_than_a_launch_takes(both):
    rng = np.random.default_rng(4)
    sprites = [random_sprite(rng, 9, 9) for _ in range(40)]
    both(random(rng, 64, 64, 3), sprites, [some_affine(rng) for _ in sprites])


def test_threads_change_nothing(both):
    rng = np.random.default_rng(5)
    both(random(rng, 120, 90, 3), [random_sprite(rng, 80, 80)], [some_affine(rng)], threads=3)


def test_strides_of_rows(both):
    rng = np.random.default_rng(6)
    whole, sheet = random(rng, 90, 100, 3), random_sprite(rng, 60, 60)
    before = whole.copy()
    both(whole[5:85:2, 10:90], [sheet[3:50, 4:40], sheet[::-1], sheet[:, ::-2]], [some_affine(rng) for _ in range(3)])
    np.testing.assert_array_equal(whole[6:85:2], before[6:85:2])
    np.testing.assert_array_equal(whole[:, :10], before[:, :10])


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0, 4)])
def test_an_empty_picture(both, shape):
    both(np.zeros(shape, np.uint8), [np.full((4, 4, 4), 9, np.uint8)], [IDENTITY])


def test_nothing_to_lay(both):
    picture = np.full((4, 4, 3), 9, np.uint8)
    both(picture, [], [])
    both(picture, [np.zeros((0, 4, 4), np.uint8), np.zeros((4, 0, 4), np.uint8)], [IDENTITY, IDENTITY])
    assert (picture == 9).all()


@given(st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=6), st.floats(1e-9, 1))
def test_any_affine_is_taken(numbers, scale):
    picture = np.zeros((9, 9, 3), np.uint8)
    composite_reference(picture, [np.full((5, 6, 4), 200, np.uint8)], [np.reshape(numbers, (2, 3)) * scale])


def test_any_affine_is_taken_natively(both):
    rng = np.random.default_rng(8)
    for exponent in rng.uniform(-9, 9, 60):
        affine = rng.normal(size=(2, 3)) * 10**exponent
        both(np.zeros((9, 70, 3), np.uint8), [random_sprite(rng, 5, 6)], [affine])


@pytest.mark.parametrize("affine", [np.zeros((2, 3)), np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]])])
def test_a_sprite_flattened_to_nothing_is_not_seen(both, affine):
    picture = both(np.full((9, 9, 3), 5, np.uint8), [np.full((5, 6, 4), 200, np.uint8)], [affine])
    assert (picture == 5).all()


def test_offsets_beyond_32_bits(native_ops, tmp_path):
    """A picture whose last row lies 6 GiB behind its first, in a file that holds only the rows."""
    rows, stride = 4, 2**31 + 4096
    with (tmp_path / "sparse").open("w+b") as file:
        file.truncate(rows * stride)
        with mmap.mmap(file.fileno(), rows * stride) as memory:
            picture = np.ndarray((rows, 16, 3), np.uint8, memory, strides=(stride, 3, 1))
            composite(picture, [np.full((rows, 16, 4), 255, np.uint8)], [IDENTITY])
            assert (picture == 255).all()
            composite(picture[::-1], [np.full((1, 16, 4), (9, 9, 9, 255), np.uint8)], [IDENTITY])
            assert (picture[-1] == 9).all()
            assert (picture[:-1] == 255).all()
            del picture


@pytest.mark.parametrize("lay", [composite, composite_reference])
@pytest.mark.parametrize(
    ("picture", "sprite", "affine", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), None, None, "picture must be uint8, got float32"),
        (np.zeros((4, 4), np.uint8), None, None, r"picture must be .* got \(4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), None, None, r"got \(4, 4, 2\)"),
        (np.zeros((4, 8, 3), np.uint8)[:, ::2], None, None, "side by side"),
        (np.broadcast_to(np.uint8(0), (4, 65537, 3)), None, None, "sides up to 65536"),
        (None, np.zeros((4, 4, 3), np.uint8), None, r"sprite 0 must be .* got \(4, 4, 3\)"),
        (None, np.zeros((4, 4, 4), np.uint16), None, "sprite 0 must be uint8, got uint16"),
        (None, None, np.zeros((3, 3)), r"affine 0 must be float64 \(2, 3\)"),
        (None, None, np.full((2, 3), np.nan), "not finite"),
        (None, None, IDENTITY.astype(np.float32), "got float32"),
    ],
)
def test_what_does_not_fit_is_named(lay, picture, sprite, affine, words):
    picture = np.zeros((4, 4, 3), np.uint8) if picture is None else picture
    sprite = np.zeros((4, 4, 4), np.uint8) if sprite is None else sprite
    affine = IDENTITY if affine is None else affine
    with pytest.raises(InvalidValue, match=words):
        lay(picture, [sprite], [affine])


def test_a_picture_is_not_laid_over_itself():
    rgba = np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(InvalidValue, match="shares memory"):
        composite(rgba, [rgba[1:]], [IDENTITY])
    with pytest.raises(InvalidValue, match="1 sprites and 0 affines"):
        composite(rgba, [rgba.copy()], [])


def test_the_library_itself_refuses_what_does_not_fit(native_ops):
    """The C ABI is checked too: other callers have no binding of ours before it."""
    native = library.native("cpu")
    assert native is not None
    picture = np.zeros((4, 4, 3), np.uint8)
    good = library.tensor(picture.ctypes.data, library.UINT8, picture.shape, picture.strides)
    sprite = library.tensor(picture.ctypes.data, library.UINT8, (2, 2, 4), (8, 4, 1))
    far = np.array([2**61, 0, 0, 0, 2**32, 0], np.int64)
    options = far.ctypes.data.to_bytes(8, "little")
    cases = {
        "number of tensors": [],
        "dtype does not fit .* detail 0": [library.tensor(0, library.FLOAT32, (4, 4, 3), (12, 3, 1))],
        "shape does not fit": [library.tensor(0, library.UINT8, (4, 4, 5), (20, 5, 1))],
        "shape does not fit .* detail 0": [library.tensor(0, library.UINT8, (-1, 4, 3), (12, 3, 1))],
        "strides do not fit": [library.tensor(0, library.UINT8, (4, 4, 3), (12, 1, 4))],
        "strides do not fit .* detail 1": [good, library.tensor(0, library.UINT8, (2, 2, 4), (8, 5, 1))],
        "option is out of range": [good, sprite],
    }
    for words, tensors in cases.items():
        with pytest.raises(OpsError, match=words):
            native.call("composite", tensors, options, library.place())
    with pytest.raises(OpsError, match="device does not fit"):
        native.call("composite", [good], options, library.place(device=0))
