"""Adaptive augmentation of what the discriminator sees (Karras et al. 2020, arXiv 2006.06676, section 3, appendix B).

Each change is drawn for each picture with probability p: mirror, quarter turns and whole shifts, scale, rotation,
stretch and fractional shift, as one affine resampling; brightness, contrast, inversion of luma, hue and saturation, as
one affine map of the colours. Strengths are those of the paper's pipeline "bgc".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_SHIFT = 0.125
_SCALE = 0.2
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.5, 1.0

Matrix = NDArray[np.float64]


def augmented(pictures: Tensor, p: float, draws: list[np.random.RandomState]) -> Tensor:
    """Pictures [B, C, H, W] of -1..1 changed with probability ``p``, each by its own source of random numbers.

    Beyond the edge a picture goes on as its mirror. Colours change in pictures of three channels and in the first three
    of RGBA. Differentiable once.
    """
    if p <= 0:
        return pictures
    places = np.stack([_geometry(draw, p, pictures.shape[-1]) for draw in draws])
    grid = functional.affine_grid(pictures.new_tensor(places[:, :2]), list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if pictures.shape[1] < 3:
        return moved
    colours = pictures.new_tensor(np.stack([_colours(draw, p) for draw in draws]))
    shape = (len(moved), 3, *moved.shape[2:])
    rgb = (colours[:, :3, :3] @ moved[:, :3].flatten(2) + colours[:, :3, 3:]).reshape(shape)
    return torch.cat([rgb, moved[:, 3:]], dim=1)


def next_probability(p: float, signs: float, *, target: float, images: int, speed: int) -> float:
    """The probability after ``images`` more were seen, of which the discriminator's scores had the mean sign ``signs``.

    It rises where the discriminator is surer of real pictures than ``target``, by 1 in ``speed`` images.
    """
    return min(max(p + math.copysign(images / speed, signs - target), 0.0), 1.0)


def _geometry(draw: np.random.RandomState, p: float, side: int) -> Matrix:
    """The affine map 3x3 from places of the result to places of the picture, both of -1..1."""

    def maybe(make: Callable[[], Matrix], chance: float = p) -> Matrix:
        drawn, matrix = draw.rand(), make()
        return matrix if drawn < chance else np.eye(3)

    def turn(angle: float) -> Matrix:
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])

    def whole_shift() -> Matrix:
        pixels = np.round((draw.rand(2) * 2 - 1) * _SHIFT * side) * 2 / side
        return _affine(1, 1, *pixels)

    def stretch() -> Matrix:
        factor = 2 ** (draw.randn() * _SCALE)
        return _affine(factor, 1 / factor)

    def scaled() -> Matrix:
        factor = 2 ** (draw.randn() * _SCALE)
        return _affine(factor, factor)

    either = 1 - math.sqrt(1 - p)  # rotation is drawn twice, before and after the stretch
    steps = (
        maybe(lambda: _affine(1 - 2 * draw.randint(2), 1)),
        maybe(lambda: turn(draw.randint(4) * math.pi / 2)),
        maybe(whole_shift),
        maybe(scaled),
        maybe(lambda: turn((draw.rand() * 2 - 1) * math.pi), either),
        maybe(stretch),
        maybe(lambda: turn((draw.rand() * 2 - 1) * math.pi), either),
        maybe(lambda: _affine(1, 1, *(draw.randn(2) * _SHIFT * 2))),
    )
    whole: Matrix = reduce(np.matmul, steps)
    return whole


def _affine(x: float, y: float, shift_x: float = 0.0, shift_y: float = 0.0) -> Matrix:
    return np.array([[x, 0, shift_x], [0, y, shift_y], [0, 0, 1.0]])


def _colours(draw: np.random.RandomState, p: float) -> Matrix:
    """The affine map 4x4 of RGB of -1..1."""
    grey = np.array([1, 1, 1, 0.0]) / math.sqrt(3)
    along = np.outer(grey, grey)

    def shift() -> Matrix:
        matrix = np.eye(4)
        matrix[:3, 3] = draw.randn() * _BRIGHTNESS
        return matrix

    def contrast() -> Matrix:
        factor = 2 ** (draw.randn() * _CONTRAST)
        return np.diag([factor, factor, factor, 1.0])

    def flip_luma() -> Matrix:
        matrix: Matrix = np.eye(4) - 2 * along * draw.randint(2)
        return matrix

    def hue() -> Matrix:
        """A rotation about the grey axis (Rodrigues)."""
        angle = (draw.rand() * 2 - 1) * math.pi
        x, y, z = grey[:3]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        matrix = np.eye(4)
        matrix[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
        return matrix

    def saturation() -> Matrix:
        factor = 2 ** (draw.randn() * _SATURATION)
        fixed = along + np.diag([0, 0, 0, 1.0])
        matrix: Matrix = fixed + (np.eye(4) - fixed) * factor
        return matrix

    whole: Matrix = np.eye(4)
    for make in (shift, contrast, flip_luma, hue, saturation):
        drawn, matrix = draw.rand(), make()
        whole = matrix @ whole if drawn < p else whole
    return whole
