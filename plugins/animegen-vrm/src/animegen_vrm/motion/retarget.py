"""A foreign skeleton's motion as poses of a humanoid: limbs point where the source's point, feet touch where its touch.

World rotations of the humanoid's bones are displacements from the T-pose: an upper arm's turns the T-pose's direction
of that arm (+X or -X) into its direction now. Hips, spine, neck, head, collars, feet and toes take the source's own
rotation since its rest pose. Limbs and hands are aimed exactly; the twist of upper limbs follows the plane in which the
elbow or knee bends, and forearms share the twist of their hands, so that skin is wrung nowhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from animegen.types import Float64Array
from animegen_vrm import quaternions as q
from animegen_vrm.motion.clip import Motion
from animegen_vrm.motion.hands import FINGERS, relaxed_hand
from animegen_vrm.rig import BONES, SUPPORT_RADII, ancestors

UP = np.array((0.0, 1.0, 0.0))
FORWARD = np.array((0.0, 0.0, 1.0))
_SIDES = {"left": np.array((1.0, 0.0, 0.0)), "right": np.array((-1.0, 0.0, 0.0))}

_HINGE_SURE = np.radians(25.0), np.radians(65.0)
"""A bend below the first angle says nothing of its plane; from the second on the plane alone decides."""
_LARGEST_TURN = np.radians(70.0)
"""How far a single frame's plane may turn a limb away from the clip's: what lies beyond is noise of a capture."""
_PRONATION_SHARE = 0.5
"""How much of the hand's twist its forearm takes."""
_STRAIGHT = 0.03
"""A finger whose quaternions' vectors are never longer than this (3.4 degrees) was not captured."""
_FLOOR_QUANTILE = 0.03
_STEP = 1.0
"""Within so many seconds a body that moves on the floor touches it."""
_UNEVEN = 0.06
"""How far a capture's floor strays, in hip heights."""
_CONTACT = 0.02
"""What is less high than this over the floor, in hip heights, stands on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A captured motion in the humanoid's axes (Y up, facing +Z at rest), in the source's own units.

    ``rest``: bone -> its joint's place at rest f64 [3], with ``...Tip`` for where hands and toes end. ``turns``: bone
    -> world rotation since the source's rest pose, f64 [F, 4]. ``hips`` f64 [F, 3]: where the hips are.
    """

    name: str
    rate: float
    rest: Mapping[str, Float64Array]
    turns: Mapping[str, Float64Array]
    hips: Float64Array


def retarget(take: Take) -> Motion:
    """The take as poses of any humanoid; it starts over the origin, in its first second it faces +Z."""
    return as_motion(take, aim_limbs(take))


def aim_limbs(take: Take) -> dict[str, Float64Array]:
    """World rotations of the humanoid's bones since the T-pose, f64 [F, 4]: limbs point where the take's do."""
    turns = {bone: turn.copy() for bone, turn in take.turns.items()}
    for side, outward in _SIDES.items():
        _aim_leg(take, turns, side)
        _aim_arm(take, turns, side, outward)
    return turns


def as_motion(take: Take, turns: Mapping[str, Float64Array]) -> Motion:
    """The take with the humanoid's world rotations since the T-pose, ``turns`` f64 [F, 4] each, as a motion."""
    height = _hip_height(take)
    lowest = _lowest_points(take, height) / height
    floor = _floor(lowest, take.rate)
    clearance = np.maximum(lowest - floor - _CONTACT, 0.0)
    hips = (take.hips - take.hips[0] * (1.0, 0.0, 1.0)) / height - (0.0, 1.0, 0.0)
    hips[:, 1] -= floor
    straight = q.inverse(_heading(turns["hips"][: round(take.rate) + 1]))
    turns = {bone: q.multiply(straight, turn) for bone, turn in turns.items()}
    local = local_turns(turns)
    local |= _still_fingers(take.name, local)
    return Motion(
        take.name,
        take.rate,
        tuple(local),
        np.stack(list(local.values()), axis=1).astype(np.float32),
        q.rotate(straight, hips).astype(np.float32),
        clearance.astype(np.float32),
    )


def local_turns(turns: Mapping[str, Float64Array]) -> dict[str, Float64Array]:
    """Rotations of bones relative to the nearest ancestor that turns, as BodyPose has them, from those in the world."""
    return {bone: _local(turns, bone) for bone in BONES if bone in turns}


