"""How faithful a converted video is to what was asked of it: poses, colours, steadiness, and who is who."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from animegen.measure.motion import follow, hidden_pixels, optical_flow
from animegen.measure.oks import AnnotatedPerson, oks
from animegen.measure.pictures import ciede2000
from animegen.types import PARTS, Float64Array, Palette, Part, Uint8Array

_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16), (5, 6), (11, 12), (5, 11), (6, 12))
"""Limbs and sides of the trunk between COCO's points."""

_TELLING = 0.06
"""Share of the person's height from which a limb's direction means something: a shorter one points at the viewer."""

_MEASURED = 0.15
"""Confidence from which a colour was measured rather than drawn by chance."""

FLICKER_SIDE = 256
"""Longest side in pixels at which flicker is measured."""
_LEAST_SIDE = 16
"""Shortest side in pixels that has a flow."""

_ALIKE = 0.08
"""By so much more must a picture look like somebody else than like its own person to be taken for theirs."""


@dataclass(frozen=True, slots=True)
class PoseError:
    """How far a pose is from the one that was asked for.

    ``oks`` 0..1 is the object keypoint similarity (1: the same), ``degrees`` the mean angle between the limbs of both,
    whatever their lengths are; NaN where no limb tells.
    """

    oks: float
    degrees: float


def pose_error(asked: Float64Array, known: NDArray[np.bool_], height: float, found: Float64Array) -> PoseError | None:
    """Compare a found pose with the asked one, both f64 [17, 2] pixels in COCO's order.

    ``known`` bool [17] says which points were asked for, ``height`` is the person's in pixels. None where none was.
    """
    if not known.any():
        return None
    # COCO's areas are those of silhouettes, about 0.3 of the square over a person's height.
    person = AnnotatedPerson(asked, known.astype(np.int64), max(0.3 * height**2, 1.0))
    first, second = np.array(_LIMBS).T
    ways = asked[second] - asked[first], found[second] - found[first]
    lengths = [np.linalg.norm(way, axis=1) for way in ways]
    tells = known[first] & known[second] & (np.minimum(*lengths) >= _TELLING * height)
    if not tells.any():
        return PoseError(oks(found, person), math.nan)
    cosine = (ways[0] * ways[1]).sum(axis=1)[tells] / (lengths[0] * lengths[1])[tells]
    return PoseError(oks(found, person), float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()))


def colour_errors(asked: Palette, found: Palette) -> Mapping[Part, float]:
    """CIEDE2000 between the colours of two palettes, by part; parts that one of them did not measure are left out."""
    pairs = {part: (asked.part(part), found.part(part)) for part in PARTS}
    return {
        part: ciede2000(np.array(a.lab), np.array(b.lab))
        for part, (a, b) in pairs.items()
        if min(a.confidence, b.confidence) >= _MEASURED
    }


def flicker(first: Uint8Array, second: Uint8Array, where: NDArray[np.bool_]) -> float:
    """Change from one picture to the next that their own motion does not explain, inside a region.

    ``first`` and ``second`` uint8 [H, W, 3] are consecutive frames, ``where`` bool [H, W] the region in the first. They
    are shrunk to :data:`FLICKER_SIDE`, so that figures of small and large people can be compared. Root mean square in
    8-bit steps; NaN where nothing of the region is seen in both. Source: Lai et al. 2018 (arXiv 1808.00449), equation
    9, along the flow of the pictures themselves.
    """
    shrink = FLICKER_SIDE / max(where.shape)
    if min(where.shape) * min(1.0, shrink) < _LEAST_SIDE:
        return math.nan
    if shrink < 1:
        size = round(where.shape[1] * shrink), round(where.shape[0] * shrink)
        first, second = (
            np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (first, second)
        )
        where = cv2.resize(where.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    forward, backward = optical_flow(first, second), optical_flow(second, first)
    seen = where & ~hidden_pixels(forward, backward)
    if not seen.any():
        return math.nan
    apart = (follow(second, forward) - first)[seen]
    return float(np.sqrt(np.mean(np.square(apart, dtype=np.float64))))


def switches(own: Float64Array, others: Float64Array) -> int:
    """How often a track goes over from its own person to another or back.

    ``own`` f64 [W] is the distance, 0..1, of the pictures of W times of the track to its person's look, ``others`` f64
    [W, N] to those of the other people. A single time among others that disagree does not count.
    """
    if others.shape[1] == 0 or len(own) == 0:
        return 0
    strange = others.min(axis=1) + _ALIKE < own
    strange = median_filter(strange.astype(np.uint8), min(3, len(own)), mode="nearest").astype(bool)
    return int(np.count_nonzero(np.diff(np.concatenate([[False], strange]).astype(np.int8))))
