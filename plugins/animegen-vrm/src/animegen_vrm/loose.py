"""What hangs loose on an avatar, as bones that swing on its humanoid ones: hair and cloth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature
from animegen.avatar.springs import FARTHEST, STRONGEST, Springs
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar, Collider, Posed, Spring
from animegen_vrm.rig import BONES

MOST_BONES = 256
"""Of an armature: a byte numbers them."""

_FLESH = re.compile(r"bust|breast", re.IGNORECASE)
"""Names of nodes that are neither hair nor cloth."""
_SHORTEST = 1e-3  # metres
_HEAD_SHARE = 0.9
"""Share of a head's vertices that lie in the ball that keeps hair out of the face: ears and tufts reach farther."""
_EYES = ("leftEye", "rightEye")


@dataclass(frozen=True, slots=True, eq=False)
class Skeletal:
    """The bones that an avatar is drawn with: ``bones`` by name with their ``nodes``, parents first.

    ``drivers`` int64 [N]: of each node of the scene graph the bone that it moves with, 0 where it hangs on none.
    """

    bones: tuple[str, ...]
    nodes: tuple[int, ...]
    drivers: NDArray[np.int64]


def bones_of(avatar: Avatar, posed: Posed) -> Skeletal:
    """The humanoid bones that an avatar has, and after them those that swing and move any of it.

    ``posed`` is its T-pose. Where there are more than MOST_BONES, the springs that move least are left out.
    """
    swinging = {node for spring in avatar.springs for node in spring.nodes[:-1]}
    humanoid = {
        bone: avatar.humanoid[bone]
        for bone in BONES
        if bone in avatar.humanoid and not (bone in _EYES and avatar.humanoid[bone] in swinging)
    }
    weight = _hanging_weight(avatar)
    above_body = _above(avatar, humanoid.values())
    chosen: list[int] = []
    for spring in sorted(avatar.springs, key=lambda spring: -weight[spring.nodes[0]]):
        joints = _joints(avatar, posed, spring, weight)
        if not above_body.isdisjoint(joints) or len(humanoid) + len(chosen) + len(joints) > MOST_BONES:
            continue
        chosen += [node for node in joints if node not in chosen]
    chosen.sort()  # parents stand before their children
    nodes = (*humanoid.values(), *chosen)
    number = {node: i for i, node in enumerate(nodes)}
    drivers: list[int] = []
    for node, parent in enumerate(avatar.nodes.parents.tolist()):
        drivers.append(number.get(node, drivers[parent] if parent >= 0 else 0))
    names = (*humanoid, *(f"swings {i}" for i in range(len(chosen))))
    return Skeletal(names, nodes, np.array(drivers, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Capsule:
    """What nothing loose passes through: the ``bone`` it moves with, ``ends`` f32 [2, 3] and ``radius`` in metres."""

    bone: int
    ends: Float32Array
    radius: float

    @property
    def sound(self) -> bool:
        """Whether it lies where avatars are: far off, files put what readers without planes shall take for planes."""
        return bool((np.abs(self.ends) <= FARTHEST).all() and self.radius <= FARTHEST)


def head_of(armature: Armature, positions: Float64Array, weights: Float32Array) -> Capsule | None:
    """A ball about the head of a body, by its vertices f64 [V, 3] and their weights f32 [V, B]; None without a head."""
    if "head" not in armature.bones:
        return None
    bone = armature.bones.index("head")
    middle = armature.points[[AVATAR35.index("left_ear"), AVATAR35.index("right_ear")]].mean(axis=0)
    mine = positions[weights.argmax(axis=1) == bone]
    if not len(mine):
        return None
    return Capsule(bone, np.stack([middle, middle]), float(np.quantile(_apart(mine, middle), _HEAD_SHARE)))


def springs_of(avatar: Avatar, posed: Posed, skeletal: Skeletal, head: Capsule | None) -> Springs:
    """How the bones swing that do, in the T-pose ``posed``.

    Where the file has no colliders they stay out of the ``head``, as far as they do at rest.
    """
    number = {node: i for i, node in enumerate(skeletal.nodes)}
    settings = {
        number[node]: (spring, place)
        for spring in reversed(avatar.springs)  # of several for a node the first one counts
        for place, node in enumerate(spring.nodes[:-1])
        if skeletal.bones[number.get(node, 0)] not in BONES
    }
    bones = sorted(settings)
    if not bones:
        return Springs.none()
    chosen = [settings[bone] for bone in bones]
    tails = posed.globals[[spring.nodes[place + 1] for spring, place in chosen], :3, 3].astype(np.float32)
    hit = dict.fromkeys(collider for spring, _ in chosen for collider in spring.colliders)
    shapes = {collider: _capsule(avatar, collider, posed, skeletal) for collider in hit}
    shapes = {collider: capsule for collider, capsule in shapes.items() if capsule.sound}
    colliders, capsules = list(shapes), list(shapes.values())
    reach = np.zeros((len(bones), len(capsules)), np.float32)
    for row, (spring, place) in enumerate(chosen):
        for collider in shapes.keys() & set(spring.colliders):
            reach[row, colliders.index(collider)] = np.clip(
                shapes[collider].radius + spring.radius[place], 0.0, FARTHEST
            )
    if head and not colliders:
        capsules = [head]
        reach = np.minimum(_apart(tails, head.ends[0]), head.radius).astype(np.float32)[:, None]

    def column(values: Sequence[float]) -> Float32Array:
        return np.array(values, np.float32)

    return Springs(
        bones=np.array(bones, np.int64),
        tails=tails,
        stiffness=np.clip(column([spring.stiffness[place] for spring, place in chosen]), 0.0, STRONGEST),
        gravity=np.clip(
            np.array([np.multiply(s.gravity[place], s.gravity_direction[place]) for s, place in chosen], np.float32),
            -STRONGEST,
            STRONGEST,
        ),
        drag=np.clip(column([spring.drag[place] for spring, place in chosen]), 0.0, 1.0),
        carriers=np.array([capsule.bone for capsule in capsules], np.int64),
        ends=np.array([capsule.ends for capsule in capsules], np.float32).reshape(-1, 2, 3),
        reach=reach,
    )


def _joints(avatar: Avatar, posed: Posed, spring: Spring, weight: Mapping[int, float]) -> list[int]:
    """The nodes of a spring that swing and move anything; none of what is flesh."""
    if any(_FLESH.search(avatar.nodes.names[node]) for node in spring.nodes):
        return []
    places = posed.globals[list(spring.nodes), :3, 3]
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    return [node for node, long in zip(spring.nodes, lengths, strict=False) if long > _SHORTEST and weight[node] > 0.0]


def _above(avatar: Avatar, nodes: Sequence[int]) -> set[int]:
    """Some nodes and all above them."""
    found: set[int] = set()
    for start in nodes:
        node = start
        while node >= 0:
            found.add(node)
            node = int(avatar.nodes.parents[node])
    return found


def _hanging_weight(avatar: Avatar) -> Mapping[int, float]:
    """How many vertices, by their weights, move with each node and all below it."""
    weight = np.zeros(len(avatar.nodes.parents))
    for one in avatar.primitives:
        np.add.at(weight, avatar.joint_nodes[one.joints], one.weights)
    for node in range(len(weight) - 1, -1, -1):
        if (parent := avatar.nodes.parents[node]) >= 0:
            weight[parent] += weight[node]
    return dict(enumerate(weight.tolist()))


def _apart(places: NDArray[Any], middle: NDArray[Any]) -> Float64Array:
    """How far places [n, 3] lie from one, f64 [n]."""
    return np.asarray(np.linalg.norm(places - middle, axis=1), np.float64)


def _capsule(avatar: Avatar, collider: Collider, posed: Posed, skeletal: Skeletal) -> Capsule:
    """A collider in a pose; one on what swings moves with the body instead."""
    holder = collider.node
    while skeletal.bones[skeletal.drivers[holder]] not in BONES:
        holder = int(avatar.nodes.parents[holder])
    matrix = posed.globals[collider.node]
    local = np.array((collider.offset, collider.tail or collider.offset), np.float32)
    radius = collider.radius * float(np.linalg.norm(matrix[:3, 0]))
    return Capsule(int(skeletal.drivers[holder]), local @ matrix[:3, :3].T + matrix[:3, 3], radius)
