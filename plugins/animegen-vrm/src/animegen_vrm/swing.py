"""Chains of spring bones and the forces on them (VRMC_springBone 1.0; those of VRM 0.x come in the same form).

All bones of one depth of the scene graph are treated at once. The force on a bone's tail is that of the specification:
what it kept of its speed, stiffness towards its rest direction, gravity; then it is brought back to its length and out
of its colliders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array
from animegen_vrm import quaternions
from animegen_vrm.model import Avatar, Collider, Posed, Spring

_PUSHES = 3
"""How often a tail is pushed out of the collider that it is deepest in and brought back to its length."""
_TINY = np.float32(1e-9)


@dataclass(frozen=True, slots=True)
class _Bone:
    """One swinging bone: its place among all, the node at its tail and its settings."""

    slot: int
    tail: int
    setting: int
    spring: Spring


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """The nodes of one depth that springs move: the swinging ones first, then what only hangs on them."""

    nodes: NDArray[np.intp]
    parents: NDArray[np.intp]
    local: Float32Array  # [n, 4, 4] at rest
    slots: NDArray[np.intp]  # of the s swinging ones among all
    tails: Float32Array  # [s, 3] in the bone's own space
    stiffness: Float32Array  # [s, 1]
    gravity: Float32Array  # [s, 3]
    keep: Float32Array  # [s, 1] of the speed
    colliders: NDArray[np.intp]  # [s, C]; the last one is no collider
    radii: Float32Array  # [s, 1]


_Colliders = tuple[Float32Array, Float32Array, Float32Array]
"""Both ends f32 [C, 3] and radii f32 [C] in the world."""


class SpringChains:
    """What springs move on one avatar. Holds no state of a motion."""

    def __init__(self, avatar: Avatar, rest: Float32Array) -> None:
        self._colliders = tuple(dict.fromkeys(c for spring in avatar.springs for c in spring.colliders))
        self._levels = _build_levels(avatar, rest, self._colliders)
        self.count = sum(len(level.slots) for level in self._levels)

    def settle(self, posed: Posed) -> tuple[Posed, Float32Array]:
        """The pose with all springs where they rest, and the bones' tails f32 [S, 3]."""

        def force(level: _Level, _: Float32Array, toward: Float32Array) -> Float32Array:
            return level.stiffness * toward + level.gravity

        return self._move(posed, force)

    def swing(self, posed: Posed, now: Float32Array, before: Float32Array, dt: float) -> tuple[Posed, Float32Array]:
        """The pose ``dt`` seconds after the tails were at ``now``, one step after ``before``; and the new tails."""

        def force(level: _Level, heads: Float32Array, toward: Float32Array) -> Float32Array:
            tails = now[level.slots]
            kept = level.keep * (tails - before[level.slots])
            return tails - heads + kept + np.float32(dt) * (level.stiffness * toward + level.gravity)

        return self._move(posed, force)

    def hold(self, posed: Posed, tails: Float32Array) -> Posed:
        """The pose with its springs as they once hung: ``tails`` f32 [S, 3] of the same pose."""

        def force(level: _Level, heads: Float32Array, _: Float32Array) -> Float32Array:
            return tails[level.slots] - heads

        return self._move(posed, force)[0]

    def _move(
        self, posed: Posed, force: Callable[[_Level, Float32Array, Float32Array], Float32Array]
    ) -> tuple[Posed, Float32Array]:
        """Turn each bone until its tail lies from its head along ``force``, as far as colliders let it."""
        tails = np.zeros((self.count, 3), np.float32)
        if not self.count:
            return posed, tails
        world = posed.globals.copy()
        colliders = self._place_colliders(posed.globals)
        for level in self._levels:
            moved = world[level.parents] @ level.local
            swinging = moved[: len(level.slots)]
            heads = swinging[:, :3, 3]
            arms = (swinging[:, :3, :3] @ level.tails[:, :, None])[:, :, 0]
            lengths = np.linalg.norm(arms, axis=1, keepdims=True)
            toward = arms / np.maximum(lengths, _TINY)
            aim = force(level, heads, toward)
            size = np.linalg.norm(aim, axis=1, keepdims=True)
            places = heads + lengths * np.where(size > _TINY, aim / np.maximum(size, _TINY), toward)
            if level.colliders.shape[1]:
                places = _push_out(level, places, heads, lengths, colliders)
            turn = quaternions.to_matrices(quaternions.between(toward, places - heads).astype(np.float32))
            swinging[:, :3, :3] = turn @ swinging[:, :3, :3]
            tails[level.slots] = places
            world[level.nodes] = moved
        return Posed(world, posed.expressions), tails

    def _place_colliders(self, world: Float32Array) -> _Colliders:
        """Colliders in the world, and one that is nowhere for bones with fewer than others."""
        if not self._colliders:
            return np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.full(1, -np.inf, np.float32)
        matrices = world[[collider.node for collider in self._colliders]]
        starts = np.array([collider.offset for collider in self._colliders], np.float32)
        ends = np.array([collider.tail or collider.offset for collider in self._colliders], np.float32)
        radii = np.array([collider.radius for collider in self._colliders], np.float32)
        nowhere = np.zeros((1, 3), np.float32)
        a, b = (
            np.concatenate([(matrices[:, :3, :3] @ p[:, :, None])[:, :, 0] + matrices[:, :3, 3], nowhere])
            for p in (starts, ends)
        )
        radii = radii * np.linalg.norm(matrices[:, :3, 0], axis=1)
        return a, b, np.append(radii, np.float32(-np.inf))


