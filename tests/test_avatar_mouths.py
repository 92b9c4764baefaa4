"""Mouths that are drawn into shade layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from animegen.avatar.config import EXPRESSION
from animegen.avatar.layers import ALPHA, FIXED, SHADES
from animegen.avatar.mouths import with_mouth
from animegen.pose.skeletons import AVATAR35
from animegen.types import PARTS, Float32Array, Uint8Array

SIDE = 96
SKIN = SHADES.start + PARTS.index("skin")
FACE = {"left_eye": (0.65, 0.4), "right_eye": (0.35, 0.4), "mouth_left": (0.58, 0.6), "mouth_right": (0.42, 0.6)}
DARKER = 20
"""Levels of shade by which a stroke differs from the skin around it."""


def layers(part: str = "skin") -> Uint8Array:
    """A picture of one part alone."""
    planes = np.zeros((SIDE, SIDE, 10), np.uint8)
    planes[..., ALPHA] = 255
    planes[..., SHADES.start + PARTS.index(part)] = 200
    return planes


def points(changes: dict[str, tuple[float, float]] | None = None) -> Float32Array:
    """A face from the front, everything else far below it."""
    places = {**FACE, **(changes or {})}
    return np.array([places.get(name, (0.5, 1.5)) for name in AVATAR35.points], np.float32)


def drawn(picture: Uint8Array, xy: Float32Array | None = None, **shapes: float) -> Uint8Array:
    expression = np.array([shapes.get(name, 0.0) for name in EXPRESSION], np.float32)
    score = np.ones(len(AVATAR35), np.float32)
    return with_mouth(picture, AVATAR35, points() if xy is None else xy, score, expression)


def where(picture: Uint8Array) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the stroke."""
    rows, columns = np.nonzero(picture[..., SKIN] < 200 - DARKER)
    return rows, columns


def test_a_closed_mouth_is_a_stroke_between_its_corners():
    picture = layers()
    rows, columns = where(drawn(picture))
    assert rows.size
    assert 0.58 * SIDE < rows.min() <= rows.max() < 0.66 * SIDE
    assert 0.42 * SIDE < columns.min() <= columns.max() < 0.58 * SIDE
    assert (picture == layers()).all()


def test_an_open_mouth_is_dark_red_inside_and_taller():
    closed, opened = drawn(layers()), drawn(layers(), aa=1.0)
    red, green, blue = np.moveaxis(opened[..., FIXED], -1, 0).astype(int)
    inside = red > 80
    assert inside.any() and (red > green)[inside].all() and (red > blue)[inside].all()
    assert np.ptp(where(opened)[0]) > 2 * np.ptp(where(closed)[0])
    assert not closed[..., FIXED].any()


def test_vowels_differ_in_width():
    widths = [int(np.ptp(where(drawn(layers(), **{shape: 1.0}))[1])) for shape in ("ou", "aa", "ee")]
    assert widths == sorted(widths) and widths[0] < widths[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"left_eye": (0.35, 0.4), "right_eye": (0.65, 0.4), "mouth_left": (0.42, 0.6), "mouth_right": (0.58, 0.6)},
        {"left_eye": (0.52, 0.4), "right_eye": (0.5, 0.4)},
        {"left_index": (0.52, 0.62)},
    ],
    ids=["from behind", "in profile", "behind a hand"],
)
def test_what_is_not_seen_is_not_drawn(changes):
    assert np.array_equal(drawn(layers(), points(changes)), layers())


def test_an_unknown_face_has_none():
    xy, expression = points(), np.zeros(len(EXPRESSION), np.float32)
    score = np.zeros(len(AVATAR35), np.float32)
    assert np.array_equal(with_mouth(layers(), AVATAR35, xy, score, expression), layers())


def test_hair_before_the_mouth_stays():
    assert np.array_equal(drawn(layers("hair"), aa=1.0), layers("hair"))


def test_a_face_that_turns_loses_its_mouth_slowly():
    """No step of a turn by half a degree of arc changes the picture by much."""
    eyes = np.linspace(0.15, 0.0, 150)
    turned = [points({"left_eye": (0.5 + e, 0.4), "right_eye": (0.5 - e, 0.4)}) for e in eyes]
    pictures = [drawn(layers(), xy, aa=0.5).astype(int) for xy in turned]
    steps = [np.abs(a - b).max() for a, b in pairwise(pictures)]
    assert max(steps) < 60  # of 255: an edge moves by a fifth of a pixel
