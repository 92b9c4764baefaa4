"""RGB to video planes and back: the native ops have the reference's bytes at every CPU level, and those are right."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.errors import InvalidValue, OpsError
from animegen.measure.exact_pictures import exact_planes, exact_rgb, exact_samples
from animegen.ops import library
from animegen.ops.pictures import (
    empty_planes,
    rgb_to_yuv,
    rgb_to_yuv_reference,
    yuv_to_rgb,
    yuv_to_rgb_reference,
    yuv_to_tensor,
)
from animegen.ops.rgb_yuv import LUMA

TO_YUV = 0.52
"""Rounded once to whole levels, after three products that are each cut off at 1/256."""

TO_RGB = 0.56
"""Rounded once to whole levels, after up to three products that are each cut off at 1/32."""

STEPPED = 2.0
"""A network's input: positions are in 1/128 pixels, which moves noise by up to 2 levels at half a step."""

SPACES = [(matrix, value_range) for matrix in ("bt709", "bt470bg", "bt2020nc") for value_range in ("tv", "pc")]
SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 127), (16, 128), (33, 131), (6, 300)]


def random(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def random_planes(height, width, seed=0):
    small = ((height + 1) // 2, (width + 1) // 2)
    return random(height, width, seed=seed), random(*small, seed=seed + 1), random(*small, seed=seed + 2)


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("matrix", "value_range"), SPACES)
@pytest.mark.parametrize("size", SIZES)
def test_native_has_the_bytes_of_the_reference(native_ops, size, matrix, value_range):
    rgb, space = random(*size, 3), {"matrix": matrix, "value_range": value_range}
    assert_same(rgb_to_yuv(rgb, **space), rgb_to_yuv_reference(rgb, **space))
    planes = random_planes(*size)
    assert_same([yuv_to_rgb(planes, **space)], [yuv_to_rgb_reference(planes, **space)])


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_cpu_level_has_the_same_bytes(at_level, as_reference, level):
    rgb, planes, box = random(50, 391, 3), random_planes(50, 391), (3.3, -8.2, 260.7, 44.1)
    wanted = rgb_to_yuv_reference(rgb), yuv_to_rgb_reference(planes)
    with as_reference():
        tensor = yuv_to_tensor(planes, box, (65, 33), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.1))
    at_level(level)
    assert_same(rgb_to_yuv(rgb), wanted[0])
    assert_same([yuv_to_rgb(planes)], [wanted[1]])
    assert_same([yuv_to_tensor(planes, box, (65, 33), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.1))], [tensor])


@pytest.mark.parametrize(("matrix", "value_range"), SPACES)
def test_planes_are_those_of_real_numbers(matrix, value_range):
    corners = np.array([(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)], np.uint8)
    flat = corners[:, None, None].repeat(2, 1).repeat(2, 2).reshape(-1, 2, 3)  # pure colours, a block each
    for rgb in (random(91, 133, 3), flat):
        planes = rgb_to_yuv_reference(rgb, matrix=matrix, value_range=value_range)
        for plane, wanted in zip(planes, exact_planes(rgb, matrix, value_range), strict=True):
            assert np.abs(plane - wanted).max() <= TO_YUV


@pytest.mark.parametrize(("matrix", "value_range"), SPACES)
def test_pictures_are_those_of_real_numbers(matrix, value_range):
    planes = random_planes(91, 133)
    rgb = yuv_to_rgb_reference(planes, matrix=matrix, value_range=value_range)
    assert np.abs(rgb - exact_rgb(planes, matrix, value_range)).max() <= TO_RGB


