"""A rig poses an avatar: from rotations of VRM's humanoid bones to world matrices of all its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

import numpy as np

from animegen.errors import InvalidValue
from animegen.types import Expression, Float32Array, Float64Array
from animegen_vrm import quaternions
from animegen_vrm.model import Avatar, Nodes, Posed
from animegen_vrm.swing import SpringChains

_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")


def _bone_parents() -> dict[str, str]:
    """Every humanoid bone of VRM 1.0 with its parent, parents first; the hips' parent is empty."""
    parents = {"hips": "", "spine": "hips", "chest": "spine", "upperChest": "chest", "neck": "upperChest"}
    parents |= {"head": "neck", "leftEye": "head", "rightEye": "head", "jaw": "head"}
    for side in ("left", "right"):
        chain = ("Shoulder", "UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot", "Toes")
        for root, bones in zip(("upperChest", "hips"), chain, strict=True):
            for parent, bone in zip((root, *(side + b for b in bones)), bones, strict=False):
                parents[side + bone] = parent
        for finger in _FINGERS:
            parent = f"{side}Hand"
            for segment in ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else (
                "Proximal", "Intermediate", "Distal",
            ):  # fmt: skip
                parents[f"{side}{finger}{segment}"] = parent
                parent = f"{side}{finger}{segment}"
    return parents


BONES: Mapping[str, str] = MappingProxyType(_bone_parents())
"""The humanoid bones of VRM 1.0 and their parents ("" for the hips), parents before children."""


def ancestors(bone: str) -> Iterator[str]:
    """The bones above a bone, the nearest first."""
    while bone := BONES[bone]:
        yield bone


SUPPORT_RADII: Mapping[str, float] = MappingProxyType(
    {"hips": 0.10, "head": 0.08}
    | {side + bone: radius for side in ("left", "right")
       for bone, radius in (("LowerLeg", 0.055), ("Hand", 0.03), ("LowerArm", 0.04), ("UpperArm", 0.06))}
)  # fmt: skip
"""What of a body may touch the floor besides the feet: joints, and how thick the body is there, in hip heights."""

_T_POSE_DIRECTIONS: Mapping[str, tuple[str, tuple[float, float, float]]] = MappingProxyType(
    {
        f"{side}{bone}": (f"{side}{child}", direction)
        for side, x in (("left", 1.0), ("right", -1.0))
        for bone, child, direction in (
            ("UpperArm", "LowerArm", (x, 0.0, 0.0)),
            ("LowerArm", "Hand", (x, 0.0, 0.0)),
            ("UpperLeg", "LowerLeg", (0.0, -1.0, 0.0)),
            ("LowerLeg", "Foot", (0.0, -1.0, 0.0)),
        )
    }
)
_T_POSE_TOLERANCE = np.cos(np.radians(20.0))  # a limb of the rest pose may lie this far from VRM's T-pose


@dataclass(frozen=True, slots=True, eq=False)
class BodyPose:
    """A pose that any humanoid can take.

    ``rotations``: bone -> quaternion f32 [4], the bone's local rotation in a rig whose bones all have the identity as
    their world rotation in the T-pose. ``hips`` f32 [3]: how far the hips are from their rest position, in units of
    their rest height. ``clearance``: height of the body's lowest point over the floor in the same units; None leaves
    the hips where ``hips`` says, a number moves them up or down until it holds.
    """

    rotations: Mapping[str, Float32Array] = field(default_factory=dict)
    hips: Float32Array = field(default_factory=lambda: np.zeros(3, np.float32))
    clearance: float | None = None


def rest_matrices(nodes: Nodes) -> Float32Array:
    """World matrices of the nodes at rest, f32 [N, 4, 4]."""
    local = np.zeros((len(nodes.names), 4, 4))
    local[:, :3, :3] = quaternions.to_matrices(quaternions.normalise(nodes.rotations)) * nodes.scales[:, None, :]
    local[:, :3, 3] = nodes.translations
    local[:, 3, 3] = 1.0
    world = local.copy()
    for i, parent in enumerate(nodes.parents):
        if parent >= 0:
            world[i] = world[parent] @ local[i]
    return world.astype(np.float32)


