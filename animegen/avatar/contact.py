"""Arms stay outside of what is solid.

Where a wrist lies in the picture is seen, how deep it lies is a guess, and an avatar may be broader than the person it
stands for: arms would go through bellies. What of an arm lies inside of an ellipsoid costs the more the deeper it lies,
as where bodies are fitted to pictures (Bogo et al. 2016, "Keep it SMPL", the term of interpenetration).
"""

from __future__ import annotations

import numpy as np

from animegen.avatar.chain import Chain, World
from animegen.avatar.solids import Solids
from animegen.types import Float64Array

_SIDES = (("left", 1.0), ("right", -1.0))
_ARM = ("Shoulder", "UpperArm", "LowerArm", "Hand")
_CORE = (-0.3, 0.0, -0.6)
"""Where in an ellipsoid, in its radii, left arms come from: hands are in front of people and at their own side, but for
those well behind."""
_OFF = 0.001
"""Metres that an arm may lie inside: as little as a point beside where it was seen."""
_LEAST = 1e-12


class Contact:
    """The arms of one armature against what is solid of it.

    ``unknowns`` int64 [U]: which of the numbers that are solved turn arms. Points of arms: the middle of a forearm, the
    wrist, the knuckles, the finger tips.
    """

    def __init__(self, chain: Chain, solids: Solids) -> None:
        self._solids = np.array([chain.slot[bone] for bone in solids.bones], np.int64)
        self._centres = solids.centres - chain.origins[self._solids]
        slots, points = [], []
        for side, out in _SIDES:
            names = [f"{side}{bone}" for bone in _ARM if f"{side}{bone}" in chain.slot]
            slots += [chain.slot[name] for name in names]
            if f"{side}LowerArm" in names and f"{side}Hand" in names:
                points += [(*point, out) for point in _points(chain, side, solids)]
        slot = np.array(slots, np.int64)
        self.unknowns = (3 * slot[:, None] + np.arange(3)).ravel()
        self._parents = chain.parents[slot]
        self._slots = slot
        self._holders = np.array([holder for holder, *_ in points], np.int64)
        self._arms = np.array([place for _, place, *_ in points]).reshape(-1, 3) - chain.origins[self._holders]
        thick = np.array([thickness for *_, thickness, _ in points])
        self._radii = solids.radii + thick[:, None, None]
        self._core = np.array(_CORE) * np.array([(out, 1.0, 1.0) for *_, out in points]).reshape(-1, 1, 3)
        moved = {tuple(pair) for pair in chain.above.T.tolist()}
        self._moves = np.array(
            [[(holder, each) in moved for each in slots] for holder in self._holders.tolist()], float
        )

    def depth(self, world: World) -> Float64Array:
        """How deep arms lie inside of anything, f64 [N], in metres."""
        miss, _ = self._misses(world)
        return _OFF * np.asarray(miss.max(axis=(1, 2), initial=0.0))

    def add(self, world: World, normal: Float64Array, gradient: Float64Array) -> Float64Array:
        """Add what arms inside cost to the normal equations f64 [N, X, X] and [N, X]; returns its cost, f64 [N]."""
        miss, away = self._misses(world)
        places = self._places(world)
        ways = places[:, :, None] - world.pivots[:, None, self._slots]
        axes = world.turns[:, self._parents]
        turning = np.cross(ways[:, :, None], away[:, :, :, None])[..., None, :] @ axes[:, None, None]
        slopes = turning[..., 0, :] * self._moves[:, None, :, None]
        slopes = slopes.reshape(len(miss), -1, len(self.unknowns))
        across = slopes.swapaxes(1, 2)
        normal[:, self.unknowns[:, None], self.unknowns] += across @ slopes
        gradient[:, self.unknowns] += (across @ miss.reshape(len(miss), -1, 1))[..., 0]
        return np.asarray(np.square(miss).sum(axis=(1, 2)))

    def _places(self, world: World) -> Float64Array:
        """Where the points of arms lie, f64 [N, P, 3]."""
        held = self._holders
        return np.asarray(world.pivots[:, held] + (world.turns[:, held] @ self._arms[:, :, None])[..., 0])

    def _misses(self, world: World) -> tuple[Float64Array, Float64Array]:
        """How far each point lies inside of each ellipsoid f64 [N, P, M], and how that changes as it moves, f64
        [N, P, M, 3]; in units of _OFF."""
        turns = world.turns[:, self._solids]
        centres = world.pivots[:, self._solids] + (turns @ self._centres[:, :, None])[..., 0]
        ways = self._places(world)[:, :, None] - centres[:, None]
        local = (ways[..., None, :] @ turns[:, None])[..., 0, :] / self._radii
        share, slope = _gauge(local, self._core)
        size = self._radii.mean(axis=-1) / _OFF
        inside = share < 1.0
        away = (turns[:, None] @ (slope / self._radii)[..., None])[..., 0]
        return np.where(inside, (1.0 - share) * size, 0.0), np.where(inside, -size, 0.0)[..., None] * away


def _points(chain: Chain, side: str, solids: Solids) -> list[tuple[int, Float64Array, float]]:
    """Points of an arm: the slot that holds each, where it lies in the T-pose, and how thick the arm is there."""
    fore, hand = chain.slot[f"{side}LowerArm"], chain.slot[f"{side}Hand"]
    elbow, wrist = chain.origins[fore], chain.origins[hand]
    knuckles, tips = (
        np.mean([chain.relaxed[chain.point[f"{side}_{name}"]] for name in names], axis=0)
        for names in (("index", "pinky"), ("index_tip", "pinky_tip"))
    )
    return [
        (fore, 0.5 * (elbow + wrist), solids.forearm),
        (hand, wrist, solids.forearm),
        (hand, knuckles, solids.hand),
        (hand, tips, solids.hand),
    ]


def _gauge(places: Float64Array, core: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Of places f64 [..., 3] in the unit ball, how far from ``core`` to its surface they lie, 0 to 1, and how that
    changes as they move: the Minkowski functional of the ball about a point inside of it."""
    ways = places - core
    along = (ways * core).sum(axis=-1)
    left = 1.0 - np.square(core).sum(axis=-1)
    root = np.sqrt(np.square(along) + np.square(ways).sum(axis=-1) * left + _LEAST)
    slope = core + (along[..., None] * core + left[..., None] * ways) / root[..., None]
    return (along + root) / left, slope / left[..., None]