@pytest.mark.parametrize("matrix", LUMA)
def test_greys_come_back_as_they_were(native_ops, matrix):
    grey = np.arange(256, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(3, 2).repeat(2, 0)
    for value_range, tolerance in (("pc", 0), ("tv", 1)):  # the limited range has fewer levels than greys
        planes = rgb_to_yuv(grey, matrix=matrix, value_range=value_range)
        assert (planes[1] == 128).all()
        assert (planes[2] == 128).all()
        back = yuv_to_rgb(planes, matrix=matrix, value_range=value_range)
        assert (back == back[..., :1]).all()
        assert np.abs(back.astype(int) - grey).max() <= tolerance
    black_and_white = rgb_to_yuv(np.array([[[0] * 3] * 2, [[255] * 3] * 2], np.uint8), matrix=matrix)[0]
    assert black_and_white[:, 0].tolist() == [16, 235]


def test_nv12_is_the_same_in_one_plane(native_ops):
    for size in SIZES:
        rgb = random(*size, 3)
        y, u, v = rgb_to_yuv(rgb)
        uv = np.full((*u.shape, 2), 99, np.uint8)
        nv12 = (np.empty_like(y), uv[..., 0], uv[..., 1])
        assert_same(rgb_to_yuv(rgb, nv12), (y, u, v))
        assert_same([yuv_to_rgb(nv12)], [yuv_to_rgb((y, u, v))])


def test_strides_and_what_lies_between_the_rows(native_ops):
    rgb = random(40, 300, 3)
    wanted = rgb_to_yuv_reference(rgb[3:36, 5:280])
    sheet = np.full((33, 320), 7, np.uint8)
    planes = (sheet[:, 10:285], np.empty((17, 200), np.uint8)[:, 9:147], np.empty((17, 200), np.uint8)[::-1, :138])
    assert_same(rgb_to_yuv(rgb[3:36, 5:280], planes), wanted)
    assert (sheet[:, :10] == 7).all()
    assert (sheet[:, 285:] == 7).all()
    target = np.full((33, 300, 3), 7, np.uint8)
    assert_same([yuv_to_rgb(planes, target[::-1, 5:280])], [yuv_to_rgb_reference(wanted)])
    assert (target[:, :5] == 7).all()
    assert (target[:, 280:] == 7).all()
    assert_same(rgb_to_yuv(rgb[:, ::-1]), rgb_to_yuv_reference(rgb[:, ::-1]))


def test_threads_change_nothing(native_ops):
    rgb, planes = random(77, 200, 3), random_planes(77, 200)
    assert_same(rgb_to_yuv(rgb, threads=3), rgb_to_yuv_reference(rgb))
    assert_same([yuv_to_rgb(planes, threads=3)], [yuv_to_rgb_reference(planes)])


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_empty_pictures(native_ops, size):
    planes = rgb_to_yuv(np.zeros((*size, 3), np.uint8))
    assert planes[0].shape == size
    assert_same(planes, rgb_to_yuv_reference(np.zeros((*size, 3), np.uint8)))
    assert yuv_to_rgb(planes).shape == (*size, 3)
    with pytest.raises(InvalidValue, match="nothing to sample"):
        yuv_to_tensor(planes, (0, 0, 1, 1), (2, 2))
    assert yuv_to_tensor(random_planes(4, 4), (0, 0, 1, 1), (0, 3)).shape == (3, 3, 0)


def test_offsets_beyond_32_bits(native_ops, tmp_path):
    """A picture whose rows lie 2 GiB apart, in a file that holds only the rows."""
    rows, stride = 3, 2**31 + 4096
    rgb = random(rows, 40, 3)
    with (tmp_path / "sparse").open("w+b") as file:
        file.truncate(2 * rows * stride)
        with mmap.mmap(file.fileno(), 2 * rows * stride) as memory:
            far = np.ndarray((rows, 40, 3), np.uint8, memory, strides=(stride, 3, 1))
            luma = np.ndarray((rows, 40), np.uint8, memory, rows * stride, strides=(stride, 1))
            far[...] = rgb
            wanted = rgb_to_yuv_reference(rgb)
            planes = (luma, *empty_planes(rows, 40)[1:])
            native = library.native("cpu")
            assert native is not None
            assert_same(rgb_to_yuv(far[:2], (luma[:2], planes[1][:1], planes[2][:1])), rgb_to_yuv_reference(rgb[:2]))
            assert_same(rgb_to_yuv(far, planes), wanted)
            assert_same([yuv_to_rgb(planes)], [yuv_to_rgb_reference(wanted)])
            yuv_to_rgb(wanted, far)
            assert_same([far], [yuv_to_rgb_reference(wanted)])
            del far, luma, planes


@pytest.mark.parametrize(("matrix", "value_range"), SPACES)
def test_a_networks_input_is_that_of_real_numbers(native_ops, matrix, value_range):
    planes, box, (width, height) = random_planes(45, 71), (-4.2, 3.1, 66.0, 50.7), (37, 29)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    space = {"matrix": matrix, "value_range": value_range}
    found = yuv_to_tensor(planes, box, (width, height), mean=mean, std=std, **space)
    xs = box[0] + (np.arange(width) + 0.5) * (box[2] - box[0]) / width
    ys = box[1] + (np.arange(height) + 0.5) * (box[3] - box[1]) / height
    wanted = (exact_samples(planes, ys, xs, matrix, value_range) / 255 - mean) / std
    levels = np.abs(found.transpose(1, 2, 0) - wanted) * std * 255
    assert levels.max() <= STEPPED * 2.2  # chroma's step counts up to 2.2 times in blue
    assert levels.mean() < 0.5


def test_the_whole_picture_at_its_own_size_is_the_picture(native_ops):
    planes = random_planes(20, 30)
    found = yuv_to_tensor(planes, (-0.5, -0.5, 29.5, 19.5), (30, 20)).transpose(1, 2, 0) * 255
    assert np.abs(found - exact_rgb(planes, "bt709", "tv")).max() < 1e-3


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_any_box_is_sampled_inside_the_picture(box, size):
    planes = (np.full((7, 9), 235, np.uint8), np.full((4, 5), 128, np.uint8), np.full((4, 5), 128, np.uint8))
    try:
        found = yuv_to_tensor(planes, box, size)
    except InvalidValue as error:
        assert "too large" in str(error)
        return
    assert found.shape == (3, size[1], size[0])
    assert np.abs(found - 1).max(initial=0) < 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rgb_to_yuv(np.zeros((4, 4, 3), np.float32)), "rgb must be uint8, got float32"),
        (lambda: rgb_to_yuv(np.zeros((4, 4, 4), np.uint8)), r"rgb must be \(height, width, 3\), got \(4, 4, 4\)"),
        (lambda: rgb_to_yuv(np.zeros((4, 4, 3), np.uint8), matrix="gbr"), "matrix is 'gbr'"),
        (lambda: rgb_to_yuv(np.zeros((4, 4, 3), np.uint8), random_planes(4, 6)), r"plane y must be \(4, 4\)"),
        (lambda: rgb_to_yuv(np.zeros((5, 4, 3), np.uint8), (*random_planes(5, 4)[:2], random(2, 2))), "plane v"),
        (lambda: yuv_to_rgb((random(4, 8)[:, ::2], *random_planes(4, 4)[1:])), "plane y has samples 2 bytes apart"),
        (lambda: yuv_to_rgb((*random_planes(4, 4)[:2], random(2, 6)[:, ::3])), "plane v has samples 3 bytes apart"),
        (lambda: yuv_to_rgb((random(4, 4), random(2, 2).astype(np.int8), random(2, 2))), "plane u must be uint8"),
        (lambda: yuv_to_rgb(random_planes(4, 4), random(4, 8, 3)[:, ::2]), "side by side"),
        (lambda: yuv_to_tensor(random_planes(4, 4), (0, 0, np.nan, 1), (2, 2)), "four finite numbers"),
        (lambda: yuv_to_tensor(random_planes(4, 4), (0, 0, 1, 1), (2, -1)), "each side must lie in"),
        (lambda: yuv_to_tensor(random_planes(4, 4), (0, 0, 1, 1), (2, 1), std=(1, 0, 1)), "std above 0"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(InvalidValue, match=words):
        call()


def test_nothing_is_written_over_what_is_read(native_ops):
    memory = random(12, 12, 3)
    planes = (memory[:, :4].reshape(12, 12), *random_planes(12, 12)[1:])
    planes = (np.ndarray((12, 12), np.uint8, memory), *planes[1:])
    for call in (lambda: rgb_to_yuv(memory, planes), lambda: yuv_to_rgb(planes, memory)):
        with pytest.raises(InvalidValue, match="plane y shares memory"):
            call()


def test_the_library_itself_refuses_what_does_not_fit(native_ops):
    native = library.native("cpu")
    assert native is not None
    options = bytes(256)

    def tensor(shape, strides, dtype=library.UINT8):
        return library.tensor(0, dtype, shape, strides)

    rgb, y, small = tensor((4, 4, 3), (12, 3, 1)), tensor((4, 4), (4, 1)), tensor((2, 2), (2, 1))
    out = tensor((3, 2, 2), (4, 2, 1), library.FLOAT32)
    cases = [
        ("rgb_to_yuv", [y, small, small], "number of tensors"),
        ("rgb_to_yuv", [y, small, small, tensor((4, 4, 3), (12, 3, 1), library.FLOAT32)], "dtype .* detail 3"),
        ("rgb_to_yuv", [y, small, small, tensor((2**40, 4, 3), (12, 3, 1))], "shape .* detail 3"),
        ("rgb_to_yuv", [y, small, small, tensor((4, 4, 3), (12, 4, 1))], "strides .* detail 3"),
        ("rgb_to_yuv", [y, y, small, rgb], "shape .* detail 1"),
        ("rgb_to_yuv", [tensor((4, 4), (8, 2)), small, small, rgb], "strides .* detail 0"),
        ("yuv_to_rgb", [rgb, y, small, tensor((2, 2), (2, 3))], "strides .* detail 3"),
        ("yuv_to_tensor", [rgb, y, small, small], "dtype .* detail 0"),
        ("yuv_to_tensor", [tensor((3, 2, 2**17), (4, 2, 1), library.FLOAT32), y, small, small], "shape .* detail 0"),
        ("yuv_to_tensor", [out, tensor((0, 0), (1, 1)), small, small], "shape .* detail 1"),
    ]
    for op, tensors, words in cases:
        with pytest.raises(OpsError, match=words):
            native.call(op, tensors, options, library.place())
    far = (2**50).to_bytes(8, "little") + bytes(248)
    with pytest.raises(OpsError, match="option is out of range"):
        native.call("yuv_to_tensor", [out, y, small, small], far, library.place())
