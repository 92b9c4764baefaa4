"""How long a person's limbs are and how large the person is seen, measured over a whole clip.

The two are measured against each other in turn: a limb's length is what is seen of it at most, relative to the size of
the person in each frame; the size is what the longest-seen limbs of a frame say, steadied over time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from animegen.pose.head import FACE, HUMAN_FACE
from animegen.pose.limbs import CHILDREN, LIMBS, PARENTS, USUAL_LENGTHS
from animegen.pose.regression import local_quadratic
from animegen.types import Float64Array

SIZING_PARTS = ("trunk", "shoulder", "upper_arm", "forearm", "thigh", "shin")
"""Parts by which a person's size is told, with the face."""
SIZING = np.array([limb.part in SIZING_PARTS for limb in LIMBS])
"""bool [L] the limbs of these parts."""

_TALL_PARTS = ("trunk", "thigh", "shin")
"""Parts that make a body tall, with the head."""
HUMAN_HEAD = 0.13
"""A usual head's height in standing heights (Drillis and Contini 1966)."""

_PLAUSIBLE = (0.75, 1.35)
"""A limb's measured length against its usual one: what lies beyond was not seen unforeshortened, or is mistaken."""
_FULL_LENGTH = 95
"""Percentile of a limb's seen lengths over a clip that is taken for its true length."""
_USUAL_LENGTH = 60
"""The same for the neck, which hardly ever reaches into depth: shoulders that are shrugged, and heads that nod, shorten
it in the picture."""
_SHOWN = 0.1
"""Share of the frames that must show a limb for its length to be measured."""
_LONGEST_LIMBS = 0.75
"""Quantile of the limbs of a frame by which the person's size is told: the others are foreshortened."""
_ABOVE = 0.85
"""Weight of what lies above the steadied size: limbs look shorter than they are, hardly ever longer."""
_HEIGHT_FRAMES = 36.0
"""Half the window over which the size of a person is steadied: who crouches and stands up stays as large."""
_LEAST_OF_TOLD = 0.25
_ROUNDS = 4
_LEAST = 1e-6

_PART_LIMBS = {part: [i for i, limb in enumerate(LIMBS) if limb.part == part] for part in USUAL_LENGTHS}
_FACE_EXTENT = float(np.linalg.norm(HUMAN_FACE[:, None] - HUMAN_FACE, axis=2).max())


@dataclass(frozen=True, slots=True, eq=False)
class BodyLengths:
    """How long a person's limbs are, and how large the person is seen.

    ``parts``: the lengths of the limbs in standing heights, where the clip does not show them the usual ones;
    ``face``: the size of the face against the mean one; ``height`` f64 [T]: the standing height in pixels.
    """

    parts: Mapping[str, float]
    face: float
    height: Float64Array

    @property
    def reach(self) -> Float64Array:
        """f64 [T, L] the true length of every limb in pixels."""
        return np.asarray(self.height[:, None] * np.array([self.parts[limb.part] for limb in LIMBS]))


def measure_lengths(xy: Float64Array, known: Float64Array, time: Float64Array) -> BodyLengths:
    """Measure a person.

    ``xy`` f64 [T, 38, 2] the joints in pixels, ``known`` f64 [T, 38] 0..1, ``time`` f64 [T] rising, in frames. Of whom
    the clip shows only half, the rest is taken to be as usual.
    """
    seen = np.linalg.norm(xy[:, CHILDREN] - xy[:, PARENTS], axis=2)
    sure = np.minimum(known[:, CHILDREN], known[:, PARENTS])
    extent, face_sure = _face_extent(xy[:, FACE], known[:, FACE])
    telling = np.c_[seen[:, SIZING], extent]
    weight = np.c_[sure[:, SIZING], face_sure]
    parts, face = {part: USUAL_LENGTHS[part] for part in SIZING_PARTS}, 1.0
    for _ in range(_ROUNDS):
        lengths = np.array([*(parts[limb.part] for limb in LIMBS if limb.part in SIZING_PARTS), face * _FACE_EXTENT])
        height = _envelope(telling / lengths, weight, time)
        parts = {part: part_length(part, seen, sure, height) for part in SIZING_PARTS}
        face = _full_length(extent / height, face_sure, _FACE_EXTENT) / _FACE_EXTENT
        # Lengths and size are told up to one factor: what makes a body tall is all in all as long as usual. Arms look
        # too long where somebody crouches, all of whose other limbs are foreshortened, and make nobody taller.
        usual = _tallness(parts, face) / _tallness(USUAL_LENGTHS, 1.0)
        parts, face, height = {part: length / usual for part, length in parts.items()}, face / usual, height * usual
    parts = {part: parts.get(part) or part_length(part, seen, sure, height) for part in USUAL_LENGTHS}
    return BodyLengths(MappingProxyType(parts), face, height)


def _tallness(parts: Mapping[str, float], face: float) -> float:
    return sum(parts[part] for part in _TALL_PARTS) + HUMAN_HEAD * face


def part_length(part: str, seen: Float64Array, sure: Float64Array, height: Float64Array) -> float:
    """The length of a part in standing heights, of its limbs on both sides together.

    ``seen`` f64 [T, L] the limbs' lengths in the picture, ``sure`` f64 [T, L] how well they are known.
    """
    limbs, percentile = _PART_LIMBS[part], _USUAL_LENGTH if part == "neck" else _FULL_LENGTH
    return _full_length(seen[:, limbs] / height[:, None], sure[:, limbs], USUAL_LENGTHS[part], percentile)


def _envelope(heights: Float64Array, weight: Float64Array, time: Float64Array) -> Float64Array:
    """f64 [T] the steadied size from what each limb says of it, f64 [T, N]: expectile regression over time."""
    order = np.argsort(heights, axis=1)
    ranked = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    total = ranked[:, -1]
    place = (ranked >= _LONGEST_LIMBS * total[:, None]).argmax(axis=1)
    told = np.take_along_axis(np.take_along_axis(heights, order, axis=1), place[:, None], axis=1)[:, 0]
    seen = total > _LEAST
    if not seen.any():
        return np.ones(len(time))
    told = np.interp(time, time[seen], told[seen])
    trust = np.maximum(total, 1e-3)
    height = told
    for _ in range(_ROUNDS):
        side = np.where(told > height, _ABOVE, 1 - _ABOVE) * trust
        height = local_quadratic(time, told[:, None, None], side[:, None], _HEIGHT_FRAMES)[:, 0, 0]
        height = np.maximum(height, _LEAST_OF_TOLD * told)
    return np.maximum(height, _LEAST)


def _full_length(lengths: Float64Array, sure: Float64Array, usual: float, percentile: float = _FULL_LENGTH) -> float:
    """What is seen of a part at its full length, within what is plausible; the usual length where it is not seen."""
    seen = lengths[sure >= 0.5]
    if not len(seen) or len(seen) < _SHOWN * len(lengths):
        return usual
    return float(np.clip(np.percentile(seen, percentile), *np.multiply(_PLAUSIBLE, usual)))


def _face_extent(face: Float64Array, known: Float64Array) -> tuple[Float64Array, Float64Array]:
    """f64 [T] the largest distance between points of the face f64 [T, 7, 2], and how well its points are known."""
    between = np.linalg.norm(face[:, :, None] - face[:, None], axis=3)
    sure = np.minimum(known[:, :, None], known[:, None])
    return (between * (sure >= 0.5)).max(axis=(1, 2)), np.sort(known, axis=1)[:, 2]
