"""From what a network draws to what an illustrator would: firm edges and thin dark lines, at the size that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from animegen.avatar.layers import ALPHA, FIXED, LAYERS, SHADES, spans
from animegen.types import Uint8Array

_REACH = 2
"""How far around a pixel of the drawing the brightness is looked for that a line has to be darker than."""
_MARGIN = _REACH + 1
_LEAST, _LEAST_COVERAGE = 1e-9, 1 / 255


@dataclass(frozen=True, slots=True)
class _Hand:
    """How lines are drawn: powers of coverage's odds, for each time that a drawing is enlarged, and of the parts'
    shares; and the share of ink, as one of the brightness around.
    """

    edges: int
    parts: int
    ink: float


_SOFT, _SHARP = _Hand(3, 8, 0.42), _Hand(2, 3, 0.3)
"""For what was learned as the mean of all places where an edge may run, and for what a discriminator has seen."""


def firm_layers(layers: Uint8Array, scale: int = 1, *, sharp: bool = False) -> Uint8Array:
    """Enlarge a drawing and make its soft edges firm, in this order, so that they are as firm as the larger picture.

    A network that is not sure where an edge runs draws the mean of all its places: coverage that falls off slowly,
    parts that run into each other, and lines so faint that only a dip in all parts is left of them. Here coverage is
    taken for the odds of it, and those odds to a power; likewise the share that each part has of a pixel. Ink is one
    more part whose share is everywhere the same, as one of the brightness around, so it shows where all others are
    weak: between them, along the outline, in folds. Edges of coverage stay where it is one half, so nothing moves.
    After the magnification of distance fields by a threshold (Green 2007), for the soft planes of a network.

    ``layers`` uint8 [S, S, 10] (:mod:`animegen.avatar.layers`); ``scale`` how many times larger, from 1; ``sharp``:
    a discriminator saw to it that edges are sharp. Returns uint8 [scale S, scale S, 10].
    """
    height, width = layers.shape[:2]
    firm = np.zeros((height * scale, width * scale, LAYERS), np.uint8)
    rows, columns = spans(layers, _MARGIN)
    cut = np.ascontiguousarray(layers[rows, columns].transpose(2, 0, 1))
    if cut.size:
        drawn = _firm(torch.from_numpy(cut)[None].float() / 255, scale, _SHARP if sharp else _SOFT)
        place = tuple(slice(span.start * scale, span.stop * scale) for span in (rows, columns))
        firm[place] = drawn[0].mul_(255).round_().to(torch.uint8).permute(1, 2, 0).numpy()
    return firm


def _firm(planes: Tensor, scale: int, hand: _Hand) -> Tensor:
    """Planes f32 [1, 10, H, W] in 0..1; returns [1, 10, scale H, scale W]."""
    around = _brightness_around(planes)
    if scale > 1:
        planes, around = (
            functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x in (planes, around)
        )
    alpha, shades, fixed = planes[:, ALPHA : ALPHA + 1].clamp_min(_LEAST_COVERAGE), planes[:, SHADES], planes[:, FIXED]
    covered = 1 / (1 + _power((1 - alpha) / alpha, hand.edges * scale))
    strength = fixed.amax(dim=1, keepdim=True)
    parts, rest = _power(shades, hand.parts), _power(strength, hand.parts)
    all_parts = parts.sum(dim=1, keepdim=True) + rest + _power(hand.ink * around, hand.parts)
    gain = (shades.sum(dim=1, keepdim=True) + strength) * covered / (alpha * all_parts.clamp_min(_LEAST))
    rest *= gain / strength.clamp_min(_LEAST)
    return torch.cat([covered, parts.mul_(gain), fixed * rest], dim=1).clamp_(0, 1)


def _power(x: Tensor, exponent: int) -> Tensor:
    """By products: many times quicker than the logarithms of a power that may be anything."""
    half = _power(x, exponent // 2).square_() if exponent > 1 else x.new_ones(())
    return half * x if exponent % 2 else half


def _brightness_around(planes: Tensor) -> Tensor:
    """The strongest part's shade in the neighbourhood, f32 [1, 1, H, W]."""
    strongest = torch.maximum(planes[:, SHADES].amax(dim=1, keepdim=True), planes[:, FIXED].amax(dim=1, keepdim=True))
    side = 2 * _REACH + 1
    return functional.avg_pool2d(
        functional.max_pool2d(strongest, side, 1, _REACH), side, 1, _REACH, count_include_pad=False
    )
