"""Bones that swing: hair and cloth that hang on an avatar's bones (VRMC_springBone 1.0).

A tail keeps of its speed what drag leaves, is pulled to where it points at rest and by gravity, is brought back to its
length and pushed out of colliders. The specification takes such a step for each picture, whatever time has passed; here
steps are of about ``STEP`` seconds, and do in each of them their share, so that hair swings alike at any frame rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from animegen.avatar.armature import Armature, PosedBones
from animegen.avatar.rotations import cross, from_matrices, to_matrices
from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array

Turns = NDArray[np.float16]
"""How J bones are turned against those that they hang on, [J, 3]: the vector parts of quaternions whose real parts are
not negative."""

STEP = 1.0 / 60.0
"""Seconds of a step of the specification, as engines take it."""

_PUSHES = 3
"""How often a tail is pushed out of the collider that it is deepest in and brought back to its length."""
_FELT = 0.4
"""Share of a body's way through the picture that its hair feels: drag slows hair against the world as thick air would,
and settings are made for bodies that stand."""
_CONE = np.cos(np.radians(20.0))
"""No bone is turned by more against the one that it hangs on: hair neither folds nor bares the head. A cone as in
VRMC_springBone_limit 1.0."""
_CALM, _DEPTH_CALM = 0.05, 0.2
"""Seconds over which a motion, and its depth, is smoothed before hair swings by it: bones that are seen tremble, most
of all in depth, and light hair would tremble more. Deviations of normal distributions."""
_UNSEEN = 0.3
"""Seconds after which nothing tells any more how somebody moved."""
_FASTEST, _QUICKEST = 12.0, 35.0
"""Metres and radians a second beyond which no body moves: there is a cut, or what was seen is mistaken."""
_TO_WORLD = np.array((1.0, -1.0, -1.0))
"""From the camera's axes (x right, y down, z away) to y up and z to the camera."""
_SHORTEST = 1e-4
"""Metres that a bone must be long to swing."""
FARTHEST, STRONGEST = 100.0, 100.0
"""Metres from the origin that tails and colliders lie at most, and the most stiffness and gravity."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Springs:
    """Bones of an armature that swing, and what they do not pass through, in its T-pose.

    Of J bones: ``bones`` int64 [J], rising, in the armature; ``tails`` f32 [J, 3], metres: where each ends;
    ``stiffness`` f32 [J] and ``gravity`` f32 [J, 3] (y up), metres a second: what pulls a tail to its place at rest and
    where things fall; ``drag`` f32 [J] 0..1: the share of its speed that a tail loses in ``STEP`` seconds. Of C
    colliders, spheres and capsules: ``carriers`` int64 [C], the bones that they move with; ``ends`` f32 [C, 2, 3],
    metres; ``reach`` f32 [J, C], metres: how near a tail may come to the line between the ends, 0 where it never hits.
    Raises InvalidValue for numbers that no avatar has.
    """

    bones: NDArray[np.int64]
    tails: Float32Array
    stiffness: Float32Array
    gravity: Float32Array
    drag: Float32Array
    carriers: NDArray[np.int64]
    ends: Float32Array
    reach: Float32Array

    def __post_init__(self) -> None:
        for name, least, most in (
            ("tails", -FARTHEST, FARTHEST), ("ends", -FARTHEST, FARTHEST), ("reach", 0.0, FARTHEST),
            ("gravity", -STRONGEST, STRONGEST), ("stiffness", 0.0, STRONGEST), ("drag", 0.0, 1.0),
        ):  # fmt: skip
            values = getattr(self, name)
            if not ((values >= least) & (values <= most)).all():
                raise InvalidValue(f"the {name} of springs must be {least:g} to {most:g}")

    @classmethod
    def none(cls) -> Springs:
        """No bone swings."""
        numbers, places = np.zeros(0, np.int64), np.zeros((0, 3), np.float32)
        single = np.zeros(0, np.float32)
        return cls(
            numbers, places, single, places, single, numbers, np.zeros((0, 2, 3), np.float32),
            np.zeros((0, 0), np.float32),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.bones)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The bones that springs and colliders hang on, in T moments.

    ``turns`` f64 [T, K, 4]: quaternions against the T-pose; ``places`` f64 [T, K, 3]: metres, y up, where they turn.
    """

    turns: Float64Array
    places: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Bones of one depth: rows of the springs. ``above``: what each hangs on, among carriers and then springs."""

    rows: NDArray[np.intp]
    bones: NDArray[np.int64]
    parents: NDArray[np.int64]
    pivots: Float64Array
    above: NDArray[np.intp]
    offsets: Float64Array  # from where the bone above turns
    rest: Float64Array  # of length 1
    lengths: Float64Array  # [s, 1]
    hits: bool


_Aim = Callable[[_Level, Float64Array, Float64Array], Float64Array]
"""From a level, where its bones turn and where they point at rest to vectors along which their tails shall lie."""


class Swing:
    """What swings on one armature. Holds no state of a motion.

    ``count`` is how many bones do. Raises InvalidValue where bones and colliders hang on what they cannot.
    """

    def __init__(self, armature: Armature, springs: Springs) -> None:
        _check(armature, springs)
        self.count = len(springs)
        parents = armature.parents[springs.bones]
        fixed = np.concatenate([parents[~np.isin(parents, springs.bones)], springs.carriers])
        self._carriers: NDArray[np.int64] = np.unique(fixed)
        place = {bone: i for i, bone in enumerate([*self._carriers.tolist(), *springs.bones.tolist()])}
        self._above = np.array([place[parent] for parent in parents.tolist()], np.intp)
        self._roots = np.unique(self._above[self._above < len(self._carriers)])
        self._pivots = armature.pivots.astype(np.float64)
        self._springs = springs
        self._levels = self._by_depth(parents)
        self._stiffness = springs.stiffness[:, None].astype(np.float64)
        self._gravity = springs.gravity.astype(np.float64)
        self._keep = 1.0 - springs.drag[:, None].astype(np.float64)
        self._reach = springs.reach.astype(np.float64)
        held = [place[bone] for bone in springs.carriers.tolist()]
        self._holders = np.array(held, np.intp)
        self._ends = springs.ends.astype(np.float64) - self._pivots[springs.carriers][:, None]

    def _by_depth(self, parents: NDArray[np.int64]) -> list[_Level]:
        count, springs = len(self._carriers), self._springs
        depth = np.zeros(count + self.count, np.intp)
        for row, above in enumerate(self._above.tolist()):
            depth[count + row] = depth[above] + 1
        arms = springs.tails.astype(np.float64) - self._pivots[springs.bones]
        lengths = np.linalg.norm(arms, axis=1, keepdims=True)
        levels = []
        for level in range(1, int(depth.max(initial=0)) + 1):
            rows = np.flatnonzero(depth[count:] == level)
            pivots = self._pivots[springs.bones[rows]]
            levels.append(
                _Level(
                    rows, springs.bones[rows], parents[rows], pivots, self._above[rows],
                    pivots - self._pivots[parents[rows]], arms[rows] / lengths[rows], lengths[rows],
                    bool((springs.reach[rows] > 0.0).any()),
                )
            )  # fmt: skip
        return levels

    def motion(self, posed: PosedBones, canvas: Float64Array) -> Motion:
        """What the springs hang on in poses on ``canvas`` f64 [T, 3] (left, top and side in frame pixels).

        Places are those in the frame, by how large the body is seen there; how it moves to the camera and away is left
        out, which pictures hardly tell.
        """
        hips = _moved(posed.matrices[:, 0].astype(np.float64), self._pivots[0])
        seen = 0.5 + posed.focal[:, None] * hips[:, :2] / hips[:, 2:]
        pixels = canvas[:, :2] + canvas[:, 2:] * seen
        scale = canvas[:, 2] * _sizes(posed.matrices)  # pixels a metre
        root = np.zeros((len(pixels), 3))
        # Step by step: a scale that is a little off does not move who is far from the frame's corner.
        root[1:, :2] = _FELT * np.cumsum(np.diff(pixels, axis=0) * 2 / (scale[1:] + scale[:-1])[:, None], axis=0)
        carried = self._carried(posed.matrices)
        return replace(carried, places=carried.places + _TO_WORLD * root[:, None])

    def _carried(self, matrices: Float32Array) -> Motion:
        """What the springs hang on by matrices f32 [T, B, 3, 4], from the hips."""
        size = _sizes(matrices)[:, None, None]
        held = matrices[:, self._carriers].astype(np.float64)
        hips = _moved(matrices[:, 0].astype(np.float64), self._pivots[0])
        places = (_moved(held, self._pivots[self._carriers]) - hips[:, None]) / size
        return Motion(from_matrices(_TO_WORLD[:, None] * held[..., :3] / size[..., None]), _TO_WORLD * places)

    def hanging(self, matrices: Float32Array) -> Turns:
        """How the springs of an armature with matrices f32 [B, 3, 4] come to rest: [J, 3]."""
        return np.asarray(self.settled(self._carried(matrices[None]))[0], np.float16)

    def settled(self, motion: Motion) -> Turns:
        """Where the springs come to rest in each moment alone: [T, J, 3]."""
        turns = np.zeros((len(motion.turns), self.count, 3), np.float16)
        for row, (one, places) in enumerate(zip(motion.turns, motion.places, strict=True)):
            turns[row] = self._move(one, places, self._rest)[1]
        return turns

    def through(self, motion: Motion, seconds: Float64Array, check: Callable[[], None] = lambda: None) -> Turns:
        """How the springs swing in a motion whose moments, ``seconds`` f64 [T], rise: [T, J, 3].

        They start at rest, and again where too much time or way lies between two moments. ``check`` is called at each.
        """
        turns = np.zeros((len(seconds), self.count, 3), np.float16)
        if not self.count:
            return turns
        hung = Motion(motion.turns[:, self._roots], motion.places[:, self._roots])
        cuts = 1 + np.flatnonzero(~_goes_on(hung, seconds))
        for start, stop in pairwise([0, *cuts.tolist(), len(seconds)]):
            part = Motion(motion.turns[start:stop], motion.places[start:stop])
            turns[start:stop] = self._in_one_go(_calmed(part, seconds[start:stop]), seconds[start:stop], check)
        return turns

    def _in_one_go(self, motion: Motion, seconds: Float64Array, check: Callable[[], None]) -> Turns:
        """How the springs swing in a motion without a break."""
        turns = np.zeros((len(seconds), self.count, 3), np.float16)
        now, turns[0] = self._move(motion.turns[0], motion.places[0], self._rest)
        before = now
        for row, passed in enumerate(np.diff(seconds).tolist(), 1):
            check()
            steps = max(1, round(passed / STEP))
            aim_steps = passed / steps / STEP
            for step in range(1, steps + 1):
                turned, places = (_mixed(one[row - 1], one[row], step / steps) for one in (motion.turns, motion.places))
                tails, turns[row] = self._move(_unit(turned), places, self._swung(now, before, aim_steps))
                now, before = tails, now
        return turns

    def applied(self, matrices: Float32Array, turns: Turns) -> Float32Array:
        """Matrices f32 [B, 3, 4] of an armature's bones, with those that swing turned by ``turns`` [J, 3]."""
        moved = matrices.copy()
        local = to_matrices(_whole(turns.astype(np.float64))).astype(np.float32)
        for level in self._levels:
            above, turn = moved[level.parents], local[level.rows]
            pivots = level.pivots.astype(np.float32)[:, :, None]
            moved[level.bones, :, :3] = above[:, :, :3] @ turn
            moved[level.bones, :, 3] = above[:, :, 3] + (above[:, :, :3] @ (pivots - turn @ pivots))[..., 0]
        return moved

    def _rest(self, level: _Level, _: Float64Array, toward: Float64Array) -> Float64Array:
        return np.asarray(self._stiffness[level.rows] * toward + self._gravity[level.rows])

    def _swung(self, now: Float64Array, before: Float64Array, steps: float) -> _Aim:
        """Where tails go in so many of the specification's steps."""
        keep, push = self._keep**steps, STEP * steps * steps

        def aim(level: _Level, heads: Float64Array, toward: Float64Array) -> Float64Array:
            tails = now[level.rows]
            kept = keep[level.rows] * (tails - before[level.rows])
            return np.asarray(tails - heads + kept + push * self._rest(level, heads, toward))

        return aim

    def _move(self, turned: Float64Array, places: Float64Array, aim: _Aim) -> tuple[Float64Array, Float64Array]:
        """Turn each bone until its tail lies along its aim, as far as colliders let it.

        ``turned`` f64 [K, 4] and ``places`` f64 [K, 3] are of the carriers. Returns tails f64 [J, 3] and turns.
        """
        count = len(places)
        turns, pivots = np.empty((count + self.count, 3, 3)), np.empty((count + self.count, 3))
        turns[:count], pivots[:count] = to_matrices(turned), places
        tails, local = np.empty((self.count, 3)), np.empty((self.count, 3))
        ends = pivots[self._holders, None] + (turns[self._holders, None] @ self._ends[..., None])[..., 0]
        for level in self._levels:
            above = turns[level.above]
            heads = pivots[level.above] + (above @ level.offsets[:, :, None])[..., 0]
            toward = (above @ level.rest[:, :, None])[..., 0]
            way = aim(level, heads, toward)
            long = np.sqrt(np.square(way).sum(axis=1, keepdims=True))
            ways = _within_cone(np.where(long > _TINY, way / np.maximum(long, _TINY), toward), toward)
            if level.hits:
                ways = self._pushed_out(level, heads, ways, ends)
            tails[level.rows] = heads + level.lengths * ways
            turn = _arc(level.rest, (above.swapaxes(1, 2) @ ways[:, :, None])[..., 0])
            local[level.rows] = turn[:, :3]
            turns[count + level.rows] = above @ to_matrices(turn)
            pivots[count + level.rows] = heads
        return tails, local

    def _pushed_out(self, level: _Level, heads: Float64Array, ways: Float64Array, ends: Float64Array) -> Float64Array:
        """Directions f64 [s, 3] whose tails lie outside of colliders between ``ends`` f64 [C, 2, 3]."""
        start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
        squared = np.maximum(np.square(along).sum(axis=1), _TINY)
        reach, rows = self._reach[level.rows], np.arange(len(ways))
        for _ in range(_PUSHES):
            tails = heads + level.lengths * ways
            share = np.clip(((tails[:, None] - start) * along).sum(axis=2) / squared, 0.0, 1.0)
            off = tails[:, None] - start - share[..., None] * along
            apart = np.sqrt(np.square(off).sum(axis=2))
            depth = reach - apart
            worst = depth.argmax(axis=1)
            deepest = depth[rows, worst]
            hit = (deepest > 0.0) & (reach[rows, worst] > 0.0)
            if not hit.any():
                break
            away = off[rows, worst] / np.maximum(apart[rows, worst], _TINY)[:, None]
            arm = tails + np.where(hit, deepest, 0.0)[:, None] * away - heads
            ways = arm / np.maximum(np.sqrt(np.square(arm).sum(axis=1, keepdims=True)), _TINY)
        return ways


