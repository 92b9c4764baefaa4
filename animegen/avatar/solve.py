"""Bones from points: how an armature must turn, and from how near it is seen, for its points to lie where they lie.

A point's place in the picture and its depth say where it is but for the camera's distance; the lengths of limbs say
that. Bones then start turned in closed form, each by the rotation nearest to the directions of its points (Kabsch
1976), and a few steps of Gauss and Newton over all of them, the camera included, bring the points to where they were
seen. What no point tells (the twist of a thigh, how a spine shares its bend) is as it mostly is on people: each bone
has a prior on where its axis points and on its twist about it.

All poses of a batch are solved at once in float64. None depends on the others: the same pose gives the same bytes in
any batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature, PosedBones
from animegen.avatar.fingers import Fingers
from animegen.avatar.habits import HABITS, Habit, HINGES, SEGMENTS, SHARED_TWISTS
from animegen.avatar.rotations import cross, from_matrices, nearest, to_matrices, turned
from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array

STEPS = 5
TRUST_TIP, TRUST_THUMB = 0.002, 0.1
BLURS = (0.03, 0.01, 0.003)

_PLACE, _DEPTH = 0.4 / 256, 1.5 / 256
"""How far off points lie, in canvas sides: in the picture, and in depth."""
_DISTANCE, _DISTANCE_SPREAD = 2.5, 0.35
"""How many of their heights away people mostly are, and by which factor (a logarithm) nearer or farther."""
_TOWARD_CAMERA = np.array((1.0, -1.0, -1.0))
"""From the picture's axes (x right, y down, z away) to those of the armature (y up, z to the camera), and back."""
_DAMPING = 1e-4
_STRIDE = np.array((1.0, 1.0, 1.0, 0.5, 0.5))
_FARTHEST = 1.5
_NEAREST = 0.25
"""Nothing comes nearer to the camera than this part of the hips' distance."""
_USUAL_SIZE = 0.7
_SIZE_SPREAD = 1.0
_CAMERA_STEPS = 5
TRUST_TIP, TRUST_THUMB = 0.002, 0.1
BLURS = (0.03, 0.01, 0.003)
_LOOSE = 0.02
"""Weight of the bone above in a bone's closed-form rotation, in squares of the limb's length."""
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
_SPINE = ("spine", "chest", "upperChest")
_SIZING = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (
        ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"),
    )),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_ear", "right_ear"), ("nose", "left_ear"),
    ("nose", "right_ear"),
)  # fmt: skip
"""Points whose distance tells how large a person is seen."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """N poses as they were seen: ``places`` f64 [N, K, 3] in canvas sides from the canvas' middle and the hips' depth,
    in the armature's axes; ``score`` f64 [N, K]."""

    places: Float64Array
    score: Float64Array


@dataclass(frozen=True, slots=True)
class _State:
    """What is solved, of N poses: ``local`` f64 [N, S, 4] quaternions, ``camera`` f64 [N, 5]: the place of the hips, the
    logarithms of the size and of one over the hips' distance in metres."""

    local: Float64Array
    camera: Float64Array

    @property
    def size(self) -> Float64Array:
        """Canvas sides a metre, f64 [N]."""
        return np.asarray(np.exp(self.camera[:, 3]))

    @property
    def nearness(self) -> Float64Array:
        """One over the hips' distance in canvas sides (the focal length), f64 [N]."""
        return np.asarray(np.exp(self.camera[:, 4] - self.camera[:, 3]))

    def where(self, better: NDArray[np.bool_], other: _State) -> _State:
        """This where it is ``better`` [N], else the other."""
        return _State(
            np.where(better[:, None, None], self.local, other.local),
            np.where(better[:, None], self.camera, other.camera),
        )


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


