"""Bones from points: how an armature must turn, and from how near it is seen, for its points to lie where they lie.

A point's place in the picture and its depth say where it is but for the camera's distance; the lengths of limbs say
that. From a first guess (:mod:`animegen.avatar.posture`) a few steps of Levenberg and Marquardt (1963) over all bones
and the camera bring the points to where they were seen. What no point tells (the twist of a thigh, how a spine shares
its bend) is as it mostly is on people (:mod:`animegen.avatar.habits`).

All poses of a batch are solved at once in float64. None depends on the others: the same pose gives the same bytes in
any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature, PosedBones
from animegen.avatar.chain import NEAREST, Chain, Seen, State, World
from animegen.avatar.contact import Contact
from animegen.avatar.fingers import HAND_SHAPE
from animegen.avatar.habits import DISTANCE, HABITS, SHARED_TWISTS
from animegen.avatar.posture import Posture
from animegen.avatar.rotations import cross, to_matrices, turned
from animegen.avatar.solids import Solids
from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array

_BLURS = (0.03, 0.01, 0.003)
"""In the first steps points may lie so many metres off, which keeps bones that are far off from overshooting."""
_STEPS, _ARM_STEPS, _SETTLED = 10, 20, 0.1
"""The steps that follow at most, and those of arms alone; a pose has settled when one lessens its cost by less than
this."""
_TOUCH = 0.002
"""Metres that arms may lie inside of what is solid before they are moved."""
_DAMPING, _CALMED, _STIRRED = 1e-4, 0.2, 10.0
"""The damping of the first steps, and by what it is multiplied after a step that helped and one that did not."""
_PLACE, _DEPTH = 0.25 / 256, 1.0 / 256
"""How far off points lie, in canvas sides: in the picture, and in depth."""
_FINGERTIP = 1.5
"""How much farther off a finger's tip lies: its hand may be a little off, too."""
_PARTS = 3
"""In how many parts normal matrices are multiplied out."""
_STRIDE = np.array((1.0, 1.0, 1.0, 0.5, 0.5))
"""The longest step of ``State.camera``."""
_FAR = 100.0
"""Canvas sides beyond which a place means no more."""
_TOWARD_CAMERA = np.array((1.0, -1.0, -1.0))
"""From the picture's axes (x right, y down, z away) to those of the armature (y up, z to the camera), and back."""


@dataclass(frozen=True, slots=True)
class _Slope:
    """How well a state fits, ``cost`` f64 [N], and the normal equations of Gauss and Newton there."""

    cost: Float64Array
    normal: Float64Array
    gradient: Float64Array

    def where(self, better: NDArray[np.bool_], other: _Slope) -> _Slope:
        """This where it is ``better`` [N], else the other."""
        return _Slope(
            np.where(better, self.cost, other.cost),
            np.where(better[:, None, None], self.normal, other.normal),
            np.where(better[:, None], self.gradient, other.gradient),
        )

    def at(self, rows: NDArray[np.bool_]) -> _Slope:
        """The slopes of some poses."""
        return _Slope(self.cost[rows], self.normal[rows], self.gradient[rows])


@dataclass(frozen=True, slots=True)
class _Stage:
    """What of N poses is solved for: the ``unknowns`` int64 [U], in ``steps`` at most. ``ways`` f64 [N, P, M]: arms
    keep out of what is solid, and how (:class:`animegen.avatar.contact.Contact`)."""

    unknowns: NDArray[np.int64]
    steps: int
    ways: Float64Array | None = None

    def at(self, rows: NDArray[np.bool_]) -> _Stage:
        """The stage of some poses."""
        return self if self.ways is None else replace(self, ways=self.ways[rows])