def _check(armature: Armature, springs: Springs) -> None:
    bones = springs.bones
    if len(bones) and not (bones[0] > 0 and (np.diff(bones) > 0).all() and bones[-1] < len(armature.bones)):
        raise InvalidValue(f"bones that swing must rise from 1 to {len(armature.bones) - 1}, got {bones.tolist()}")
    others = np.setdiff1d(np.arange(len(armature.bones)), bones)
    if np.isin(armature.parents[others], bones).any():
        raise InvalidValue("a bone that does not swing hangs on one that does")
    carriers = springs.carriers
    if not np.isin(carriers, others).all():
        raise InvalidValue(f"colliders hang on bones that swing or are not there: {carriers.tolist()}")
    if np.isin(armature.point_bones, bones).any():
        raise InvalidValue("a point that drives bones hangs on one that swings")
    arms = springs.tails - armature.pivots[bones]
    if not (np.abs(arms).max(axis=1, initial=0.0) > _SHORTEST).all():
        raise InvalidValue(f"a bone that swings is shorter than {_SHORTEST:g} m")


def _sizes(matrices: Float32Array) -> Float64Array:
    """Canvas sides a metre of bones f32 [T, B, 3, 4], f64 [T]."""
    return np.asarray(np.linalg.norm(matrices[:, 0, :, 0].astype(np.float64), axis=1))


