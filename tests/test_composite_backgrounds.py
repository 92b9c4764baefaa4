"""The pictures behind the avatars."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from animegen.composite.backgrounds import make_anime, make_blur, make_clean, make_color, make_keep, make_picture
from animegen.composite.options import BlurOptions, ColorOptions, PictureOptions
from animegen.errors import InputError, UsageError
from animegen.protocols import Background, BackgroundRequest, PluginContext
from animegen.types import Frame, Uint8Array

CONTEXT = PluginContext()

CODEC_LEVELS = 12
"""Grey levels a flat colour may move through a lossy codec."""

FLICKER_SHARE = 1.6
"""How much more a painting may change than the noise of the footage it was made from: it is also more colourful."""


def request(image: Uint8Array, time: Fraction = Fraction(0), clean: Uint8Array | None = None) -> BackgroundRequest:
    return BackgroundRequest(Frame(0, time, image), (), lambda: image if clean is None else clean)


def smooth_picture(width: int = 96, height: int = 64) -> Uint8Array:
    small = np.random.default_rng(3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def clip(path: Path, colours: list[tuple[int, int, int]]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for red, green, blue in colours:
        writer.write(np.full((48, 64, 3), (blue, green, red), np.uint8))
    writer.release()
    return path


def test_keep_and_clean_hand_on_what_they_are_given() -> None:
    image, empty = smooth_picture(), np.zeros((64, 96, 3), np.uint8)
    asked = request(image, clean=empty)
    assert make_keep(None, CONTEXT).render(asked) is image
    assert make_clean(None, CONTEXT).render(asked) is empty


def test_blur_keeps_the_light_and_takes_the_detail() -> None:
    stripes = np.zeros((90, 160, 3), np.uint8)
    stripes[:, ::2] = 200
    blurred = make_blur(BlurOptions(radius=10.0), CONTEXT).render(request(stripes))
    assert blurred.shape == stripes.shape
    inner = blurred[:, 10:-10]
    assert inner.std() < 3 and abs(float(inner.mean()) - 100) < 2


def test_color_fills_the_frame() -> None:
    image = make_color(ColorOptions("#10aBff"), CONTEXT).render(request(smooth_picture()))
    assert image.shape == (64, 96, 3) and (image == (0x10, 0xAB, 0xFF)).all()


def test_a_picture_covers_the_frame_without_being_stretched(tmp_path: Path) -> None:
    wide = np.zeros((50, 300, 3), np.uint8)
    wide[:, 125:175] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    image = make_picture(PictureOptions(tmp_path / "wide.png"), CONTEXT).render(request(smooth_picture(64, 64)))
    assert image.shape == (64, 64, 3)
    assert (image[:, 4:60] == (255, 0, 0)).all(), "the middle square of the picture, in RGB"


def test_footage_follows_time_loops_and_does_not_depend_on_order(tmp_path: Path) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (200, 200, 0)]
    path = clip(tmp_path / "loop.avi", colours)
    image = smooth_picture(64, 48)

    def shown(background: Background, number: int) -> Uint8Array:
        return background.render(request(image, Fraction(number, 10)))

    forward = make_picture(PictureOptions(path), CONTEXT)
    pictures = [shown(forward, i) for i in range(90)]
    for i, picture in enumerate(pictures):
        assert np.abs(picture.mean(axis=(0, 1)) - colours[i % 4]).max() <= CODEC_LEVELS, f"picture {i}"
    backward = make_picture(PictureOptions(path), CONTEXT)
    for i in (89, 3, 40, 0, 2):
        assert np.array_equal(shown(backward, i), pictures[i])


def test_footage_longer_than_the_memory_is_read_again_when_time_goes_back(tmp_path: Path) -> None:
    path = clip(tmp_path / "long.avi", [(4 * i, 100, 250 - 4 * i) for i in range(60)])
    background = make_picture(PictureOptions(path), CONTEXT)
    image = smooth_picture(64, 48)
    first = background.render(request(image, Fraction(2, 10)))
    background.render(request(image, Fraction(55, 10)))
    assert np.array_equal(background.render(request(image, Fraction(2, 10))), first)


def test_painting_is_flatter_more_colourful_and_calm() -> None:
    picture = smooth_picture(320, 180)
    rng = np.random.default_rng(0)
    noisy = [np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).round().astype(np.uint8) for _ in range(2)]
    style = make_anime(None, CONTEXT)
    first, second = (style.render(request(image)) for image in noisy)

    def saturation(image: Uint8Array) -> float:
        return float((image.max(axis=2).astype(int) - image.min(axis=2)).mean())

    change = np.abs(first.astype(int) - second).mean()
    assert change <= FLICKER_SHARE * np.abs(noisy[0].astype(int) - noisy[1]).mean()
    assert saturation(first) > saturation(noisy[0])
    assert np.array_equal(style.render(request(noisy[0])), first)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ColorOptions("green"), "green"),
        (lambda: ColorOptions("#12345"), "#12345"),
        (PictureOptions, "no path"),
        (lambda: BlurOptions(0.0), "0.0"),
        (lambda: BlurOptions(900.0), "900.0"),
    ],
)
def test_bad_options_are_named_with_a_way_out(make: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        make()
    assert caught.value.hint


def test_bad_files_are_named_with_a_way_out(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    (tmp_path / "empty.mp4").touch()
    for path in (tmp_path / "missing.png", text, tmp_path / "empty.mp4", tmp_path):
        with pytest.raises(InputError, match=path.name) as caught:
            make_picture(PictureOptions(path), CONTEXT)
        assert caught.value.hint
