"""IDF1 and identity switches on cases that can be counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.measure.identities import identity_score, overlap

A, B, FAR = (0.0, 0.0, 10.0, 20.0), (40.0, 0.0, 50.0, 20.0), (90.0, 0.0, 99.0, 20.0)


def test_who_keeps_one_name_throughout_is_followed_without_fault() -> None:
    truth = [{"a": A, "b": B}] * 10
    score = identity_score(truth, [{1: A, 2: B}] * 10)
    assert (score.idf1, score.precision, score.recall, score.switches) == (1.0, 1.0, 1.0, 0)


def test_two_who_swap_names_halfway_count_half() -> None:
    truth = [{"a": A, "b": B}] * 10
    score = identity_score(truth, [{1: A, 2: B}] * 5 + [{1: B, 2: A}] * 5)
    assert score.idf1 == 0.5
    assert score.switches == 2


def test_a_new_name_after_a_gap_is_one_switch() -> None:
    truth = [{"a": A}] * 4 + [{}] * 2 + [{"a": A}] * 4
    assert identity_score(truth, [{1: A}] * 4 + [{}] * 2 + [{2: A}] * 4).switches == 1
    score = identity_score(truth, [{1: A}] * 4 + [{}] * 2 + [{1: A}] * 4)
    assert (score.idf1, score.switches) == (1.0, 0)


def test_what_is_missed_and_what_is_nobody_are_told_apart() -> None:
    truth = [{"a": A}] * 10
    missed = identity_score(truth, [{1: A}] * 5 + [{}] * 5)
    assert (missed.precision, missed.recall) == (1.0, 0.5)
    nobody = identity_score(truth, [{1: A, 2: FAR}] * 10)
    assert (nobody.precision, nobody.recall) == (0.5, 1.0)
    assert missed.idf1 == pytest.approx(2 / 3)


def test_no_people_are_followed_without_fault() -> None:
    assert identity_score([{}, {}], [{}, {}]).idf1 == 1.0
    assert identity_score([{"a": A}], [{}]).idf1 == 0.0


BOXES = st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(60, 100)] * 2)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_whole_for_the_same_box(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    first, second = (a[0], a[1], a[2], a[3]), (b[0], b[1], b[2], b[3])
    assert overlap(first, second) == pytest.approx(overlap(second, first))
    assert overlap(first, first) == pytest.approx(1.0)
    assert 0.0 <= overlap(first, second) <= 1.0
