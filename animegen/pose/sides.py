"""Left and right put right: runs of frames in which a detector took one side of a person for the other.

Someone seen from behind is easily taken for someone seen from the front: then all points are where they should be, but
under the names of the other side. In one picture that cannot be told; in a track it can, since nobody moves like that.
For every frame it is decided whether left and right are to be exchanged, such that the whole track moves the most
smoothly: a Viterbi search (Forney 1973) over the ways across the body, from each right point to its left one. The cost
is mostly the change of their velocity and less the distance they move, since a person who truly turns round passes
their shoulders through each other, as walking legs pass: by distance alone every such crossing would be undone.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float64Array, Pose, Track

_HEAD = frozenset({"eye", "ear", "mouth", "face"})
_TRUNK = frozenset({"shoulder", "hip"})
_LEGS = frozenset({"knee", "ankle", "heel", "toe", "foot"})
_DISTANCE = 0.5
"""Weight of the distance moved against that of the change of velocity."""
_DEPTH = 0.3
"""Weight of depth against position: it tells a turn from an exchange, but is far less exact."""
_EXCHANGE = 0.04
"""Cost of beginning or ending an exchange, in sizes of the person: noise and points that hardly part lie below."""
_DOUBT = 0.002
"""Cost of every exchanged frame: the detector is right more often than wrong, so the lesser part is exchanged."""
_OPPOSED = 2.0
"""Cost of head or legs that face the other way than the trunk, by the product of their widths in sizes."""

_Indices = NDArray[np.intp]
_Flags = NDArray[np.bool_]


def repair_sides(track: Track) -> Track:
    """The track with left and right exchanged in those frames in which the detector had mistaken them.

    The person as a whole is decided first, then the legs and the head alone. Points change places with their scores
    and depths; boxes, masks and expressions stay. Poses that are right are handed on as they are, and so is a track
    of nothing but such. Takes time in proportion to the number of frames.
    """
    if len(track.poses) < 3:
        return track
    skeleton = track.poses[0].skeleton
    pairs = _left_first(skeleton.points, skeleton.flip_pairs)
    body = _Body.observed(track)
    trunk = _named(skeleton.points, pairs, _TRUNK)
    limbs = _named(skeleton.points, pairs, _HEAD | _LEGS)
    body.exchange(pairs, body.mistaken(pairs[~np.isin(pairs[:, 0], limbs)]))
    for words in (_LEGS, _HEAD):
        part = _named(skeleton.points, pairs, words)
        body.exchange(part, body.mistaken(part, trunk))
    poses = tuple(_reordered(pose, order) for pose, order in zip(track.poses, body.order, strict=True))
    return track if poses == track.poses else Track(track.id, track.frame_indices, poses)


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """A track's points as they stand after the exchanges so far.

    ``gaps`` f64 [T - 1] frames from each pose to the next, ``size`` f64 [T] of the person in pixels, ``points`` f64
    [T, K, D] pixels (with depth where every pose has it), ``score`` f64 [T, K], ``order`` [T, K] the place that every
    point had in its pose.
    """

    gaps: Float64Array
    size: Float64Array
    points: Float64Array
    score: Float64Array
    order: _Indices

    @classmethod
    def observed(cls, track: Track) -> _Body:
        poses = track.poses
        boxes = np.array([pose.bbox for pose in poses], np.float64)
        points = np.array([pose.xy for pose in poses], np.float64)
        depth = [pose.z for pose in poses if pose.z is not None]
        if len(depth) == len(poses):
            points = np.concatenate([points, _DEPTH * np.array(depth, np.float64)[..., None]], axis=2)
        return cls(
            np.diff(np.array(track.frame_indices, np.float64)),
            np.maximum(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), 1.0),
            points,
            np.array([pose.score for pose in poses], np.float64),
            np.tile(np.arange(points.shape[1]), (len(poses), 1)),
        )

    def exchange(self, pairs: _Indices, frames: _Flags) -> None:
        """Let the two points of every pair change places in these frames."""
        rows = np.flatnonzero(frames)[:, None]
        for array in (self.points, self.score, self.order):
            array[rows, pairs.ravel()] = array[rows, pairs[:, ::-1].ravel()]

    def mistaken(self, pairs: _Indices, trunk: _Indices | None = None) -> _Flags:
        """bool [T] where these pairs are exchanged on the cheapest way through the track.

        They stay near the side of ``trunk``, where that is given.
        """
        score = self.score[:, pairs].min(axis=2)
        if not score.any():
            return np.zeros(len(self.size), np.bool_)
        alone = np.tile([0.0, _DOUBT], (len(self.size), 1))
        if trunk is not None:
            same = _OPPOSED * (self._width(pairs) * self._width(trunk)).sum(axis=1)
            alone += np.maximum(np.stack([-same, same], axis=1), 0)
        return _cheapest(alone, _EXCHANGE / self.gaps, self._strain(self._across(pairs), score))

    def _across(self, pairs: _Indices) -> Float64Array:
        """f64 [T, P, D] the way from the right to the left point of each pair in sizes of the person."""
        return np.asarray((self.points[:, pairs[:, 0]] - self.points[:, pairs[:, 1]]) / self.size[:, None, None])

    def _width(self, pairs: _Indices) -> Float64Array:
        """f64 [T, D] the mean way across the pairs, by score."""
        score = self.score[:, pairs].min(axis=2)
        total = np.maximum(score.sum(axis=1), np.finfo(np.float64).tiny)
        return np.asarray(np.einsum("tp,tpd->td", score, self._across(pairs)) / total[:, None])

    def _strain(self, across: Float64Array, score: Float64Array) -> Float64Array:
        """f64 [T - 2, 2, 2] how unlike motion the ways ``across`` [T, P, D] run through each inner pose.

        The second axis tells whether the pose before is exchanged as against this one, the third whether the pose
        after is; an exchange turns a way round. ``score`` [T, P]. The longer a gap, the less is to be expected of it.
        """
        before, after = (gap[:, None, None] for gap in (self.gaps[:-1], self.gaps[1:]))
        weight = np.minimum(np.minimum(score[:-2], score[1:-1]), score[2:]) / score.sum(axis=1).mean()
        weight *= np.minimum(self.gaps[:-1], self.gaps[1:])[:, None]
        strain = np.empty((len(weight), 2, 2))
        for i, j in product((0, 1), repeat=2):
            came = (across[1:-1] - (1 - 2 * i) * across[:-2]) / before
            goes = ((1 - 2 * j) * across[2:] - across[1:-1]) / after
            distance = (np.linalg.norm(came, axis=2) + np.linalg.norm(goes, axis=2)) / 2
            change = np.linalg.norm(goes - came, axis=2)
            strain[:, i, j] = (weight * (change + _DISTANCE * distance)).sum(axis=1)
        return strain


def _cheapest(alone: Float64Array, switch: Float64Array, strain: Float64Array) -> _Flags:
    """bool [T] the states (exchanged or not) of least cost: Viterbi over the states of two consecutive poses.

    ``alone`` [T, 2] costs each state of each pose, ``switch`` [T - 1] a change of state, ``strain`` [T - 2, 2, 2] three
    consecutive states, by whether the first and the last differ from the middle one.
    """
    states = np.arange(2)
    differ = (states[:, None] != states).astype(np.intp)
    # best[a, b]: cost of the cheapest way so far that ends with the states a and b.
    best = alone[0][:, None] + alone[1] + switch[0] * differ
    first = np.empty((len(strain), 2, 2), np.intp)
    for t, cost in enumerate(strain):
        ways = best[:, :, None] + cost[differ[:, :, None], differ[None]]
        first[t] = ways.argmin(axis=0)
        best = ways.min(axis=0) + alone[t + 2] + switch[t + 1] * differ
    a, b = divmod(int(best.argmin()), 2)
    path = [b, a]
    for choice in first[::-1]:
        a, b = int(choice[a, b]), a
        path.append(a)
    return np.array(path[::-1], np.bool_)


def _left_first(names: tuple[str, ...], flip_pairs: tuple[tuple[int, int], ...]) -> _Indices:
    """[P, 2] the pairs of a skeleton, the left point first where its name tells."""
    ordered = [(b, a) if "left" in names[b].split("_") else (a, b) for a, b in flip_pairs]
    return np.array(ordered, np.intp).reshape(-1, 2)


def _named(names: tuple[str, ...], pairs: _Indices, words: Set[str]) -> _Indices:
    """Those pairs whose names hold one of the words."""
    return pairs[[not words.isdisjoint(names[a].split("_")) for a, _ in pairs]]


def _reordered(pose: Pose, order: _Indices) -> Pose:
    """The pose with its points in another order; the same object where the order is its own."""
    if (order == np.arange(len(order))).all():
        return pose
    return replace(pose, xy=pose.xy[order], score=pose.score[order], z=None if pose.z is None else pose.z[order])
