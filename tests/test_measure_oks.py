"""Object keypoint similarity and the matching of poses to annotated people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.errors import InvalidValue
from animegen.measure.oks import COCO_SIGMAS, FOUND, AnnotatedPerson, Comparison, compare, oks

EXACT = 1e-9
"""The formula is evaluated in float64."""


def person(x: float = 0.0, area: float = 10_000.0, visible: int = 17) -> AnnotatedPerson:
    xy = np.stack([np.linspace(x, x + 50, 17), np.linspace(0, 200, 17)], axis=1)
    return AnnotatedPerson(xy, np.array([2] * visible + [0] * (17 - visible)), area)


def test_a_point_one_deviation_off_scores_as_the_formula_says() -> None:
    truth = person(area=400.0)
    for i in range(17):
        xy = truth.xy.copy()
        xy[i, 0] += 2 * COCO_SIGMAS[i] * 20.0
        assert oks(xy, truth) == pytest.approx((16 + np.exp(-0.5)) / 17, abs=EXACT)


@given(st.floats(0, 500), st.floats(0, 500))
def test_the_further_off_the_less_similar(near: float, far: float) -> None:
    near, far = sorted((near, far))
    truth = person()
    assert oks(truth.xy + np.array([far, 0]), truth) <= oks(truth.xy + np.array([near, 0]), truth) <= 1.0


def test_points_that_are_not_annotated_do_not_count() -> None:
    truth = person(visible=5)
    xy = truth.xy.copy()
    xy[5:] += 1000
    assert oks(xy, truth) == pytest.approx(1.0, abs=EXACT)


def test_each_person_gets_the_pose_that_fits_best_and_the_missed_count_nothing() -> None:
    people = [person(0), person(500), person(1000)]
    result = compare([people[1].xy, people[0].xy + np.array([3, 0])], people)
    assert result.oks[1] == pytest.approx(1.0, abs=EXACT)
    assert FOUND < result.oks[0] < 1
    assert result.oks[2] == 0
    assert (result.found, result.found_twice, result.unmatched) == (2, 0, 0)
    assert result.mean == pytest.approx(sum(result.oks) / 3)


def test_a_second_pose_on_one_person_is_told_from_one_on_nobody() -> None:
    truth = person()
    result = compare([truth.xy, truth.xy + np.array([2, 0]), truth.xy + np.array([5000, 0])], [truth])
    assert (result.found, result.found_twice, result.unmatched) == (1, 1, 2)


def test_results_of_several_pictures_add_up() -> None:
    truth = person()
    total = compare([truth.xy], [truth]) + compare([], [truth]) + compare([truth.xy], [])
    assert total == Comparison((1.0, 0.0), 0, 1)
    assert total.mean == 0.5
    assert Comparison(()).mean == 0.0


def test_people_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InvalidValue, match="annotated points"):
        person(visible=0)
    with pytest.raises(InvalidValue, match="positive"):
        person(area=0.0)
    with pytest.raises(InvalidValue, match="17 COCO points"):
        AnnotatedPerson(np.zeros((16, 2)), np.ones(16), 1.0)