def _moved(matrices: Float64Array, places: Float64Array) -> Float64Array:
    """Places f64 [..., 3] by matrices f64 [..., 3, 4]."""
    return np.asarray((matrices[..., :3] @ places[..., None])[..., 0] + matrices[..., 3])


def _goes_on(motion: Motion, seconds: Float64Array) -> NDArray[np.bool_]:
    """Whether each moment but the first can follow from the one before, bool [T - 1]."""
    passed = np.diff(seconds)
    way = np.linalg.norm(np.diff(motion.places, axis=0), axis=2).max(axis=1)
    alike = np.abs((motion.turns[1:] * motion.turns[:-1]).sum(axis=2)).min(axis=1)
    angle = 2.0 * np.arccos(np.minimum(alike, 1.0))
    near: NDArray[np.bool_] = (way < _FASTEST * passed) & (angle < _QUICKEST * passed) & (passed < _UNSEEN)
    return near


def _calmed(motion: Motion, seconds: Float64Array) -> Motion:
    """A motion smoothed over time, its quaternions all on one side."""
    if len(seconds) < 2:
        return motion
    opposite = (motion.turns[1:] * motion.turns[:-1]).sum(axis=2, keepdims=True) < 0.0
    signs = np.concatenate([np.ones_like(motion.turns[:1, :, :1]), np.cumprod(np.where(opposite, -1.0, 1.0), axis=0)])
    frames = _CALM / float(np.median(np.diff(seconds)))
    turns, places = (
        gaussian_filter1d(one, frames, axis=0, mode="nearest") for one in (signs * motion.turns, motion.places)
    )
    depth = motion.places[..., 2]
    places[..., 2] = gaussian_filter1d(depth, _DEPTH_CALM / _CALM * frames, axis=0, mode="nearest")
    return Motion(_unit(turns), places)


