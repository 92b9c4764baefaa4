"""Fingers by curl and spread, for hands whose motion has none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.types import Float32Array, Float64Array
from animegen_vrm import quaternions as q

FINGERS = ("Index", "Middle", "Ring", "Little")

# Angles in degrees at a curl of 1, from the knuckle on, and of the left hand's axes in the T-pose (palm down).
_FINGER_CURL = {"Proximal": 75.0, "Intermediate": 95.0, "Distal": 60.0}
_THUMB_CURL = {"Metacarpal": 22.0, "Proximal": 35.0, "Distal": 55.0}
_FINGER_AXIS = np.array((0.0, 0.0, -1.0))
_THUMB_AXIS = q.unit((0.40, 0.77, -0.46))  # brings the thumb across the palm
_SPREAD = {"Index": -12.0, "Middle": -3.0, "Ring": 5.0, "Little": 14.0}  # about the vertical, at a spread of 1


def mirror(rotation: Float64Array) -> Float64Array:
    """A rotation of the left side as the right side makes it (mirrored in x)."""
    return rotation * (1.0, -1.0, -1.0, 1.0)


def finger_turns(side: str, bends: Float64Array, fans: Float64Array) -> dict[str, Float64Array]:
    """Rotations f64 [..., 4] of one hand's finger bones by the angles of their joints, in radians.

    ``bends`` f64 [..., 5, 3]: thumb, index, middle, ring and little finger, from the palm on; positive into the palm.
    ``fans`` f64 [..., 4]: how far the four fingers point towards the thumb's side.
    """
    turns = {f"Thumb{bone}": q.about(_THUMB_AXIS, bends[..., 0, i]) for i, bone in enumerate(_THUMB_CURL)}
    for k, finger in enumerate(FINGERS):
        for i, bone in enumerate(_FINGER_CURL):
            turns[finger + bone] = q.about(_FINGER_AXIS, bends[..., k + 1, i])
        fan = q.about((0.0, 1.0, 0.0), -fans[..., k])
        turns[f"{finger}Proximal"] = q.multiply(fan, turns[f"{finger}Proximal"])
    return {side + bone: turn if side == "left" else mirror(turn) for bone, turn in turns.items()}


def hand_rotations(side: str, curls: Sequence[float], spread: float = 0.0) -> dict[str, Float32Array]:
    """Rotations of one hand's finger bones.

    ``curls``: thumb, index, middle, ring, little; 0 straight .. 1 fist. ``spread``: 0 as at rest .. 1 fanned out.
    """
    curl = np.array(curls, np.float64)
    most = np.radians([[*_THUMB_CURL.values()], *[[*_FINGER_CURL.values()]] * len(FINGERS)])
    fans = -np.radians([*_SPREAD.values()]) * spread * (1.0 - curl[1:])
    turns = finger_turns(side, curl[:, None] * most, fans)
    return {bone: turn.astype(np.float32) for bone, turn in turns.items()}


def relaxed_hand(side: str, rng: np.random.Generator) -> dict[str, Float32Array]:
    """A hand at ease: fingers curl a little, more so towards the little finger."""
    base = rng.uniform(0.12, 0.4)
    curls = [base * 0.7, *(base + 0.04 * i + rng.normal(0.0, 0.03) for i in range(4))]
    return hand_rotations(side, np.clip(curls, 0.0, 1.0).tolist(), rng.uniform(0.0, 0.4))


def random_hand(side: str, rng: np.random.Generator) -> dict[str, Float32Array]:
    """Any hand: mostly at ease, at times flat, a fist, a sign with some fingers out, or each finger for itself."""
    kind = rng.choice(("relaxed", "flat", "fist", "sign", "free"), p=(0.45, 0.15, 0.12, 0.13, 0.15))
    if kind == "relaxed":
        return relaxed_hand(side, rng)
    if kind == "flat":
        return hand_rotations(side, rng.uniform(0.0, 0.1, 5).tolist(), rng.uniform(0.0, 1.0))
    if kind == "fist":
        return hand_rotations(side, rng.uniform(0.8, 1.0, 5).tolist())
    if kind == "sign":
        curls = np.where(rng.random(5) < 0.5, rng.uniform(0.0, 0.1, 5), rng.uniform(0.8, 1.0, 5))
        return hand_rotations(side, curls.tolist(), rng.uniform(0.0, 1.0))
    return hand_rotations(side, rng.uniform(0.0, 1.0, 5).tolist(), rng.uniform(0.0, 0.5))
