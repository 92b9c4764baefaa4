"""What bones are mostly like: where their axes point and how they twist, for what the points of a pose do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Habit:
    """A bone's local rotation as people mostly have it.

    ``axis``: along the bone in the T-pose; ``aside``: two directions across it. ``mean`` and ``spread``: how far the
    turned axis points aside (sines), and its twist about the axis in radians.
    """

    axis: _Vector
    aside: tuple[_Vector, _Vector]
    mean: _Vector
    spread: _Vector


@dataclass(frozen=True, slots=True)
class Twins:
    """Two bones that twist alike; ``spread``: by how much their twists differ, in radians."""

    one: str
    other: str
    spread: float


@dataclass(frozen=True, slots=True)
class Usual:
    """What a number mostly is."""

    mean: float
    spread: float


_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_ANY = 10.0


_SIDES = (("left", 1.0), ("right", -1.0))


def _habits() -> dict[str, Habit]:
    trunk = {
        "hips": ((0.0, 0.13, 0.0), (0.25, 0.4, _ANY)),
        "spine": ((0.0, 0.06, 0.0), (0.12, 0.18, 0.1)),
        "chest": ((0.0, 0.04, 0.0), (0.07, 0.08, 0.12)),
        "upperChest": ((0.0, 0.01, 0.0), (0.07, 0.07, 0.1)),
        "neck": ((0.0, 0.0, 0.0), (0.2, 0.3, 0.17)),
        "head": ((0.0, 0.0, 0.0), (0.12, 0.2, 0.26)),
    }
    habits = {bone: Habit(_Y, (_X, _Z), mean, spread) for bone, (mean, spread) in trunk.items()}
    for side, out in _SIDES:
        arm = {
            "Shoulder": ((0.0, 0.0, 0.0), (0.2, 0.15, 0.12)),
            "UpperArm": ((-0.5, 0.2, -0.2 * out), (1.0, 1.0, 0.6)),
            "LowerArm": ((0.0, 0.6, 0.0), (0.05, 0.6, 0.27)),
            "Hand": ((0.0, 0.0, 0.0), (0.5, 0.3, 0.4)),
        }
        leg = {
            "UpperLeg": ((0.06 * out, 0.3, -0.12 * out), (0.2, 0.5, 0.2)),
            "LowerLeg": ((0.0, -0.5, 0.0), (0.02, 0.6, 0.02)),
        }
        habits |= {side + bone: Habit((out, 0.0, 0.0), (_Y, _Z), *rest) for bone, rest in arm.items()}
        habits |= {side + bone: Habit((0.0, -1.0, 0.0), (_X, _Z), *rest) for bone, rest in leg.items()}
        habits[f"{side}Foot"] = Habit(_Z, (_X, _Y), (0.0, 0.1, 0.0), (0.3, 0.5, 0.2))
    return habits


HABITS: Mapping[str, Habit] = MappingProxyType(_habits())
"""The bones that are solved. Fingers are bent on their own, all others ride on these."""

SHARED_TWISTS = tuple(Twins(f"{side}LowerArm", f"{side}Hand", 0.12) for side, _ in _SIDES)
"""A forearm takes half of its hand's twist."""

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
"""Points that move with the head."""

LIMBS: tuple[tuple[str, str, Mapping[str, float]], ...] = tuple(
    (f"{side}{bone}", f"{side}_{joint}", MappingProxyType({f"{side}_{end}": weight for end, weight in ends.items()}))
    for side, _ in _SIDES
    for bone, joint, ends in (
        ("UpperArm", "shoulder", {"elbow": 1.0, "wrist": 0.02}),
        ("LowerArm", "elbow", {"wrist": 1.0, "index": 0.02}),
        ("Hand", "wrist", {"index": 1.0, "pinky": 1.0, "thumb": 0.2}),
        ("LowerArm", "elbow", {"wrist": 1.0, "index": 0.02}),
        ("UpperLeg", "hip", {"knee": 1.0, "ankle": 0.02}),
        ("LowerLeg", "knee", {"ankle": 1.0, "heel": 0.02}),
        ("Foot", "ankle", {"heel": 1.0, "foot_index": 1.0}),
    )
)
"""Limbs from the trunk on: bone, the point at its joint, the points that it carries and what they weigh. A forearm
comes again after its hand, to take half of its twist."""

BENDS: Mapping[str, _Vector] = MappingProxyType(
    {f"{side}{bone}": bends for side, _ in _SIDES for bone, bends in (("UpperArm", _Z), ("UpperLeg", (0.0, 0.0, -1.0)))}
)
"""Limbs whose next one bends one way only, and where that goes when it bends in the T-pose."""

SIZING = (
    *((f"{side}_{one}", f"{side}_{other}") for side, _ in _SIDES for one, other in (
        ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"),
    )),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_ear", "right_ear"), ("nose", "left_ear"),
    ("nose", "right_ear"),
)  # fmt: skip
"""Points whose distances tell how large a body is seen."""

TRUST: Mapping[str, float] = MappingProxyType({"_tip": 0.002, "_thumb": 0.1})
"""Points that count less, by what is in their names: their fingers move them, which are bent last."""

DISTANCE = Usual(2.5, 0.35)
"""How many of their heights away people mostly are; the spread is that of the logarithm."""
