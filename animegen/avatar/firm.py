"""From what a network draws to what an illustrator would: two tones, firm edges and dark lines, at the size shown."""

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
_LIGHT_REACH = 1 / 28
"""The same for what a shade is compared with, in sides of the drawing: as far as a shade on a sleeve is wide."""
_LINE, _SHADE, _LIT = 0.37, 0.62, 0.8
"""Shares of the light around: up to the first a line or a gap, which stays as dark as it is; from the second on, in
shade; from the third on, lit."""
_SHADED = 0.72
"""What shade leaves of the light."""
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
    """Paint a drawing as cels are painted: in two tones, with firm edges and ink, ``scale`` times as large.

    A network that is not sure draws the mean of all that may be. Folds become clouds: here a part is lit or in shade.
    Edges become coverage that falls off slowly, and parts that run into each other: here coverage is taken for the
    odds of it, and those odds to a power; likewise the share that each part has of a pixel. Lines become a dip in all
    parts: here ink is one more part, whose share is everywhere the same as one of the brightness around, so that it
    shows where all others are weak, between them, along the outline, in folds. The drawing is enlarged first, so that
    edges are as firm as the larger picture. They stay where coverage is one half, so nothing moves. After the
    magnification of distance fields by a threshold (Green 2007), for the soft planes of a network.

    ``layers`` uint8 [S, S, 10] (:mod:`animegen.avatar.layers`); ``scale`` how many times larger, from 1; ``sharp``:
    a discriminator saw to it that edges are sharp. Returns uint8 [scale S, scale S, 10].
    """
    height, width = layers.shape[:2]
    firm = np.zeros((height * scale, width * scale, LAYERS), np.uint8)
    rows, columns = spans(layers, _MARGIN)
    cut = np.ascontiguousarray(layers[rows, columns].transpose(2, 0, 1))
    if cut.size:
        planes = _two_tones(torch.from_numpy(cut)[None].float() / 255, max(1, round(_LIGHT_REACH * height)))
        drawn = _firm(planes, scale, _SHARP if sharp else _SOFT)
        place = tuple(slice(span.start * scale, span.stop * scale) for span in (rows, columns))
        firm[place] = drawn[0].mul_(255).round_().to(torch.uint8).permute(1, 2, 0).numpy()
    return firm


def _firm(planes: Tensor, scale: int, hand: _Hand) -> Tensor:
    """Planes f32 [1, 10, H, W] in 0..1; returns [1, 10, scale H, scale W]."""
    around = _around(_strongest(planes), _REACH)
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


def _two_tones(planes: Tensor, reach: int) -> Tensor:
    """The same planes with each part lit or in shade, by the light around; lines and what is fixed stay."""
    shades = planes[:, SHADES]
    own = shades.sum(dim=1, keepdim=True)
    light = _around(own, reach)
    share = own / light.clamp_min(_LEAST_COVERAGE)
    tone = _SHADED + (1 - _SHADED) * _rise(share, _SHADE, _LIT)
    gain = torch.lerp(torch.ones_like(own), tone * light / own.clamp_min(_LEAST_COVERAGE), _rise(share, _LINE, _SHADE))
    return torch.cat([planes[:, : SHADES.start], (shades * gain).clamp_max_(1), planes[:, FIXED]], dim=1)


def _rise(x: Tensor, low: float, high: float) -> Tensor:
    """From 0 up to ``low`` smoothly to 1 from ``high`` on."""
    x = ((x - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def _strongest(planes: Tensor) -> Tensor:
    return torch.maximum(planes[:, SHADES].amax(dim=1, keepdim=True), planes[:, FIXED].amax(dim=1, keepdim=True))


def _around(x: Tensor, reach: int) -> Tensor:
    """The brightest in the neighbourhood of each pixel of f32 [1, 1, H, W], smoothed."""
    side = 2 * reach + 1
    windows = (((side, 1), (reach, 0)), ((1, side), (0, reach)))
    for size, edge in windows:
        x = functional.max_pool2d(x, size, 1, edge)
    for size, edge in windows:
        x = functional.avg_pool2d(x, size, 1, edge, count_include_pad=False)
    return x