def _local(turns: Mapping[str, Float64Array], bone: str) -> Float64Array:
    """A bone's rotation relative to its nearest ancestor that moves, sign chosen so that it runs on smoothly."""
    parent = next((above for above in ancestors(bone) if above in turns), None)
    local = turns[bone] if parent is None else q.multiply(q.inverse(turns[parent]), turns[bone])
    flips = np.cumprod(np.where((local[1:] * local[:-1]).sum(axis=-1) < 0.0, -1.0, 1.0))
    return q.normalise(local * np.concatenate([[1.0], flips])[:, None])


def _still_fingers(name: str, local: Mapping[str, Float64Array]) -> dict[str, Float64Array]:
    """For each finger that the source leaves straight: at ease, the same through the clip."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    frames = len(next(iter(local.values())))
    eased: dict[str, Float64Array] = {}
    for side in _SIDES:
        hand = relaxed_hand(side, rng)
        for finger in ("Thumb", *FINGERS):
            bones = [bone for bone in hand if bone.startswith(side + finger)]
            if all(np.abs(local[bone][:, :3]).max() < _STRAIGHT for bone in bones if bone in local):
                eased |= {bone: np.broadcast_to(hand[bone], (frames, 4)) for bone in bones}
    return eased


def _heading(turn: Float64Array) -> Float64Array:
    """The turn about the vertical from +Z to where rotations [F, 4] face on average."""
    ahead = q.rotate(turn, FORWARD).sum(axis=0)
    return q.about(UP, np.arctan2(ahead[0], ahead[2]))


def _direction(rest: Mapping[str, Float64Array], bone: str, child: str) -> Float64Array | None:
    """Unit direction of a bone at rest, None where the source lacks it or both ends are one point."""
    if bone not in rest or child not in rest:
        return None
    offset = rest[child] - rest[bone]
    return q.unit(offset) if np.linalg.norm(offset) > 1e-6 else None


def _aim_leg(take: Take, turns: dict[str, Float64Array], side: str) -> None:
    """Aim thigh and shin; the knee bends about its own axis, so the shin has no twist of its own."""
    upper, lower = f"{side}UpperLeg", f"{side}LowerLeg"
    thigh, shin = _direction(take.rest, upper, lower), _direction(take.rest, lower, f"{side}Foot")
    if thigh is None or shin is None:
        return
    aimed = q.multiply(turns[upper], q.between(-UP, thigh))
    now = q.rotate(turns[lower], shin)
    turns[upper] = _turn_to_hinge(aimed, -UP, _SIDES["left"], now)
    turns[lower] = q.multiply(q.between(q.rotate(turns[upper], -UP), now), turns[upper])


def _aim_arm(take: Take, turns: dict[str, Float64Array], side: str, outward: Float64Array) -> None:
    """Aim upper arm, forearm and hand; fingers turn along with the hand."""
    upper, lower, hand = f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand"
    arm, forearm = _direction(take.rest, upper, lower), _direction(take.rest, lower, hand)
    if arm is None or forearm is None:
        return
    aimed = q.multiply(turns[upper], q.between(outward, arm))
    now = q.rotate(turns[lower], forearm)
    turns[upper] = _turn_to_hinge(aimed, outward, np.cross(outward, FORWARD), now)
    swung = q.multiply(q.between(q.rotate(turns[upper], outward), now), turns[upper])
    palm = _direction(take.rest, hand, f"{hand}Tip")
    straighten = q.between(outward, palm if palm is not None else forearm)
    turns[hand] = q.multiply(turns[hand], straighten)
    twist = _continuous(q.twist_angle(q.multiply(q.inverse(swung), turns[hand]), outward))
    turns[lower] = q.multiply(swung, q.about(outward, twist * _PRONATION_SHARE))
    fingers = [bone for bone in turns if bone.startswith(tuple(side + finger for finger in ("Thumb", *FINGERS)))]
    turns |= {bone: q.multiply(turns[bone], straighten) for bone in fingers}


def _continuous(angles: Float64Array) -> Float64Array:
    """Angles that run on over +-180 degrees, shifted as a whole so that most lie within."""
    unwrapped: Float64Array = np.unwrap(angles)
    shifted: Float64Array = unwrapped - 2.0 * np.pi * np.round(np.median(unwrapped) / (2.0 * np.pi))
    return shifted


def _turn_to_hinge(aimed: Float64Array, along: Float64Array, axis: Float64Array, lower: Float64Array) -> Float64Array:
    """Turn an aimed upper limb about itself until the limb below bends about the joint's ``axis``.

    ``along``, ``axis``: the limb's direction and the joint's axis in the T-pose; ``lower`` f64 [F, 3]: direction of the
    limb below. The offset of the source's axes from the humanoid's is one angle for the whole clip, found from the
    frames that bend most; each frame then adds what its own plane says, the more the further it bends.
    """
    upper = q.rotate(aimed, along)
    normal = np.cross(upper, lower)
    have = q.rotate(aimed, axis)
    off = np.arctan2((np.cross(have, normal) * upper).sum(-1), (have * normal).sum(-1))
    bend = np.arccos(np.clip((upper * lower).sum(-1), -1.0, 1.0))
    weight = np.clip((bend - _HINGE_SURE[0]) / (_HINGE_SURE[1] - _HINGE_SURE[0]), 0.0, 1.0)
    sure = weight * weight * (3.0 - 2.0 * weight)
    common = float(np.angle((sure * np.exp(1j * off)).sum())) if sure.sum() > 0.0 else 0.0
    own = (off - common + np.pi) % (2.0 * np.pi) - np.pi
    turn = common + sure * np.clip(own, -_LARGEST_TURN, _LARGEST_TURN)
    return q.multiply(aimed, q.about(along, turn))


def _hip_height(take: Take) -> float:
    """From the hips down to the soles along the straight legs."""
    rest = take.rest
    lengths: list[float] = []
    for side in _SIDES:
        chain = [rest[name] for name in ("hips", *(side + b for b in ("UpperLeg", "LowerLeg", "Foot"))) if name in rest]
        thigh_and_shin = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(chain[1:]))
        below = chain[-1][1] - min(corner[1] for _, corner in _sole(rest, side))
        lengths.append(float(chain[0][1] - chain[1][1]) + thigh_and_shin + float(below))
    return max(float(np.mean(lengths)), 1e-6)


def _sole(rest: Mapping[str, Float64Array], side: str) -> list[tuple[str, Float64Array]]:
    """Corners of a foot's sole at rest with the bones they hang on: heel, ball and toe tip, as far as joints tell."""
    ankle = rest[f"{side}Foot"]
    ball = rest.get(f"{side}Toes")
    tip = rest.get(f"{side}ToesTip", ball)
    if tip is None:
        return [(f"{side}Foot", ankle)]
    ground = min(tip[1], tip[1] if ball is None else ball[1])
    forward = (tip - ankle) * (1.0, 0.0, 1.0)
    corners = [(f"{side}Foot", ankle * (1.0, 0.0, 1.0) - 0.25 * forward + (0.0, ground, 0.0))]
    if ball is not None:
        corners.append((f"{side}Foot", ball * (1.0, 0.0, 1.0) + (0.0, ground, 0.0)))
    corners.append((f"{side}Foot" if ball is None else f"{side}Toes", tip * (1.0, 0.0, 1.0) + (0.0, ground, 0.0)))
    return corners


