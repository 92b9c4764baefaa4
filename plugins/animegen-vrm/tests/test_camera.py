"""A camera puts points where a picture shows them."""

from __future__ import annotations

import numpy as np
import pytest
from animegen_vrm.camera import Camera, look_at, look_at_parallel
from hypothesis import given
from hypothesis import strategies as st

from animegen.errors import InvalidValue

ROUNDING = 1e-3  # pixels: coordinates are handed out as float32
UP = (0.0, 1.0, 0.0)
coordinate = st.floats(-3.0, 3.0)


def test_the_target_lies_in_the_middle_and_as_far_as_it_is() -> None:
    xy, depth = look_at((1, 2, 5), (1, 2, 1), UP, 40, (640, 480)).project([(1, 2, 1)])
    np.testing.assert_allclose(xy, [(319.5, 239.5)], atol=ROUNDING)
    np.testing.assert_allclose(depth, [4.0], rtol=1e-6)


def test_right_is_right_and_up_is_up() -> None:
    camera = look_at((0, 0, 5), (0, 0, 0), UP, 40, 101)
    (right, above), _ = camera.project([(1, 0, 0), (0, 1, 0)])
    assert right[0] > 60
    assert right[1] == pytest.approx(50, abs=ROUNDING)
    assert above[1] < 40
    assert above[0] == pytest.approx(50, abs=ROUNDING)


def test_the_field_of_view_reaches_from_edge_to_edge() -> None:
    camera = look_at((0, 0, 2), (0, 0, 0), UP, 90, (200, 100))
    xy, _ = camera.project([(0, 2, 0), (-4, 0, 0)])
    np.testing.assert_allclose(xy, [(99.5, -0.5), (-0.5, 49.5)], atol=ROUNDING)


@given(st.tuples(coordinate, coordinate, st.floats(-3.0, 1.0)), st.floats(10.0, 90.0))
def test_a_metre_is_as_high_as_it_looks(point: tuple[float, float, float], fov_y: float) -> None:
    camera = look_at((0, 0, 3), (0, 0, 0), UP, fov_y, 256)
    step = 1e-2
    xy, _ = camera.project([point, np.add(point, (0, step, 0)), np.add(point, (step, 0, 0))])
    expected = camera.pixels_per_metre(point) * step
    np.testing.assert_allclose(xy[1] - xy[0], (0, -expected), atol=5 * ROUNDING)
    np.testing.assert_allclose(xy[2] - xy[0], (expected, 0), atol=5 * ROUNDING)


def test_without_perspective_distance_does_not_matter() -> None:
    camera = look_at_parallel((0, 0, 5), (0, 0, 0), UP, 2.0, 100)
    xy, depth = camera.project([(0.5, 0.5, 0), (0.5, 0.5, -4)])
    np.testing.assert_allclose(xy, [(74.5, 24.5)] * 2, atol=ROUNDING)
    np.testing.assert_allclose(depth, [5, 9], rtol=1e-6)
    assert camera.pixels_per_metre((0, 0, -4)) == pytest.approx(50)


def test_points_beside_and_behind_the_camera_stay_finite() -> None:
    xy, depth = look_at((0, 0, 1), (0, 0, 0), UP, 40, 64).project([(0.3, 0.2, 1), (0, 0, 4)])
    assert np.isfinite(xy).all()
    assert depth[1] == pytest.approx(-3)


def test_faults_show_their_values() -> None:
    with pytest.raises(InvalidValue, match="180"):
        look_at((0, 0, 1), (0, 0, 0), UP, 180, 64)
    with pytest.raises(InvalidValue, match="cannot look at"):
        look_at((0, 0, 1), (0, 0, 1), UP, 40, 64)
    with pytest.raises(InvalidValue, match="cannot look at"):
        look_at((0, 5, 0), (0, 0, 0), UP, 40, 64)
    with pytest.raises(InvalidValue, match=r"\(0, 64\)"):
        look_at((0, 0, 1), (0, 0, 0), UP, 40, (0, 64))
    with pytest.raises(InvalidValue, match="higher than 0"):
        look_at_parallel((0, 0, 1), (0, 0, 0), UP, 0.0, 64)
    with pytest.raises(InvalidValue, match="nan"):
        Camera(np.full((4, 4), np.nan), np.eye(4), (64, 64))
