"""The 35 points that drive an avatar, found in its geometry: they mean what BlazePose's points mean on a person."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array
from animegen_vrm.face import face_points
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.rig import bound_vertices, rest_matrices

_JOINTS: Mapping[str, str] = {
    "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand", "hip": "UpperLeg", "knee": "LowerLeg",
    "ankle": "Foot",
}  # fmt: skip
_FINGERS: Mapping[str, str] = {"thumb": "Thumb", "index": "Index", "pinky": "Little"}

# A hand without finger bones, in parts of its length: how far along the knuckles are and how far to the thumb's side.
_PLAIN_HAND: Mapping[str, tuple[float, float]] = {
    "thumb": (0.35, 0.25), "index": (0.5, 0.18), "pinky": (0.45, -0.2),
    "thumb_tip": (0.6, 0.35), "index_tip": (1.0, 0.15), "pinky_tip": (0.85, -0.2),
}  # fmt: skip
_PALM = 0.75
"""Length of a hand in parts of its forearm, where no vertex hangs on it."""

Bound = tuple[int, Float64Array]
"""A node and a point in the world at rest that moves with it."""


class Keypoints:
    """Where the points of AVATAR35 are on one avatar, each fixed to one of its ``nodes``, i64 [35]."""

    def __init__(self, avatar: Avatar) -> None:
        rest = rest_matrices(avatar.nodes)
        found = _body(avatar, rest)
        head = avatar.humanoid["head"]
        found |= {name: (head, point) for name, point in face_points(avatar, rest).items()}
        for side in ("left", "right"):
            found |= _hand(avatar, rest, side) | _foot(avatar, rest, side)
        ordered = [found[name] for name in AVATAR35.points]
        self.nodes = np.array([node for node, _ in ordered])
        places = np.array([(*point, 1.0) for _, point in ordered])
        inverse = np.linalg.inv(rest[self.nodes].astype(np.float64))
        self._local = (inverse @ places[:, :, None])[:, :, 0].astype(np.float32)

    def points(self, posed: Posed) -> Float32Array:
        """World positions in AVATAR35's order, f32 [35, 3] metres."""
        world: Float32Array = (posed.globals[self.nodes, :3] @ self._local[:, :, None])[:, :, 0]
        return world


def _body(avatar: Avatar, rest: Float32Array) -> dict[str, Bound]:
    """Joints of the limbs."""
    nodes = avatar.humanoid
    return {
        f"{side}_{point}": (nodes[side + bone], rest[nodes[side + bone], :3, 3].astype(np.float64))
        for side in ("left", "right")
        for point, bone in _JOINTS.items()
    }


def _descendants(avatar: Avatar, node: int) -> set[int]:
    """A node and everything below it."""
    below = {node}
    for child, parent in enumerate(avatar.nodes.parents):
        if parent in below:
            below.add(child)
    return below


def _hand(avatar: Avatar, rest: Float32Array, side: str) -> dict[str, Bound]:
    """Knuckles and finger tips; guessed from the hand's length where bones are missing."""
    nodes = avatar.humanoid
    found = _plain_hand(avatar, rest, side)
    for point, finger in _FINGERS.items():
        bones = [f"{side}{finger}{segment}" for segment in ("Metacarpal", "Proximal", "Intermediate", "Distal")]
        chain = [nodes[bone] for bone in bones if bone in nodes]
        if not chain:
            continue
        knuckle = nodes.get(f"{side}{finger}Proximal", chain[0])
        found[f"{side}_{point}"] = knuckle, rest[knuckle, :3, 3].astype(np.float64)
        found[f"{side}_{point}_tip"] = chain[-1], _finger_tip(avatar, rest, chain)
    return found


def _finger_tip(avatar: Avatar, rest: Float32Array, chain: list[int]) -> Float64Array:
    """The vertex farthest out along a finger's last bone; without any, 0.8 of the bone before beyond its joint."""
    last = rest[chain[-1], :3, 3].astype(np.float64)
    before = rest[chain[-2], :3, 3] if len(chain) > 1 else rest[avatar.nodes.parents[chain[-1]], :3, 3]
    along = last - before
    vertices = bound_vertices(avatar, rest, _descendants(avatar, chain[-1]))
    if not len(vertices) or not along.any():
        return np.asarray(last + 0.8 * along, np.float64)
    reach = (vertices - last) @ along
    far = vertices[reach >= 0.9 * reach.max()]
    return np.asarray(far.mean(axis=0), np.float64)


def _plain_hand(avatar: Avatar, rest: Float32Array, side: str) -> dict[str, Bound]:
    """Points of a hand by its length alone, in the T-pose: thumb to the front, palm down."""
    hand = avatar.humanoid[f"{side}Hand"]
    wrist = rest[hand, :3, 3].astype(np.float64)
    forearm = wrist - rest[avatar.humanoid[f"{side}LowerArm"], :3, 3]
    length = float(np.linalg.norm(forearm))
    along = forearm / max(length, 1e-9)
    vertices = bound_vertices(avatar, rest, _descendants(avatar, hand))
    reach = float(((vertices - wrist) @ along).max()) if len(vertices) else _PALM * length
    front = np.array((0.0, 0.0, 1.0))
    return {
        f"{side}_{point}": (hand, wrist + reach * (out * along + across * front))
        for point, (out, across) in _PLAIN_HAND.items()
    }


def _foot(avatar: Avatar, rest: Float32Array, side: str) -> dict[str, Bound]:
    """Heel and toe tip of the shoe; its heel may hang on the shin, as that of a boot does."""
    foot = avatar.humanoid[f"{side}Foot"]
    toes = avatar.humanoid.get(f"{side}Toes", foot)
    ankle = rest[foot, :3, 3].astype(np.float64)
    vertices = bound_vertices(avatar, rest, _descendants(avatar, foot) | {avatar.humanoid[f"{side}LowerLeg"]})
    if not len(vertices) or vertices[:, 1].min() >= ankle[1]:
        size = ankle[1]
        return {
            f"{side}_heel": (foot, np.array((ankle[0], 0.0, ankle[2] - 0.4 * size))),
            f"{side}_foot_index": (toes, np.array((ankle[0], 0.0, ankle[2] + 1.6 * size))),
        }
    low = vertices[vertices[:, 1] <= vertices[:, 1].min() + 0.35 * (ankle[1] - vertices[:, 1].min()) + 1e-4]
    span = np.ptp(low[:, 2])
    heel = low[low[:, 2] <= low[:, 2].min() + 0.05 * span].mean(axis=0)
    toe = low[low[:, 2] >= low[:, 2].max() - 0.05 * span].mean(axis=0)
    return {f"{side}_heel": (foot, heel), f"{side}_foot_index": (toes, toe)}
