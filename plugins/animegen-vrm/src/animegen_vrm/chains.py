"""Spring bones of both versions as chains of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from animegen_vrm.fields import Fields
from animegen_vrm.gltf import MAX_ENTRIES, Gltf
from animegen_vrm.humanoid import is_vrm_1
from animegen_vrm.model import Collider, Spring
from animegen_vrm.nodes import Tree

MAX_CHAINS = 1024
MAX_JOINTS = 1 << 12  # of one chain
MAX_COLLIDERS = 1024

_COLLIDER_COST = 1000  # numbers that a spring's collider counts as: it takes time
_TAIL_0X = 0.07  # metres: how far beyond the last bone of a chain VRM 0.x thinks its end

XYZ = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Joint:
    node: int
    stiffness: float = 1.0
    gravity: float = 0.0
    direction: XYZ = (0.0, -1.0, 0.0)
    drag: float = 0.5
    radius: float = 0.0


def read_springs(gltf: Gltf, tree: Tree) -> tuple[Spring, ...]:
    """All spring chains, in nodes of the file; 0.x gets the nodes at its chains' ends, which it leaves unsaid."""
    extensions = gltf.root.child("extensions")
    if is_vrm_1(gltf):
        return _springs_1(gltf, extensions.child("VRMC_springBone"), len(tree))
    return _springs_0x(gltf, extensions.child("VRM").child("secondaryAnimation"), tree)


def _spring(joints: list[_Joint], colliders: tuple[Collider, ...]) -> Spring:
    return Spring(
        nodes=tuple(joint.node for joint in joints),
        stiffness=tuple(joint.stiffness for joint in joints),
        gravity=tuple(joint.gravity for joint in joints),
        gravity_direction=tuple(joint.direction for joint in joints),
        drag=tuple(joint.drag for joint in joints),
        radius=tuple(joint.radius for joint in joints),
        colliders=colliders,
    )


def _colliders(gltf: Gltf, spring: Fields, groups: Sequence[Sequence[Collider | None]]) -> tuple[Collider, ...]:
    """What a spring may hit, each collider once."""
    hit = spring.indices("colliderGroups", len(groups), "collider groups", MAX_COLLIDERS)
    gltf.spend(_COLLIDER_COST * sum(len(groups[i]) for i in hit))
    return tuple(dict.fromkeys(c for i in hit for c in groups[i] if c is not None))


def _springs_1(gltf: Gltf, entry: Fields, node_count: int) -> tuple[Spring, ...]:
    colliders = [_collider_1(each, node_count) for each in entry.children("colliders", MAX_COLLIDERS)]
    groups = [
        [colliders[i] for i in group.indices("colliders", len(colliders), "colliders", MAX_COLLIDERS)]
        for group in entry.children("colliderGroups", MAX_COLLIDERS)
    ]
    springs = []
    for spring in entry.children("springs", MAX_CHAINS):
        joints = [_joint_1(each, node_count) for each in spring.children("joints", MAX_JOINTS)]
        if len({joint.node for joint in joints}) != len(joints):
            raise spring.fault("names a node twice")
        if len(joints) >= 2:
            springs.append(_spring(joints, _colliders(gltf, spring, groups)))
    return tuple(springs)


def _collider_1(entry: Fields, node_count: int) -> Collider | None:
    """A sphere or a capsule; None for the shapes of later extensions."""
    node, shape = entry.index("node", node_count, "nodes"), entry.child("shape")
    for kind in ("sphere", "capsule"):
        if kind in shape:
            held = shape.child(kind)
            tail = held.vector("tail", (0.0, 0.0, 0.0)) if kind == "capsule" else None
            return Collider(node, held.vector("offset", (0.0, 0.0, 0.0)), held.number("radius", 0.0), tail)
    return None


def _joint_1(entry: Fields, node_count: int) -> _Joint:
    return _Joint(
        entry.index("node", node_count, "nodes"),
        entry.number("stiffness", 1.0),
        entry.number("gravityPower", 0.0),
        entry.vector("gravityDir", (0.0, -1.0, 0.0)),
        entry.number("dragForce", 0.5),
        entry.number("hitRadius", 0.0),
    )


def _springs_0x(gltf: Gltf, entry: Fields, tree: Tree) -> tuple[Spring, ...]:
    count = len(tree)
    groups = [_colliders_0x(group, count) for group in entry.children("colliderGroups", MAX_COLLIDERS)]
    springs: list[Spring] = []
    taken: set[int] = set()
    for group in entry.children("boneGroups", MAX_CHAINS):
        colliders = _colliders(gltf, group, groups)
        x, y, z = group.vector("gravityDir", (0.0, -1.0, 0.0))
        settings = {
            "stiffness": group.number("stiffiness", 1.0),  # spelt so in the format
            "gravity": group.number("gravityPower", 0.0),
            "drag": group.number("dragForce", 0.4),
            "radius": group.number("hitRadius", 0.02),
        }
        for root in group.indices("bones", count, "nodes", MAX_ENTRIES):
            for nodes in _lines(tree, root, taken):
                end = _add_end(tree, nodes[-1])
                # Unity's axes in the file; here an avatar of 0.x faces +Z.
                joints = [_Joint(node, **settings, direction=(-x, y, z)) for node in (*nodes, end)]
                springs.append(_spring(joints, colliders))
                if len(springs) > MAX_CHAINS:
                    raise entry.fault(f"makes more than {MAX_CHAINS} spring chains")
    return tuple(springs)


def _colliders_0x(group: Fields, node_count: int) -> list[Collider]:
    node = group.index("node", node_count, "nodes")
    colliders = []
    for each in group.children("colliders", MAX_COLLIDERS):
        x, y, z = each.vector("offset", (0.0, 0.0, 0.0))
        # Unity's z runs against glTF's.
        colliders.append(Collider(node, (x, y, -z), each.number("radius", 0.0)))
    return colliders


def _lines(tree: Tree, root: int, taken: set[int]) -> list[list[int]]:
    """The tree under a node as unbranched lines, without the nodes another chain has."""
    lines, starts = [], [root]
    while starts:
        node = starts.pop()
        line: list[int] = []
        while node not in taken:
            taken.add(node)
            line.append(node)
            first, *others = tree.children[node] or [node]
            starts.extend(others)
            node = first
        if line:
            lines.append(line)
    return lines


def _add_end(tree: Tree, last: int) -> int:
    """A new node beyond the last bone of a chain, in the direction in which that bone continues its parent."""
    along = Rotation.from_quat(tree.rotations[last]).inv().apply(tree.translations[last])
    length = float(np.linalg.norm(along))
    direction = along / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])
    return tree.add(f"{tree.names[last]}_end", last, direction * _TAIL_0X)
