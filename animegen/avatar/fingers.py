"""Fingers from the shape of a hand, as far as it was seen, or from the places of their tips.

All joints of a finger bend about one axis, by shares of its curl, so that a tip runs on a curve; what is sought is the
place on the curves of thumb, index and little finger that is nearest to the tips. The two fingers between are curled
as those beside them. A hand whose fingers were seen each for itself has them bent as those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from animegen.avatar.armature import Armature
from animegen.avatar.rotations import about, cross
from animegen.types import Float64Array

_SEGMENTS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {"Thumb": ("Metacarpal", "Proximal", "Distal")}
    | dict.fromkeys(("Index", "Middle", "Ring", "Little"), ("Proximal", "Intermediate", "Distal"))
)
_BENDS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {finger: (22.0, 35.0, 55.0) if finger == "Thumb" else (75.0, 95.0, 60.0) for finger in _SEGMENTS}
)
"""Degrees by which the joints are bent at a curl of 1, from the palm on."""
_THUMB_AXIS, _FINGER_AXIS = (0.40, 0.77, -0.46), (0.0, 0.0, -1.0)
"""What a left hand's thumb and fingers bend about in the T-pose, palm down."""
_FANS: Mapping[str, float] = MappingProxyType(
    {"Thumb": 0.0, "Index": -12.0, "Middle": -3.0, "Ring": 5.0, "Little": 14.0}
)
"""Degrees about the vertical at a spread of 1; a curled finger is not spread."""
_TIPS: Mapping[str, str] = MappingProxyType({"Thumb": "thumb_tip", "Index": "index_tip", "Little": "pinky_tip"})
_TRACKED = [finger for finger, name in enumerate(_SEGMENTS) if name in _TIPS]
_BETWEEN = np.array(((1.0, 0, 0), (0, 1.0, 0), (0, 0.6, 0.4), (0, 0.4, 0.6), (0, 0, 1.0)))
"""The curls of the five fingers from those of the three whose tips are known."""
_MEAN, _SPREAD = np.array((0.25, 0.3, 0.3, 0.25)), np.array((0.35, 0.4, 0.4, 0.3))
"""Curls of thumb, index and little finger and the hand's spread as they mostly are."""
_GUESSES = np.linspace(0.0, 1.0, 5)
_STEPS, _STRIDE = 4, 0.3
_AMONG = 4.0
"""Guesses whose squared misses differ by much less than this count alike."""
_SIDES = ("left", "right")

HAND_SHAPE = 20
"""Numbers that tell the shape of a hand: how surely it was seen, 0..1; how far each of the four fingers points to the
thumb's side; how far the joints of thumb, index, middle, ring and little finger are bent, three each from the palm on.
Angles are radians (:class:`animegen.pose.hands.HandMotion`)."""