def _lowest_points(take: Take, height: float) -> Float64Array:
    """Height of the body's lowest point per frame, f64 [F], in the source's units."""
    places = _places(take)
    candidates = [places[bone][:, 1] - radius * height for bone, radius in SUPPORT_RADII.items() if bone in places]
    for side in _SIDES:
        for bone, corner in _sole(take.rest, side):
            candidates.append(places[bone][:, 1] + q.rotate(take.turns[bone], corner - take.rest[bone])[:, 1])
    lowest: Float64Array = np.min(candidates, axis=0)
    return lowest


def _floor(lowest: Float64Array, rate: float) -> Float64Array:
    """Height of the floor under each frame, f64 [F].

    The lowest point of a second around is on it: feet of captures sink and rise a little from step to step, as the
    soles that a skeleton lets one guess do. What is higher than that hangs in the air.
    """
    common = np.quantile(lowest, _FLOOR_QUANTILE)
    frames = max(round(rate * _STEP), 1)
    around = gaussian_filter1d(minimum_filter1d(lowest, frames, mode="nearest"), frames / 4.0, mode="nearest")
    floor: Float64Array = np.clip(around, common - _UNEVEN, common + _UNEVEN)
    return floor


def _places(take: Take) -> dict[str, Float64Array]:
    """Where each bone's joint is in every frame, f64 [F, 3]."""
    places = {"hips": take.hips}
    for bone in BONES:
        parent = next((above for above in ancestors(bone) if above in places), None)
        if bone in take.rest and bone in take.turns and parent is not None:
            places[bone] = places[parent] + q.rotate(take.turns[parent], take.rest[bone] - take.rest[parent])
    return places