class Solver:
    """Solves the poses of one armature; ``names`` are those of its points (AVATAR35's)."""

    def __init__(self, armature: Armature, names: Sequence[str]) -> None:
        """Raises InvalidValue where there are not as many names as the armature has points."""
        if len(names) != len(armature.points):
            raise InvalidValue(f"{len(names)} names for an armature of {len(armature.points)} points")
        self._armature = armature
        self._point = {name: i for i, name in enumerate(names)}
        self._rest = armature.points.astype(np.float64)
        self._pivots = armature.pivots.astype(np.float64)
        slots = [i for i, bone in enumerate(armature.bones) if bone in HABITS]
        self._bones = [armature.bones[i] for i in slots]
        self._slot = {bone: i for i, bone in enumerate(self._bones)}
        carrier: list[int] = []
        for i, parent in enumerate(armature.parents.tolist()):
            carrier.append(slots.index(i) if i in slots else carrier[parent])
        self._carrier = np.array(carrier)
        self._parent = np.array([-1 if i == 0 else carrier[armature.parents[i]] for i in slots])
        self._origin = self._pivots[slots]
        self._offset = self._origin - np.where(self._parent[:, None] < 0, self._origin, self._origin[self._parent])
        self._fingers = Fingers(armature, names)
        self._levels = self._chain_levels()
        self._used = np.arange(len(names))
        places = self._fingers.relaxed(self._rest)
        holder = self._carrier[armature.point_bones[self._used]]
        self._holder = holder
        self._arm = places - self._origin[holder]
        self._trust = np.array([TRUST_TIP if names[k].endswith('tip') else TRUST_THUMB if "thumb" in names[k] else 1.0 for k in self._used])
        self._steady = np.array([1.0 if names[k] in _FACE or names[k].endswith(('shoulder', 'hip')) else 0.02 for k in self._used])
        self._moves = self._ancestry(holder)
        habits = [HABITS[bone] for bone in self._bones]
        self._axis = np.array([habit.axis for habit in habits], np.float64)
        self._usual = self._usual_turns(habits)
        self._aside = np.array([habit.aside for habit in habits], np.float64)
        self._mean = np.array([habit.mean for habit in habits], np.float64)
        self._weight = np.array([habit.spread for habit in habits], np.float64) ** -2.0
        self._height = float(np.ptp(self._rest[:, 1]))
        self._near = -np.log(_DISTANCE * self._height)
        pairs = [(self._point[a], self._point[b]) for a, b in _SIZING]
        self._sizing = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
        self._twins = [(self._slot[a], self._slot[b], spread) for a, b, spread in SHARED_TWISTS
                       if a in self._slot and b in self._slot]  # fmt: skip

    @staticmethod
    def _usual_turns(habits: Sequence[Habit]) -> Float64Array:
        turns = []
        for habit in habits:
            axis, aside = np.array(habit.axis), np.array(habit.aside)
            across = np.array(habit.mean[:2])
            way = np.sqrt(1.0 - np.square(across).sum()) * axis + across @ aside
            turns.append(nearest(np.outer(way, axis) + 0.02 * np.eye(3)))
        return np.stack(turns)

    def _chain_levels(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Slots by their depth below the hips, with their parents; the hips are left out."""
        depth = [0]
        for parent in self._parent[1:].tolist():
            depth.append(depth[parent] + 1)
        rows = [np.flatnonzero(np.array(depth) == level) for level in range(1, max(depth) + 1)]
        return [(row, self._parent[row]) for row in rows]

    def _ancestry(self, holder: NDArray[np.int64]) -> Float64Array:
        """1 where a slot moves a point, f64 [K, S, 1]."""
        moves = np.zeros((len(holder), len(self._bones), 1))
        for k, slot in enumerate(holder.tolist()):
            while slot >= 0:
                moves[k, slot] = 1.0
                slot = int(self._parent[slot])
        return moves

    def solve(self, xy: Float32Array, z: Float32Array, score: Float32Array) -> PosedBones:
        """The bones of N poses from their points.

        ``xy`` f32 [N, K, 2] canvas sides, 0..1 inside of the picture; ``z`` f32 [N, K] in the same unit, 0 at the
        middle of the hips, smaller is nearer; ``score`` f32 [N, K] 0..1, 0 for a point that is unknown. Raises
        InvalidValue for other shapes and for values that are not finite.
        """
        seen = self._seen(xy, z, score)
        best = self._start(seen)
        damping = np.full(len(xy), _DAMPING)
        for blur in BLURS:
            best = self._moved(best, self._slope(best, seen, blur), damping)
        slope = self._slope(best, seen)
        for _ in range(STEPS):
            trial = self._moved(best, slope, damping)
            there = self._slope(trial, seen)
            better = there.cost < slope.cost
            best, slope = trial.where(better, best), there.where(better, slope)
            damping = np.where(better, 0.2 * damping, 10.0 * damping)
        return self._posed(best, seen)

    def _seen(self, xy: Float32Array, z: Float32Array, score: Float32Array) -> _Seen:
        count, points = len(xy), len(self._point)
        for name, array, shape in (("xy", xy, (count, points, 2)), ("z", z, (count, points)),
                                   ("score", score, (count, points))):  # fmt: skip
            if array.shape != shape:
                raise InvalidValue(f"{name} must be {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise InvalidValue(f"{name} holds a value that is not finite")
        places = np.concatenate([xy - 0.5, z[..., None]], axis=2).astype(np.float64) * _TOWARD_CAMERA
        return _Seen(places, np.clip(score.astype(np.float64), 0.0, 1.0))

    # closed form

    def _start(self, seen: _Seen) -> _State:
        """Each bone as its own points say, else as the bone above."""
        camera = self._start_camera(seen)
        size, nearness = np.exp(camera[:, 3]), np.exp(camera[:, 4] - camera[:, 3])
        places = _cast(seen.places, nearness) / size[:, None, None]
        world = self._start_trunk(places, seen.score)
        second: set[str] = set()
        for bone, joint, ends in SEGMENTS:
            if bone in self._slot:
                slot = self._slot[bone]
                above = world[:, self._parent[slot]] @ self._usual[slot]
                if bone in second:
                    above = world[:, slot] + world[:, slot + 1]
                world[:, slot] = self._aimed(bone, joint, ends, places, seen.score, above)
                second.add(bone)
        local = world.copy()
        for slot, parent in enumerate(self._parent.tolist()):
            if parent >= 0:
                local[:, slot] = world[:, parent].swapaxes(1, 2) @ world[:, slot]
        state = _State(from_matrices(local), camera)
        _, points = self._world(state)
        sure = (seen.score[:, self._used] * self._steady)[..., None]
        miss = size[:, None, None] * (places[:, self._used] - points)
        camera[:, :3] = (sure * miss).sum(axis=1) / (sure.sum(axis=1) + 1e-3)
        return state

    def _start_camera(self, seen: _Seen) -> Float64Array:
        """Size and nearness by the lengths of limbs, as ``_State.camera`` f64 [N, 5] has them; no place yet."""
        first, second = self._sizing
        want = np.sqrt(np.square(self._rest[first] - self._rest[second]).sum(axis=1))
        sure = np.minimum(seen.score[:, first], seen.score[:, second]) / _DEPTH
        camera = np.zeros((len(seen.places), 5))
        camera[:, 3], camera[:, 4] = np.log(_USUAL_SIZE / self._height), self._near
        swept = seen.places[..., :2] * seen.places[..., 2:]
        swept = swept[:, first] - swept[:, second]
        for _ in range(_CAMERA_STEPS):
            size, nearness = np.exp(camera[:, 3:4]), np.exp(camera[:, 4:] - camera[:, 3:4])
            places = _cast(seen.places, nearness[:, 0])
            way = places[:, first] - places[:, second]
            have = np.sqrt(np.square(way).sum(axis=2)) + 1e-9
            miss = (size * want - have) * sure
            by_nearness = nearness * (way[..., :2] * swept).sum(axis=2) / have * sure
            by_size = size * want * sure - by_nearness
            a = np.square(by_size).sum(axis=1) + _SIZE_SPREAD**-2.0
            b, c = (by_size * by_nearness).sum(axis=1), np.square(by_nearness).sum(axis=1) + _DISTANCE_SPREAD**-2.0
            u = (by_size * miss).sum(axis=1)
            v = (by_nearness * miss).sum(axis=1) + (camera[:, 4] - self._near) * _DISTANCE_SPREAD**-2.0
            det = a * c - b * b
            camera[:, 3] += np.clip((b * v - c * u) / det, -1.0, 1.0)
            camera[:, 4] = self._near_enough(camera[:, 4] + np.clip((b * u - a * v) / det, -0.5, 0.5))
        return camera

    def _near_enough(self, near: Float64Array) -> Float64Array:
        return np.clip(near, self._near - _FARTHEST, self._near + _FARTHEST)

    def _start_trunk(self, places: Float64Array, score: Float64Array) -> Float64Array:
        """Hips and chest by their points, the spine between them, the head by the face, the neck between."""
        world = np.tile(np.eye(3), (len(places), len(self._bones), 1, 1))
        names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
        shoulders, hips = names[:2], names[2:]
        upright = np.broadcast_to(np.eye(3), (len(places), 3, 3))
        whole = nearest(self._spread(names, places, score) + 1e-3 * upright)
        line, broad = self._spread(hips, places, score), self._spread(shoulders, places, score)
        first = nearest(line + 0.01 * whole)
        chest = nearest(broad + 0.02 * whole)
        world[:] = chest[:, None]
        world[:, 0] = first
        spine = [self._slot[bone] for bone in _SPINE if bone in self._slot]
        for i, slot in enumerate(spine, 1):
            world[:, slot] = nearest((1 - i / len(spine)) * first + i / len(spine) * chest)
        for slot, bone in enumerate(self._bones):
            if bone == "head":
                world[:, slot] = nearest(self._spread(_FACE, places, score) + 1e-4 * chest)
                if "neck" in self._slot:
                    world[:, self._slot["neck"]] = nearest(chest + world[:, slot])
        return world

    def _spread(self, names: Sequence[str], places: Float64Array, score: Float64Array) -> Float64Array:
        """How some points lie about their middle against how they lie at rest, f64 [N, 3, 3]."""
        rows = [self._point[name] for name in names]
        sure = score[:, rows, None]
        total = sure.sum(axis=1, keepdims=True) + 1e-9
        seen, rest = places[:, rows], self._rest[rows]
        seen = seen - (sure * seen).sum(axis=1, keepdims=True) / total
        rest = rest - (sure * rest).sum(axis=1, keepdims=True) / total
        return np.asarray((sure * seen).swapaxes(1, 2) @ rest)

    def _aimed(
        self, bone: str, joint: str, ends: Mapping[str, float], places: Float64Array, score: Float64Array, above: Float64Array
    ) -> Float64Array:
        """A limb turned so that its ends lie as seen from its joint, else as the bone ``above``."""
        at, rows = self._point[joint], [self._point[end] for end in ends]
        rest = self._rest[rows] - self._rest[at]
        ways = places[:, rows] - places[:, at, None]
        sure = np.minimum(score[:, rows], score[:, at, None])[..., None] * np.array([*ends.values()])[:, None]
        table = (sure * ways).swapaxes(1, 2) @ rest
        if bone in HINGES:
            beyond, bends = HINGES[bone]
            far = self._point[beyond]
            lower = places[:, far] - places[:, rows[0]]
            along = ways[:, 0] / (np.sqrt(np.square(ways[:, 0]).sum(axis=1, keepdims=True)) + 1e-6)
            aside = lower - (lower * along).sum(axis=1, keepdims=True) * along
            known = np.minimum(sure[:, 0], score[:, far, None])
            reach = float(np.sqrt(np.square(rest[0]).sum()))
            table = table + 0.5 * reach * (known * aside)[:, :, None] * np.array(bends)
        return nearest(table + _LOOSE * float(np.square(rest).sum(axis=1).max()) * above)

    # steps

    def _world(self, state: _State) -> tuple[tuple[Float64Array, Float64Array], Float64Array]:
        """World rotations f64 [N, S, 3, 3] and pivots f64 [N, S, 3] in metres from the hips', and the used points."""
        local = to_matrices(state.local)
        turn, pivot = local.copy(), np.zeros(local.shape[:3])
        for slots, parents in self._levels:
            above = turn[:, parents]
            turn[:, slots] = above @ local[:, slots]
            pivot[:, slots] = pivot[:, parents] + (above @ self._offset[slots, :, None])[..., 0]
        points = pivot[:, self._holder] + (turn[:, self._holder] @ self._arm[:, :, None])[..., 0]
        return (turn, pivot), points

    def _slope(self, state: _State, seen: _Seen, blur: float = 0.0) -> _Slope:
        """Cost, normal matrix and gradient at a state."""
        count = len(state.local)
        (turn, pivot), points = self._world(state)
        residual, ways = self._misses(state, seen, points, blur)
        jacobian = self._slopes(state, turn, pivot, points, ways)
        rows = jacobian.reshape(count, 3 * len(self._used), jacobian.shape[-1])
        flat = residual.reshape(count, 3 * len(self._used), 1)
        across = rows.swapaxes(1, 2)
        normal, gradient = across @ rows, (across @ flat)[..., 0]
        cost = np.square(flat[..., 0]).sum(axis=1) + self._add_habits(state, normal, gradient)
        return _Slope(cost, normal, gradient)

    def _moved(self, state: _State, slope: _Slope, damping: Float64Array) -> _State:
        """A step of Levenberg and Marquardt away."""
        count, slots = state.local.shape[:2]
        normal = slope.normal.copy()
        every = np.arange(normal.shape[1])
        normal[:, every, every] *= 1.0 + damping[:, None]
        change = np.linalg.solve(normal, -slope.gradient[..., None])[..., 0]
        turns = change[:, : 3 * slots].reshape(count, slots, 3)
        camera = state.camera + np.clip(change[:, 3 * slots :], -_STRIDE, _STRIDE)
        camera[:, 4] = self._near_enough(camera[:, 4])
        return _State(turned(state.local, turns), camera)

    def _misses(
        self, state: _State, seen: _Seen, points: Float64Array, blur: float
    ) -> tuple[Float64Array, tuple[Float64Array, ...]]:
        """How far points lie from where they were seen, f64 [N, 3, K], and what the slopes need of it."""
        sure = np.sqrt(seen.score[:, self._used] * self._trust)
        place = state.size[:, None, None] * points + state.camera[:, None, :3]
        nearness = state.nearness[:, None]
        reach = 1.0 - nearness * place[..., 2]
        grow = 1.0 / np.maximum(reach, _NEAREST)
        want = seen.places[:, self._used]
        loose = np.square(blur * state.size)[:, None]
        flat, deep = sure / np.sqrt(_PLACE**2 + loose), sure / np.sqrt(_DEPTH**2 + loose)
        x, y = place[..., 0] * grow, place[..., 1] * grow
        residual = np.stack(
            [(x - want[..., 0]) * flat, (y - want[..., 1]) * flat, (place[..., 2] - want[..., 2]) * deep], axis=1
        )
        slope = np.where(reach > _NEAREST, grow, 0.0)
        return residual, (x, y, place[..., 2], flat * grow, flat * slope, deep)

    def _slopes(
        self,
        state: _State,
        turn: Float64Array,
        pivot: Float64Array,
        points: Float64Array,
        ways: tuple[Float64Array, ...],
    ) -> Float64Array:
        """The residuals' derivatives f64 [N, 3, K, 3 S + 5] by turns of the slots (in their parents' axes), the place,
        and the two logarithms."""
        x, y, depth, scale, slope, deep = ways
        count, slots = state.local.shape[:2]
        used = len(self._used)
        nearness, size = state.nearness[:, None], state.size[:, None]
        axes = np.concatenate([np.broadcast_to(np.eye(3), (count, 1, 3, 3)), turn[:, self._parent[1:]]], axis=1)
        ax, ay, az = (axes[:, None, :, i] for i in range(3))
        arm = (points[:, :, None] - pivot[:, None]) * (self._moves * size[:, None, :, None])
        dx, dy, dz = (arm[..., i, None] for i in range(3))
        toward = ax * dy - ay * dx
        jacobian = np.empty((count, 3, used, 3 * slots + 5))
        turned = jacobian[..., : 3 * slots].reshape(count, 3, used, slots, 3)
        lens_x, lens_y = (nearness * slope * x)[..., None, None], (nearness * slope * y)[..., None, None]
        scaled = scale[..., None, None]
        turned[:, 0] = scaled * (ay * dz - az * dy) + lens_x * toward
        turned[:, 1] = scaled * (az * dx - ax * dz) + lens_y * toward
        turned[:, 2] = deep[..., None, None] * toward
        jacobian[..., : 3 * slots] = turned.reshape(count, 3, used, 3 * slots)
        place = jacobian[..., 3 * slots :]
        place[:] = 0.0
        place[:, 0, :, 0] = place[:, 1, :, 1] = scale
        place[:, 0, :, 2], place[:, 1, :, 2], place[:, 2, :, 2] = lens_x[..., 0, 0], lens_y[..., 0, 0], deep
        grown = size[..., None] * points
        place[:, 0, :, 3] = scale * grown[..., 0] + lens_x[..., 0, 0] * (grown[..., 2] - depth)
        place[:, 1, :, 3] = scale * grown[..., 1] + lens_y[..., 0, 0] * (grown[..., 2] - depth)
        place[:, 2, :, 3] = deep * grown[..., 2]
        place[:, 0, :, 4], place[:, 1, :, 4] = lens_x[..., 0, 0] * depth, lens_y[..., 0, 0] * depth
        return jacobian

    def _add_habits(self, state: _State, normal: Float64Array, gradient: Float64Array) -> Float64Array:
        """Add what bones are mostly like to the normal equations; returns its part of the cost, f64 [N]."""
        count, slots = state.local.shape[:2]
        along = (to_matrices(state.local) @ self._axis[:, :, None])[..., 0]
        values, slopes = np.empty((count, slots, 3)), np.empty((count, slots, 3, 3))
        values[..., :2] = (self._aside @ along[..., None])[..., 0] - self._mean[:, :2]
        for row in range(2):
            slopes[:, :, row] = cross(along, self._aside[:, row])
        # Twice the sine of half the twist: smooth all around, where the angle itself jumps.
        vector, real = state.local[..., :3], state.local[..., 3:]
        cosine, sine = np.cos(0.5 * self._mean[:, 2:]), np.sin(0.5 * self._mean[:, 2:])
        part = (vector * self._axis).sum(axis=-1, keepdims=True)
        sign = np.where(real * cosine + part * sine < 0.0, -1.0, 1.0)
        values[..., 2:] = 2.0 * sign * (part * cosine - real * sine)
        slopes[:, :, 2] = sign * (cosine * (real * self._axis + cross(vector, self._axis)) + sine * vector)
        pulled = slopes.swapaxes(2, 3) * self._weight[:, None, :]
        blocks = pulled @ slopes
        pulls = (pulled @ values[..., None])[..., 0]
        cost = (self._weight * np.square(values)).sum(axis=(1, 2))
        for slot in range(slots):
            at = slice(3 * slot, 3 * slot + 3)
            normal[:, at, at] += blocks[:, slot]
        gradient[:, : 3 * slots] += pulls.reshape(count, 3 * slots)
        for a, b, spread in self._twins:
            pair = np.concatenate([slopes[:, a, 2], -slopes[:, b, 2]], axis=1) / spread
            wrung = (values[:, a, 2] - values[:, b, 2]) / spread
            cost += np.square(wrung)
            at_both = np.concatenate([np.arange(3 * a, 3 * a + 3), np.arange(3 * b, 3 * b + 3)])
            normal[:, at_both[:, None], at_both] += pair[:, :, None] * pair[:, None, :]
            gradient[:, at_both] += pair * wrung[:, None]
        camera = np.arange(3 * slots, 3 * slots + 5)
        normal[:, camera, camera] += (1.0, 1.0, 1.0, 1.0, _DISTANCE_SPREAD**-2.0)
        gradient[:, -1] += (state.camera[:, 4] - self._near) * _DISTANCE_SPREAD**-2.0
        return cost + np.square((state.camera[:, 4] - self._near) / _DISTANCE_SPREAD)

    # result

    def _posed(self, state: _State, seen: _Seen) -> PosedBones:
        """The matrices of all bones; those that are not solved ride on the ones above, but for fingers."""
        (turn, pivot), _ = self._world(state)
        count, bones = len(turn), len(self._carrier)
        size, focal = state.size, 1.0 / state.nearness
        rotation = turn[:, self._carrier]
        shift = pivot[:, self._carrier] - (rotation @ self._origin[self._carrier, :, None])[..., 0]
        # Camera: x right, y down, z away; the hips stand a focal length before it.
        place = _cast(seen.places, state.nearness) - state.camera[:, None, :3]
        off = np.array((_PLACE, _PLACE, _DEPTH)) * 1.5
        self._fingers.bend(rotation, shift, place / size[:, None, None],
                           (size[:, None] * np.sqrt(seen.score))[..., None] / off)
        matrices = np.empty((count, bones, 3, 4))
        matrices[..., :3] = size[:, None, None, None] * rotation
        matrices[..., 3] = size[:, None, None] * shift + state.camera[:, None, :3]
        matrices *= _TOWARD_CAMERA[:, None]
        matrices[..., 2, 3] += focal[:, None]
        return PosedBones(matrices.astype(np.float32), focal.astype(np.float32))


def _cast(places: Float64Array, nearness: Float64Array) -> Float64Array:
    """Places [N, K, 3] as they are rather than as perspective shows them."""
    reach = np.maximum(1.0 - nearness[:, None] * places[..., 2], _NEAREST)
    return np.concatenate([places[..., :2] * reach[..., None], places[..., 2:]], axis=2)
