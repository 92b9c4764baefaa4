"""Sprites laid over pictures, against a slow reference in floating point."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.composite import compose, compose_alpha, depth_order, one_thread_per_call
from animegen.pose.skeletons import COCO17
from animegen.types import Float64Array, Pose, Sprite, Uint8Array

ROUNDING = 1
"""Grey levels by which one rounding of a product may differ from the exact value."""

SAMPLING = 12
"""Grey levels: positions are sampled to 1/32 pixel, and neighbouring texels of the smooth sprites differ by < 60."""


def gradient_sprite(width: int, height: int, affine: Float64Array, order: float = 0.0) -> Sprite:
    y, x = np.mgrid[0:height, 0:width]
    alpha = 255 * np.clip(1.4 - np.hypot((x / width) * 2 - 1, (y / height) * 2 - 1), 0, 1)
    colour = np.stack([x * 255 / width, y * 255 / height, 255 - x * 255 / width], axis=2) * alpha[..., None] / 255
    return Sprite(np.dstack([colour, alpha]).round().astype(np.uint8), affine, order)


def reference(background: Uint8Array, sprite: Sprite) -> np.ndarray:
    """Bilinear sampling and premultiplied "over", pixel by pixel, in float64."""
    height, width = background.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    matrix = np.linalg.inv(np.vstack([sprite.affine, (0, 0, 1)]))
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    rows, columns = sprite.rgba.shape[:2]
    padded = np.pad(sprite.rgba.astype(np.float64), ((2, 2), (2, 2), (0, 0)))
    u, v = np.clip(u, -1.5, columns + 0.5), np.clip(v, -1.5, rows + 0.5)
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    sampled = np.zeros((height, width, 4))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - np.abs(v - top - dy)) * (1 - np.abs(u - left - dx))
            sampled += weight[..., None] * padded[top + dy + 2, left + dx + 2]
    return sampled[..., :3] + background * (1 - sampled[..., 3:] / 255)


def noise(width: int, height: int) -> Uint8Array:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(
    scale=st.floats(0.7, 2.5),
    angle=st.floats(-3.2, 3.2),
    mirrored=st.booleans(),
    x=st.floats(-60, 100),
    y=st.floats(-60, 80),
)
def test_compose_equals_the_reference(scale: float, angle: float, mirrored: bool, x: float, y: float) -> None:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    flip = -1.0 if mirrored else 1.0
    sprite = gradient_sprite(30, 40, np.array([(flip * c, -s, x), (flip * s, c, y)]))
    background = noise(90, 70)
    difference = np.abs(compose(background, [sprite]) - reference(background, sprite))
    assert difference.max() <= SAMPLING


@settings(deadline=None, max_examples=60)
@given(x=st.integers(-50, 110), y=st.integers(-60, 90))
def test_whole_pixel_shifts_are_exact(x: int, y: int) -> None:
    sprite = gradient_sprite(30, 40, np.array([(1.0, 0.0, x), (0.0, 1.0, y)]))
    background = noise(90, 70)
    assert np.abs(compose(background, [sprite]) - reference(background, sprite)).max() <= ROUNDING


def test_a_shrunken_sprite_is_averaged() -> None:
    stripes = np.full((200, 200, 4), 255, np.uint8)
    stripes[:, ::2, :3] = 0
    sprite = Sprite(stripes, np.array([(0.1, 0.0, 4.0), (0.0, 0.1, 4.0)]), 0.0)
    laid = compose(np.zeros((30, 30, 3), np.uint8), [sprite])
    inside = laid[8:18, 8:18]
    assert inside.min() > 110 and inside.max() < 145, "a tenth of fine stripes is grey, not a choice of stripes"


def test_larger_order_lies_on_top_and_equal_order_keeps_the_sequence() -> None:
    def plain(colour: tuple[int, int, int], order: float) -> Sprite:
        rgba = np.full((8, 8, 4), 255, np.uint8)
        rgba[..., :3] = colour
        return Sprite(rgba, np.array([(1.0, 0.0, 2.0), (0.0, 1.0, 2.0)]), order)

    red, green, blue = plain((255, 0, 0), 2.0), plain((0, 255, 0), 1.0), plain((0, 0, 255), 2.0)
    black = np.zeros((12, 12, 3), np.uint8)
    assert compose(black, [red, green])[5, 5].tolist() == [255, 0, 0]
    assert compose(black, [red, green, blue])[5, 5].tolist() == [0, 0, 255]
    assert black.max() == 0, "the background is not drawn upon"


def test_alpha_canvas_laid_on_a_background_is_the_composed_picture() -> None:
    sprites = [
        gradient_sprite(40, 30, np.array([(1.1, 0.2, 5.0), (-0.2, 1.1, 12.0)]), 1.0),
        gradient_sprite(30, 30, np.array([(1.0, 0.0, 30.0), (0.0, 1.0, 20.0)]), 0.0),
    ]
    background = noise(80, 64)
    layer = compose_alpha((80, 64), sprites).astype(np.float64)
    relaid = layer[..., :3] + background * (1 - layer[..., 3:] / 255)
    assert np.abs(relaid - compose(background, sprites)).max() <= 2 * ROUNDING
    assert (layer[..., :3] <= layer[..., 3:] + ROUNDING).all(), "premultiplied"


def standing(x: float, feet: float, height: float, seen_feet: bool = True) -> Pose:
    xy = np.zeros((17, 2), np.float32)
    for name, across, up in (
        ("shoulder", 0.12, 0.82),
        ("hip", 0.08, 0.52),
        ("knee", 0.08, 0.28),
        ("ankle", 0.08, 0.02),
    ):
        for side, sign in (("left", 1), ("right", -1)):
            xy[COCO17.index(f"{side}_{name}")] = (x + sign * across * height, feet - up * height)
    score = np.ones(17, np.float32)
    if not seen_feet:
        score[[COCO17.index(f"{side}_ankle") for side in ("left", "right")]] = 0.0
    box = np.array([x - height / 5, feet - height, x + height / 5, feet], np.float32)
    return Pose(COCO17, xy, score, box)


@given(feet=st.floats(200, 600), step=st.floats(40, 200), height=st.floats(100, 400))
def test_the_nearer_person_is_in_front(feet: float, step: float, height: float) -> None:
    assert depth_order(standing(100, feet + step, height)) > depth_order(standing(100, feet, height))
    assert depth_order(standing(100, feet, height + step)) > depth_order(standing(100, feet, height))


@given(feet=st.floats(300, 600), height=st.floats(100, 400))
def test_depth_without_feet_is_about_that_with_feet(feet: float, height: float) -> None:
    seen, unseen = depth_order(standing(100, feet, height)), depth_order(standing(100, feet, height, seen_feet=False))
    assert abs(seen - unseen) <= 0.15 * height


def test_the_number_of_opencv_threads_is_put_back_whatever_happens() -> None:
    before = cv2.getNumThreads()
    with pytest.raises(RuntimeError), one_thread_per_call():
        assert cv2.getNumThreads() == 1
        raise RuntimeError
    assert cv2.getNumThreads() == before
