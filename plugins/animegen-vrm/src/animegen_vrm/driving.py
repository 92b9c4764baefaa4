"""A real person's movement as poses of a humanoid: what the style ``vrm`` drives avatars with.

A person is lifted to three dimensions (:mod:`animegen.pose.lift`); each limb of the avatar then points where the
person's does, its trunk and head turn as theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from animegen.pose.hands import HandMotion
from animegen.pose.lift import Lifted
from animegen.pose.limbs import MID_HIP, MID_SHOULDER
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array
from animegen_vrm import quaternions as q
from animegen_vrm.motion.hands import finger_turns, relaxed_hand
from animegen_vrm.motion.retarget import Take, aim_limbs, local_turns

_TO_WORLD = np.array((1.0, -1.0, -1.0))
"""From the picture (x right, y down, z away) to the avatar's world (x right, y up, z to the camera)."""
_SPINE_SHARE, _NECK_SHARE = 0.5, 0.5
"""How much of the way from hips to chest the spine has gone, and the neck from chest to head."""
_HIPS_LEAN = 0.6
"""How much of the trunk's lean the hips share; the spine bends for the rest."""
_BROAD_HAND = 0.3
"""Sine of the angle between a hand and the line of its knuckles from which that line tells in full how it is turned."""

_REST = MappingProxyType(
    {
        f"{side}{bone}": np.array(place)
        for side, x in (("left", 1.0), ("right", -1.0))
        for bone, place in (
            ("UpperArm", (x, 0.0, 0.0)), ("LowerArm", (2 * x, 0.0, 0.0)), ("Hand", (3 * x, 0.0, 0.0)),
            ("HandTip", (4 * x, 0.0, 0.0)), ("UpperLeg", (0.5 * x, -1.0, 0.0)), ("LowerLeg", (0.5 * x, -2.0, 0.0)),
            ("Foot", (0.5 * x, -3.0, 0.0)),
        )
    }
)  # fmt: skip
"""A T-pose with limbs of length 1: only directions matter."""

_NO_HANDS: Mapping[str, HandMotion] = MappingProxyType({})


def drive(person: Lifted, hands: Mapping[str, HandMotion] = _NO_HANDS) -> dict[str, Float64Array]:
    """Local rotations of humanoid bones as in :class:`animegen_vrm.rig.BodyPose`, f64 [T, 4] quaternions.

    ``hands`` by side, as far as their fingers were seen; other hands are at ease.
    """
    joints = person.joints * _TO_WORLD
    turns = _trunk(person, joints)
    for side in ("left", "right"):
        turns |= _arm(person, joints, turns["upperChest"], side, hands.get(side))
        turns |= _leg(joints, turns["hips"], side)
    take = Take("", 1.0, _REST, turns, np.zeros((len(joints), 3)))
    local = local_turns(aim_limbs(take))
    rng = np.random.default_rng(0)
    for side in ("left", "right"):
        local |= _fingers(side, len(joints), hands.get(side), rng)
    return local


def _fingers(side: str, frames: int, hand: HandMotion | None, rng: np.random.Generator) -> dict[str, Float64Array]:
    """Fingers as they were seen, the less surely the more at ease."""
    eased = {bone: np.tile(turn.astype(np.float64), (frames, 1)) for bone, turn in relaxed_hand(side, rng).items()}
    if hand is None:
        return eased
    seen = finger_turns(side, hand.bends, hand.fans)
    return {bone: q.blend(eased[bone], seen[bone], hand.known) for bone in eased}


