"""Shade layers: any palette colours them, and masks say which part a pixel shows."""

from __future__ import annotations

import numpy as np
import torch
from figures import SIZE, sample

from animegen.avatar.discriminator import coloured
from animegen.avatar.layers import SHADE_LIMIT, colour_layers, part_masks
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
    stack = np.stack([sample(number).layers for number in range(3)])
    np.testing.assert_array_equal(part_masks(stack), [part_masks(each) for each in stack])
