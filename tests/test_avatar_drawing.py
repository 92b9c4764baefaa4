"""Sprites of generators: heads laid over figures."""

from __future__ import annotations

import numpy as np
import pytest

from animegen.avatar.drawing import with_head

FIGURE = np.full((32, 32, 4), 40, np.uint8)
HEAD = np.full((16, 16, 4), 200, np.uint8)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_head_covers_its_place_and_fades_at_its_borders(scale):
    laid = with_head(FIGURE, HEAD, (0.25, 0.125, 0.5), scale)
    assert laid.shape == (32 * scale, 32 * scale, 4)
    inside = laid[8 * scale : 16 * scale, 12 * scale : 20 * scale]
    assert (inside == 200).all()
    outside = np.ones(laid.shape[:2], bool)
    outside[4 * scale : 20 * scale, 8 * scale : 24 * scale] = False
    assert (laid[outside] == 40).all()
    row = laid[12 * scale, :, 0].astype(int)
    assert (np.diff(row[: 16 * scale]) >= 0).all() and len(set(row.tolist())) > 3


@pytest.mark.parametrize("place", [(-0.3, -0.3, 0.5), (0.9, 0.4, 0.4), (2.0, 2.0, 0.5), (0.2, 0.2, 0.001)])
def test_a_head_may_lie_beyond_the_picture(place):
    laid = with_head(FIGURE, HEAD, place, 1)
    assert laid.shape == FIGURE.shape
    assert laid.min() >= 40 and laid.max() <= 200


def test_the_figure_is_not_changed():
    figure = FIGURE.copy()
    with_head(figure, HEAD, (0.25, 0.25, 0.5), 1)
    assert (figure == 40).all()
