"""An avatar's triangles in its T-pose, all in one mesh, with what moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.rigged import MORPHS
from animegen.types import Expression, Float32Array, Float64Array
from animegen_vrm.loose import bones_of
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.regions import triangles_on
from animegen_vrm.rig import vrm_expressions

HEAD, HAND, BODY = range(3)
"""Where a triangle hangs: from the neck up, on a hand, or elsewhere."""

_LOOKS: Mapping[str, str] = {
    "look_left": "lookLeft", "look_right": "lookRight", "look_up": "lookUp", "look_down": "lookDown",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """All triangles of an avatar, metres.

    Of V vertices: ``positions`` and ``normals`` f64 [V, 3], ``uvs`` f64 [V, 2], ``weights`` f32 [V, B] of the bones,
    and ``offsets`` f64 [V, 3] by the names of morphs, without those that move nothing. Of T triangles: ``triangles``
    i64 [T, 3], ``material`` i64 [T], ``place`` i64 [T] (HEAD, HAND, BODY).
    """

    positions: Float64Array
    normals: Float64Array
    uvs: Float64Array
    weights: Float32Array
    offsets: Mapping[str, Float64Array]
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    place: NDArray[np.int64]


def mesh_of(avatar: Avatar, posed: Posed) -> Mesh:
    """The mesh of an avatar in its T-pose ``posed``; what hangs on no bone goes with the hips."""
    skeletal = bones_of(avatar, posed)
    drivers = skeletal.drivers[avatar.joint_nodes]
    joints = (posed.globals[avatar.joint_nodes] @ avatar.inverse_binds).astype(np.float64)
    expressions = _expressions(avatar)
    positions, normals, weights = [], [], []
    offsets: dict[str, list[Float64Array]] = {name: [] for name in expressions}
    for one in avatar.primitives:
        matrices = np.einsum("vk,vkij->vij", one.weights, joints[one.joints][:, :, :3])
        turns = matrices[:, :, :3]
        positions.append(np.einsum("vij,vj->vi", turns, one.positions) + matrices[:, :, 3])
        normals.append(unit(np.einsum("vij,vj->vi", turns, one.normals)))
        bound = np.zeros((len(one.positions), len(skeletal.bones)), np.float32)
        np.add.at(bound, (np.arange(len(bound))[:, None], drivers[one.joints]), one.weights)
        weights.append(bound)
        for name, mix in expressions.items():
            moved = np.zeros_like(one.positions, np.float64)
            for expression, share in mix.items():
                if expression in one.morphs:
                    moved += share * one.morphs[expression]
            offsets[name].append(np.einsum("vij,vj->vi", turns, moved))
    joined = {name: np.concatenate(moved) for name, moved in offsets.items()}
    starts = np.cumsum([0, *(len(one.positions) for one in avatar.primitives)])
    counts = [len(one.triangles) for one in avatar.primitives]
    head = np.concatenate(triangles_on(avatar, ("neck", "head")))
    hand = np.concatenate(triangles_on(avatar, ("leftHand", "rightHand")))
    triangles = np.concatenate(
        [one.triangles.astype(np.int64) + start for one, start in zip(avatar.primitives, starts, strict=False)]
    )
    return Mesh(
        positions=np.concatenate(positions),
        normals=np.concatenate(normals),
        uvs=np.concatenate([one.uvs for one in avatar.primitives]).astype(np.float64),
        weights=np.concatenate(weights),
        offsets={name: moved for name, moved in joined.items() if moved.any()},
        triangles=triangles,
        material=np.repeat([one.material for one in avatar.primitives], counts),
        place=np.select([head, hand], [HEAD, HAND], BODY),
    )


def _expressions(avatar: Avatar) -> Mapping[str, Mapping[str, float]]:
    """What of an avatar's expressions makes up each of MORPHS that it has."""
    wanted = {"blink": Expression(blink_l=1.0, blink_r=1.0)}
    wanted |= {vowel: Expression(**{vowel: 1.0}) for vowel in ("aa", "ih", "ou", "ee", "oh")}
    mixes: dict[str, Mapping[str, float]] = {}
    for name in MORPHS:
        if name in wanted:
            mixes[name] = {key: share for key, share in vrm_expressions(wanted[name], avatar).items() if share > 0.0}
        elif avatar.look_at.by == "expression":
            mixes[name] = {_LOOKS[name]: 1.0}
    return mixes


def unit(vectors: Float64Array) -> Float64Array:
    """Vectors [..., 3] of length 1; those of no length stay so."""
    units: Float64Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return units


def crossed(corners: Float64Array) -> Float64Array:
    """Normals of triangles [T, 3, 3] to their front, twice the area long, [T, 3]."""
    normals: Float64Array = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals
