"""What stands in for facexlib's trained networks: forward passes with their inputs and outputs, to which a face is a
green disc and everything else is hair."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from animegen.types import Uint8Array

_GRIDS = ((8, 1), (16, 0), (32, None))
"""Steps of RetinaFace's grids, and which of both boxes of a place is four steps wide."""
_REACH = 12
_INNER, _OUTER = 1.6, 4.0
"""Radii of the two bells whose difference finds discs of 2 to 5 steps of a grid, in steps."""
_SURE = 0.4
"""Answer of a disc's middle from which it is a face."""
_POINTS = ((-0.22, -0.2), (0.22, -0.2), (0.0, 0.05), (-0.17, 0.27), (0.17, 0.27))
"""The five points of every face around its middle, in sides of its box."""
_OFF = 0.625
"""Half a step is averaged, so that what is seen lies off the box's middle: in RetinaFace's units."""
SKIN, HAIR = 1, 13
"""What the parsers call a disc and what is around it; both number the classes in orders of their own."""


def picture(*discs: tuple[float, float, float], size: tuple[int, int] = (240, 320)) -> Uint8Array:
    """A grey picture with discs of (x, y, radius)."""
    image = np.full((*size, 3), 128, np.uint8)
    for x, y, radius in discs:
        image[disc(size, x, y, radius)] = (0, 255, 0)
    return image


def disc(size: tuple[int, int], x: float, y: float, radius: float) -> Any:
    """Which pixels are inside."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def detect(self: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """In the place of RetinaFace's: [1, 3, H, W] BGR less their means to boxes, scores and points of all places."""
    blue, green = inputs[:, 0] + 104, inputs[:, 1] + 117
    amount = ((green - blue) / 255)[:, None]
    scores = [_scores(amount, step, box) for step, box in _GRIDS]
    score = torch.cat(scores)[None]
    places = score.shape[1]
    boxes = torch.tensor([-_OFF, -_OFF, 0, 0]).expand(1, places, 4)
    points = (10 * torch.tensor(_POINTS) - _OFF).reshape(10).expand(1, places, 10)
    return boxes, torch.stack([1 - score, score], dim=-1), points


def _scores(amount: torch.Tensor, step: int, box: int | None) -> torch.Tensor:
    """How surely there is a face at both boxes of each place of a grid."""
    small = functional.avg_pool2d(amount, step // 2)
    axis = torch.arange(-_REACH, _REACH + 1)
    squares = axis[:, None] ** 2 + axis**2
    narrow, wide = (torch.exp(-squares / (2 * (2 * radius) ** 2)) for radius in (_INNER, _OUTER))
    bell = narrow / narrow.sum() - wide / wide.sum()
    answer = torch.sigmoid(60 * (functional.conv2d(small, bell[None, None], stride=2, padding=_REACH) - _SURE))
    both = torch.zeros(answer.numel(), 2)
    if box is not None:
        both[:, box] = answer.ravel()
    return both.ravel()


def parse(self: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """In the place of both parsers': [1, 3, H, W] RGB, shifted and scaled, to [1, 19, H, W]."""
    skin = inputs[:, 1] - inputs[:, 2] > 0.5
    labels = torch.where(skin, SKIN, HAIR)
    return functional.one_hot(labels, 19).permute(0, 3, 1, 2).float(), inputs
