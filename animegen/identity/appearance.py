"""Recognising a person by their clothes: a colour histogram of head, torso and legs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from animegen.colour import rgb_to_lab
from animegen.identity.body import Body, inside
from animegen.types import Crop, Float32Array

_BANDS = 3
_BAND_WEIGHTS = np.array([0.5, 1.0, 1.0])
"""The head counts half: seen from behind it shows hair, from the front a face."""
_SHAPE = (10, 16, 16)
"""Bins over L 0..100 and over a and b -80..80."""
_BLUR = (0.8, 0.7, 0.7)
"""Light falls on a person differently as they move, so neighbouring bins are alike."""
_LEAST_PIXELS = 40
UNDECIDED = 0.5
"""Distance of two people of whom no common part was seen."""


def describe(crops: Sequence[Crop]) -> Float32Array:
    """Look of one person as f32 [3 * 2561]: for head, torso and legs the share of crops and a colour histogram.

    A part seen in no crop is all zeros. Colours are taken inside the mask (the box, where there is none).
    """
    total = np.zeros((_BANDS, *_SHAPE))
    seen = np.zeros(_BANDS)
    for crop in crops:
        lab = rgb_to_lab(crop.image)
        for band, region in enumerate(_bands(crop)):
            if region.sum() >= _LEAST_PIXELS:
                total[band] += _histogram(lab[region])
                seen[band] += 1
    for band in range(_BANDS):
        total[band] = gaussian_filter(total[band], _BLUR, mode="nearest")
    flat = total.reshape(_BANDS, -1)
    flat /= np.maximum(flat.sum(axis=1, keepdims=True), 1e-12)
    return np.hstack([seen[:, None] / max(1, len(crops)), flat]).astype(np.float32).ravel()


def distance(a: Float32Array, b: Float32Array) -> float:
    """How different two looks are, 0 (alike) .. 1; :data:`UNDECIDED` where no common part was seen.

    The Hellinger distance of the histograms, averaged over the parts that both show.
    """
    first, second = a.reshape(_BANDS, -1).astype(np.float64), b.reshape(_BANDS, -1).astype(np.float64)
    weight = _BAND_WEIGHTS * np.minimum(first[:, 0], second[:, 0])
    if weight.sum() <= 0:
        return UNDECIDED
    overlap = np.sqrt(first[:, 1:] * second[:, 1:]).sum(axis=1)
    apart = np.sqrt(np.clip(1.0 - overlap, 0.0, 1.0))
    return float((weight * apart).sum() / weight.sum())


def _histogram(lab: Float32Array) -> NDArray[np.float64]:
    counts, _ = np.histogramdd(lab, bins=_SHAPE, range=((0, 100.01), (-80, 80), (-80, 80)))
    return np.asarray(counts / len(lab))


def _bands(crop: Crop) -> list[NDArray[np.bool_]]:
    """Head, torso and legs of the person as bool [h, w], split at the shoulders and the hips."""
    body = Body(crop)
    silhouette = inside(crop)
    rows = np.arange(crop.image.shape[0])[:, None]
    top, bottom = float(crop.pose.bbox[1]), float(crop.pose.bbox[3])
    shoulders = body.middle("shoulder")
    hips = body.middle("hip")
    upper = shoulders[1] if shoulders is not None else top + 0.2 * (bottom - top)
    lower = hips[1] if hips is not None else bottom
    bands = (rows < upper, (rows >= upper) & (rows < lower), rows >= lower)
    return [np.asarray(silhouette & band) for band in bands]
