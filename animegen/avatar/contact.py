"""Arms stay outside of what is solid.

Where a wrist lies in the picture is seen, how deep it lies is a guess, and an avatar may be broader than the person it
stands for: arms would go through bellies. What of an arm lies inside of an ellipsoid costs the more the farther its way
out is, as where bodies are fitted to pictures (Bogo et al. 2016, "Keep it SMPL", the term of interpenetration). Out is
toward the camera or away from it, as pictures tell all but that; which of both is decided once for an arm.
"""

from __future__ import annotations

import numpy as np

from animegen.avatar.chain import Chain, World
from animegen.avatar.rotations import cross
from animegen.avatar.solids import Solids
from animegen.types import Float64Array

_SIDES = (("left", 1.0), ("right", -1.0))
_ARM = ("Shoulder", "UpperArm", "LowerArm", "Hand")
_POINTS = 4
"""Of an arm."""
_WHERE = (0.5, 0.0, 1.0)
"""Where left arms mostly are, seen from the chest: before it, and at their own side."""
_BEHIND = -0.5
"""Arms that lie so far on the other side of an ellipsoid's middle, of its radius, are there."""
_OFF = 0.001
"""Metres that an arm may lie inside: as little as a point beside where it was seen."""


class Contact:
    """The arms of one armature against what is solid of it: the middle of a forearm, the wrist, the knuckles and the
    finger tips, each as thick as the arm is there.

    ``unknowns`` int64 [U]: which of the numbers that are solved turn arms.
    """

    def __init__(self, chain: Chain, solids: Solids) -> None:
        self._solids = np.array([chain.slot[bone] for bone in solids.bones], np.int64)
        self._centres = solids.centres - chain.origins[self._solids]
        slots, points, where = [], [], []
        for side, out in _SIDES:
            names = [f"{side}{bone}" for bone in _ARM if f"{side}{bone}" in chain.slot]
            slots += [chain.slot[name] for name in names]
            if f"{side}LowerArm" in names and f"{side}Hand" in names:
                points += _points(chain, side, solids)
                where.append((out * _WHERE[0], *_WHERE[1:]))
        self._slots = np.array(slots, np.int64)
        self._parents = chain.parents[self._slots]
        self.unknowns = (3 * self._slots[:, None] + np.arange(3)).ravel()
        self._holders = np.array([holder for holder, *_ in points], np.int64)
        self._arms = np.array([place for _, place, _ in points]).reshape(-1, 3) - chain.origins[self._holders]
        self._radii, self._thick = solids.radii, np.array([thick for *_, thick in points])[:, None]
        self._chest, self._where = chain.slot.get("chest", 0), np.array(where).reshape(-1, 3)
        above = {tuple(pair) for pair in chain.above.T.tolist()}
        self._moves = np.array(
            [[(holder, slot) in above for slot in slots] for holder in self._holders.tolist()], float
        )

    def ways(self, world: World) -> Float64Array:
        """How the points of arms get out of each solid, f64 [N, P, M]: 1 toward the camera, -1 away from it."""
        facing = (world.turns[:, self._chest, 2] @ self._where.T)[..., None]
        usual = np.where(facing < 0.0, -1.0, 1.0)
        places, toward, _ = self._local(world)
        ahead = (places * toward).sum(axis=-1)
        beside = np.square(places).sum(axis=-1) - np.square(ahead)
        # The mean of what lies before or behind the solid, not beside it.
        shape = len(ahead), len(self._where), _POINTS, ahead.shape[2]
        along, weight = (ahead.reshape(shape) * usual[:, :, None]), np.clip(1.0 - beside, 0.0, 1.0).reshape(shape)
        mean = (weight * along).sum(axis=2) / (weight.sum(axis=2) + 1e-9)
        beyond = ((weight > 0.0) & (along < -1.0)).any(axis=2)
        return np.repeat(np.where((mean < _BEHIND) | beyond, -usual, usual), _POINTS, axis=1)

    def depth(self, world: World, ways: Float64Array) -> Float64Array:
        """How far arms have to go, at most, to be out of everything, f64 [N], in metres."""
        miss, _ = self._misses(world, ways)
        return _OFF * np.asarray(miss.max(axis=(1, 2), initial=0.0))

    def add(self, world: World, ways: Float64Array, normal: Float64Array, gradient: Float64Array) -> Float64Array:
        """Add what arms inside cost to the normal equations f64 [N, X, X] and [N, X]; returns its cost, f64 [N]."""
        miss, away = self._misses(world, ways)
        arms = self._places(world)[:, :, None] - world.pivots[:, None, self._slots]
        turning = cross(arms[:, :, None], away[:, :, :, None])
        axes = world.turns[:, self._parents]
        slopes = np.einsum("npmsi,nsij->npmsj", turning, axes) * self._moves[:, None, :, None]
        slopes = slopes.reshape(len(miss), miss[0].size, len(self.unknowns))
        across = slopes.swapaxes(1, 2)
        normal[:, self.unknowns[:, None], self.unknowns] += across @ slopes
        gradient[:, self.unknowns] += (across @ miss.reshape(len(miss), slopes.shape[1], 1))[..., 0]
        return np.asarray(np.square(miss).sum(axis=(1, 2)))

    def _places(self, world: World) -> Float64Array:
        """Where the points of arms lie, f64 [N, P, 3]."""
        held = self._holders
        return np.asarray(world.pivots[:, held] + (world.turns[:, held] @ self._arms[:, :, None])[..., 0])

    def _local(self, world: World) -> tuple[Float64Array, Float64Array, Float64Array]:
        """The points f64 [N, P, M, 3] where each ellipsoid is a ball of radius 1, the way to the camera there f64
        [N, 1, M, 3], of length 1, and how long that way is for a metre f64 [N, 1, M, 1]."""
        turns = world.turns[:, self._solids]
        centres = world.pivots[:, self._solids] + (turns @ self._centres[:, :, None])[..., 0]
        ways = self._places(world)[:, :, None] - centres[:, None]
        places = np.einsum("npmi,nmij->npmj", ways, turns) / self._radii
        toward = turns[:, None, :, 2] / self._radii
        long = np.sqrt(np.square(toward).sum(axis=-1, keepdims=True))
        return places, toward / long, long

    def _misses(self, world: World, ways: Float64Array) -> tuple[Float64Array, Float64Array]:
        """How far each point has to go out of each ellipsoid f64 [N, P, M], and how that changes as it moves, f64
        [N, P, M, 3], in units of _OFF.

        A point ``ahead`` of the middle and ``beside`` it, in radii, has to go up to 1 - beside^4: nearly the surface of
        the ellipsoid, but not as steep at its rim, where the smallest step would go far. Behind the middle it costs
        less toward the rim: arms that hang at the sides are left about where they are. What an arm is thick counts
        along its way out, not to the sides.
        """
        places, toward, long = self._local(world)
        toward = ways[..., None] * toward
        ahead = (places * toward).sum(axis=-1)
        aside = places - ahead[..., None] * toward
        beside = np.square(aside).sum(axis=-1)
        high, behind = 1.0 + self._thick * long[..., 0], np.minimum(ahead, 0.0)
        front = high * (1.0 - np.square(beside))
        miss = front * (1.0 - behind) - np.maximum(ahead, 0.0)
        inside = (beside < 1.0) & (miss > 0.0)
        by_ahead = np.where(ahead > 0.0, 1.0, front)[..., None] * toward
        slope = -by_ahead - (4.0 * high * beside * (1.0 - behind))[..., None] * aside
        away = np.einsum("nmij,npmj->npmi", world.turns[:, self._solids], slope / (long * self._radii))
        return np.where(inside, miss / long[..., 0], 0.0) / _OFF, np.where(inside[..., None], away, 0.0) / _OFF


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
