"""A first guess of a pose from its points, in closed form.

The lengths of limbs tell how large and from how near a body is seen. Then each bone, from the hips on, is turned as
brings its points best to where they are (Kabsch 1976); where they are unknown it hangs from the bone above as it mostly
does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from animegen.avatar.chain import Chain, Seen, State
from animegen.avatar.habits import BENDS, DISTANCE, FACE, HABITS, LIMBS, SHARED_TWISTS, SIZING, Habit
from animegen.avatar.rotations import from_matrices, nearest
from animegen.errors import InvalidValue
from animegen.types import Float64Array

_STEPS = 5
_OFF = 1.5 / 256
"""How far off the length of a limb may be, in canvas sides."""
_USUAL_SIZE, _SIZE_SPREAD = 0.7, 1.0
"""Canvas sides that a body is high, and by which factor (a logarithm) it may be larger or smaller."""
_NEARER = 1.5
"""By which factor at most (a logarithm) a camera is nearer or farther than usual."""
_LOOSE = 0.02
"""Weight of the bone above in how a limb is turned, in squares of the limb's length."""
_TRUNK_LOOSE, _HEAD_LOOSE, _WHOLE_LOOSE = (0.01, 0.02), 1e-4, 1e-3
"""The same of the whole trunk in hips and chest, of the chest in the head, of upright in the trunk; square metres."""
_BEND_WEIGHT = 0.5
_LIMB_STEADY = 0.02
"""Weight of a point of a limb in where the body is: they are reached over bones that are only guessed yet."""
_SPINE = ("spine", "chest", "upperChest")
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")