def known_expressions(weights: Mapping[str, float], avatar: Avatar) -> dict[str, float]:
    """Weights of the expressions that an avatar has, 0..1; lids that it cannot move one by one blink together."""
    kept = dict(weights)
    if not {"blinkLeft", "blinkRight"} <= set(avatar.expressions):
        lids = kept.pop("blinkLeft", 0.0) + kept.pop("blinkRight", 0.0)
        kept["blink"] = max(kept.get("blink", 0.0), lids / 2.0)
    return {name: min(max(weight, 0.0), 1.0) for name, weight in kept.items() if name in avatar.expressions}


def vrm_expressions(expression: Expression, avatar: Avatar) -> dict[str, float]:
    """Weights of an avatar's VRM expressions for a measured face.

    VRM has no preset for brows alone, so ``brow`` is left out; gaze is not an expression but ``look`` of Rig.apply.
    """
    vowels = {name: getattr(expression, name) for name in ("aa", "ih", "ou", "ee", "oh")}
    return known_expressions({"blinkLeft": expression.blink_l, "blinkRight": expression.blink_r, **vowels}, avatar)


class Rig:
    """Poses one avatar. Everything that does not depend on the pose is computed once."""

    def __init__(self, avatar: Avatar) -> None:
        """Raises InvalidValue when the avatar has no hips or they do not stand above the floor."""
        if "hips" not in avatar.humanoid:
            raise InvalidValue(f"avatar '{avatar.name}' has no humanoid bone 'hips'")
        self.avatar = avatar
        self.rest = rest_matrices(avatar.nodes)
        self.hip_height = float(self.rest[avatar.humanoid["hips"], 1, 3])
        if self.hip_height <= 0.0:
            raise InvalidValue(
                f"avatar '{avatar.name}': its hips stand at {self.hip_height:.3f} m, not above the floor"
            )
        self._index = {bone: i + 1 for i, bone in enumerate(BONES)}  # 0 is the world
        self._pivots = np.zeros((len(BONES) + 1, 3), np.float32)
        for bone, node in avatar.humanoid.items():
            self._pivots[self._index[bone]] = self.rest[node, :3, 3]
        self._levels = self._bone_levels()
        self._drivers = self._node_drivers()
        self._t_pose = self._t_pose_corrections()
        self._support_points, self._support_drivers = self._supports()
        self.chains = SpringChains(avatar, self.rest)
        springs = {node for spring in avatar.springs for node in spring.nodes}
        self._eyes = [eye for eye in ("leftEye", "rightEye") if avatar.humanoid.get(eye, -1) not in {-1, *springs}]

    def rest_position(self, bone: str) -> Float32Array:
        """Where a humanoid bone that the avatar has stands at rest, f32 [3]."""
        return self.rest[self.avatar.humanoid[bone], :3, 3]

    @property
    def drivers(self) -> tuple[str, ...]:
        """For each node the bone it moves with: itself or its nearest humanoid ancestor, "" where there is none."""
        names = ("", *BONES)
        return tuple(names[driver] for driver in self._drivers)

    def apply(
        self,
        pose: BodyPose,
        expressions: Mapping[str, float] | None = None,
        look: tuple[float, float] = (0.0, 0.0),
    ) -> Posed:
        """Pose the avatar.

        ``expressions``: VRM names -> weights 0..1, unknown ones are dropped. ``look``: gaze to its left (x) and up
        (y), -1..1. Bones that the avatar lacks hand their rotation on to their children.
        """
        eyes, gaze = self._look(look)
        bones = self._bone_matrices({**pose.rotations, **eyes})
        bones[1:, :3, 3] += pose.hips * self.hip_height
        if pose.clearance is not None:
            bones[1:, 1, 3] += pose.clearance * self.hip_height - self._lowest(bones)
        weights = known_expressions({**(expressions or {}), **gaze}, self.avatar)
        return Posed(bones[self._drivers] @ self.rest, weights)

    def lowest(self, posed: Posed) -> float:
        """Height of the lowest point of the posed body (soles, and what else may touch the floor), in metres."""
        nodes = [*self.avatar.humanoid.values()]
        bones = np.zeros((len(BONES) + 1, 4, 4), np.float32)
        bones[[self._index[b] for b in self.avatar.humanoid]] = posed.globals[nodes] @ np.linalg.inv(self.rest[nodes])
        return self._lowest(bones)

    def _lowest(self, bones: Float32Array) -> float:
        """Height of the lowest support point under displacements of the bones [B + 1, 4, 4]."""
        rows = bones[self._support_drivers, 1]
        points, radii = self._support_points[:, :3], self._support_points[:, 3]
        return float(((rows[:, :3] * points).sum(axis=1) + rows[:, 3] - radii).min())

    def _bone_matrices(self, rotations: Mapping[str, Float32Array]) -> Float32Array:
        """Displacements from rest, f32 [B + 1, 4, 4], hips not yet moved; row 0 is the identity."""
        local = np.zeros((len(BONES) + 1, 4), np.float32)
        local[:, 3] = 1.0
        for bone, rotation in rotations.items():
            local[self._index[bone]] = rotation
        turns = quaternions.to_matrices(local)
        if self._t_pose is not None:
            before, after = self._t_pose
            turns = before @ turns @ after
        bones = np.zeros((len(BONES) + 1, 4, 4), np.float32)
        bones[:, 3, 3] = 1.0
        bones[0] = np.eye(4)
        for level, parents, anchors in self._levels:
            pivots = self._pivots[level]
            world = bones[parents, :3, :3] @ turns[level]
            carrier = bones[anchors]
            moved = (carrier[:, :3, :3] @ pivots[:, :, None])[:, :, 0] + carrier[:, :3, 3]
            bones[level, :3, :3] = world
            bones[level, :3, 3] = moved - (world @ pivots[:, :, None])[:, :, 0]
        return bones

    def _bone_levels(self) -> list[tuple[list[int], list[int], list[int]]]:
        """Per depth: bones, their parents, and the nearest ancestors that the avatar has."""
        depth = {"": 0}
        anchor = {"": 0}
        levels: list[tuple[list[int], list[int], list[int]]] = []
        for bone, parent in BONES.items():
            depth[bone] = depth[parent] + 1
            if depth[bone] > len(levels):
                levels.append(([], [], []))
            anchor[bone] = self._index[bone] if bone in self.avatar.humanoid else anchor[parent]
            for row, value in zip(levels[depth[bone] - 1],
                                  (self._index[bone], self._index[parent] if parent else 0, anchor[parent]),
                                  strict=True):  # fmt: skip
                row.append(value)
        return levels

    def _node_drivers(self) -> list[int]:
        """For each node the bone it moves with: itself or its nearest humanoid ancestor, 0 when there is none."""
        bone_of = {node: self._index[bone] for bone, node in self.avatar.humanoid.items()}
        drivers: list[int] = []
        for node, parent in enumerate(self.avatar.nodes.parents):
            drivers.append(bone_of.get(node, drivers[parent] if parent >= 0 else 0))
        return drivers

    def _t_pose_corrections(self) -> tuple[Float32Array, Float32Array] | None:
        """What brings a rest pose that is no T-pose (arms hanging, say) into one, as factors around local rotations.

        VRM demands the T-pose at rest; limbs within 20 degrees of it count as there and stay exactly as they are.
        """
        corrections = np.tile(np.eye(3, dtype=np.float32), (len(BONES) + 1, 1, 1))
        for bone, (child, wanted) in _T_POSE_DIRECTIONS.items():
            if bone in self.avatar.humanoid and child in self.avatar.humanoid:
                have = quaternions.unit(self.rest_position(child) - self.rest_position(bone))
                if have @ np.asarray(wanted) < _T_POSE_TOLERANCE:
                    corrections[self._index[bone]] = quaternions.to_matrices(quaternions.between(have, wanted))
        for side in ("left", "right"):
            for bone, parent in BONES.items():  # hands, fingers, feet and toes turn along with a corrected limb
                if bone.startswith(side) and parent.startswith(side) and bone not in _T_POSE_DIRECTIONS:
                    corrections[self._index[bone]] = corrections[self._index[parent]]
        if np.array_equal(corrections, np.broadcast_to(np.eye(3), corrections.shape)):
            return None
        parents = [0, *(self._index[parent] if parent else 0 for parent in BONES.values())]
        return corrections[parents].transpose(0, 2, 1), corrections

    def _look(self, look: tuple[float, float]) -> tuple[dict[str, Float32Array], dict[str, float]]:
        """A gaze as rotations of the eyes or as weights of expressions, as the avatar wants it."""
        x, y = look
        if x == 0.0 and y == 0.0:
            return {}, {}
        settings = self.avatar.look_at
        if settings.by == "expression":
            return {}, {"lookLeft": x, "lookRight": -x, "lookUp": y, "lookDown": -y}
        yaw = quaternions.about((0.0, 1.0, 0.0), np.radians(settings.horizontal) * x)
        pitch = quaternions.about((1.0, 0.0, 0.0), -np.radians(settings.vertical) * y)
        turn = quaternions.multiply(yaw, pitch).astype(np.float32)
        return dict.fromkeys(self._eyes, turn), {}

    def _supports(self) -> tuple[Float32Array, list[int]]:
        """Points that may touch the floor: x y z at rest and how far below them the body ends, with their bones."""
        points: list[tuple[float, ...]] = []
        drivers: list[int] = []
        for bone, radius in SUPPORT_RADII.items():
            if bone in self.avatar.humanoid:
                points.append((*self.rest_position(bone), radius * self.hip_height))
                drivers.append(self._index[bone])
        for side in ("left", "right"):
            for bone in (f"{side}Foot", f"{side}Toes"):
                corners = foot_points(self.avatar, self.rest, bone)
                points.extend((*corner, 0.0) for corner in corners)
                drivers.extend([self._index[bone]] * len(corners))
        return np.asarray(points, np.float32).reshape(-1, 4), drivers


