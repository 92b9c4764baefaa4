"""Drawings with firm edges and ink, at the size that is shown."""

from __future__ import annotations

import numpy as np
import pytest

from animegen.avatar.firm import firm_layers
from animegen.avatar.layers import ALPHA, FIXED, SHADES

SIDE = 64
LEAST_INK = 2
"""Ink has a small share everywhere (0.5 to the 8th of a part's), and bytes are rounded."""


def figure(width: float) -> np.ndarray:
    """Two parts side by side that fade into each other and into nothing, over ``width`` pixels each time."""
    across = np.arange(SIDE) + 0.5

    def after(place: float) -> np.ndarray:
        return np.clip((across - place) / width + 0.5, 0, 1)

    layers = np.zeros((SIDE, SIDE, 10), np.float64)
    layers[..., ALPHA] = after(16) - after(48)
    layers[..., SHADES.start] = 0.8 * (after(16) - after(32))
    layers[..., SHADES.start + 1] = 0.8 * (after(32) - after(48))
    return np.rint(255 * layers).astype(np.uint8)


def ramp(row: np.ndarray) -> int:
    """How many pixels are neither empty nor full."""
    return int(((row > 10) & (row < 245)).sum())


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_edges_stay_where_they_are_and_are_as_firm_as_the_picture_is_large(scale: int, sharp: bool) -> None:
    soft = figure(8)
    firm = firm_layers(soft, scale, sharp=sharp)
    assert firm.shape == (SIDE * scale, SIDE * scale, 10)
    covered = firm[:, :, ALPHA] >= 128
    assert (covered == np.kron(soft[..., ALPHA] >= 128, np.ones((scale, scale), bool))).all()
    assert ramp(firm[SIDE // 2, :, ALPHA]) <= ramp(soft[SIDE // 2, :, ALPHA])
    first, second = (firm[0, :, SHADES.start + part].astype(int) for part in (0, 1))
    assert ((first > second) == (np.arange(SIDE * scale) < 32 * scale))[covered[0]].all()


def test_ink_runs_where_parts_meet_and_nowhere_else() -> None:
    """What is left of a thin line is a dip."""
    drawn = figure(6)
    drawn[:, 31:33, SHADES] //= 2
    row = firm_layers(drawn)[SIDE // 2].astype(int)
    brightness = row[:, SHADES].sum(axis=1)
    inside = np.arange(SIDE)[(row[:, ALPHA] > 250)]
    line = inside[brightness[inside] < 0.6 * 204]
    assert line.size and line.min() >= 30 and line.max() <= 33
    assert (np.abs(brightness[[22, 24, 40, 42]] - 204) <= LEAST_INK).all()


def test_a_cloud_becomes_a_shade_with_an_edge() -> None:
    """It falls to six tenths of the light over sixteen pixels; what is left is a bright and a dark tone."""
    side, middle = 256, 128
    across = np.abs(np.arange(side) + 0.5 - middle)
    layers = np.zeros((side, side, 10), np.uint8)
    layers[..., ALPHA] = 255
    layers[..., SHADES.start + 3] = 200 - 40 * (1 + np.cos(np.pi * np.clip(across / 16, 0, 1)))
    soft, firm = (
        one[middle, middle - 20 : middle, SHADES.start + 3].astype(int) for one in (layers, firm_layers(layers))
    )
    assert firm.max() > 190 and firm.min() < 150
    assert ((firm > 155) & (firm < 190)).sum() <= 3
    assert ((soft > 130) & (soft < 195)).sum() >= 8


@pytest.mark.parametrize("shade", [60, 180])
def test_what_is_whole_or_empty_stays_as_it_is(shade: int) -> None:
    """However dark it is: it is no line where all around is as dark."""
    layers = np.zeros((SIDE, SIDE, 10), np.uint8)
    layers[8:28, 8:-8, [ALPHA, SHADES.start + 3]] = 255, shade
    layers[36:-8, 8:-8, [ALPHA, FIXED.start, FIXED.start + 2]] = 255, shade, shade // 3
    assert np.abs(firm_layers(layers).astype(int) - layers).max() <= LEAST_INK


@pytest.mark.parametrize("scale", [1, 3])
def test_a_figure_looks_the_same_wherever_it_stands(scale: int) -> None:
    layers = figure(5)
    layers[:20] = layers[44:] = 0
    moved = np.roll(layers, (7, -9), axis=(0, 1))
    assert np.array_equal(
        np.roll(firm_layers(layers, scale), (7 * scale, -9 * scale), axis=(0, 1)), firm_layers(moved, scale)
    )


def test_nothing_is_drawn_of_nothing() -> None:
    assert not firm_layers(np.zeros((16, 16, 10), np.uint8), 2).any()
