"""The dominant colour of many pixels, and distances between colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from animegen.types import Float32Array, Float64Array

_BIN = 8.0
_NEAR = 12.0
"""Distance in CIELAB within which pixels are one colour under changing light."""
_AGREE = 18.0
_ROUNDS = 8

Lab = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Dominant:
    """The most common colour of a set of pixels and the share 0..1 of their weight that has it."""

    lab: Lab
    share: float


def dominant(lab: Float32Array, weight: Float64Array) -> Dominant:
    """The mode of colours [N, 3] in CIELAB with weights [N], so that a printed shirt gives its ground colour.

    Mean shift (Comaniciu and Meer 2002) from the heaviest cell of a coarse histogram.
    """
    cells = np.floor(lab / _BIN).astype(np.int64)
    # A cell's neighbours count in full, so that a colour on a cell's border is not split.
    unique, inverse = np.unique(cells, axis=0, return_inverse=True)
    mass = np.bincount(inverse.ravel(), weight, len(unique))
    near = np.abs(unique[:, None] - unique[None]).max(axis=2) <= 1
    centre = (unique[np.argmax(near @ mass)] + 0.5) * _BIN
    for _ in range(_ROUNDS):
        close = np.linalg.norm(lab - centre, axis=1) <= _NEAR
        if not close.any():
            break
        moved = np.average(lab[close], axis=0, weights=weight[close])
        if np.allclose(moved, centre, atol=0.05):
            break
        centre = moved
    agree = np.linalg.norm(lab - centre, axis=1) <= _AGREE
    lightness, a, b = (float(value) for value in centre)
    return Dominant((min(max(lightness, 0.0), 100.0), a, b), float(weight[agree].sum() / weight.sum()))


def near(lab: Float32Array, colour: Lab, within: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which colours [..., 3] lie within a Euclidean CIELAB distance of one."""
    return np.asarray(np.linalg.norm(lab - np.asarray(colour), axis=-1) <= within)


def apart(a: Lab, b: Lab) -> float:
    """Colour difference CIEDE2000 (Sharma et al. 2005)."""
    from skimage.color import deltaE_ciede2000

    return float(deltaE_ciede2000(np.asarray(a), np.asarray(b)))  # type: ignore[no-untyped-call]


def looks_like_skin(lab: Float32Array) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which colours [..., 3] a human skin can have in a picture: hue between red and yellow, neither grey nor vivid."""
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return np.asarray((hue > 5) & (hue < 85) & (chroma > 5) & (chroma < 55) & (lab[..., 0] > 12))