class Posture:
    """Guesses the poses of one armature."""

    def __init__(self, chain: Chain) -> None:
        """Raises InvalidValue where the armature lacks a point that a body is measured by."""
        wanted = {*FACE, *_SHOULDERS, *_HIPS, *(name for pair in SIZING for name in pair)}
        wanted |= {name for _, joint, ends in LIMBS for name in (joint, *ends)}
        missing = sorted(wanted - set(chain.names))
        if missing:
            raise InvalidValue(f"an armature needs points named {', '.join(missing)}")
        self._chain = chain
        self._first, self._second = (np.array([chain.point[pair[i]] for pair in SIZING]) for i in range(2))
        self._lengths = np.sqrt(np.square(chain.rest[self._first] - chain.rest[self._second]).sum(axis=1))
        self._height = float(np.ptp(chain.rest[:, 1]))
        self.near = -float(np.log(DISTANCE.mean * self._height))
        self._usual = np.stack([_usual_turn(HABITS[bone]) for bone in chain.bones])
        steady = {*FACE, *_SHOULDERS, *_HIPS}
        self._steady = np.array([1.0 if name in steady else _LIMB_STEADY for name in chain.names])

    def within(self, near: Float64Array) -> Float64Array:
        """``State.camera``'s logarithm of nearness, kept where a camera may be."""
        return np.clip(near, self.near - _NEARER, self.near + _NEARER)

    def guess(self, seen: Seen) -> State:
        """About how the bodies are posed and seen."""
        camera = self._camera(seen)
        size, nearness = np.exp(camera[:, 3, None, None]), np.exp(camera[:, 4] - camera[:, 3])
        places = seen.cast(nearness) / size
        turns = self._turns(places, seen.score)
        local = turns.copy()
        parents = self._chain.parents[1:]
        local[:, 1:] = turns[:, parents].swapaxes(2, 3) @ turns[:, 1:]
        quaternions = from_matrices(local)
        points = self._chain.world(quaternions).points
        sure = (seen.score * self._steady)[..., None]
        camera[:, :3] = (sure * size * (places - points)).sum(axis=1) / (sure.sum(axis=1) + 1e-3)
        return State(quaternions, camera)

    def _camera(self, seen: Seen) -> Float64Array:
        """Size and nearness as ``State.camera`` f64 [N, 5] has them, by steps of Gauss and Newton; no place yet."""
        first, second = self._first, self._second
        sure = np.minimum(seen.score[:, first], seen.score[:, second]) / _OFF
        leaning = seen.places[..., :2] * seen.places[..., 2:]
        leaning = leaning[:, first] - leaning[:, second]
        camera = np.zeros((len(seen.places), 5))
        camera[:, 3], camera[:, 4] = np.log(_USUAL_SIZE / self._height), self.near
        tight = DISTANCE.spread**-2.0
        for _ in range(_STEPS):
            size, nearness = np.exp(camera[:, 3:4]), np.exp(camera[:, 4:] - camera[:, 3:4])
            places = seen.cast(nearness[:, 0])
            ways = places[:, first] - places[:, second]
            have = np.sqrt(np.square(ways).sum(axis=2)) + 1e-9
            miss = (size * self._lengths - have) * sure
            by_near = nearness * (ways[..., :2] * leaning).sum(axis=2) / have * sure
            by_size = size * self._lengths * sure - by_near
            a, b = np.square(by_size).sum(axis=1) + _SIZE_SPREAD**-2.0, (by_size * by_near).sum(axis=1)
            c = np.square(by_near).sum(axis=1) + tight
            u, v = (by_size * miss).sum(axis=1), (by_near * miss).sum(axis=1) + (camera[:, 4] - self.near) * tight
            whole = a * c - b * b
            camera[:, 3] += np.clip((b * v - c * u) / whole, -1.0, 1.0)
            camera[:, 4] = self.within(camera[:, 4] + np.clip((b * u - a * v) / whole, -0.5, 0.5))
        return camera

    def _turns(self, places: Float64Array, score: Float64Array) -> Float64Array:
        """World rotations of all slots f64 [N, S, 3, 3]; ``places`` in metres."""
        slot = self._chain.slot
        turns = self._trunk(places, score)
        twins, met = {pair.one: pair.other for pair in SHARED_TWISTS}, set[str]()
        for bone, joint, ends in LIMBS:
            if bone in slot:
                at = slot[bone]
                above = turns[:, self._chain.parents[at]] @ self._usual[at]
                if bone in met:  # between what it hangs on and what hangs on it
                    above = turns[:, at] + turns[:, slot.get(twins[bone], at)]
                table = self._pulls(joint, ends, places, score)
                reach = np.square(self._chain.rest[[self._chain.point[end] for end in ends]]
                                  - self._chain.rest[self._chain.point[joint]]).sum(axis=1).max()  # fmt: skip
                if bone in BENDS:
                    table = table + _BEND_WEIGHT * np.sqrt(reach) * self._bend(bone, joint, ends, places, score)
                turns[:, at] = nearest(table + _LOOSE * reach * above)
                met.add(bone)
        return turns

    def _trunk(self, places: Float64Array, score: Float64Array) -> Float64Array:
        """Hips, chest and head by their points, the spine and the neck between them, all others as the chest."""
        slot = self._chain.slot
        whole = nearest(self._spread((*_SHOULDERS, *_HIPS), places, score) + _WHOLE_LOOSE * np.eye(3))
        hips = nearest(self._spread(_HIPS, places, score) + _TRUNK_LOOSE[0] * whole)
        chest = nearest(self._spread(_SHOULDERS, places, score) + _TRUNK_LOOSE[1] * whole)
        turns = np.repeat(chest[:, None], len(slot), axis=1)
        turns[:, 0] = hips
        spine = [slot[bone] for bone in _SPINE if bone in slot]
        for i, at in enumerate(spine, 1):
            turns[:, at] = nearest((1.0 - i / len(spine)) * hips + i / len(spine) * chest)
        if "head" in slot:
            head = nearest(self._spread(FACE, places, score) + _HEAD_LOOSE * chest)
            turns[:, slot["head"]] = head
            if "neck" in slot:
                turns[:, slot["neck"]] = nearest(chest + head)
        return turns

    def _spread(self, names: Sequence[str], places: Float64Array, score: Float64Array) -> Float64Array:
        """How points lie about their middle against how they lie at rest, f64 [N, 3, 3]."""
        rows = [self._chain.point[name] for name in names]
        sure = score[:, rows, None]
        share = sure / (sure.sum(axis=1, keepdims=True) + 1e-9)
        seen, rest = places[:, rows], self._chain.rest[rows]
        seen = seen - (share * seen).sum(axis=1, keepdims=True)
        rest = rest - (share * rest).sum(axis=1, keepdims=True)
        return np.asarray((sure * seen).swapaxes(1, 2) @ rest)

    def _pulls(self, joint: str, ends: Mapping[str, float], places: Float64Array, score: Float64Array) -> Float64Array:
        """How a limb's ends lie from its joint against how they lie at rest, f64 [N, 3, 3]."""
        at, rows = self._chain.point[joint], [self._chain.point[end] for end in ends]
        sure = np.minimum(score[:, rows], score[:, at, None]) * np.array([*ends.values()])
        ways = places[:, rows] - places[:, at, None]
        return np.asarray((sure[..., None] * ways).swapaxes(1, 2) @ (self._chain.rest[rows] - self._chain.rest[at]))

    def _bend(
        self, bone: str, joint: str, ends: Mapping[str, float], places: Float64Array, score: Float64Array
    ) -> Float64Array:
        """The same of how the next limb is bent: it bends to one side of its joint, the more the surer."""
        at, near, far = (self._chain.point[name] for name in (joint, *list(ends)[:2]))
        way, beyond = places[:, near] - places[:, at], places[:, far] - places[:, near]
        along = way / (np.sqrt(np.square(way).sum(axis=1, keepdims=True)) + 1e-6)
        aside = beyond - (beyond * along).sum(axis=1, keepdims=True) * along
        sure = score[:, [at, near, far]].min(axis=1)
        return np.asarray((sure[:, None] * aside)[:, :, None] * np.array(BENDS[bone]))


def _usual_turn(habit: Habit) -> Float64Array:
    """A bone's local rotation as it mostly is, but for its twist, f64 [3, 3]."""
    axis, across = np.array(habit.axis), np.array(habit.mean[:2])
    way = np.sqrt(1.0 - np.square(across).sum()) * axis + across @ np.array(habit.aside)
    return nearest(np.outer(way, axis) + _LOOSE * np.eye(3))
