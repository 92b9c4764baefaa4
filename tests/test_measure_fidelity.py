"""What a quality report measures: poses by similarity and angles, colours, flicker, switches."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.measure.fidelity import colour_errors, flicker, pose_error, switches
from animegen.pose.convert import to_coco17
from animegen.testing.synthetic import synthetic_identity, synthetic_pose
from animegen.types import PartColour

HEIGHT = 200.0
KNOWN = np.ones(17, bool)
POSE = to_coco17(synthetic_pose(height=HEIGHT, seed=4)).xy.astype(np.float64)

EXACT_DEGREES = 1e-3
"""The arc cosine near 1 keeps half of the digits of float64."""

RESAMPLED = 3.0
"""Of 255: what following a shift by half a pixel leaves of a soft pattern."""


def test_a_pose_is_like_itself() -> None:
    error = pose_error(POSE, KNOWN, HEIGHT, POSE)
    assert error is not None
    assert error.oks == pytest.approx(1.0)
    assert error.degrees == pytest.approx(0.0, abs=EXACT_DEGREES)


@settings(deadline=None, max_examples=30)
@given(degrees=st.floats(1, 90), scale=st.floats(0.7, 1.5))
def test_angles_tell_of_a_turn_whatever_the_size_is(degrees: float, scale: float) -> None:
    angle, middle = math.radians(degrees), POSE.mean(axis=0)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    error = pose_error(POSE, KNOWN, HEIGHT, scale * (POSE - middle) @ turn.T + middle)
    assert error is not None
    assert error.degrees == pytest.approx(degrees, abs=EXACT_DEGREES)
    assert error.oks < 1.0


def test_only_points_that_were_asked_for_count() -> None:
    found = POSE.copy()
    found[9] += 80.0
    all_points, without = (pose_error(POSE, known, HEIGHT, found) for known in (KNOWN, np.arange(17) != 9))
    assert all_points is not None
    assert without is not None
    assert without.oks == pytest.approx(1.0)
    assert all_points.oks < without.oks
    assert pose_error(POSE, ~KNOWN, HEIGHT, found) is None


def test_colours_are_compared_where_both_were_measured() -> None:
    asked = synthetic_identity(3).palette
    hair = (asked.hair.lab[0] + 10.0, *asked.hair.lab[1:])
    found = replace(asked, hair=PartColour(hair, 0.9), shoes=PartColour((0.0, 0.0, 0.0), 0.0))
    errors = colour_errors(asked, found)
    assert set(errors) == {"hair", "skin", "eyes", "upper", "lower"}
    assert errors["hair"] > 4
    assert errors["upper"] == 0


def _pattern(shift: float) -> np.ndarray:
    y, x = np.mgrid[:120, :160].astype(np.float64)
    waves = np.sin((x - shift) / 7) * np.cos(y / 9) + np.sin((x - shift + 2 * y) / 13)
    return np.repeat(np.rint(128 + 50 * waves)[..., None], 3, axis=2).astype(np.uint8)


def test_motion_is_no_flicker_and_a_change_of_light_is() -> None:
    first, where = _pattern(0), np.zeros((120, 160), bool)
    where[30:90, 40:120] = True
    moved = flicker(first, _pattern(2.5), where)
    blink = flicker(first, np.minimum(first.astype(int) + 30, 255).astype(np.uint8), where)
    assert moved < RESAMPLED
    assert blink > 4 * RESAMPLED
    assert math.isnan(flicker(first, first, np.zeros_like(where)))
    assert math.isnan(flicker(first[:8, :8], first[:8, :8], where[:8, :8]))


def test_a_track_that_goes_over_to_another_is_one_switch_and_back_two() -> None:
    own, other = np.array([0.1] * 4 + [0.6] * 4), np.array([0.6] * 4 + [0.1] * 4)[:, None]
    assert switches(own, other) == 1
    assert switches(np.concatenate([own, own[:4]]), np.concatenate([other, other[:4]])) == 2
    assert switches(own, np.zeros((8, 0))) == 0


def test_one_picture_that_looks_strange_is_no_switch() -> None:
    own, other = np.full(9, 0.1), np.full((9, 2), 0.6)
    own[4], other[4, 1] = 0.6, 0.1
    assert switches(own, other) == 0
