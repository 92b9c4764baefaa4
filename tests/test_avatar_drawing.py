"""Sprites of generators: parts laid over figures."""

from __future__ import annotations

import numpy as np
import pytest

from animegen.avatar.drawing import Patch, with_patches

FIGURE = np.full((32, 32, 4), 40, np.uint8)
HEAD = np.full((16, 16, 4), 200, np.uint8)


def test_a_part_covers_its_place_and_fades_at_its_borders():
    laid = with_patches(FIGURE, [Patch(HEAD, (0.25, 0.125, 0.5))], 1)
    assert laid.shape == FIGURE.shape
    assert (laid[8:16, 12:20] == 200).all()
    outside = np.ones(laid.shape[:2], bool)
    outside[4:20, 8:24] = False
    assert (laid[outside] == 40).all()
    row = laid[12, :, 0].astype(int)
    assert (np.diff(row[:16]) >= 0).all() and len(set(row.tolist())) > 3


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("place", [(-0.3, -0.3, 0.5), (0.9, 0.4, 0.4), (2.0, 2.0, 0.5), (0.2, 0.2, 0.001)])
def test_a_part_may_lie_beyond_the_picture(place, alone):
    laid = with_patches(FIGURE, [Patch(HEAD, place, alone)], 1)
    assert laid.shape == FIGURE.shape
    assert laid.min() >= 40 and laid.max() <= 200 + 9 * alone  # which is opaque to four fifths


def test_a_later_part_lies_over_an_earlier_one():
    other = Patch(np.full((8, 8, 4), 90, np.uint8), (0.4, 0.3, 0.2))
    laid = with_patches(FIGURE, [Patch(HEAD, (0.25, 0.125, 0.5)), other], 1)
    assert (laid[12:14, 15:17] == 90).all()
    assert (laid[8:9, 12:20] == 200).all()


def test_a_part_that_was_drawn_alone_leaves_what_is_around_it():
    """A blurred hand, half of it before a coat, gives way to a sharp one and to nothing else."""
    coat, skin = np.array([10, 20, 30, 255], np.uint8), np.array([250, 200, 180, 255], np.uint8)
    figure = np.zeros((64, 64, 4), np.uint8)
    figure[:, 32:] = coat
    figure[26:38, 26:38] = skin
    hand = np.zeros((32, 32, 4), np.uint8)
    hand[12:20, 12:20] = skin
    laid = with_patches(figure, [Patch(hand, (0.25, 0.25, 0.5), alone=True)], 1)
    assert (laid[29:35, 29:35] == skin).all()
    assert (laid[:24] == figure[:24]).all() and (laid[:, :24] == figure[:, :24]).all()
    assert laid[26, 26, 3] < 128  # what stuck out is gone before free space
    assert np.abs(laid[26, 37].astype(int) - coat).max() < np.abs(figure[26, 37].astype(int) - coat).max() / 2


def test_a_hidden_part_changes_nothing():
    figure = np.random.default_rng(0).integers(0, 255, (32, 32, 4), np.uint8)
    hidden = Patch(np.zeros((16, 16, 4), np.uint8), (0.2, 0.2, 0.6), alone=True)
    assert np.array_equal(with_patches(figure, [hidden], 1), figure)


def test_the_figure_is_not_changed():
    figure = FIGURE.copy()
    with_patches(figure, [Patch(HEAD, (0.25, 0.25, 0.5))], 1)
    assert (figure == 40).all()
