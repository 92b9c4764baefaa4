"""Poses drawn at random within the limits of human joints, and faces to go with them.

Angles are degrees. Everything is written for the left side and mirrored for the right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from animegen.types import Float64Array
from animegen_vrm import quaternions as q
from animegen_vrm.motion.hands import mirror, random_hand
from animegen_vrm.rig import BodyPose

_X, _Y, _Z = np.eye(3)
_Legs = tuple[float, float, float, float]
"""One leg: thigh forward, thigh outward, thigh turned out, knee bent."""

_ELBOW_LIMIT = 145.0
_KNEE_LIMIT = 150.0
_FOOT_LIMIT = np.radians(50.0)
_BREAST = 0.17
"""Half the depth of a trunk in hip heights: hands and forearms stay outside."""
_SHOULDER = np.array((0.17, 0.0, 0.0))  # of the left arm, from the middle of the shoulders, in hip heights
_UPPER_ARM, _LOWER_ARM = 0.25, 0.25


def _turn(axis: Float64Array, degrees: float) -> Float64Array:
    return q.about(axis, np.radians(degrees))


def _clipped(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    """A normal draw held within limits."""
    return float(np.clip(rng.normal(mean, spread), low, high))


def random_pose(rng: np.random.Generator) -> BodyPose:
    """Draw a pose: the legs' stance, then torso, head, arms and hands; upright over the floor, facing +Z or nearly."""
    rotations: dict[str, Float64Array] = {}
    stance, clearance, lean = _random_stance(rng)
    tilt, roll = _clipped(rng, lean * 0.4, 5.0, -20.0, 35.0), _clipped(rng, 0.0, 4.0, -12.0, 12.0)
    hips = q.multiply(_turn(_X, tilt), _turn(_Z, roll))
    rotations["hips"] = hips
    rotations |= _torso(rng, lean)
    for side, leg in zip(("left", "right"), stance, strict=True):
        rotations |= _leg(side, leg, hips, rng)
        rotations |= _arm(side, rng)
    fingers = random_hand("left", rng) | random_hand("right", rng)
    turned = {bone: turn.astype(np.float32) for bone, turn in rotations.items()}
    return BodyPose(turned | fingers, np.zeros(3, np.float32), clearance)


def _random_stance(rng: np.random.Generator) -> tuple[tuple[_Legs, _Legs], float, float]:
    """Left and right leg, clearance over the floor, and how far the trunk leans forward."""
    stances: tuple[tuple[Callable[[np.random.Generator], tuple[_Legs, _Legs, float]], float], ...] = (
        (_standing, 0.42), (_step, 0.24), (_squat, 0.10), (_sitting, 0.09), (_kneeling, 0.06), (_free, 0.09),
    )  # fmt: skip
    chosen = stances[int(rng.choice(len(stances), p=[share for _, share in stances]))][0]
    left, right, lean = chosen(rng)
    legs = (left, right) if rng.random() < 0.5 else (right, left)
    airborne = chosen is not _sitting and chosen is not _kneeling and rng.random() < 0.06
    return legs, float(rng.uniform(0.02, 0.4)) if airborne else 0.0, lean