class Fingers:
    """The fingers of one armature, of both hands, five each of three bones; those that it lacks have no length."""

    def __init__(self, armature: Armature, names: Sequence[str]) -> None:
        rows = {bone: i for i, bone in enumerate(armature.bones)}
        self._hands = [rows.get(f"{side}Hand", 0) for side in _SIDES]
        bones = [[[rows.get(f"{side}{finger}{segment}", -1) for segment in segments]
                  for finger, segments in _SEGMENTS.items()] for side in _SIDES]  # fmt: skip
        self._bones = np.array(bones)
        self._joints, ends = self._places(armature, names)
        mirrored = np.array([(1.0, 1.0, 1.0), (1.0, -1.0, -1.0)])
        axis = np.array([_THUMB_AXIS, *[_FINGER_AXIS] * 4])
        axis /= np.sqrt(np.square(axis).sum(axis=1, keepdims=True))
        self._axis = axis * mirrored[:, None]
        self._angle = np.radians([*_BENDS.values()]) * (self._bones >= 0)
        self._bend = np.cumsum(self._angle, axis=2)
        self._fan = np.radians([*_FANS.values()]) * np.array([[1.0], [-1.0]])
        self._root = self._joints[:, :, 0]
        ways = np.diff(self._joints, axis=2, append=ends[:, :, None])
        axes = np.broadcast_to(self._axis[:, :, None], ways.shape)
        along = (ways * axes).sum(axis=-1, keepdims=True) * axes
        self._still, self._out, self._up = along.sum(axis=2), ways - along, cross(axes, ways)

    def _places(self, armature: Armature, names: Sequence[str]) -> tuple[Float64Array, Float64Array]:
        """Where the joints f64 [2, 5, 3, 3] and the ends f64 [2, 5, 3] of the fingers lie; finds the points of tips."""
        self._tips, self._known = np.zeros((2, 3), np.int64), np.zeros((2, 3))
        joints, ends = np.zeros((2, 5, 3, 3)), np.zeros((2, 5, 3))
        for hand, side in enumerate(_SIDES):
            for finger, name in enumerate(_SEGMENTS):
                joint = armature.pivots[self._hands[hand]]
                for i, row in enumerate(self._bones[hand, finger].tolist()):
                    joint = armature.pivots[row] if row >= 0 else joint
                    joints[hand, finger, i] = joint
                ends[hand, finger] = joint
                tip = f"{side}_{_TIPS.get(name)}"
                if tip in names and armature.point_bones[names.index(tip)] in self._bones[hand, finger]:
                    at = hand, _TRACKED.index(finger)
                    self._tips[at], self._known[at] = names.index(tip), 1.0
                    ends[hand, finger] = armature.points[self._tips[at]]
        return joints, ends

    def bend(
        self,
        rotation: Float64Array,
        shift: Float64Array,
        places: Float64Array,
        sure: Float64Array,
        shapes: Float64Array | None = None,
    ) -> None:
        """Turn the fingers of N poses in place.

        ``rotation`` f64 [N, B, 3, 3] and ``shift`` f64 [N, B, 3]: what takes places at rest to where they are, of all
        bones, fingers unturned. ``places`` f64 [N, K, 3]: where points were seen. ``sure`` f64 [N, K, 3]: one over how
        far off each may lie along each axis, 0 for unknown ones. ``shapes`` f64 [N, 2, HAND_SHAPE]: the left and the
        right hand as they were seen, which count more than the tips.
        """
        if (self._bones < 0).all():
            return
        hand_turn, hand_shift = rotation[:, self._hands], shift[:, self._hands]
        weight = sure[:, self._tips] * self._known[:, :, None]
        state = self._solve(hand_turn, hand_shift, places[:, self._tips], weight)
        curl = (_BETWEEN @ state[..., :3, None])[..., 0]
        fan, angle = self._fan * state[..., 3:] * (1.0 - curl), curl[..., None] * self._angle
        if shapes is not None:
            known, fans, bends = shapes[..., :1], shapes[..., 1:5], shapes[..., 5:].reshape(*angle.shape)
            toward_thumb = np.array([[-1.0], [1.0]])
            fan[..., 1:] += known * (toward_thumb * fans - fan[..., 1:])
            angle += known[..., None] * (bends * (self._bones >= 0) - angle)
        bent = np.cumsum(angle, axis=-1)
        vertical = np.broadcast_to((0.0, 1.0, 0.0), (*fan.shape, 3))
        fanned = hand_turn[:, :, None] @ about(vertical, fan)
        joint = (hand_turn[:, :, None] @ self._root[..., None])[..., 0] + hand_shift[:, :, None]
        for i in range(3):
            turned = fanned @ about(self._axis, bent[..., i])
            here = self._bones[:, :, i] >= 0
            rows = self._bones[:, :, i][here]
            rotation[:, rows] = turned[:, here]
            shift[:, rows] = (joint - (turned @ self._joints[:, :, i, :, None])[..., 0])[:, here]
            if i < 2:
                way = self._joints[:, :, i + 1] - self._joints[:, :, i]
                joint = joint + (turned @ way[..., None])[..., 0]

    def relaxed(self, places: Float64Array) -> Float64Array:
        """The points' places at rest f64 [K, 3] with the fingers as they mostly are."""
        tips, _, _ = self._tip(np.broadcast_to(_MEAN, (1, 2, 4)))
        known = self._known > 0
        eased = places.copy()
        eased[self._tips[known]] = tips[0][known]
        return eased

    def _tip(self, state: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Tips f64 [N, 2, 3, 3] in the hands' axes at ``state`` f64 [N, 2, 4], and their derivatives by their own
        finger's curl and by the spread."""
        curl, spread = state[..., :3], state[..., 3:]
        bend = self._bend[:, _TRACKED]
        angle = curl[..., None] * bend
        cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
        out, up = self._out[:, _TRACKED], self._up[:, _TRACKED]
        arm = self._still[:, _TRACKED] + (cosine * out + sine * up).sum(axis=-2)
        slope = (bend[..., None] * (cosine * up - sine * out)).sum(axis=-2)
        fan = self._fan[:, _TRACKED]
        turn = about(np.broadcast_to((0.0, 1.0, 0.0), arm.shape), fan * spread * (1.0 - curl))
        arm, slope = (turn @ arm[..., None])[..., 0], (turn @ slope[..., None])[..., 0]
        swept = np.stack([arm[..., 2], np.zeros(arm.shape[:-1]), -arm[..., 0]], axis=-1) * fan[..., None]
        return self._root[:, _TRACKED] + arm, slope - swept * spread[..., None], swept * (1.0 - curl)[..., None]

    def _solve(
        self, turn: Float64Array, shift: Float64Array, places: Float64Array, weight: Float64Array
    ) -> Float64Array:
        """Curls of thumb, index and little finger and the spread, f64 [N, 2, 4]."""
        count = len(turn)
        misses = []
        for guess in _GUESSES:
            tip, _, _ = self._tip(np.broadcast_to((guess, guess, guess, _MEAN[3]), (count, 2, 4)))
            miss = (self._seen(tip, turn, shift[:, :, None]) - places) * weight
            misses.append(np.square(miss).sum(axis=-1))
        far = np.stack(misses, axis=-1)
        odds = 1.0 / (1.0 + np.square(far / (far.min(axis=-1, keepdims=True) + _AMONG)))
        state = np.empty((count, 2, 4))
        state[..., :3] = (odds * _GUESSES).sum(axis=-1) / odds.sum(axis=-1)
        state[..., 3] = _MEAN[3]
        for _ in range(_STEPS):
            self._step(state, turn, shift, places, weight)
        return state

    @staticmethod
    def _seen(ways: Float64Array, turn: Float64Array, shift: Float64Array | float) -> Float64Array:
        return np.asarray((turn[:, :, None] @ ways[..., None])[..., 0] + shift)

    def _step(
        self, state: Float64Array, turn: Float64Array, shift: Float64Array, places: Float64Array, weight: Float64Array
    ) -> None:
        """One step of Gauss and Newton, in place."""
        tip, by_curl, by_spread = self._tip(state)
        miss = (self._seen(tip, turn, shift[:, :, None]) - places) * weight
        curled = self._seen(by_curl, turn, 0.0) * weight
        spread = self._seen(by_spread, turn, 0.0) * weight
        normal = np.zeros((*state.shape, 4))
        gradient = np.empty(state.shape)
        own = np.arange(3)
        normal[..., own, own] = np.square(curled).sum(axis=-1)
        normal[..., 3, :3] = normal[..., :3, 3] = (curled * spread).sum(axis=-1)
        normal[..., 3, 3] = np.square(spread).sum(axis=(-1, -2))
        gradient[..., :3] = (curled * miss).sum(axis=-1)
        gradient[..., 3] = (spread * miss).sum(axis=(-1, -2))
        every = np.arange(4)
        normal[..., every, every] += _SPREAD**-2.0
        gradient += (state - _MEAN) / _SPREAD**2
        change = np.linalg.solve(normal, -gradient[..., None])[..., 0]
        state[:] = np.clip(state + np.clip(change, -_STRIDE, _STRIDE), 0.0, 1.0)
