"""Describes a person's whole look, so that tracks and people can be compared: colour histograms and proportions.

Used in the second pass to join tracks of one person, and by the identity preserver ``appearance``.
"""

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
"""Blur of the histogram in bins: as a person moves, the light on them changes, and colours move to bins nearby."""
_LEAST_PIXELS = 40
_LEAST_TORSO = 8.0
_WIDTHS = ("shoulder", "hip", "ear")
_LENGTHS = (("shoulder", "elbow"), ("hip", "knee"), ("knee", "ankle"))
"""Limbs whose lengths, over that of the torso, make the build. Not the forearms, which gestures foreshorten."""
_BUILD = len(_WIDTHS) + len(_LENGTHS)
_BUILD_QUANTILE = 0.7
"""Quantile over the crops that is taken for a limb's length; high, since foreshortening only makes it look shorter."""
_SAME_BUILD, _BUILD_WEIGHT, _MOST_BUILD = 0.12, 0.5, 0.15
"""How much builds add to the distance of two looks: the mean difference of the logarithms of lengths that postures
explain; the weight of what exceeds it; and the most that is added, since a body seen from the side seems another."""
UNDECIDED = 0.5
"""Distance of two people of whom no common part was seen."""


def describe(crops: Sequence[Crop]) -> Float32Array:
    """The look of one person as a vector f32 [3 * 2561 + 6], to be compared by :func:`distance`.

    For head, torso and legs each: the share of crops that show it, and a histogram of its colours. Then six
    proportions, in lengths of the torso: widths of shoulders, hips and head, lengths of upper arms, thighs and shins. A
    part that no crop shows is all zeros. Colours are taken inside the mask of a pose, or its box where it has none.
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
    look = np.hstack([seen[:, None] / max(1, len(crops)), flat])
    return np.concatenate([look.ravel(), _build(crops)]).astype(np.float32)


def distance(a: Float32Array, b: Float32Array) -> float:
    """How different two looks are, 0 (alike) .. 1; :data:`UNDECIDED` where no common part was seen.

    The Hellinger distance of the histograms, averaged over the parts that both show, and more where the builds differ.
    """
    first, second = (look[:-_BUILD].reshape(_BANDS, -1).astype(np.float64) for look in (a, b))
    weight = _BAND_WEIGHTS * np.minimum(first[:, 0], second[:, 0])
    if weight.sum() <= 0:
        return UNDECIDED
    overlap = np.sqrt(first[:, 1:] * second[:, 1:]).sum(axis=1)
    apart = np.sqrt(np.clip(1.0 - overlap, 0.0, 1.0))
    look = float((weight * apart).sum() / weight.sum())
    return min(1.0, look + _build_difference(a[-_BUILD:], b[-_BUILD:]))


def _build(crops: Sequence[Crop]) -> NDArray[np.float64]:
    """Proportions f64 [6] of the body over crops, 0 where a part is not seen together with the torso."""
    found: list[list[float]] = [[] for _ in range(_BUILD)]
    for body in map(Body, crops):
        shoulders, hips = body.middle("shoulder"), body.middle("hip")
        torso = float(np.linalg.norm(shoulders - hips)) if shoulders is not None and hips is not None else 0.0
        if torso < _LEAST_TORSO:
            continue
        for values, length in zip(found, _lengths(body), strict=True):
            if length is not None:
                values.append(length / torso)
    return np.array([np.quantile(values, _BUILD_QUANTILE) if values else 0.0 for values in found])


def _lengths(body: Body) -> list[float | None]:
    """The six widths and lengths in pixels, of limbs that of the longer side; None for what is not seen."""
    pairs = [[(body.point(f"left_{name}"), body.point(f"right_{name}"))] for name in _WIDTHS]
    pairs += [[(body.point(f"{s}_{a}"), body.point(f"{s}_{b}")) for s in ("left", "right")] for a, b in _LENGTHS]
    return [
        max((float(np.linalg.norm(a - b)) for a, b in ends if a is not None and b is not None), default=None)
        for ends in pairs
    ]


def _build_difference(a: Float32Array, b: Float32Array) -> float:
    """By how much two builds differ beyond what postures explain, 0 .. 0.15; 0 where no common part was seen."""
    both = (a > 0) & (b > 0)
    if not both.any():
        return 0.0
    mean = float(np.abs(np.log(a[both] / b[both])).mean())
    return min(_MOST_BUILD, _BUILD_WEIGHT * max(0.0, mean - _SAME_BUILD))


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
