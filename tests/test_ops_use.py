"""Pictures and films have the same bytes whether the native ops or their references compute."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation

from animegen.composite import compose
from animegen.types import Colour, Frame, Sprite
from animegen.video.colour import RgbConverter
from animegen.video.drawing import write_film
from animegen.video.planes import planes_of, yuv420p

ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
SWSCALE = 3
"""Levels by which swscale, which rounds chroma on the way, may differ from the exact value."""


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], -1).astype(np.uint8)


@pytest.fixture
def with_both(native_ops, as_reference):
    """What a function returns with the native ops, asserted to be what it returns with the references."""

    def call(function):
        with as_reference():
            wanted = function()
        found = function()
        assert np.array_equal(found, wanted)
        return found

    return call


def test_a_film_is_the_same(with_both, tmp_path):
    pictures = [np.roll(smooth(98, 130), 7 * i, 1) for i in range(3)]

    def film():
        write_film(tmp_path / "film.mp4", (Frame(i, Fraction(i, 25), p) for i, p in enumerate(pictures)), Fraction(25))
        return np.frombuffer((tmp_path / "film.mp4").read_bytes(), np.uint8)

    assert with_both(film).size > 1000


def test_a_composed_picture_is_the_same(with_both):
    rng = np.random.default_rng(0)
    sprites = []
    for order in range(3):
        straight = rng.integers(0, 256, (60, 50, 4), np.uint8)
        affine = np.column_stack([rng.normal(size=(2, 2)), rng.uniform(20, 60, 2)])
        sprites.append(Sprite.from_straight(straight, affine, -order))
    background = smooth(90, 120)
    assert (with_both(lambda: compose(background, sprites)) != background).mean() > 0.2


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
@pytest.mark.parametrize("size", [(64, 48), (67, 131)])
def test_a_decoded_picture_is_the_same_and_like_swscales(with_both, pixel_format, size):
    height, width = size
    frame = av.VideoFrame.from_ndarray(smooth(height // 2 * 2, width // 2 * 2), "rgb24").reformat(format=pixel_format)
    colour = Colour(matrix="smpte170m", range="tv")
    found = with_both(lambda: RgbConverter(colour, 100.0)(frame))
    other = frame.reformat(format="rgb24", interpolation=ACCURATE).to_ndarray()
    assert np.abs(found[4:-4, 4:-4].astype(int) - other[4:-4, 4:-4]).max() <= SWSCALE


def test_an_encoded_picture_is_in_the_frames_own_memory(with_both):
    image = smooth(67, 131)

    def planes():
        frame = yuv420p(image, Colour(range="pc"))
        assert (frame.width, frame.height, frame.format.name) == (131, 67, "yuv420p")
        return np.concatenate([plane.ravel() for plane in planes_of(frame)])

    assert with_both(planes).size == 67 * 131 + 2 * 34 * 66