def _mixed(a: Float64Array, b: Float64Array, share: float) -> Float64Array:
    return np.asarray(a + share * (b - a))


def _unit(vectors: Float64Array) -> Float64Array:
    """Vectors [..., C] of length 1."""
    return np.asarray(vectors / np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True)))


def _within_cone(ways: Float64Array, middle: Float64Array) -> Float64Array:
    """Directions f64 [s, 3], at most as far from a ``middle`` as bones may turn."""
    cosine = (ways * middle).sum(axis=1, keepdims=True)
    aside = ways - cosine * middle
    off = np.sqrt(np.square(aside).sum(axis=1, keepdims=True))
    edge = _CONE * middle + np.sqrt(1.0 - _CONE**2) / np.maximum(off, _TINY) * aside
    return np.where(cosine < _CONE, edge, ways)


def _arc(start: Float64Array, end: Float64Array) -> Float64Array:
    """The shortest turns from directions f64 [s, 3] to others, as quaternions [s, 4]."""
    real = 1.0 + (start * end).sum(axis=1, keepdims=True)
    return _unit(np.concatenate([cross(start, end), np.maximum(real, _TINY)], axis=1))


def _whole(vectors: Float64Array) -> Float64Array:
    """Quaternions [..., 4] from their vector parts."""
    squared = np.square(vectors).sum(axis=-1, keepdims=True)
    return _unit(np.concatenate([vectors, np.sqrt(np.maximum(1.0 - squared, 0.0))], axis=-1))
