"""Hands where the person's are: an avatar of other shoulders and arms reaches for the same places.

A straight arm points; a bent one puts its hand somewhere: before the chest, to the other hand, on what it holds, to the
face. So the more an arm is bent, the more its hand goes where the person's is in the picture, or, near the head, where
it is on the avatar's own. One that hangs goes half the way, so that it clears hips that are broader than the shoulders
above. Elbows follow by the law of cosines, to the side to which they were bent.
"""

from __future__ import annotations

import numpy as np

from animegen.pose.limbs import HEAD, MID_HIP, MID_SHOULDER
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array

_STRAIGHT, _BENT = 0.97, 0.87
"""From shoulder to wrist over the arm's length: from the first on an arm points, up to the second its hand is put
somewhere. Elbows are at some 150 and 120 degrees there."""
_HANGS, _AT_HIP, _OFF_HIP = 0.5, 0.4, 0.8
"""How much a straight arm puts its hand beside the hip; wholly so with its wrist nearer to that than the second, and
not at all farther off than the third, in lengths of the arm."""
_AT_HEAD, _OFF_HEAD = 0.8, 1.8
"""Up to the first distance from the ears' middle a wrist belongs to the head, from the second on it does not; in heads'
heights."""
_EASY = 0.9
"""Share of its length to which an arm reaches as asked; beyond, it stretches ever less, and never wholly."""
_HANGING, _CLEAR = 0.02, 0.1
"""In lengths of the arm: how much an elbow that could go either way tends down and outward, and how far an elbow lies
off that clearly goes one way.
"""
_LEAST = 1e-9

_HAND = ("wrist", "index", "pinky", "thumb", "index_tip", "pinky_tip", "thumb_tip")


def place_hands(
    joints: Float64Array, person: Float64Array, arms: tuple[Float64Array, Float64Array], heads: Float64Array
) -> Float64Array:
    """The joints of an avatar, f64 [T, 38, 3] pixels, with its hands placed as the ``person``'s, which has the same
    shape.

    ``arms`` f64 [T] twice: the lengths of the avatar's upper arm and forearm; ``heads`` f64 [T, 2]: the heights of the
    person's head and of the avatar's. Who has the person's build stays as it is.
    """
    placed = joints.copy()
    for side in ("left", "right"):
        hip, shoulder, elbow, *hand = (
            AVATAR35.index(f"{side}_{name}") for name in ("hip", "shoulder", "elbow", *_HAND)
        )
        wrist, arm = hand[0], [shoulder, elbow, hand[0]]
        put = _put(person[:, arm], person[:, hip])
        aim = joints[:, wrist] + put * (_goal(joints, person, heads, wrist) - joints[:, wrist])
        outward = _unit(joints[:, shoulder] - joints[:, MID_SHOULDER])
        hanging = put * _HANGING * (_unit(joints[:, MID_HIP] - joints[:, MID_SHOULDER]) + outward)
        placed[:, elbow], reached = _reach(joints[:, arm], aim, arms, hanging)
        placed[:, hand] += (reached - joints[:, wrist])[:, None]
    return placed


def _put(arm: Float64Array, hip: Float64Array) -> Float64Array:
    """f64 [T, 1] 0..1: how much an arm f64 [T, 3, 3] puts its hand somewhere rather than points."""
    upper, fore, across = (_length(arm[:, b] - arm[:, a]) for a, b in ((0, 1), (1, 2), (0, 2)))
    whole = np.maximum(upper + fore, _LEAST)
    hangs = _HANGS * _between(_length(arm[:, 2] - hip) / whole, _OFF_HIP, _AT_HIP)
    return hangs + (1 - hangs) * _between(across / whole, _STRAIGHT, _BENT)


def _goal(joints: Float64Array, person: Float64Array, heads: Float64Array, wrist: int) -> Float64Array:
    """f64 [T, 3] where the person's wrist is, or the same place of the avatar's head."""
    own, new = heads[:, :1], heads[:, 1:]
    away = person[:, wrist] - person[:, HEAD]
    near = _between(_length(away) / own, _OFF_HEAD, _AT_HEAD)
    at_head = joints[:, HEAD] + away * new / own
    return np.asarray(person[:, wrist] + near * (at_head - person[:, wrist]))


def _reach(
    arm: Float64Array, aim: Float64Array, lengths: tuple[Float64Array, Float64Array], hanging: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Elbow and wrist f64 [T, 3] of an arm f64 [T, 3, 3] that reaches for ``aim``, bent to the side to which it was.

    Where it was lifted shorter than its ``lengths`` f64 [T], it grows as far as it has to.
    """
    shoulder, elbow, wrist = arm[:, 0], arm[:, 1], arm[:, 2]
    upper, fore = _length(elbow - shoulder), _length(wrist - elbow)
    easy = np.clip(_length(wrist - shoulder) / np.maximum(upper + fore, _LEAST), _EASY, 1 - _LEAST)
    way = aim - shoulder
    needed = np.maximum(_length(way) / np.maximum(easy * (upper + fore), _LEAST), 1.0)
    upper, fore = (
        np.clip(needed * own, own, np.maximum(full[:, None], own))
        for own, full in zip((upper, fore), lengths, strict=True)
    )
    whole = np.maximum(upper + fore, _LEAST)
    share = _length(way) / whole
    strained = easy - (1 - easy) * np.expm1(-np.maximum(share - easy, 0.0) / (1 - easy))
    distance = np.maximum(np.where(share > easy, strained, share) * whole, np.abs(upper - fore) + _LEAST * whole)
    along = _unit(way)
    reached = np.clip((upper**2 - fore**2 + distance**2) / (2 * distance), -upper, upper)
    bend, hanging = _across(elbow - shoulder, along), _across(hanging, along)
    unclear = np.maximum(1 - _length(bend) / (_CLEAR * whole), 0.0)
    placed = shoulder + reached * along + np.sqrt(upper**2 - reached**2) * _unit(bend + unclear * whole * hanging)
    return placed, shoulder + distance * along


def _across(vectors: Float64Array, along: Float64Array) -> Float64Array:
    """What of vectors is perpendicular to unit ones, f64 [T, 3]."""
    return np.asarray(vectors - (vectors * along).sum(axis=1, keepdims=True) * along)


def _between(values: Float64Array, start: float, end: float) -> Float64Array:
    """From 0 at ``start`` smoothly to 1 at ``end``."""
    share = np.clip((values - start) / (end - start), 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share))


def _length(vectors: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.norm(vectors, axis=-1, keepdims=True))


def _unit(vectors: Float64Array) -> Float64Array:
    return vectors / np.maximum(_length(vectors), _LEAST)