def _trunk(person: Lifted, joints: Float64Array) -> dict[str, Float64Array]:
    """Hips and chest turn as their points lie, the head as the face; spine and neck lie between."""
    up = q.unit(joints[:, MID_SHOULDER] - joints[:, MID_HIP])
    hips_up = q.unit(_HIPS_LEAN * up + (1 - _HIPS_LEAN) * np.array((0.0, 1.0, 0.0)))
    hips = _axes(_across(joints, "hip"), hips_up)
    chest = _axes(_across(joints, "shoulder"), up)
    head = person.head.rotation * _TO_WORLD[:, None] * _TO_WORLD
    turned = q.from_matrices(head)
    spine = q.blend(hips, chest, _SPINE_SHARE)
    return {
        "hips": hips,
        "spine": q.blend(hips, spine, 0.5),
        "chest": spine,
        "upperChest": chest,
        "neck": q.blend(chest, turned, _NECK_SHARE),
        "head": turned,
    }


def _arm(
    person: Lifted, joints: Float64Array, chest: Float64Array, side: str, hand: HandMotion | None
) -> dict[str, Float64Array]:
    """Upper arm and forearm point as the person's; the hand turns as its knuckles lie, as far as they are known."""
    outward = 1.0 if side == "left" else -1.0
    rest = np.array((outward, 0.0, 0.0))
    shoulder, elbow, wrist, index, pinky = (
        joints[:, AVATAR35.index(f"{side}_{name}")] for name in ("shoulder", "elbow", "wrist", "index", "pinky")
    )
    upper = _aimed(chest, rest, elbow - shoulder)
    lower = _aimed(upper, rest, wrist - elbow)
    along = q.unit((index + pinky) / 2 - wrist)
    knuckles = q.unit(index - pinky)
    across = knuckles - (knuckles * along).sum(-1, keepdims=True) * along
    points = [AVATAR35.index(f"{side}_{name}") for name in ("wrist", "index", "pinky")]
    broad = np.minimum(np.linalg.norm(across, axis=-1) / _BROAD_HAND, 1.0)
    turned = q.blend(lower, _palm(along, q.unit(across), outward), person.known[:, points].min(axis=1) * broad)
    if hand is not None:
        turned = q.blend(turned, _palm(hand.along * _TO_WORLD, hand.across * _TO_WORLD, outward), hand.known)
    return {f"{side}UpperArm": upper, f"{side}LowerArm": lower, f"{side}Hand": turned}


def _palm(along: Float64Array, across: Float64Array, outward: float) -> Float64Array:
    """The rotation of a hand that points ``along`` with its index finger on the side of ``across``."""
    along = outward * along
    return q.from_matrices(np.stack([along, np.cross(across, along), across], axis=2))


def _leg(joints: Float64Array, hips: Float64Array, side: str) -> dict[str, Float64Array]:
    """Thigh, shin and foot point as the person's."""
    down = np.array((0.0, -1.0, 0.0))
    hip, knee, ankle, heel, toe = (
        joints[:, AVATAR35.index(f"{side}_{name}")] for name in ("hip", "knee", "ankle", "heel", "foot_index")
    )
    upper = _aimed(hips, down, knee - hip)
    lower = _aimed(upper, down, ankle - knee)
    foot = _aimed(lower, np.array((0.0, 0.0, 1.0)), toe - heel)
    return {f"{side}UpperLeg": upper, f"{side}LowerLeg": lower, f"{side}Foot": foot}


def _across(joints: Float64Array, name: str) -> Float64Array:
    """From the right point of a pair to the left one."""
    return np.asarray(joints[:, AVATAR35.index(f"left_{name}")] - joints[:, AVATAR35.index(f"right_{name}")])


def _axes(left: Float64Array, up: Float64Array) -> Float64Array:
    """The rotation that brings +X towards ``left`` and +Y to ``up``, f64 [T, 4]."""
    across = q.unit(left - (left * up).sum(-1, keepdims=True) * up)
    return q.from_matrices(np.stack([across, up, np.cross(across, up)], axis=2))


def _aimed(above: Float64Array, rest: Float64Array, direction: Float64Array) -> Float64Array:
    """The rotation above a limb, then the shortest turn that brings the limb to ``direction``."""
    return q.multiply(q.between(q.rotate(above, rest), direction), above)