def _push_out(
    level: _Level, tails: Float32Array, heads: Float32Array, lengths: Float32Array, colliders: _Colliders
) -> Float32Array:
    """Tails [s, 3] outside of the colliders, at their lengths from their heads."""
    a, b, radii = (values[level.colliders] for values in colliders)
    along = b - a
    squared = np.maximum((along * along).sum(axis=-1), _TINY)
    rows = np.arange(len(tails))
    for _ in range(_PUSHES):
        share = np.clip(((tails[:, None] - a) * along).sum(axis=-1) / squared, 0.0, 1.0)
        nearest = a + share[..., None] * along
        apart = np.linalg.norm(tails[:, None] - nearest, axis=-1)
        depth = radii + level.radii - apart
        worst = depth.argmax(axis=1)
        hit = depth[rows, worst] > 0.0
        if not hit.any():
            break
        centre = nearest[rows, worst]
        away = (tails - centre) / np.maximum(apart[rows, worst], _TINY)[:, None]
        outside = centre + away * (radii[rows, worst][:, None] + level.radii)
        arm = np.where(hit[:, None], outside, tails) - heads
        tails = heads + arm * lengths / np.maximum(np.linalg.norm(arm, axis=1, keepdims=True), _TINY)
    return tails


def _build_levels(avatar: Avatar, rest: Float32Array, colliders: Sequence[Collider]) -> tuple[_Level, ...]:
    """Sort what springs move by depth."""
    bones: dict[int, _Bone] = {}
    for spring in avatar.springs:
        for setting, (node, tail) in enumerate(zip(spring.nodes, spring.nodes[1:], strict=False)):
            bones.setdefault(node, _Bone(len(bones), tail, setting, spring))
    parents = avatar.nodes.parents
    depth: list[int] = []
    moved: set[int] = set()
    by_depth: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
        if parent >= 0 and (node in bones or parent in moved):
            moved.add(node)
            by_depth.setdefault(depth[node], []).append(node)
    numbers = {collider: i for i, collider in enumerate(colliders)}
    ordered = (sorted(by_depth[level], key=lambda node: node not in bones) for level in sorted(by_depth))
    return tuple(_level(nodes, bones, parents, rest, numbers) for nodes in ordered)


def _level(
    nodes: list[int],
    bones: Mapping[int, _Bone],
    parents: NDArray[np.int32],
    rest: Float32Array,
    numbers: Mapping[Collider, int],
) -> _Level:
    """One depth's nodes with their settings, swinging ones first."""
    swinging = [node for node in nodes if node in bones]
    chosen = [bones[node] for node in swinging]
    inverse = np.linalg.inv(rest.astype(np.float64))
    tails = [inverse[node, :3] @ rest[bone.tail, :, 3] for node, bone in zip(swinging, chosen, strict=True)]
    hit = [[numbers[collider] for collider in bone.spring.colliders] for bone in chosen]
    most = max(map(len, hit), default=0)
    above = parents[nodes]

    def column(values: list[float]) -> Float32Array:
        return np.array(values, np.float32).reshape(-1, 1)

    return _Level(
        nodes=np.array(nodes, np.intp),
        parents=above.astype(np.intp),
        local=(inverse[above] @ rest[nodes]).astype(np.float32),
        slots=np.array([bone.slot for bone in chosen], np.intp),
        tails=np.array(tails, np.float32).reshape(-1, 3),
        stiffness=column([bone.spring.stiffness[bone.setting] for bone in chosen]),
        gravity=np.array(
            [np.multiply(b.spring.gravity[b.setting], b.spring.gravity_direction[b.setting]) for b in chosen],
            np.float32,
        ).reshape(-1, 3),
        keep=column([1.0 - bone.spring.drag[bone.setting] for bone in chosen]),
        colliders=np.array([row + [len(numbers)] * (most - len(row)) for row in hit], np.intp).reshape(len(hit), most),
        radii=column([bone.spring.radius[bone.setting] for bone in chosen]),
    )
