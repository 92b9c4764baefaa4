"""Where on the body each triangle hangs, told by the humanoid bones that move it."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from animegen_vrm.model import Avatar, Primitive

HEAD, TORSO, HAND, LEG, FOOT = range(5)

_PATTERNS = (
    (HEAD, r"head|jaw|leftEye|rightEye"),
    (HAND, r"(left|right)(Hand|Thumb|Index|Middle|Ring|Little).*"),
    (FOOT, r"(left|right)(Foot|Toes)"),
    (LEG, r"hips|(left|right)(Upper|Lower)Leg"),
)


def joint_regions(avatar: Avatar) -> NDArray[np.int64]:
    """Region of each joint, i64 [J]: of the humanoid bone it is or hangs on; TORSO where it hangs on none."""
    regions = np.full(len(avatar.nodes.parents), TORSO)
    bones = {node: bone for bone, node in avatar.humanoid.items()}
    for node, parent in enumerate(avatar.nodes.parents):
        if node in bones:
            regions[node] = next((region for region, name in _PATTERNS if re.fullmatch(name, bones[node])), TORSO)
        elif parent >= 0:
            regions[node] = regions[parent]
    return regions[avatar.joint_nodes]


def triangle_regions(primitive: Primitive, joints: NDArray[np.int64]) -> NDArray[np.int64]:
    """Region of each triangle, i64 [T]: the one whose bones weigh most on its corners."""
    shares = np.zeros((len(primitive.positions), 5), np.float32)
    rows = np.arange(len(primitive.positions))
    for k in range(4):
        np.add.at(shares, (rows, joints[primitive.joints[:, k]]), primitive.weights[:, k])
    strongest: NDArray[np.int64] = shares[primitive.triangles].sum(axis=1).argmax(axis=1)
    return strongest


def triangles_on(avatar: Avatar, bones: tuple[str, ...]) -> list[NDArray[np.bool_]]:
    """Which triangles of each primitive hang on given bones, or on what hangs on those, above all: bool [T] each."""
    joints = hangs_on(avatar, bones)
    shares = [(joints[one.joints] * one.weights).sum(axis=1) for one in avatar.primitives]
    return [share[one.triangles].mean(axis=1) > 0.5 for one, share in zip(avatar.primitives, shares, strict=True)]


def hangs_on(avatar: Avatar, bones: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which joints are, or hang on, one of the given bones: bool [J]."""
    marked = np.zeros(len(avatar.nodes.parents), bool)
    roots = {avatar.humanoid[bone] for bone in bones if bone in avatar.humanoid}
    for node, parent in enumerate(avatar.nodes.parents):
        marked[node] = node in roots or (parent >= 0 and marked[parent])
    return marked[avatar.joint_nodes]
