"""Faces aligned, followed through a clip and laid back: geometry by its properties, pictures on a photograph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from animegen.composite import compose
from animegen.face.align import (
    EYE_LINE,
    cut_square,
    face_square,
    moved_face,
    moved_square,
    side_of,
    steady_squares,
    to_source,
)
from animegen.face.course import SMALL, TURNED, follow, turn, visible
from animegen.face.paste import (
    MASK_SIDE,
    colours_of,
    drawn_mask,
    face_mask,
    in_colours,
    in_light,
    layer,
    light_of,
    softened,
    usual_mask,
)
from animegen.types import Face, Mask, Sprite

POINTS = np.array([[203.2, 101.1], [246.3, 103.5], [222.6, 130.7], [200.7, 138.6], [245.5, 141.1]], np.float32)
"""The five points of the astronaut's face, as the face mesh finds them."""
ROUNDING = 1e-3
"""Pixels: points are kept in 32 bits."""
AS_IT_WAS = 12
"""Grey levels by which a photograph may change where it is laid over itself: it is sampled twice."""
LEFT_OF_A_JUMP = 5.0
"""Pixels, of the 60 by which one frame is wrong: no more than the motion of a frame."""
COLOUR = 1.5
"""Units of CIELAB: rounded to 8 bits, and clipped where sRGB ends."""


def face(points=POINTS, score=0.9, mask=None):
    box = np.array([*points.min(axis=0), *points.max(axis=0)], np.float32)
    return Face(box, score, points.astype(np.float32), mask)


def published(points):
    """The corners of the square by the formula of the tool that made FFHQ: top left, bottom left, bottom right, ..."""
    right_eye, left_eye, _, mouth_right, mouth_left = points.astype(np.float64)
    eye_avg, mouth_avg = (right_eye + left_eye) * 0.5, (mouth_right + mouth_left) * 0.5
    eye_to_eye, eye_to_mouth = left_eye - right_eye, mouth_avg - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


def test_the_square_is_that_of_ffhq():
    square = face_square(POINTS)
    corners = np.array([[-0.5, -0.5], [-0.5, 99.5], [99.5, 99.5], [99.5, -0.5]])
    affine = to_source(square, 100)
    assert np.allclose(corners @ affine[:, :2].T + affine[:, 2], published(POINTS), atol=1e-9)
    assert side_of(square) == pytest.approx(np.hypot(*(published(POINTS)[0] - published(POINTS)[1])))


