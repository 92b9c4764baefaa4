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

from animegen.types import Float64Array, Skeleton, Track

_HEAD = frozenset({"nose", "eye", "ear", "mouth", "face"})
_TRUNK = frozenset({"shoulder", "hip"})
_LEGS = frozenset({"knee", "ankle", "heel", "toe", "foot"})
_HANDS = frozenset({"hand"})
"""Finger points: they follow their arm, but do not tell sides, being many and of a life of their own."""
_DISTANCE = 0.5
"""Weight of the distance moved against that of the change of velocity."""
_DEPTH = 0.3
"""Weight of depth against position: it tells a turn from an exchange, but is far less exact."""
_EXCHANGE = 0.04
"""Cost of beginning or ending an exchange, in sizes of the person: noise and points that hardly part lie below."""
_DOUBT = 0.002
"""Cost of every exchanged frame: the detector is right more often than wrong, so the lesser part is exchanged."""
_TURNED = 12.0
"""Cost of exchanging head or legs that face as the trunk does, by the product of their widths in sizes."""

_Indices = NDArray[np.intp]
_Flags = NDArray[np.bool_]


def repair_sides(track: Track) -> Track:
    """The track with left and right exchanged in those frames in which the detector had mistaken them.

    The person as a whole is decided first, then the legs and the head alone. Points change places with their scores.
    Depth is drawn from the frames around, since a detector that takes one side for the other takes front for back.
    Boxes, masks and expressions stay. Poses that are right are handed on as they are, and so is a track of nothing but
    such. Takes time in proportion to the number of frames.
    """
    if len(track.poses) < 3:
        return track
    skeleton = track.poses[0].skeleton
    pairs = _left_first(skeleton)
    head, trunk, legs, hands = (_named(skeleton, words) for words in (_HEAD, _TRUNK, _LEGS, _HANDS))
    inner = ~(head | legs | hands)
    body = _Body.observed(track)
    body.exchange(pairs, body.mistaken(_within(pairs, inner)), np.ones_like(inner))
    for part in (legs, head):
        sides = _within(pairs, part)
        body.exchange(sides, body.mistaken(sides, _within(pairs, trunk)), part)
    return _repaired(track, body) if body.mended.any() else track


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """A track's points as they stand after the exchanges so far.

    ``time`` f64 [T] in frames, ``size`` f64 [T] of the person in pixels, ``points`` f64 [T, K, D] pixels (with depth
    where every pose has it), ``score`` f64 [T, K], ``order`` [T, K] the place that every point had in its pose,
    ``mended`` bool [T, K] points of a part that was exchanged.
    """

    time: Float64Array
    size: Float64Array
    points: Float64Array
    score: Float64Array
    order: _Indices
    mended: _Flags

    @classmethod
    def observed(cls, track: Track) -> _Body:
        poses = track.poses
        boxes = np.array([pose.bbox for pose in poses], np.float64)
        points = np.array([pose.xy for pose in poses], np.float64)
        depth = _depth(track)
        if depth is not None:
            points = np.concatenate([points, _DEPTH * depth[..., None]], axis=2)
        return cls(
            np.array(track.frame_indices, np.float64),
            np.maximum(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), 1.0),
            points,
            np.array([pose.score for pose in poses], np.float64),
            np.tile(np.arange(points.shape[1]), (len(poses), 1)),
            np.zeros(points.shape[:2], np.bool_),
        )

    def exchange(self, pairs: _Indices, frames: _Flags, part: _Flags) -> None:
        """Let the two points of every pair change places in these frames: those of the points in ``part``."""
        self.mended[np.ix_(frames, part)] = True
        rows = np.flatnonzero(frames)[:, None]
        for array in (self.points, self.score, self.order):
            array[rows, pairs.ravel()] = array[rows, pairs[:, ::-1].ravel()]

    def mistaken(self, pairs: _Indices, trunk: _Indices | None = None) -> _Flags:
        """bool [T] where these pairs are exchanged on the cheapest way through the track.

        Exchanging them costs more where they lie on the same sides as ``trunk`` does.
        """
        score = self.score[:, pairs].min(axis=2)
        if not score.any():
            return np.zeros(len(self.size), np.bool_)
        alone = np.tile([0.0, _DOUBT], (len(self.size), 1))
        if trunk is not None:
            alike = (self._width(pairs) * self._width(trunk)).sum(axis=1)
            alone[:, 1] += _TURNED * np.maximum(alike, 0)
        return _cheapest(alone, _EXCHANGE / np.diff(self.time), self._strain(self._across(pairs), score))

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
        gaps = np.diff(self.time)[:, None, None]
        before, after = gaps[:-1], gaps[1:]
        weight = np.minimum(np.minimum(score[:-2], score[1:-1]), score[2:]) / score.sum(axis=1).mean()
        weight *= np.minimum(before, after)[:, 0]
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


def _left_first(skeleton: Skeleton) -> _Indices:
    """[P, 2] the pairs of a skeleton, the left point first where its name tells."""
    ordered = [(b, a) if "left" in skeleton.points[b].split("_") else (a, b) for a, b in skeleton.flip_pairs]
    return np.array(ordered, np.intp).reshape(-1, 2)


def _named(skeleton: Skeleton, words: Set[str]) -> _Flags:
    """bool [K] those points whose names hold one of the words."""
    return np.array([not words.isdisjoint(name.split("_")) for name in skeleton.points], np.bool_)


def _within(pairs: _Indices, part: _Flags) -> _Indices:
    """Those pairs whose points are in the part."""
    return pairs[part[pairs].all(axis=1)]


def _depth(track: Track) -> Float64Array | None:
    """f64 [T, K], or None unless every pose has depth."""
    depth = [pose.z for pose in track.poses if pose.z is not None]
    return np.array(depth, np.float64) if len(depth) == len(track.poses) else None


def _repaired(track: Track, body: _Body) -> Track:
    """The track with its points in their places, and the depth of those that were mended as before and after."""
    depth = _depth(track)
    if depth is not None:
        for values, mended in zip(depth.T, body.mended.T, strict=True):
            if not mended.all():
                values[mended] = np.interp(body.time[mended], body.time[~mended], values[~mended])
    poses = list(track.poses)
    for i in np.flatnonzero(body.mended.any(axis=1)):
        pose, order = poses[i], body.order[i]
        z = None if depth is None else depth[i].astype(np.float32)
        poses[i] = replace(pose, xy=pose.xy[order], score=pose.score[order], z=z)
    return Track(track.id, track.frame_indices, tuple(poses))
