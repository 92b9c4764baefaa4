"""The bones of an armature that a pose is solved for, the points that hang on them, and poses of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature
from animegen.avatar.fingers import Fingers
from animegen.avatar.habits import HABITS, TRUST
from animegen.avatar.rotations import to_matrices
from animegen.errors import InvalidValue
from animegen.types import Float64Array

NEAREST = 0.25
"""Nothing comes nearer to the camera than this part of the hips' distance."""


@dataclass(frozen=True, slots=True)
class Seen:
    """N poses as they were seen.

    ``places`` f64 [N, K, 3]: canvas sides from the canvas' middle and the hips' depth, in the armature's axes (y up, z
    to the camera). ``score`` f64 [N, K] 0..1, 0 for unknown points, whose places are 0.
    """

    places: Float64Array
    score: Float64Array

    def at(self, rows: NDArray[np.bool_]) -> Seen:
        """Some of the poses."""
        return Seen(self.places[rows], self.score[rows])

    def cast(self, nearness: Float64Array) -> Float64Array:
        """The places as they are rather than as perspective shows them; ``nearness`` as :class:`State` has it."""
        reach = np.maximum(1.0 - nearness[:, None] * self.places[..., 2], NEAREST)
        return np.concatenate([self.places[..., :2] * reach[..., None], self.places[..., 2:]], axis=2)


@dataclass(frozen=True, slots=True)
class State:
    """What is solved, of N poses.

    ``local`` f64 [N, S, 4]: how each slot is turned against its parent, as quaternions. ``camera`` f64 [N, 5]: the
    place of the hips as in :class:`Seen`, the logarithm of ``size``, and that of one over the hips' distance in metres.
    """

    local: Float64Array
    camera: Float64Array

    @property
    def size(self) -> Float64Array:
        """Canvas sides a metre at the hips, f64 [N]."""
        return np.asarray(np.exp(self.camera[:, 3]))

    @property
    def nearness(self) -> Float64Array:
        """One over the hips' distance in canvas sides, which is one over the focal length, f64 [N]."""
        return np.asarray(np.exp(self.camera[:, 4] - self.camera[:, 3]))

    def where(self, better: NDArray[np.bool_], other: State) -> State:
        """This where it is ``better`` [N], else the other."""
        return State(
            np.where(better[:, None, None], self.local, other.local),
            np.where(better[:, None], self.camera, other.camera),
        )

    def at(self, rows: NDArray[np.bool_]) -> State:
        """The states of some poses."""
        return State(self.local[rows], self.camera[rows])


@dataclass(frozen=True, slots=True)
class World:
    """Slots in N poses, in metres from the hips' pivot: ``turns`` f64 [N, S, 3, 3], ``pivots`` f64 [N, S, 3], and the
    ``points`` f64 [N, K, 3] that hang on them."""

    turns: Float64Array
    pivots: Float64Array
    points: Float64Array


def carriers_of(armature: Armature) -> tuple[list[str], NDArray[np.int64]]:
    """The bones that are solved, and for each bone, int64 [B], which of those carries it: itself, or one above.

    Raises InvalidValue where the first bone is not the hips.
    """
    if armature.bones[0] != "hips":
        raise InvalidValue(f"an armature's first bone must be the hips, got '{armature.bones[0]}'")
    solved = [bone for bone in armature.bones if bone in HABITS]
    carriers: list[int] = []
    for bone, parent in zip(armature.bones, armature.parents.tolist(), strict=True):
        carriers.append(solved.index(bone) if bone in HABITS else carriers[parent])
    return solved, np.array(carriers)


class Chain:
    """Tables of one armature. A slot is a bone that is solved; all others ride on the slot above them.

    ``slot`` by bone, ``point`` by name. ``parents`` int64 [S], -1 for the hips; ``carriers`` int64 [B]: each bone's
    slot. ``rest`` f64 [K, 3] the points, ``relaxed`` those with fingers as they mostly are, ``origins`` f64 [S, 3] the
    slots' pivots in the T-pose. ``above`` int64 [2, Q] pairs of a slot and itself or one above it, ``moved`` int64
    [2, P] of a point and a slot that moves it; ``trust`` f64 [K]: how much a point counts.
    """

    def __init__(self, armature: Armature, names: Sequence[str]) -> None:
        """Raises InvalidValue where names and points do not fit, or the first bone is not the hips."""
        if len(names) != len(armature.points):
            raise InvalidValue(f"{len(names)} names for an armature of {len(armature.points)} points")
        self.names = tuple(names)
        self.point = {name: i for i, name in enumerate(names)}
        self.rest = armature.points.astype(np.float64)
        self.bones, self.carriers = carriers_of(armature)
        self.slot = {bone: i for i, bone in enumerate(self.bones)}
        rows = [armature.bones.index(bone) for bone in self.bones]
        self.parents = np.array([-1, *(self.carriers[armature.parents[row]] for row in rows[1:])])
        self.origins = armature.pivots[rows].astype(np.float64)
        self._offsets = self.origins - self.origins[np.maximum(self.parents, 0)]
        self._levels = self._by_depth()
        self.fingers = Fingers(armature, names)
        self._holders = self.carriers[armature.point_bones]
        self.relaxed = self.fingers.relaxed(self.rest)
        self._arms = self.relaxed - self.origins[self._holders]
        self.trust = np.array([next((worth for part, worth in TRUST.items() if part in name), 1.0) for name in names])
        self.above = self._above()
        self.moved = self._pairs()

    def _by_depth(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The slots below the hips with their parents, level by level."""
        depth = [0]
        for parent in self.parents[1:].tolist():
            depth.append(depth[parent] + 1)
        rows = [np.flatnonzero(np.array(depth) == level) for level in range(1, max(depth) + 1)]
        return [(row, self.parents[row]) for row in rows]

    def _above(self) -> NDArray[np.int64]:
        """Every slot with itself and all above it."""
        pairs: list[tuple[int, int]] = []
        for slot in range(len(self.bones)):
            above = slot
            while above >= 0:
                pairs.append((slot, above))
                above = int(self.parents[above])
        return np.array(pairs, np.int64).T

    def _pairs(self) -> NDArray[np.int64]:
        """Every point with every slot that moves it."""
        slots, above = self.above
        pairs = [(point, mover) for point, holder in enumerate(self._holders) for mover in above[slots == holder]]
        return np.array(pairs, np.int64).reshape(-1, 2).T

    def world(self, local: Float64Array) -> World:
        """Where ``local`` quaternions f64 [N, S, 4] bring slots and points."""
        turned = to_matrices(local)
        turns, pivots = turned.copy(), np.zeros((*local.shape[:2], 3))
        for slots, parents in self._levels:
            above = turns[:, parents]
            turns[:, slots] = above @ turned[:, slots]
            pivots[:, slots] = pivots[:, parents] + (above @ self._offsets[slots, :, None])[..., 0]
        arms = (turns[:, self._holders] @ self._arms[:, :, None])[..., 0]
        return World(turns, pivots, pivots[:, self._holders] + arms)