@given(angle=st.floats(-3.1, 3.1), scale=st.floats(0.1, 10), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_it_goes_with_the_face_however_that_is_turned(angle, scale, x, y):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    affine = np.array([[cos, -sin, x], [sin, cos, y]])
    moved = POINTS.astype(np.float64) @ affine[:, :2].T + affine[:, 2]
    assert np.allclose(face_square(moved), moved_square(face_square(POINTS), affine), atol=1e-6)


@pytest.mark.parametrize("pixels", [32, 128, 400])
def test_eyes_and_mouth_are_always_in_the_same_places(pixels):
    image = np.zeros((300, 400, 3), np.uint8)
    yy, xx = np.mgrid[:300, :400]
    for place, channel in ((0, 0), (1, 1)):
        apart = np.hypot(xx - POINTS[place, 0], yy - POINTS[place, 1])
        image[..., channel] = np.clip(255 - 20 * apart, 0, 255)
    square = face_square(POINTS)
    cut = cut_square(image, square, pixels)
    back = np.linalg.inv(np.vstack([to_source(square, pixels), [0, 0, 1]]))
    for place in (0, 1):
        wanted = back[:2, :2] @ POINTS[place] + back[:2, 2]
        weight = cut[..., place].astype(float)
        rows, columns = np.mgrid[:pixels, :pixels]
        found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        assert np.allclose(found, wanted, atol=0.15)


@given(stretch=st.floats(0.5, 2), angle=st.floats(-3.1, 3.1))
def test_a_stretched_picture_is_higher_with_the_eyes_where_they_were(stretch, angle):
    square = np.array([50.0, 60.0, 20 * np.cos(angle), 20 * np.sin(angle)])
    plain, higher = to_source(square, 100), to_source(square, 100, stretch)
    for row, column in ((0.0, 0.0), (99.0, 40.0)):
        eyes = 100 * EYE_LINE - 0.5
        assert np.allclose(plain @ [column, eyes, 1], higher @ [column, eyes, 1])
        assert np.allclose(higher @ [column, row, 1], plain @ [column, eyes + stretch * (row - eyes), 1])


def test_a_face_moves_with_its_outline():
    mask = Mask(np.full((4, 4), 255, np.uint8), np.array([[1.0, 0.0, 200.0], [0.0, 1.0, 100.0]]))
    moved = moved_face(face(mask=mask), np.array([[2.0, 0.0, 3.0], [0.0, 2.0, 5.0]]))
    assert np.allclose(moved.points, 2 * POINTS + [3, 5], atol=ROUNDING)
    assert np.allclose(moved.mask.affine, [[2, 0, 403], [0, 2, 205]])


@given(speed=st.tuples(*4 * [st.floats(-5, 5)]), length=st.integers(1, 40), wrong=st.integers(1, 38))
def test_steady_motion_passes_and_single_mistakes_do_not(speed, length, wrong):
    even = np.outer(np.arange(length), speed) + np.array([100, 100, 50, 0])
    assert np.allclose(steady_squares(even), even, atol=1e-6)
    if length > 3 and wrong < length - 1:
        jumped = even.copy()
        jumped[wrong] += 60
        assert np.abs(steady_squares(jumped) - even).max() < LEFT_OF_A_JUMP


def test_jitter_is_calmed():
    even = np.outer(np.arange(300), [2.0, 1.0, 0.1, 0.0]) + np.array([100, 100, 50, 0])
    noise = np.random.default_rng(1).normal(0, 1, even.shape)
    left = (steady_squares(even + noise) - even).std(axis=0)
    assert (left < 0.75).all()
    assert (left[2:] < 0.6).all()


def moving(count, step=2.0):
    return [face(POINTS + np.float32([i * step, 0])) for i in range(count)]


def test_a_face_is_followed_over_what_was_missed():
    found = moving(20)
    found[8:11] = 3 * [None]
    course = follow(found, range(20))
    assert course.places == tuple(range(20))
    assert np.allclose(np.diff(course.squares[:, 0]), 2.0, atol=1e-3)
    assert (course.strength == 1).all()
    assert course.starts == (0,)


def test_where_a_face_is_lost_it_fades_and_nothing_is_drawn():
    found = [*moving(12), *12 * [None], *moving(12)]
    course = follow(found, range(36))
    assert course.places == (*range(12), *range(24, 36))
    assert course.starts == (0, 12)
    assert (np.diff(course.strength[7:12]) < 0).all()
    assert (np.diff(course.strength[12:17]) > 0).all()
    assert course.strength[0] == course.strength[-1] == 1


def test_a_cut_is_not_averaged_over():
    found = [*moving(10), *[face(POINTS + np.float32([300, 50])) for _ in range(10)]]
    course = follow(found, range(20))
    assert course.starts == (0, 10)
    assert (course.strength == 1).all()
    assert np.allclose(np.diff(course.squares[10:], axis=0), 0, atol=1e-6)


def test_small_and_turned_faces_are_left():
    side = float(side_of(face_square(POINTS)))
    middle = POINTS.mean(axis=0)
    assert visible(face((POINTS - middle) * (0.9 * SMALL[0] / side) + middle)) == 0
    assert visible(face((POINTS - middle) * (1.1 * SMALL[1] / side) + middle)) == 1
    aside = POINTS.copy()
    aside[2, 0] += 1.5 * (POINTS[1, 0] - POINTS[0, 0])
    assert turn(aside) > TURNED[1] > TURNED[0] > turn(POINTS)
    assert visible(face(aside)) == 0
    assert visible(face(score=0.3)) == visible(None) == 0
    assert follow([face(aside)] * 9, range(9)).places == ()
    assert follow([None, face(), None, None, None, None, None, None], range(8)).places == ()
    assert follow([face()], [17]).places == (0,)
    assert follow([], []).places == ()


def turned(angle):
    """A face's points from the front when its head is turned: the nose lies before the others as far as noses do."""
    space = np.array([[-1, -1, 0], [1, -1, 0], [0, 0, 0.9], [-0.8, 1, 0], [0.8, 1, 0]])
    across, towards = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return 30 * np.stack([space[:, 0] * across + space[:, 2] * towards, space[:, 1]], axis=1) + 100


@given(angle=st.floats(-70, 70))
def test_a_turn_is_told_by_the_nose_and_by_the_eyes(angle):
    points = turned(angle)
    assert turn(points.astype(np.float32)) == pytest.approx(abs(angle), abs=0.1)
    assert turn(np.float32(points @ [[0.8, 0.6], [-0.6, 0.8]])) == pytest.approx(abs(angle), abs=0.1)


def test_a_face_is_drawn_or_fades_but_does_not_stand_half_drawn():
    ahead, aside = face(turned(0)), face(turned(0.3 * TURNED[0] + 0.7 * TURNED[1]))
    assert 0 < visible(aside) < 0.5
    strength = follow([*[ahead] * 20, *[aside] * 20], range(40)).strength
    assert strength[0] == 1 and (strength[30:] == 0).all()
    assert ((strength > 0) & (strength < 1)).sum() < 10
    assert (np.diff(strength) <= 0).all()


def test_light_from_the_side_falls_on_the_drawn_face_too():
    rows, columns = (np.mgrid[:64, :64] + 0.5) / 64
    mask = softened(usual_mask())
    even = np.full((64, 64, 3), [200, 160, 140], np.uint8)
    even[np.hypot(columns - 0.6, rows - 0.5) < 0.04] = 20
    lit = np.rint(even * (0.7 + 0.6 * columns[..., None] - 0.15)).clip(0, 255).astype(np.uint8)
    laid = in_light(even, light_of(even, mask), light_of(lit, mask))
    inside = mask > 200
    assert np.abs(laid.astype(int) - lit)[inside].mean() < 0.3 * np.abs(even.astype(int) - lit)[inside].mean()
    assert np.abs(in_light(lit, light_of(lit, mask), light_of(lit, mask)).astype(int) - lit).max() <= 1


def test_of_a_drawn_face_only_skin_is_laid():
    """A face between hair that hangs over its forehead and its cheeks, and a ground of nearly its colour."""
    picture = np.full((128, 128, 3), [224, 170, 140], np.uint8)
    rows, columns = (np.mgrid[:128, :128] + 0.5) / 128
    picture[np.hypot((columns - 0.5) / 0.4, (rows - 0.5) / 0.45) < 1] = [90, 60, 40]
    skin = np.hypot((columns - 0.5) / 0.2, (rows - 0.6) / 0.22) < 1
    picture[skin] = [230, 180, 150]
    for x in (0.41, 0.59):
        picture[np.hypot(columns - x, rows - 0.475) < 0.03] = [20, 20, 30]
    mask = drawn_mask(picture)
    inside = skin[1::2, 1::2]
    assert mask.shape == (MASK_SIDE, MASK_SIDE) and mask.dtype == np.uint8
    assert mask[inside].mean() > 200 and mask[~inside].mean() < 5
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    usual = usual_mask() > 0
    assert drawn_mask(noise)[usual].mean() > 200 and drawn_mask(noise)[~usual].mean() < 5


@pytest.mark.parametrize("stretch", [1.0, 1.4])
def test_a_photograph_laid_over_itself_shows_no_seam(stretch):
    image = astronaut()
    square = face_square(POINTS)
    picture = cut_square(image, square, 256, stretch)
    mask = softened(face_mask(face(), square, stretch))
    rgba, affine = layer(picture, mask, square, colours_of(picture, mask), light_of(picture, mask), stretch=stretch)
    laid = compose(image, [Sprite.from_straight(rgba, affine, 0.0)])
    off = np.abs(laid.astype(int) - image)
    assert np.percentile(off, 99.9) <= AS_IT_WAS
    assert (rgba[[0, -1], :, 3] == 0).all()
    assert (rgba[:, [0, -1], 3] == 0).all()
    assert rgba[len(rgba) // 2, len(rgba) // 2, 3] == 255
    steps = np.abs(np.diff(rgba[..., 3].astype(int), axis=1)).max()
    assert steps < 64, "the edge is soft"


def test_nothing_is_laid_where_the_strength_is_nothing():
    square = face_square(POINTS)
    picture = cut_square(astronaut(), square, 32)
    mask = softened(usual_mask())
    rgba, _ = layer(picture, mask, square, colours_of(picture, mask), light_of(picture, mask), strength=0.0)
    assert not rgba[..., 3].any()


@settings(deadline=None, max_examples=20)
@given(lightness=st.floats(30, 70), a=st.floats(-10, 20), b=st.floats(-10, 20), spread=st.floats(6, 12))
def test_the_colours_are_those_of_the_face_that_was_there(lightness, a, b, spread):
    picture = cut_square(astronaut(), face_square(POINTS), 64)
    mask = usual_mask()
    wanted = np.array([[lightness, a, b], [spread, 3, 4]], np.float32)
    found = colours_of(in_colours(picture, colours_of(picture, mask), wanted), mask)
    assert np.abs(found - wanted).max() < COLOUR
