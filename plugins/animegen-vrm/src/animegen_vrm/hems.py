"""Hems that hang on what lies under them: shirts and jackets whose rig leaves them behind a raised thigh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.regions import hangs_on
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import rest_positions

# Lengths are in thighs, from hip to knee.
_FADE = 0.3
"""From the trousers' edge down to where what is worn over them moves with them alone."""
_NEAR, _FAR = 0.04, 0.12
"""What lies so near to trousers moves with them, and what lies farther off does not."""
_REACH = 0.05
"""Of the trousers that a place moves with: it takes the mean of those around it."""

_AROUND = 32  # vertices of trousers
_STILL = 1e-3  # metres: what is bound anew rests where it did
_LEAST = 1e-3  # metres: thighs are longer
_ARMS = ("leftUpperArm", "rightUpperArm")


def with_bound_hems(avatar: Avatar) -> Avatar:
    """An avatar whose shirt or jacket moves with the trousers under it, as far as it lies close to them.

    Else thighs come through it where they are raised. A jacket moves with a shirt between them. One without trousers or
    legs stays as it is, and so does a mesh that was bound in another space than the trousers, as joints are taken over
    from them.
    """
    parts = [avatar.materials[one.material].part for one in avatar.primitives]
    if "lower" not in parts or not {"leftUpperLeg", "leftLowerLeg"} <= avatar.humanoid.keys():
        return avatar
    hip, knee = (rest_matrices(avatar.nodes)[avatar.humanoid[f"left{leg}Leg"], :3, 3] for leg in ("Upper", "Lower"))
    thigh = max(float(np.linalg.norm(hip - knee)), _LEAST)
    rest = rest_positions(avatar)
    places = [place / thigh for place in rest]
    swinging = np.isin(avatar.joint_nodes, [node for spring in avatar.springs for node in spring.nodes])
    arms, count = hangs_on(avatar, _ARMS), len(avatar.joint_nodes)
    cloth = _Cloth(np.zeros((0, 3)), np.zeros((0, count), np.float32))
    for one, place, part in zip(avatar.primitives, places, parts, strict=True):
        if part == "lower":
            cloth = cloth.and_over(one, place, np.unique(one.triangles), but=swinging)
    if not len(cloth.places):
        return avatar
    edge, tree = cloth.places[:, 1].max(), cKDTree(cloth.places)
    low = [np.flatnonzero((place[:, 1] < edge) & (part == "upper")) for place, part in zip(places, parts, strict=True)]
    apart = [float(np.median(tree.query(place[some])[0])) for place, some in zip(places, low, strict=True) if len(some)]
    primitives = list(avatar.primitives)
    for _, number in sorted(zip(apart, (i for i, some in enumerate(low) if len(some)), strict=True)):
        before = primitives[number]
        primitives[number] = _bound(before, places[number], cloth, float(edge), arms)
        if (np.abs(rest_positions(replace(avatar, primitives=(primitives[number],)))[0] - rest[number]) > _STILL).any():
            primitives[number] = before
        else:
            cloth = cloth.and_over(primitives[number], places[number], low[number], but=swinging)
    return replace(avatar, primitives=tuple(primitives))


@dataclass(frozen=True, slots=True, eq=False)
class _Cloth:
    """What is worn at ``places`` f64 [N, 3] (thighs), and how much it moves with every joint, f32 [N, J]."""

    places: Float64Array
    shares: Float32Array

    def and_over(
        self, primitive: Primitive, places: Float64Array, vertices: NDArray[np.int64], but: NDArray[np.bool_]
    ) -> _Cloth:
        """That and some of a primitive's vertices, ``but`` for what hangs on some joints, bool [J]."""
        shares = _shares(primitive, vertices, len(but))
        stiff = ~shares[:, but].any(axis=1)
        return _Cloth(
            np.concatenate([self.places, places[vertices][stiff]]), np.concatenate([self.shares, shares[stiff]])
        )


def _shares(primitive: Primitive, vertices: NDArray[np.int64], joints: int) -> Float32Array:
    """How much some of a primitive's vertices move with every joint, f32 [N, J]."""
    shares = np.zeros((len(vertices), joints), np.float32)
    rows = np.arange(len(vertices))[:, None]
    np.add.at(shares, (rows, primitive.joints[vertices]), primitive.weights[vertices])
    return shares


def _bound(
    primitive: Primitive, places: Float64Array, cloth: _Cloth, edge: float, arms: NDArray[np.bool_]
) -> Primitive:
    """A primitive at ``places`` f64 [V, 3] (thighs), bound to the ``cloth`` under it below the trousers' ``edge``.

    What hangs on ``arms``, bool [J], is left as it is: they may hang beside the thighs.
    """
    around = min(_AROUND, len(cloth.places))
    apart, nearest = cKDTree(cloth.places).query(places, k=np.arange(1, around + 1))
    held = _smooth((edge - places[:, 1]) / _FADE) * _smooth((_FAR - apart[:, 0]) / (_FAR - _NEAR))
    on_arms = (arms[primitive.joints] * primitive.weights).sum(axis=1) > 0.5
    low = np.flatnonzero((held > 0.0) & ~on_arms)
    if not len(low):
        return primitive
    near = np.exp((apart[low, :1] ** 2 - apart[low] ** 2) / (2 * _REACH**2))
    near /= near.sum(axis=1, keepdims=True)
    rows = np.arange(len(low) + 1) * near.shape[1]
    moved = csr_array((near.ravel(), nearest[low].ravel(), rows), shape=(len(low), len(cloth.places))) @ cloth.shares
    mixed = _shares(primitive, low, len(arms))
    mixed += held[low, None] * (moved - mixed)
    strongest = np.argsort(-mixed, axis=1, kind="stable")[:, : primitive.joints.shape[1]]
    kept = np.take_along_axis(mixed, strongest, axis=1)
    joints, weights = primitive.joints.copy(), primitive.weights.copy()
    joints[low], weights[low] = 0, 0.0  # an avatar may have fewer joints than a vertex can hang on
    few = kept.shape[1]
    joints[low, :few], weights[low, :few] = strongest, kept / kept.sum(axis=1, keepdims=True)
    return replace(primitive, joints=joints, weights=weights)


def _smooth(share: Float64Array) -> Float64Array:
    """From 0 to 1, without edges."""
    inside = np.clip(share, 0.0, 1.0)
    smooth: Float64Array = inside * inside * (3 - 2 * inside)
    return smooth
