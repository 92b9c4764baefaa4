"""The dominant colour of many pixels, and distances between colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array

_BIN = 8.0
_NEAR = 12.0
"""Pixels that differ by less than this in CIELAB count as one colour."""
_AGREE = 14.0
_SHADING = 30.0
"""Difference in lightness between one material's lit and shaded sides."""
_LIT_WIDTH = 4.0
_ROUNDS = 8

Lab = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Dominant:
    """The colour of the material that most pixels show, and the share 0..1 of all pixels, by weight, that show it."""

    lab: Lab
    share: float


def dominant(lab: Float32Array, weight: Float64Array, lit: float = 0.8) -> Dominant:
    """The dominant one of colours [N, 3] in CIELAB with weights [N]; of a printed shirt, that of the cloth.

    Mean shift (Comaniciu and Meer 2002) from the heaviest cell of a coarse histogram finds the mode, and so the pixels
    of one material. Its colour is taken from its lit side: the one than which a share ``lit`` of them is darker.
    """
    cells = np.floor(lab / _BIN).astype(np.int16)
    # A cell's neighbours count in full, so that a colour on a cell's border is not split.
    unique, inverse = np.unique(cells, axis=0, return_inverse=True)
    mass = np.bincount(inverse.ravel(), weight, len(unique))
    near = np.all([np.abs(np.subtract.outer(axis, axis)) <= 1 for axis in unique.T], axis=0)
    centre = (unique[np.argmax(near @ mass)] + 0.5) * _BIN
    for _ in range(_ROUNDS):
        close = np.linalg.norm(lab - centre, axis=1) <= _NEAR
        if not close.any():
            break
        moved = np.average(lab[close], axis=0, weights=weight[close])
        if np.allclose(moved, centre, atol=0.05):
            break
        centre = moved
    same = _same_material(lab, centre)
    if same.any():
        centre = _lit(lab[same], weight[same], lit)
    lightness, a, b = (float(value) for value in centre)
    return Dominant((min(max(lightness, 0.0), 100.0), a, b), float(weight[same].sum() / weight.sum()))


def _same_material(lab: Float32Array, centre: Float64Array) -> NDArray[np.bool_]:
    """Which colours [N, 3] can be of one material, lit or in shade: chroma grows with lightness, the hue stays."""
    shade = (lab[:, 0] + 8.0) / (centre[0] + 8.0)
    colour = np.linalg.norm(lab[:, 1:] - shade[:, None] * centre[1:], axis=1)
    return np.asarray((np.abs(lab[:, 0] - centre[0]) <= _SHADING) & (colour <= _AGREE))


def _lit(lab: Float32Array, weight: Float64Array, share: float) -> Float64Array:
    """The colour of a material's lit side, which people take for its colour; a style draws shades darker than it."""
    order = np.argsort(lab[:, 0], kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    level = lab[order[int(np.searchsorted(reached, share))], 0]
    close = np.abs(lab[:, 0] - level) <= _LIT_WIDTH
    colour: Float64Array = np.average(lab[close].astype(np.float64), axis=0, weights=weight[close])
    return colour


def near(lab: Float32Array, colour: Lab, within: float) -> NDArray[np.bool_]:
    """Which colours [..., 3] lie within a Euclidean CIELAB distance of one."""
    return np.asarray(np.linalg.norm(lab - np.asarray(colour), axis=-1) <= within)


def apart(a: Lab, b: Lab) -> float:
    """Colour difference CIEDE2000 (Sharma et al. 2005)."""
    from skimage.color import deltaE_ciede2000

    return float(deltaE_ciede2000(np.asarray(a), np.asarray(b)))  # type: ignore[no-untyped-call]


def looks_like_skin(lab: Float32Array) -> NDArray[np.bool_]:
    """Which colours [..., 3] a human skin can have in a picture: hue between red and yellow, neither grey nor vivid."""
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return np.asarray((hue > 5) & (hue < 85) & (chroma > 5) & (chroma < 55) & (lab[..., 0] > 12))
