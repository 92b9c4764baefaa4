"""An avatar's build and traits, measured from its geometry at rest."""

from __future__ import annotations

import numpy as np

from animegen.pose.head import FACE
from animegen.pose.limbs import HEAD, JOINTS, LIMBS, MID_HIP, MID_SHOULDER, NECK, POINTS, TRUNK
from animegen.pose.retarget import MOST_LEAN, Proportions
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Part, Posed
from animegen_vrm.rig import bound_vertices, rest_matrices
from animegen_vrm.surface import rest_positions

_SHORTEST = 1e-3
"""Parts that have no length at all (a toe on the ankle) count as this long, in heights."""
_CHIN = 0.65
"""How far the chin lies below the mouth, in distances from eyes to mouth."""
_HAIR_LENGTHS = (0.0, 0.2, 0.5, 1.0)
"""Traits of hair that ends at the eyes, the chin, the shoulders, half-way down the trunk."""
_THIGH_BAND = (0.55, 0.85)
"""Where between hip and knee cloth from side to side is a skirt's."""


def measure(avatar: Avatar) -> dict[str, float]:
    """The build in standing heights, as :meth:`animegen.pose.retarget.Proportions.to_dict` writes it."""
    joints = _joints(avatar)
    top = _crown(avatar, joints)
    height = top - _floor(joints)
    parts: dict[str, list[float]] = {}
    for limb in LIMBS:
        length = float(np.linalg.norm(joints[limb.child] - joints[limb.parent])) / height
        parts.setdefault(limb.part, []).append(max(length, _SHORTEST))
    face = (joints[list(FACE)] - joints[HEAD]) * (1.0, -1.0, -1.0) / height
    lean = {limb.part: _lean(joints[limb.child] - joints[limb.parent]) for limb in (LIMBS[TRUNK], LIMBS[NECK])}
    return Proportions(
        {part: float(np.mean(both)) for part, both in parts.items()}, _head_share(joints, top), face, lean
    ).to_dict()


def measure_traits(avatar: Avatar) -> dict[str, float]:
    """What :class:`animegen.types.Traits` measures of a person."""
    joints = _joints(avatar)
    return {
        "hair_length": _hair_length(avatar, joints),
        "sleeves": _covered(avatar, joints, "upper", ("shoulder", "wrist")),
        "skirt": _skirt(avatar, joints),
        "trousers": _covered(avatar, joints, "lower", ("hip", "ankle")) or 1.0,  # what covers legs is told by no part
        "head_to_height": _head_share(joints, _crown(avatar, joints)),
    }


def standing_height(avatar: Avatar) -> float:
    """From the soles to the top of the head, in metres: what the lengths of :func:`measure` are told in."""
    joints = _joints(avatar)
    return _crown(avatar, joints) - _floor(joints)


def _crown(avatar: Avatar, points: Float64Array) -> float:
    """Height of the top of the head, hair upon it included but no buns, ears or single strands, in metres."""
    vertices = bound_vertices(avatar, rest_matrices(avatar.nodes), {avatar.humanoid["head"]})
    ears = abs(points[AVATAR35.index("left_ear")][0])
    middle = vertices[np.abs(vertices[:, 0]) <= max(ears, _SHORTEST)]
    if not len(middle):
        return float(points[AVATAR35.index("left_eye")][1] * 1.1)
    return float(np.quantile(middle[:, 1], 0.97))


def _joints(avatar: Avatar) -> Float64Array:
    """The joints of animegen.pose.limbs at rest, f64 [38, 3] metres."""
    points = Keypoints(avatar).points(Posed(rest_matrices(avatar.nodes), {})).astype(np.float64)
    joints = np.zeros((JOINTS, 3))
    joints[:POINTS] = points
    for joint, name in ((MID_HIP, "hip"), (MID_SHOULDER, "shoulder"), (HEAD, "ear")):
        joints[joint] = (points[AVATAR35.index(f"left_{name}")] + points[AVATAR35.index(f"right_{name}")]) / 2.0
    return joints


