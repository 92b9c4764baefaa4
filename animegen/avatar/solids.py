"""What of an avatar is solid: ellipsoids about its trunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from animegen.avatar.chain import carriers_of
from animegen.avatar.rigged import RiggedAvatar
from animegen.types import PARTS, Float64Array

_TRUNK = ("hips", "spine", "chest", "upperChest")
_SLICES = 4
"""Ellipsoids of the trunk, one above the other."""
_TALL = 2.0
"""Those are so many times as high as they lie apart, so that the trunk is hardly narrower between them."""
_OUTER = (2.0, 98.0)
"""Percentiles of vertices that a solid reaches to: a button or a seam does not make it larger."""
_INNER = (10.0, 90.0)
"""The same of limbs, whose cuffs are wider than they are."""
_FEWEST = 12
"""Vertices that make a solid."""
_THINNEST = 0.005
"""Metres: no radius is smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class Solids:
    """M ellipsoids along the axes of an armature in its T-pose, in metres.

    ``bones`` carry them, which are solved (:mod:`animegen.avatar.habits`); ``centres`` and ``radii`` f64 [M, 3].
    ``forearm`` and ``hand``: how thick those are about their middle.
    """

    bones: tuple[str, ...]
    centres: Float64Array
    radii: Float64Array
    forearm: float
    hand: float

    @classmethod
    def none(cls) -> Solids:
        """Nothing is solid."""
        return cls((), np.zeros((0, 3)), np.zeros((0, 3)), 0.0, 0.0)


def solids_of(avatar: RiggedAvatar) -> Solids:
    """What is solid of an avatar, measured on its vertices without hair; parts that it lacks are not."""
    bones, carriers = carriers_of(avatar.armature)
    heaviest = np.take_along_axis(avatar.bones, avatar.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    part = np.zeros(len(avatar.positions))
    part[avatar.corners.ravel()] = np.repeat(avatar.table[avatar.materials, 0], 3)
    carrier = np.where(part == PARTS.index("hair"), -1, carriers[heaviest])
    places = {bone: avatar.positions[carrier == i].astype(np.float64) for i, bone in enumerate(bones)}
    rows = [avatar.armature.bones.index(bone) for bone in bones]
    heights = dict(zip(bones, avatar.armature.pivots[rows, 1].tolist(), strict=True))
    found = [*_trunk(places, heights)]
    if not found:
        return Solids.none()
    named, centres, radii = zip(*found, strict=True)
    forearm, hand = (_thickness(places, bone) for bone in ("LowerArm", "Hand"))
    return Solids(named, np.stack(centres), np.stack(radii), forearm, hand)


def _trunk(
    places: dict[str, Float64Array], heights: dict[str, float]
) -> Iterator[tuple[str, Float64Array, Float64Array]]:
    """Slices from the legs to the neck: the highest bone of the spine below its middle, its centre and its radii."""
    if "leftUpperLeg" not in heights or "neck" not in heights:
        return
    spine = [bone for bone in _TRUNK if bone in heights]
    whole = np.concatenate([places[bone] for bone in spine])
    edges = np.linspace(heights["leftUpperLeg"], heights["neck"], _SLICES + 1).tolist()
    for low, high in pairwise(edges):
        inside = whole[(whole[:, 1] >= low) & (whole[:, 1] <= high)]
        if len(inside) < _FEWEST:
            continue
        first, last = np.percentile(inside, _OUTER, axis=0)
        centre, radii = 0.5 * (first + last), 0.5 * (last - first)
        centre[1], radii[1] = 0.5 * (low + high), 0.5 * _TALL * (high - low)
        below = [bone for bone in spine if heights[bone] < centre[1]]
        yield below[-1] if below else spine[0], centre, np.maximum(radii, _THINNEST)


def _thickness(places: dict[str, Float64Array], bone: str) -> float:
    """How far the vertices of limbs that point sideways lie from their middle height, in metres."""
    each = [places[name] for side in ("left", "right") if len(places.get(name := f"{side}{bone}", ()))]
    return 0.5 * float(np.mean([np.ptp(np.percentile(one[:, 1], _INNER)) for one in each])) if each else 0.0
