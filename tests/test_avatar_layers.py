"""Shade layers: any palette colours them, and masks say which part a pixel shows."""

from __future__ import annotations

import numpy as np
import torch
from figures import SIZE, sample

from animegen.avatar.discriminator import coloured
from animegen.avatar.layers import ALPHA, FIXED, SHADE_LIMIT, SHADES, colour_layers, firm_layers, part_masks
from animegen.types import PARTS

ONE_LEVEL = 1.0 / 255 + 1e-6
"""A byte's rounding."""


def test_colours_are_linear_in_the_palette() -> None:
    layers = np.zeros((1, 7, 10), np.uint8)
    layers[..., 0] = 255
    for part in range(6):
        layers[0, part, 1 + part] = round(255 / SHADE_LIMIT)
    layers[0, 6, 7:] = 10, 20, 30
    palette = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    rgba = colour_layers(layers, palette)
    np.testing.assert_allclose(rgba[0, :6, :3], palette * 255, atol=1)
    assert rgba[0, 6].tolist() == [10, 20, 30, 255]


def test_highlights_stay_within_their_coverage() -> None:
    layers = np.zeros((1, 1, 10), np.uint8)
    layers[..., 0], layers[..., 4] = 100, 255
    assert colour_layers(layers, np.ones((6, 3), np.float32))[0, 0].tolist() == [100, 100, 100, 100]


def test_training_colours_as_drawing_does() -> None:
    layers = sample(0).layers
    palette = np.random.default_rng(1).random((1, 6, 3)).astype(np.float32) * 0.7
    planes = torch.from_numpy(layers.transpose(2, 0, 1).copy()).float()[None] / 255
    rgba = coloured(planes, torch.from_numpy(palette))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(rgba, colour_layers(layers, palette[0]) / 255, atol=ONE_LEVEL)


def test_masks_name_the_part() -> None:
    masks = part_masks(sample(0).layers)
    assert masks.shape == (SIZE, SIZE)
    assert masks[0, 0] == 0
    assert set(np.unique(masks)) == {
        0,
        *(1 + PARTS.index(part) for part in ("hair", "skin", "upper", "lower", "shoes")),
    }
    layers = np.zeros((1, 1, 10), np.uint8)
    layers[..., 0], layers[..., 8] = 255, 200
    assert part_masks(layers)[0, 0] == 7


def test_firm_edges_stay_where_they_are() -> None:
    """A soft edge between two parts, and between the figure and nothing."""
    ramp = np.linspace(0, 255, 64)
    layers = np.zeros((1, 64, 10), np.uint8)
    layers[0, :, ALPHA] = 255 - ramp
    layers[0, :, SHADES.start] = np.clip(200 - 3 * ramp, 0, 200)
    layers[0, :, SHADES.start + 1] = np.clip(255 - ramp, 0, 200) - np.clip(200 - 3 * ramp, 0, 200)
    firm = firm_layers(layers)
    assert ((firm[..., ALPHA] >= 128) == (layers[..., ALPHA] >= 128)).all()
    soft, hard = (np.abs(np.diff(one[0, :, ALPHA].astype(int))).max() for one in (layers, firm))
    assert hard > 2 * soft


def test_what_is_whole_or_empty_stays_as_it_is() -> None:
    layers = np.zeros((2, 2, 10), np.uint8)
    layers[0, 0, [ALPHA, SHADES.start + 3]] = 255, 180
    layers[1, 1, [ALPHA, FIXED.start, FIXED.start + 2]] = 255, 90, 30
    assert (firm_layers(layers) == layers).all()
