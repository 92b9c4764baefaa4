"""In-between poses: limbs turn and stretch on the skeleton's tree, as an animator's in-betweens do.

Straight lines between points would shorten a limb that turns; here every limb keeps a length between its two key
lengths and turns along the shorter arc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.pose.clip import NOMINAL_RATE, PoseClip
from animegen.types import Float32Array, Float64Array, Pose, Skeleton

_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")


def in_between(before: Pose, after: Pose, share: float, *, eased: bool = True) -> Pose:
    """The pose at ``share`` 0 (``before``) .. 1 (``after``) of the way, eased in and out unless it is to go evenly.

    The body's root (middle of the hips) moves straight. A point that one of the keys does not know has score 0; the
    others get the smaller score. The mask is none. Raises InvalidValue for keys of two skeletons.
    """
    if before.skeleton != after.skeleton:
        raise InvalidValue(f"key poses of '{before.skeleton.name}' and '{after.skeleton.name}' have no in-between")
    way = share * share * (3 - 2 * share) if eased else share
    known = (before.score > 0) & (after.score > 0)

    def mix(a: Float32Array, b: Float32Array) -> Float32Array:
        return np.asarray(a + np.float32(way) * (b - a), np.float32)

    xy = mix(before.xy, after.xy)
    xy[known] = _turned(before, after, known, way)[known]
    return replace(
        before,
        xy=xy,
        score=np.where(known, np.minimum(before.score, after.score), np.float32(0)),
        bbox=mix(before.bbox, after.bbox),
        z=None if before.z is None or after.z is None else mix(before.z, after.z),
        mask=None,
        expression=before.expression if way < 0.5 else after.expression,
    )


def interpolate_clip(keys: PoseClip, between: int, rate: Fraction = NOMINAL_RATE) -> PoseClip:
    """An animation through the key poses, with ``between`` frames from each key to the next, at ``rate`` frames/s.

    People are followed by track id, and those without one by their position in the frame; who is missing in the next
    key is shown at his own keys only. Raises InvalidValue for fewer than two keys or a negative count.
    """
    if len(keys) < 2:
        raise InvalidValue(f"in-betweens need at least two key poses, got {len(keys)}")
    if between < 0 or rate <= 0:
        raise InvalidValue(f"in-betweens must not be negative and the rate positive, got {between} and {rate}")
    people = [_people(*key) for key in zip(keys.poses, keys.track_ids, strict=True)]
    frames: list[dict[int, Pose]] = []
    for before, after in pairwise(people):
        frames.append(before)
        shared = [person for person in before if person in after]
        for step in range(1, between + 1):
            frames.append({p: in_between(before[p], after[p], step / (between + 1)) for p in shared})
    frames.append(people[-1])
    return PoseClip(
        keys.size,
        keys.skeleton,
        tuple(range(len(frames))),
        tuple(i / rate for i in range(len(frames))),
        tuple(tuple(frame.values()) for frame in frames),
        tuple(tuple(frame) for frame in frames),
    )


def _people(poses: Sequence[Pose], ids: Sequence[int | None]) -> dict[int, Pose]:
    """The poses of a key by person; those without a track are numbered above all tracks."""
    free = max((i for i in ids if i is not None), default=-1) + 1
    return {free + n if i is None else i: pose for n, (pose, i) in enumerate(zip(poses, ids, strict=True))}


def _turned(before: Pose, after: Pose, known: NDArray[np.bool_], share: float) -> Float64Array:
    """Points [K, 2] placed limb by limb from the root outwards; rows of unknown points mean nothing."""
    root, parents = _tree(before.skeleton, known)
    start, end = before.xy.astype(np.float64), after.xy.astype(np.float64)
    start_root, end_root = _middle(before, root), _middle(after, root)
    result = np.zeros_like(start)
    origin = start_root + share * (end_root - start_root)
    for point, parent in parents:
        if parent is None:
            result[point] = origin + _turn(start[point] - start_root, end[point] - end_root, share)
        else:
            result[point] = result[parent] + _turn(start[point] - start[parent], end[point] - end[parent], share)
    return result


def _turn(start: Float64Array, end: Float64Array, share: float) -> Float64Array:
    """A vector between two: its angle along the shorter arc, its length between theirs."""
    lengths = np.hypot(*start), np.hypot(*end)
    if min(lengths) < 1e-6:
        return start + share * (end - start)
    turn = np.arctan2(start[0] * end[1] - start[1] * end[0], start @ end) * share
    length = lengths[0] + share * (lengths[1] - lengths[0])
    cos, sin = np.cos(turn), np.sin(turn)
    rotated = np.array([cos * start[0] - sin * start[1], sin * start[0] + cos * start[1]])
    return np.asarray(rotated * (length / lengths[0]), np.float64)


def _middle(pose: Pose, points: Sequence[int]) -> Float64Array:
    """The middle of some points, or of the box where there are none."""
    around = pose.xy[list(points)] if points else pose.bbox.reshape(2, 2)
    return np.asarray(around.mean(axis=0), np.float64)


def _tree(skeleton: Skeleton, known: NDArray[np.bool_]) -> tuple[tuple[int, ...], list[tuple[int, int | None]]]:
    """The points whose middle is the root, and every known point after its parent (None: the root itself).

    Hips, then shoulders hang on the root; all else follows the limbs. Parts that no limb joins to the body, such as
    the face of COCO's skeleton, hang on a shoulder.
    """
    names = {name: i for i, name in enumerate(skeleton.points)}
    pairs = [tuple(names[n] for n in pair if n in names and known[names[n]]) for pair in (_HIPS, _SHOULDERS)]
    root = next((pair for pair in pairs if len(pair) == 2), ())
    neighbours: dict[int, list[int]] = {i: [] for i in range(len(skeleton))}
    for a, b in skeleton.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    parents: dict[int, int | None] = {point: None for pair in pairs for point in pair}
    queue = list(parents)
    islands = [i for i in range(len(skeleton)) if known[i]]
    anchor = next(iter(pairs[1]), None)
    while True:
        while queue:
            point = queue.pop(0)
            for neighbour in neighbours[point]:
                if known[neighbour] and neighbour not in parents:
                    parents[neighbour] = point
                    queue.append(neighbour)
        island = next((i for i in islands if i not in parents), None)
        if island is None:
            return root, list(parents.items())
        parents[island] = anchor
        queue.append(island)
