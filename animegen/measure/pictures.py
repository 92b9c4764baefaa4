"""How close a drawn figure is to the one it should be: shape, picture and colours.

Pictures are uint8 [H, W, 4] RGBA with premultiplied alpha. Every measure but the shape's looks at them over the same
neutral grey, rounded to 8 bits as they would be shown; a figure is wherever the coverage is one half or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.colour import rgb_to_lab
from animegen.errors import InvalidValue
from animegen.types import PARTS, Float64Array, Uint8Array

BoolArray: TypeAlias = NDArray[np.bool_]

GREY = 128
"""The sRGB value of the ground on which figures are compared."""

HALF = 128
"""A pixel belongs to a figure from this alpha on."""

MIN_PART_PIXELS = 24
"""A part of fewer pixels has no colour worth measuring: its median would be that of its outline."""

_ROUNDING = 1 / (12 * 255**2)
"""Mean square error that rounding to 8 bits makes by itself; no two pictures are told to be closer."""

BEST_PSNR = -10 * math.log10(_ROUNDING)
"""Decibels of identical pictures: 58.9."""


def over_grey(rgba: Uint8Array) -> Uint8Array:
    """A picture laid on neutral grey: uint8 [..., H, W, 4] premultiplied in, uint8 [..., H, W, 3] out."""
    clear = 255 - rgba[..., 3:].astype(np.uint16)
    laid: Uint8Array = np.minimum(rgba[..., :3] + (clear * GREY + 127) // 255, 255).astype(np.uint8)
    return laid


def figure(rgba: Uint8Array) -> BoolArray:
    """Where a picture shows its figure: bool [..., H, W]."""
    inside: BoolArray = rgba[..., 3] >= HALF
    return inside


def alpha_iou(truth: Uint8Array, output: Uint8Array) -> float:
    """Intersection over union, 0..1, of two figures; 1 where both are empty."""
    a, b = figure(truth), figure(output)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def soft_iou(truth: Uint8Array, output: Uint8Array) -> float:
    """The same with partial coverage: the sum of the smaller alphas over the sum of the larger (Ruzicka's index)."""
    a, b = truth[..., 3].astype(np.int64), output[..., 3].astype(np.int64)
    union = int(np.maximum(a, b).sum())
    return int(np.minimum(a, b).sum()) / union if union else 1.0


def foreground_psnr(truth: Uint8Array, output: Uint8Array) -> float:
    """Peak signal-to-noise ratio in decibels over the pixels of either figure; NaN where both are empty.

    The mean square error is over the three sRGB channels on grey. Identical pictures have :data:`BEST_PSNR`.
    """
    where = figure(truth) | figure(output)
    if not where.any():
        return math.nan
    difference = over_grey(truth)[where].astype(np.float64) - over_grey(output)[where]
    return -10 * math.log10(max(float(np.mean(difference**2)) / 255**2, _ROUNDING))


def foreground_ssim(truth: Uint8Array, output: Uint8Array) -> float:
    """Mean structural similarity, -1..1, over the pixels of either figure; NaN where both are empty.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", with its
    Gaussian window of 1.5 pixels and its constants, on each sRGB channel, averaged over the channels.
    """
    import skimage.metrics

    structural_similarity: Callable[..., tuple[float, Float64Array]] = skimage.metrics.structural_similarity
    where = figure(truth) | figure(output)
    if not where.any():
        return math.nan
    _, similarity = structural_similarity(
        over_grey(truth),
        over_grey(output),
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[where].mean())


def part_colour_errors(
    truth: Uint8Array, output: Uint8Array, parts: Uint8Array, min_pixels: int = MIN_PART_PIXELS
) -> Float64Array:
    """How far each part's colour is off: f64 [6], CIEDE2000 between the medians over its pixels.

    ``parts`` uint8 [H, W] says which part the truth shows where (1..6, see ``PARTS``). Both medians (per channel, on
    grey) are over the same pixels, so a hole in the output counts as grey. NaN for a part of fewer than ``min_pixels``.
    Raises InvalidValue when the shapes differ.
    """
    if not truth.shape[:2] == output.shape[:2] == parts.shape:
        raise InvalidValue(f"pictures and parts must have one size, got {truth.shape}, {output.shape}, {parts.shape}")
    pictures = over_grey(truth), over_grey(output)
    errors = np.full(len(PARTS), np.nan)
    for part in range(len(PARTS)):
        where = parts == part + 1
        if np.count_nonzero(where) >= min_pixels:
            medians = [np.median(picture[where], axis=0).round().astype(np.uint8) for picture in pictures]
            errors[part] = ciede2000(*(rgb_to_lab(median) for median in medians))
    return errors


def ciede2000(a: NDArray[Any], b: NDArray[Any]) -> float:
    """How different two colours look, CIELAB [3] each; 1 is about the least that is seen.

    Source: Sharma, Wu and Dalal 2005, "The CIEDE2000 color-difference formula".
    """
    import skimage.color

    formula: Callable[..., Any] = skimage.color.deltaE_ciede2000
    return float(formula(a, b))


def scaled(picture: Uint8Array, size: int) -> Uint8Array:
    """A premultiplied square picture uint8 [S, S, C] at another size: averaged when smaller, cubic when larger."""
    if len(picture) == size:
        return picture
    way = cv2.INTER_AREA if size < len(picture) else cv2.INTER_CUBIC
    # plane by plane: OpenCV does not scale ten channels at once by every method
    planes = [cv2.resize(np.ascontiguousarray(plane), (size, size), interpolation=way) for plane in picture.T]
    return np.asarray(np.stack(planes).T, np.uint8)


def difference(truth: Uint8Array, output: Uint8Array) -> Uint8Array:
    """Where two pictures differ, to look at: uint8 [H, W, 3], the absolute difference on grey, twice enlarged."""
    apart = np.abs(over_grey(truth).astype(np.int16) - over_grey(output))
    shown: Uint8Array = np.minimum(2 * apart, 255).astype(np.uint8)
    return shown


def summary(values: NDArray[Any], *, higher_is_better: bool) -> dict[str, float | int | None]:
    """Mean, median and worst of a measure over many pictures and their count; NaN values are left out.

    The three are None where nothing could be measured.
    """
    known = np.asarray(values, np.float64).ravel()
    known = known[np.isfinite(known)]
    if not known.size:
        return {"mean": None, "median": None, "worst": None, "count": 0}
    worst = known.min() if higher_is_better else known.max()
    return {
        "mean": float(known.mean()),
        "median": float(np.median(known)),
        "worst": float(worst),
        "count": int(known.size),
    }
