"""Long, pointed ears made round: many avatars are elves, few people are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.types import Float64Array
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.regions import hangs_on
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import rest_positions
from animegen_vrm.tpose import unit

_POINTED = 1.3
"""Ears that reach so far from the head's middle are pointed, in half widths of the face."""

_ROOT = 0.1
"""An ear's root is within this of the face's half width, in those; what lies farther in stays as it is."""

_AROUND = 2.0
"""No part of a root is farther from the ear's point than this, in lengths by which it sticks out."""

_FLATTEST = 0.1
"""Normals turn as if an ear's end were no flatter than this: a plane has but one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ear:
    """An ear at rest, metres: the middle of its ``root`` f64 [3], and the ``way`` from there to its point, f64 [3].

    It is that of a ``side`` (1: the left) of a face that is ``width`` wide to there.
    """

    root: Float64Array
    way: Float64Array
    side: float
    width: float


def with_round_ears(avatar: Avatar) -> Avatar:
    """An avatar whose ears are round. Raises InvalidValue for one whose ears do not stick out.

    Places s = 0..1 along an ear, from its root to its point, go to ``s - s**2 / 2``: the root stays as it is, the ear
    is half as long, and as its breadth falls evenly to the point, its outline becomes a parabola.
    """
    places, head = rest_positions(avatar), hangs_on(avatar, ("head",))
    skins = [
        (head[one.joints] * one.weights).sum(axis=1) > 0.5
        if avatar.materials[one.material].part == "skin"
        else np.zeros(len(one.positions), bool)
        for one in avatar.primitives
    ]
    skin = np.concatenate([place[chosen] for place, chosen in zip(places, skins, strict=True)])
    ears = [_ear(skin, side) for side in (1.0, -1.0)] if len(skin) else [None]
    joints = (rest_matrices(avatar.nodes)[avatar.joint_nodes] @ avatar.inverse_binds)[:, :3, :3].astype(np.float64)
    primitives = list(avatar.primitives)
    for ear in ears:
        if ear is None:
            raise InvalidValue(f"avatar '{avatar.name}' has no ears that stick out", "leave it out")
        for i, (place, chosen) in enumerate(zip(places, skins, strict=True)):
            primitives[i] = _rounded(primitives[i], joints, ear, place, chosen)
    return replace(avatar, primitives=tuple(primitives))


def _ear(skin: Float64Array, side: float) -> _Ear | None:
    """The ear on a ``side`` (1: the left) of a head's skin f64 [V, 3]; None where it does not stick out."""
    out = side * skin[:, 0]
    point = skin[out.argmax()]
    front = skin[:, 2] > point[2] + (skin[:, 2].max() - point[2]) / 3
    width = float(out[front].max(initial=0.0))
    long = float(out.max()) - width
    if width <= 0.0 or out.max() < _POINTED * width:
        return None
    near = (np.abs(out - width) < _ROOT * width) & ~front & (np.linalg.norm(skin - point, axis=1) < _AROUND * long)
    if not near.any():
        return None
    root = (skin[near].min(axis=0) + skin[near].max(axis=0)) / 2
    return _Ear(root, point - root, side, width)


def _rounded(
    primitive: Primitive, joints: Float64Array, ear: _Ear, places: Float64Array, chosen: NDArray[np.bool_]
) -> Primitive:
    """A primitive at ``places`` f64 [V, 3] with an ear round where its ``chosen`` vertices are of it."""
    length = float(np.linalg.norm(ear.way))
    along = ear.way / length
    far = (places - ear.root) @ along / length
    free = np.clip((ear.side * places[:, 0] / ear.width - 1.0) / _ROOT + 1.0, 0.0, 1.0)
    moved = np.flatnonzero(chosen & (far > 0.0) & (free > 0.0))
    s = np.minimum(far[moved], 1.0)[:, None]
    # Mesh to world and back: joints need not be at rest where the mesh was bound.
    turns = np.einsum("vk,vkij->vij", primitive.weights[moved], joints[primitive.joints[moved]])
    step = free[moved, None] * (s - s**2 / 2 - far[moved, None]) * ear.way
    normals = unit(np.einsum("vij,vj->vi", turns, primitive.normals[moved]))
    normals += (1.0 / np.maximum(1.0 - s, _FLATTEST) - 1.0) * (normals @ along)[:, None] * along
    back = np.linalg.pinv(turns)  # nothing comes back from a joint of no size
    result = replace(primitive, positions=primitive.positions.copy(), normals=primitive.normals.copy())
    result.positions[moved] += np.einsum("vij,vj->vi", back, step)
    result.normals[moved] = unit(np.einsum("vij,vj->vi", back, normals))
    return result