class Solver:
    """Solves the poses of one armature, whose points have the ``names`` of AVATAR35's.

    Arms that come to lie inside of its ``solids`` are solved once more, alone: the rest of the body stays as it is.
    """

    def __init__(self, armature: Armature, names: Sequence[str], solids: Solids | None = None) -> None:
        """Raises InvalidValue where names and points do not fit, points of the body lack, or hips are not first."""
        chain = self._chain = Chain(armature, names)
        self._contact = Contact(chain, solids or Solids.none())
        self._posture = Posture(chain)
        habits = [HABITS[bone] for bone in chain.bones]
        self._axis = np.array([habit.axis for habit in habits])
        self._aside = np.array([habit.aside for habit in habits])
        self._mean = np.array([habit.mean for habit in habits])
        self._weight = np.array([habit.spread for habit in habits]) ** -2.0
        slot = chain.slot
        pairs = [twins for twins in SHARED_TWISTS if twins.one in slot and twins.other in slot]
        self._twins = [(slot[twins.one], slot[twins.other], twins.spread) for twins in pairs]
        self._own = np.arange(3 * len(slot)).reshape(-1, 3)  # the unknowns of each slot
        self._body = _Stage(np.arange(self._own.size + 5), _STEPS)
        self._arms = _Stage(self._contact.unknowns, _ARM_STEPS)

    def solve(
        self, xy: Float32Array, z: Float32Array, score: Float32Array, hands: Float32Array | None = None
    ) -> PosedBones:
        """The bones of N poses from their points.

        ``xy`` f32 [N, K, 2] canvas sides, 0..1 inside of the picture; ``z`` f32 [N, K] in the same unit, 0 at the
        middle of the hips, smaller is nearer; ``score`` f32 [N, K] 0..1, 0 for a point that is unknown and whose place
        means nothing. ``hands`` f32 [N, 2, 20]: the shapes of the left and the right one, as far as their fingers were
        seen (:data:`animegen.avatar.fingers.HAND_SHAPE`). Bones without a habit ride on those above, but for fingers.
        Raises InvalidValue for other shapes and for a known point or a hand that is not finite.
        """
        seen = self._seen(xy, z, score)
        if hands is not None and (hands.shape != (len(xy), 2, HAND_SHAPE) or not np.isfinite(hands).all()):
            raise InvalidValue(f"hands must be finite and {(len(xy), 2, HAND_SHAPE)}, got {hands.shape}")
        state = self._posture.guess(seen)
        damping = np.full(len(xy), _DAMPING)
        for blur in _BLURS:
            state = self._moved(state, self._slope(state, seen, self._body, blur), damping, self._body)
        state = self._settled(state, seen, self._body)
        world = self._chain.world(state.local)
        ways = self._contact.ways(world)
        inside = self._contact.depth(world, ways) > _TOUCH
        if inside.any():
            freed = self._settled(state.at(inside), seen.at(inside), replace(self._arms, ways=ways[inside]))
            state.local[inside], state.camera[inside] = freed.local, freed.camera
        return self._posed(state, seen, hands)

    def _settled(self, state: State, seen: Seen, stage: _Stage) -> State:
        """The states from which no step helps any more; each pose takes as many as it needs."""
        settled = State(state.local.copy(), state.camera.copy())
        rows, slope = np.arange(len(state.local)), self._slope(state, seen, stage)
        damping = np.full(len(rows), _DAMPING)
        for _ in range(stage.steps):
            trial = self._moved(state, slope, damping, stage)
            there = self._slope(trial, seen, stage)
            better, small = there.cost < slope.cost, slope.cost - there.cost < _SETTLED
            state, slope = trial.where(better, state), there.where(better, slope)
            damping = damping * np.where(better, _CALMED, _STIRRED)
            settled.local[rows], settled.camera[rows] = state.local, state.camera
            on = ~(better & small)
            if not on.any():
                break
            rows, damping, state, slope, seen = rows[on], damping[on], state.at(on), slope.at(on), seen.at(on)
            stage = stage.at(on)
        return settled

    def _seen(self, xy: Float32Array, z: Float32Array, score: Float32Array) -> Seen:
        count, points = len(xy), len(self._chain.names)
        for name, array, shape in (("xy", xy, (count, points, 2)), ("z", z, (count, points)),
                                   ("score", score, (count, points))):  # fmt: skip
            if array.shape != shape:
                raise InvalidValue(f"{name} must be {shape}, got {array.shape}")
        if not np.isfinite(score).all():
            raise InvalidValue("score holds a value that is not finite")
        known = np.clip(score.astype(np.float64), 0.0, 1.0)
        places = np.concatenate([xy - 0.5, z[..., None]], axis=2, dtype=np.float64) * _TOWARD_CAMERA
        places = np.where(known[..., None] > 0.0, places, 0.0)
        if not np.isfinite(places).all():
            raise InvalidValue("xy or z of a known point is not finite")
        return Seen(np.clip(places, -_FAR, _FAR), known)

    def _moved(self, state: State, slope: _Slope, damping: Float64Array, stage: _Stage) -> State:
        """A step of Levenberg and Marquardt away."""
        count, slots = state.local.shape[:2]
        normal = slope.normal.copy()
        every = np.arange(normal.shape[1])
        normal[:, every, every] *= 1.0 + damping[:, None]
        change = np.zeros((count, self._own.size + 5))
        change[:, stage.unknowns] = np.linalg.solve(normal, -slope.gradient[..., None])[..., 0]
        turns = change[:, : 3 * slots].reshape(count, slots, 3)
        camera = state.camera + np.clip(change[:, 3 * slots :], -_STRIDE, _STRIDE)
        camera[:, 4] = self._posture.within(camera[:, 4])
        return State(turned(state.local, turns), camera)

    def _slope(self, state: State, seen: Seen, stage: _Stage, blur: float = 0.0) -> _Slope:
        """Cost, normal matrix and gradient at a state, by those of the turns of the slots (about their parents' axes)
        and of ``State.camera`` that the stage changes."""
        world = self._chain.world(state.local)
        miss, slopes = self._misses(state, world, seen, blur)
        unknowns = stage.unknowns
        normal, gradient = np.zeros((len(miss), *2 * slopes.shape[2:])), np.zeros((len(miss), slopes.shape[2]))
        cost = np.square(miss).sum(axis=1)
        cost += self._add_habits(state, normal, gradient)
        cost += self._add_camera(state, normal, gradient)
        if stage.ways is not None:
            cost += self._contact.add(world, stage.ways, normal, gradient)
        slopes = slopes[..., unknowns]
        across = slopes.swapaxes(1, 2)
        # In parts so small that BLAS takes one thread for each, which is twice as quick as several.
        parts = np.array_split(across, _PARTS, axis=1)
        normal = normal[:, unknowns[:, None], unknowns] + np.concatenate([part @ slopes for part in parts], axis=1)
        return _Slope(cost, normal, gradient[:, unknowns] + (across @ miss[..., None])[..., 0])

    def _misses(self, state: State, world: World, seen: Seen, blur: float) -> tuple[Float64Array, Float64Array]:
        """How far points lie from where they were seen, f64 [N, 3 K], and its derivatives f64 [N, 3 K, 3 S + 5]."""
        count, points = seen.score.shape
        size, nearness = state.size[:, None], state.nearness[:, None]
        grown = size[..., None] * world.points
        place = grown + state.camera[:, None, :3]
        depth = place[..., 2]
        reach = 1.0 - nearness * depth
        grow = 1.0 / np.maximum(reach, NEAREST)
        flat = place[..., :2] * grow[..., None]
        loose, sure = np.square(blur * size), np.sqrt(seen.score * self._chain.trust)
        near, deep = sure / np.sqrt(_PLACE**2 + loose), sure / np.sqrt(_DEPTH**2 + loose)
        miss = np.empty((count, 3, points))
        miss[:, :2] = ((flat - seen.places[..., :2]) * near[..., None]).swapaxes(1, 2)
        miss[:, 2] = (depth - seen.places[..., 2]) * deep
        scale = near * grow  # of a shift across, and of one toward the camera, in the picture
        lens = np.where(reach > NEAREST, nearness * scale, 0.0)[..., None] * flat
        slopes = np.zeros((count, 3, points, 3 * len(self._own) + 5))
        self._add_turns(slopes, world, size, (scale, lens, deep))
        camera = slopes[..., -5:]
        camera[:, 0, :, 0] = camera[:, 1, :, 1] = scale
        camera[:, 2, :, 2], camera[:, 2, :, 3] = deep, deep * grown[..., 2]
        for i in range(2):
            camera[:, i, :, 2] = lens[..., i]
            camera[:, i, :, 3] = scale * grown[..., i] + lens[..., i] * (grown[..., 2] - depth)
            camera[:, i, :, 4] = lens[..., i] * depth
        return miss.reshape(count, 3 * points), slopes.reshape(count, 3 * points, slopes.shape[-1])

    def _add_turns(
        self, slopes: Float64Array, world: World, size: Float64Array, weights: tuple[Float64Array, ...]
    ) -> None:
        """Write the derivatives by turns of the slots: a point shifts by the axis times its way from the pivot."""
        scale, lens, deep = weights
        point, slot = self._chain.moved
        parents = self._chain.parents
        axes = np.where(parents[:, None, None] < 0, np.eye(3), world.turns[:, parents])[:, slot]
        ways = (world.points[:, point] - world.pivots[:, slot]) * size[..., None]
        ax, ay, az = (axes[:, :, i] for i in range(3))
        dx, dy, dz = (ways[..., i, None] for i in range(3))
        toward = ax * dy - ay * dx
        rows, columns = point[:, None], self._own[slot]
        scale, lens = scale[:, point, None], lens[:, point]
        slopes[:, 0, rows, columns] = scale * (ay * dz - az * dy) + lens[..., 0, None] * toward
        slopes[:, 1, rows, columns] = scale * (az * dx - ax * dz) + lens[..., 1, None] * toward
        slopes[:, 2, rows, columns] = deep[:, point, None] * toward

    def _add_habits(self, state: State, normal: Float64Array, gradient: Float64Array) -> Float64Array:
        """Add what bones are mostly like to the normal equations; returns its cost, f64 [N]."""
        count, slots = state.local.shape[:2]
        along = (to_matrices(state.local) @ self._axis[:, :, None])[..., 0]
        values, slopes = np.empty((count, slots, 3)), np.empty((count, slots, 3, 3))
        values[..., :2] = (self._aside @ along[..., None])[..., 0] - self._mean[:, :2]
        for i in range(2):
            slopes[:, :, i] = cross(along, self._aside[:, i])
        # Twice the sine of half the twist: smooth all around, where the angle itself jumps.
        vector, real = state.local[..., :3], state.local[..., 3:]
        cosine, sine = np.cos(0.5 * self._mean[:, 2:]), np.sin(0.5 * self._mean[:, 2:])
        part = (vector * self._axis).sum(axis=-1, keepdims=True)
        sign = np.where(real * cosine + part * sine < 0.0, -1.0, 1.0)
        values[..., 2:] = 2.0 * sign * (part * cosine - real * sine)
        slopes[:, :, 2] = sign * (cosine * (real * self._axis + cross(vector, self._axis)) + sine * vector)
        pulled = slopes.swapaxes(2, 3) * self._weight[:, None, :]
        normal[:, self._own[:, :, None], self._own[:, None, :]] += pulled @ slopes
        gradient[:, self._own] += (pulled @ values[..., None])[..., 0]
        cost = (self._weight * np.square(values)).sum(axis=(1, 2))
        for one, other, spread in self._twins:
            wrung = (values[:, one, 2] - values[:, other, 2]) / spread
            slope = np.concatenate([slopes[:, one, 2], -slopes[:, other, 2]], axis=1) / spread
            both = np.concatenate([self._own[one], self._own[other]])
            normal[:, both[:, None], both] += slope[:, :, None] * slope[:, None, :]
            gradient[:, both] += slope * wrung[:, None]
            cost += np.square(wrung)
        return np.asarray(cost)

    def _add_camera(self, state: State, normal: Float64Array, gradient: Float64Array) -> Float64Array:
        """Add from how near people mostly are seen to the normal equations; returns its cost, f64 [N]."""
        off = (state.camera[:, 4] - self._posture.near) / DISTANCE.spread
        gradient[:, -1] += off / DISTANCE.spread
        normal[:, -1, -1] += DISTANCE.spread**-2.0
        rest = np.arange(normal.shape[1])[-5:-1]
        normal[:, rest, rest] += 1.0  # what no point tells stays where it is
        return np.asarray(np.square(off))

    def _posed(self, state: State, seen: Seen, hands: Float32Array | None) -> PosedBones:
        """The matrices of all bones: those that are no slots ride on the slots above, but for fingers."""
        world, carriers = self._chain.world(state.local), self._chain.carriers
        size, focal = state.size[:, None, None], 1.0 / state.nearness
        turns = world.turns[:, carriers]
        shifts = world.pivots[:, carriers] - (turns @ self._chain.origins[carriers, :, None])[..., 0]
        hips = state.camera[:, None, :3]
        off = _FINGERTIP * np.array((_PLACE, _PLACE, _DEPTH))
        sure = size * np.sqrt(seen.score)[..., None] / off
        shapes = None if hands is None else hands.astype(np.float64)
        self._chain.fingers.bend(turns, shifts, (seen.cast(state.nearness) - hips) / size, sure, shapes)
        matrices = np.empty((*turns.shape[:3], 4))
        matrices[..., :3] = size[..., None] * turns
        matrices[..., 3] = size * shifts + hips
        matrices *= _TOWARD_CAMERA[:, None]
        matrices[..., 2, 3] += focal[:, None]
        return PosedBones(matrices.astype(np.float32), focal.astype(np.float32))