def _lean(way: Float64Array) -> float:
    """How far a way up leans forward, in degrees, as far as proportions know of it."""
    return float(np.clip(np.degrees(np.arctan2(way[2], way[1])), -MOST_LEAN, MOST_LEAN))


def _floor(joints: Float64Array) -> float:
    """Height of the soles."""
    return float(min(joints[AVATAR35.index(f"{side}_heel")][1] for side in ("left", "right")))


def _pair(joints: Float64Array, name: str) -> float:
    """Mean height of a left and a right point."""
    return float(joints[AVATAR35.index(f"left_{name}")][1] + joints[AVATAR35.index(f"right_{name}")][1]) / 2.0


def _chin(joints: Float64Array) -> float:
    """Height of the chin, from eyes and mouth."""
    eyes = _pair(joints, "eye")
    mouth = float(joints[AVATAR35.index("mouth_left")][1] + joints[AVATAR35.index("mouth_right")][1]) / 2.0
    return mouth - _CHIN * (eyes - mouth)


def _head_share(joints: Float64Array, top: float) -> float:
    """From chin to crown, in standing heights."""
    return float(np.clip((top - _chin(joints)) / (top - _floor(joints)), 0.01, 0.99))


def _of_part(avatar: Avatar, part: Part) -> Float64Array:
    """Corners of all triangles of a part at rest, f64 [T, 3, 3]."""
    found = [np.zeros((0, 3, 3))]
    for primitive, places in zip(avatar.primitives, rest_positions(avatar), strict=True):
        if avatar.materials[primitive.material].part == part:
            found.append(places[primitive.triangles])
    return np.concatenate(found)


def _hair_length(avatar: Avatar, joints: Float64Array) -> float:
    """How far down hair reaches: 0.2 to the chin, 0.5 to the shoulders, 1 half-way down the trunk."""
    hair = _of_part(avatar, "hair").reshape(-1, 3)
    if not len(hair):
        return 0.0
    shoulders, hips = _pair(joints, "shoulder"), _pair(joints, "hip")
    marks = [_pair(joints, "eye"), _chin(joints), shoulders, (shoulders + hips) / 2.0]
    return float(np.interp(-np.quantile(hair[:, 1], 0.03), -np.array(marks), _HAIR_LENGTHS))


def _covered(avatar: Avatar, joints: Float64Array, part: Part, ends: tuple[str, str]) -> float:
    """Share of the way between two joints, down the arms or the legs, that clothes of a part cover."""
    cloth = _of_part(avatar, part).mean(axis=1)
    reached = []
    for side in ("left", "right"):
        start, end = (joints[AVATAR35.index(f"{side}_{name}")] for name in ends)
        limb = end - start
        along = (cloth - start) @ limb / (limb @ limb)
        beside = np.linalg.norm(cloth - start - along[:, None] * limb, axis=1) < 0.35 * np.linalg.norm(limb)
        there = along[beside & (along > 0.0) & (along < 1.2)]
        reached.append(float(np.quantile(there, 0.97)) if len(there) else 0.0)
    return float(np.clip(np.mean(reached), 0.0, 1.0))


def _skirt(avatar: Avatar, joints: Float64Array) -> float:
    """1 where cloth goes from side to side between the thighs, 0 where each leg has its own."""
    hip, knee = _pair(joints, "hip"), _pair(joints, "knee")
    high, low = (hip + share * (knee - hip) for share in _THIGH_BAND)
    cloth = _of_part(avatar, "lower")
    middle = cloth[:, :, 1].mean(axis=1)
    crossing = (cloth[:, :, 0].min(axis=1) < 0.0) & (cloth[:, :, 0].max(axis=1) > 0.0)
    return float((crossing & (middle > low) & (middle < high)).any())