def _standing(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    width = abs(rng.normal(0.0, 7.0))
    bend = abs(rng.normal(0.0, 8.0, 2))
    shift = rng.normal(0.0, 5.0)
    legs = [
        (float(b / 2 + s), float(min(width, 35.0) + rng.normal(0, 1.5)), _clipped(rng, 8.0, 9.0, -15.0, 40.0), float(b))
        for b, s in zip(bend, (shift, -shift), strict=True)
    ]
    return legs[0], legs[1], _clipped(rng, 2.0, 9.0, -15.0, 60.0)


def _step(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    stride = rng.uniform(8.0, 75.0)
    front = (stride, _clipped(rng, 2.0, 5.0, -6.0, 30.0), rng.normal(5.0, 8.0), float(rng.uniform(0.0, 40.0 + stride)))
    back = (-rng.uniform(0.0, 28.0), _clipped(rng, 2.0, 5.0, -6.0, 25.0), rng.normal(8.0, 8.0),
            float(rng.uniform(0.0, 70.0)))  # fmt: skip
    return front, back, _clipped(rng, 5.0, 9.0, -12.0, 35.0)


def _squat(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    depth = rng.uniform(30.0, 110.0)
    apart = abs(rng.normal(10.0, 12.0))
    legs = [
        (depth + rng.normal(0.0, 4.0), min(apart, 45.0), float(min(apart, 45.0) + rng.normal(0, 5)),
         float(np.clip(1.55 * depth + rng.normal(0.0, 8.0), 0.0, _KNEE_LIMIT)))
        for _ in range(2)
    ]  # fmt: skip
    return legs[0], legs[1], _clipped(rng, 0.3 * depth, 10.0, 0.0, 55.0)


def _sitting(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    legs = [
        (rng.uniform(70.0, 105.0), _clipped(rng, 6.0, 8.0, -5.0, 40.0), _clipped(rng, 5.0, 10.0, -15.0, 45.0),
         float(rng.uniform(50.0, 115.0)))
        for _ in range(2)
    ]  # fmt: skip
    return legs[0], legs[1], _clipped(rng, 0.0, 10.0, -20.0, 35.0)


def _kneeling(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    down = (rng.uniform(-5.0, 45.0), _clipped(rng, 4.0, 4.0, 0.0, 20.0), 0.0, 0.0)
    down = (down[0], down[1], down[2], float(np.clip(90.0 + down[0] + rng.normal(0, 4), 80.0, _KNEE_LIMIT)))
    if rng.random() < 0.5:
        return down, (down[0], down[1], down[2], down[3]), _clipped(rng, 5.0, 10.0, -10.0, 40.0)
    up = (rng.uniform(75.0, 100.0), down[1], 5.0, float(rng.uniform(80.0, 110.0)))
    return down, up, _clipped(rng, 8.0, 10.0, -10.0, 40.0)


def _free(rng: np.random.Generator) -> tuple[_Legs, _Legs, float]:
    legs = [
        (_clipped(rng, 25.0, 40.0, -30.0, 115.0), _clipped(rng, 12.0, 14.0, -5.0, 50.0),
         _clipped(rng, 8.0, 14.0, -25.0, 45.0), abs(_clipped(rng, 30.0, 45.0, 0.0, 140.0)))
        for _ in range(2)
    ]  # fmt: skip
    return legs[0], legs[1], _clipped(rng, 8.0, 16.0, -20.0, 60.0)


def _leg(side: str, leg: _Legs, hips: Float64Array, rng: np.random.Generator) -> dict[str, Float64Array]:
    """Thigh, shin and foot; the foot lies flat on the floor as far as the ankle goes, or hangs."""
    forward, outward, turned, bend = leg
    local_hips = hips if side == "left" else mirror(hips)
    thigh = q.multiply(_turn(_Z, outward), q.multiply(_turn(-_X, forward), _turn(_Y, turned)))
    shin = _turn(_X, float(np.clip(bend, 0.0, _KNEE_LIMIT)))
    world = q.multiply(q.multiply(local_hips, thigh), shin)
    steep = np.degrees(np.arccos(np.clip(q.rotate(world, -_Y)[1] * -1.0, -1.0, 1.0)))
    if steep > 65.0:  # a shin that lies: the foot hangs
        foot = _turn(_X, float(rng.uniform(10.0, 50.0)))
    else:
        foot = q.multiply(q.inverse(world), _turn(_Y, turned))
        angle = 2.0 * np.arccos(np.clip(abs(foot[3]), 0.0, 1.0))
        if angle > _FOOT_LIMIT:
            foot = q.blend(np.array(q.IDENTITY), foot, _FOOT_LIMIT / angle)
    pieces = {"UpperLeg": thigh, "LowerLeg": shin, "Foot": foot}
    return {side + bone: turn if side == "left" else mirror(turn) for bone, turn in pieces.items()}


def _torso(rng: np.random.Generator, lean: float) -> dict[str, Float64Array]:
    """Spine, chest and neck share the bending; the head looks about, mostly ahead."""
    bend = (
        float(np.clip(lean * 0.6 + rng.normal(0.0, 5.0), -30.0, 60.0)),
        _clipped(rng, 0.0, 14.0, -45.0, 45.0),
        _clipped(rng, 0.0, 7.0, -25.0, 25.0),
    )
    look = (
        _clipped(rng, -0.5 * lean, 13.0, -45.0, 45.0),
        _clipped(rng, 0.0, 26.0, -75.0, 75.0),
        _clipped(rng, 0.0, 9.0, -30.0, 30.0),
    )
    shares = {"spine": (0.35, bend), "chest": (0.35, bend), "upperChest": (0.3, bend), "neck": (0.4, look),
              "head": (0.6, look)}  # fmt: skip
    return {
        bone: q.multiply(_turn(_Y, share * turn), q.multiply(_turn(_X, share * pitch), _turn(_Z, share * roll)))
        for bone, (share, (pitch, turn, roll)) in shares.items()
    }


def _arm(side: str, rng: np.random.Generator) -> dict[str, Float64Array]:
    """Collar, upper arm, forearm and hand; drawn again until the forearm is outside the trunk and the head."""
    while True:
        direction = _arm_direction(rng)
        raised = float(np.degrees(np.arcsin(np.clip(direction[1], -1.0, 1.0))))
        swing = q.between(_X, direction)
        outward = _clipped(rng, -15.0 - max(raised, 0.0) * 0.6, 32.0, -95.0, 65.0)
        upper = q.multiply(swing, _turn(_X, outward))
        bend = float(rng.uniform(2.0, 35.0) if rng.random() < 0.5 else rng.uniform(35.0, _ELBOW_LIMIT))
        lower = _turn(-_Y, bend)
        elbow = _SHOULDER + _UPPER_ARM * direction
        forearm = q.rotate(q.multiply(upper, lower), _X)
        along = elbow + np.linspace(0.0, 1.5, 7)[:, None] * _LOWER_ARM * forearm  # to the finger tips
        if not _inside_body(along):
            break
    collar = _turn(_Z, _clipped(rng, max(raised + 20.0, 0.0) * 0.22, 2.0, -8.0, 26.0))
    twist = _clipped(rng, 0.0, 35.0, -80.0, 80.0)
    flex, aside = _clipped(rng, 5.0, 18.0, -60.0, 65.0), _clipped(rng, 0.0, 8.0, -25.0, 20.0)
    wrist = q.multiply(_turn(-_Z, flex), _turn(_Y, aside))
    pieces = {
        "Shoulder": collar,
        "UpperArm": q.multiply(q.inverse(collar), upper),
        "LowerArm": q.multiply(lower, _turn(_X, twist / 2.0)),
        "Hand": q.multiply(_turn(_X, twist / 2.0), wrist),
    }
    return {side + bone: turn if side == "left" else mirror(turn) for bone, turn in pieces.items()}


def _arm_direction(rng: np.random.Generator) -> Float64Array:
    """Where the left upper arm points from its shoulder: hanging in a third of the draws, else anywhere it reaches."""
    if rng.random() < 0.35:
        return q.unit((abs(rng.normal(0.12, 0.15)), -1.0, rng.normal(0.05, 0.25)))
    while True:
        direction = q.unit(rng.normal(size=3))
        x, y, z = direction
        behind = z < -0.35 if y < 0.2 else z < -0.15
        across = x < -0.1 and (z < 0.45 or x < -0.55)
        if not behind and not across and not (y > 0.5 and x < 0.0):
            return direction


def _inside_body(points: Float64Array) -> bool:
    """Whether any point [N, 3], from the middle of the shoulders in hip heights, is in the trunk or the head."""
    trunk = (points[:, 1] < 0.08) & (points[:, 1] > -0.75)
    depth = np.hypot(points[:, 0] * 0.8, points[:, 2])
    head = np.linalg.norm(points - (0.0, 0.26, 0.03), axis=1) < 0.2
    return bool((trunk & (depth < _BREAST)).any() or head.any())


def random_expression(rng: np.random.Generator) -> dict[str, float]:
    """Weights of VRM expressions: mostly a calm face, at times a spoken vowel, a blink, a wink or a mood."""
    weights: dict[str, float] = {}
    if rng.random() < 0.45:
        weights[str(rng.choice(("aa", "ih", "ou", "ee", "oh")))] = float(rng.uniform(0.2, 1.0))
    lids = rng.random()
    if lids < 0.14:
        weights["blinkLeft"] = weights["blinkRight"] = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.2, 1.0))
    elif lids < 0.18:
        weights[str(rng.choice(("blinkLeft", "blinkRight")))] = 1.0
    elif rng.random() < 0.12:
        weights[str(rng.choice(("happy", "angry", "sad", "relaxed", "surprised")))] = float(rng.uniform(0.3, 1.0))
    return weights


def random_look(rng: np.random.Generator) -> tuple[float, float]:
    """A gaze for Rig.apply: mostly ahead, to the left and up -1..1."""
    x, y = np.clip(rng.normal(0.0, 0.4, 2), -1.0, 1.0)
    return float(x), float(y)
