"""The tree of limbs over AVATAR35, along which poses are lifted and retargeted.

It starts at the middle of the hips. Three of its joints stand between points of the skeleton: the middles of hips and
of shoulders, and the head's centre between the ears. The points of the face hang on the head and turn with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array

POINTS = len(AVATAR35)
MID_HIP, MID_SHOULDER, HEAD = range(POINTS, POINTS + 3)
JOINTS = POINTS + 3


@dataclass(frozen=True, slots=True)
class Limb:
    """A limb of the tree.

    ``part`` names it, the same for either side; ``length`` is the usual one in heights of a standing person;
    ``forward`` is where it points when it is seen short, 1 to the front of the body and -1 to its back; ``rest`` of
    length 1 is where it points when nothing is known of it: x to the person's left, y down, z to the back.
    """

    part: str
    parent: int
    child: int
    length: float
    forward: float
    rest: tuple[float, float, float]


_SIDED = (
    ("upper_arm", "shoulder", "elbow", 0.172, 0.3),
    ("forearm", "elbow", "wrist", 0.152, 1.0),
    ("index", "wrist", "index", 0.05, 1.0),
    ("pinky", "wrist", "pinky", 0.05, 1.0),
    ("thumb", "wrist", "thumb", 0.035, 1.0),
    ("index_tip", "index", "index_tip", 0.045, 1.0),
    ("pinky_tip", "pinky", "pinky_tip", 0.035, 1.0),
    ("thumb_tip", "thumb", "thumb_tip", 0.035, 1.0),
    ("thigh", "hip", "knee", 0.243, 1.0),
    ("shin", "knee", "ankle", 0.246, -1.0),
    ("heel", "ankle", "heel", 0.045, -0.7),
    ("foot", "ankle", "foot_index", 0.11, 1.0),
)
"""Of either side: part, from, to, length, forward. Lengths near Drillis and Contini (1966), as detectors see them."""
HUMAN_LEAN: Mapping[str, float] = MappingProxyType({"trunk": 0.0, "neck": 8.0})
"""How far trunk and neck lean forward on somebody who stands upright, in degrees, as detectors see them: hips,
shoulders and ears lie above each other, but for heads that are mostly held a little forward."""
_DOWN = (0.0, 1.0, 0.0)
_AT_REST = {"heel": (0.0, 0.6, 0.8), "foot": (0.0, 0.5, -0.866)}


def _tree() -> tuple[Limb, ...]:
    def sided(side: str, out: float) -> list[Limb]:
        def index(name: str) -> int:
            return AVATAR35.index(f"{side}_{name}")

        return [
            Limb("shoulder", MID_SHOULDER, index("shoulder"), 0.105, 0.0, (out, 0.0, 0.0)),
            Limb("hip", MID_HIP, index("hip"), 0.058, 0.0, (out, 0.0, 0.0)),
            *(
                Limb(part, index(start), index(end), length, front, _AT_REST.get(part, _DOWN))
                for part, start, end, length, front in _SIDED
            ),
        ]

    trunk = Limb("trunk", MID_HIP, MID_SHOULDER, 0.29, 0.2, (0.0, -1.0, 0.0))
    lean = np.radians(HUMAN_LEAN["neck"])
    neck = Limb("neck", MID_SHOULDER, HEAD, 0.12, 0.5, (0.0, -float(np.cos(lean)), -float(np.sin(lean))))
    return (trunk, neck, *sided("left", 1.0), *sided("right", -1.0))


LIMBS = _tree()
"""Every limb, those of the trunk first and parents before children."""

TRUNK, NECK = 0, 1
"""Their places among the limbs."""

PARENTS = np.array([limb.parent for limb in LIMBS])
CHILDREN = np.array([limb.child for limb in LIMBS])


def beyond(joint: int) -> list[int]:
    """A joint and all those that hang on it by limbs."""
    found = [joint]
    for limb in LIMBS:
        if limb.parent in found:
            found.append(limb.child)
    return found


FINGERS: Mapping[int, int] = MappingProxyType(
    {
        i: next(k for k, below in enumerate(LIMBS) if below.child == limb.parent)
        for i, limb in enumerate(LIMBS)
        if limb.part.endswith("_tip")
    }
)
"""The limbs from a knuckle to a finger's tip, and for each the one from the wrist to that knuckle."""

USUAL_LENGTHS: Mapping[str, float] = MappingProxyType({limb.part: limb.length for limb in LIMBS})
"""The usual length of each part in standing heights; that of shoulders and hips from the middle."""

_PAIRS = np.array(
    [[AVATAR35.index(f"{side}_{name}") for side in ("left", "right")] for name in ("hip", "shoulder", "ear")]
)


def middles(points: Float64Array) -> Float64Array:
    """f64 [..., 3, D] the middles of hips, shoulders and ears of points f64 [..., 35, D]."""
    return np.asarray(points[..., _PAIRS, :].mean(axis=-2))


def least(values: Float64Array) -> Float64Array:
    """f64 [..., 3] the lesser value of both hips, shoulders and ears, of values f64 [..., 35]."""
    return np.asarray(values[..., _PAIRS].min(axis=-1))