def bound_vertices(avatar: Avatar, rest: Float32Array, nodes: set[int]) -> Float64Array:
    """Rest positions in the world of the vertices that hang on ``nodes`` more than on anything else, f64 [V, 3]."""
    skinning = rest[avatar.joint_nodes] @ avatar.inverse_binds
    found: list[Float64Array] = [np.zeros((0, 3))]
    for primitive in avatar.primitives:
        strongest = np.take_along_axis(primitive.joints, primitive.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
        mine = np.isin(avatar.joint_nodes[strongest], list(nodes))
        matrices = np.einsum("vj,vjab->vab", primitive.weights[mine], skinning[primitive.joints[mine]])
        found.append(np.einsum("vab,vb->va", matrices[:, :3, :3], primitive.positions[mine]) + matrices[:, :3, 3])
    return np.concatenate(found)


def foot_points(avatar: Avatar, rest: Float32Array, bone: str) -> Float64Array:
    """The outermost points of what hangs on a foot or toe bone at rest, f64 [C, 3]; of nothing the bone's own place."""
    if bone not in avatar.humanoid:
        return np.zeros((0, 3))
    node = avatar.humanoid[bone]
    vertices = bound_vertices(avatar, rest, {node})
    if not len(vertices):
        return rest[node, :3, 3][None].astype(np.float64)
    around = np.array([direction for direction in product((-1.0, 0.0, 1.0), repeat=3) if any(direction)])
    outermost: Float64Array = vertices[np.unique((vertices @ around.T).argmax(axis=0))]
    return outermost
