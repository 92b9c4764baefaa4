"""Hands of 21 points: carried on where they are not seen, and how their fingers bend.

The palm's own axes are those of wrist and knuckles; a finger bends at its knuckle out of the palm's plane, and at its
other joints by the angle between its bones, as anatomy has it. Angles fit any hand, whatever its proportions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.pose.regression import local_mean
from animegen.types import Float64Array, Pose, Skeleton, Track

WRIST, KNUCKLES = 0, (5, 9, 13, 17)
"""The wrist, and the knuckles of index, middle, ring and little finger, among a hand's points."""
_THUMB = 1
_POINTS = 21

_DOUBTFUL, _SURE = 0.05, 0.5
"""Score up to which a hand counts as unknown, and from which its points are taken as they are."""
_SEEN = 0.2
"""Mean score of its points from which a hand is where they are rather than as in the frames around."""
_STRAIGHT = 0.1
"""Radians by which the bones of a straight finger seem to be bent, as points have noise."""
_MOST = np.radians([[45.0, 60.0, 80.0], [90.0, 110.0, 80.0]])
"""How far the joints of a thumb and of a finger bend."""
_BACK = np.radians(-20.0)
"""How far a finger bends backwards at its knuckle."""
_FAN = np.radians(25.0)
"""How far a finger goes to the side."""
_OPPOSED = np.radians((20.0, 90.0))
"""Where the thumb's ball points, from across the palm towards its front: as at ease, and all the way in."""
_STEADY_FRAMES = 3.5
"""Half the window over which a hand's shape is steadied."""
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class HandMotion:
    """A hand through a clip.

    ``bends`` f64 [T, 5, 3] radians at the joints of thumb, index, middle, ring and little finger, from the palm on:
    0 straight, positive into the palm. ``fans`` f64 [T, 4] radians by which the four fingers point to the thumb's
    side of the middle of the palm. ``along`` and ``across`` f64 [T, 3] unit vectors in the picture (x right, y down, z
    away): from the wrist to the fingers, and towards the index finger. ``known`` f64 [T] 0..1 how surely it is seen.
    """

    bends: Float64Array
    fans: Float64Array
    along: Float64Array
    across: Float64Array
    known: Float64Array


def hand_points(skeleton: Skeleton) -> NDArray[np.intp]:
    """intp [N]: the finger points of a skeleton, of either side."""
    return np.array([i for i, name in enumerate(skeleton.points) if "_hand_" in name], np.intp)


def carry_hands(track: Track) -> Track:
    """The track with every hand that is not seen in some frames held there as in those around, on its own wrist.

    Scores stay as they are. So nothing jumps where a hand comes into sight or leaves it.
    """
    for side in ("left", "right"):
        points = _points_of(track, side)
        if points:
            track = _carried(track, track.poses[0].skeleton.index(f"{side}_wrist"), points)
    return track


def _carried(track: Track, wrist: int, points: list[int]) -> Track:
    seen = np.array([pose.score[points].mean() >= _SEEN for pose in track.poses])
    if seen.all() or not seen.any():
        return track
    time = np.array(track.frame_indices, np.float64)
    offset = np.array([_solid(pose)[points] - _solid(pose)[wrist] for pose in track.poses])
    drawn = np.stack([np.interp(time, time[seen], way[seen]) for way in offset.reshape(len(time), -1).T], axis=1)
    poses = list(track.poses)
    for i in np.flatnonzero(~seen):
        pose = poses[i]
        solid = _solid(pose)
        solid[points] = solid[wrist] + drawn[i].reshape(-1, 3)
        z = None if pose.z is None else solid[:, 2].astype(np.float32)
        poses[i] = replace(pose, xy=solid[:, :2].astype(np.float32), z=z)
    return Track(track.id, track.frame_indices, tuple(poses))


def _points_of(track: Track, side: str) -> list[int]:
    """The points of one hand; none where the skeleton has no fingers or no wrist."""
    names = track.poses[0].skeleton.points if track.poses else ()
    if f"{side}_hand_{WRIST}" not in names or f"{side}_wrist" not in names:
        return []
    return [names.index(f"{side}_hand_{i}") for i in range(_POINTS)]


def _solid(pose: Pose) -> Float64Array:
    """f64 [K, 3]: the points with their depth, 0 where there is none."""
    depth = np.zeros(len(pose.score)) if pose.z is None else pose.z
    return np.column_stack([pose.xy, depth]).astype(np.float64)


def measure_hand(track: Track, side: str) -> HandMotion | None:
    """The ``left`` or ``right`` hand of a track; None where its skeleton has no finger points or it is never seen.

    Without depth fingers seem to bend in the picture's plane alone.
    """
    points = _points_of(track, side)
    if not points:
        return None
    score = np.array([pose.score[points].mean() for pose in track.poses], np.float64)
    known = np.clip((score - _DOUBTFUL) / (_SURE - _DOUBTFUL), 0, 1)
    if not known.any():
        return None
    time = np.array(track.frame_indices, np.float64)
    return _measured(_steady(np.array([_solid(pose)[points] for pose in track.poses]), time, score), side, known)


def _steady(points: Float64Array, time: Float64Array, score: Float64Array) -> Float64Array:
    """Points f64 [T, 21, 3] from the wrist on, each frame mixed with those around by score.

    A detector that takes one finger for another does so for a frame or two.
    """
    ways = (points - points[:, :1]).reshape(len(points), -1)
    size = np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), _LEAST)
    weight = np.broadcast_to(score[:, None] ** 2 + _LEAST, ways.shape)
    return local_mean(time, ways / size, weight, _STEADY_FRAMES).reshape(points.shape)


def _measured(points: Float64Array, side: str, known: Float64Array) -> HandMotion:
    """The motion of points f64 [T, 21, 3]."""
    along = _unit(points[:, KNUCKLES].mean(axis=1) - points[:, WRIST])
    across = points[:, KNUCKLES[0]] - points[:, KNUCKLES[-1]]
    across = _unit(across - _dot(across, along)[:, None] * along)
    front = np.cross(across, along) * (1.0 if side == "right" else -1.0)
    axes = np.stack([along, across, front], axis=1)
    bends = np.zeros((len(points), 5, 3))
    fans = np.zeros((len(points), 4))
    bends[:, 0] = _thumb(points, axes)
    for finger, knuckle in enumerate(KNUCKLES):
        bones = np.diff(points[:, knuckle : knuckle + 4], axis=1)
        ahead, aside, inward = np.einsum("tij,tj->it", axes, _unit(bones[:, 0]))
        bends[:, finger + 1, 0] = np.clip(np.arctan2(inward, ahead), _BACK, _MOST[1, 0])
        bends[:, finger + 1, 1:] = np.clip(_angles(bones) - _STRAIGHT, 0, _MOST[1, 1:])
        fans[:, finger] = np.clip(np.arctan2(aside, np.hypot(ahead, inward)), -_FAN, _FAN)
    return HandMotion(bends, fans, along, across, known)


def _thumb(points: Float64Array, axes: Float64Array) -> Float64Array:
    """f64 [T, 3]: how far the ball of the thumb is turned in front of the palm, then its two joints."""
    bones = np.diff(points[:, _THUMB : _THUMB + 4], axis=1)
    _, aside, inward = np.einsum("tij,tj->it", axes, _unit(bones[:, 0]))
    low, high = _OPPOSED
    ball = _MOST[0, 0] * np.clip((np.arctan2(inward, aside) - low) / (high - low), 0, 1)
    return np.column_stack([ball, np.clip(_angles(bones) - _STRAIGHT, 0, _MOST[0, 1:])])


def _angles(bones: Float64Array) -> Float64Array:
    """f64 [T, N - 1]: the angle from each bone f64 [T, N, 3] to the next."""
    ways = _unit(bones)
    return np.asarray(np.arccos(np.clip(_dot(ways[:, :-1], ways[:, 1:]), -1, 1)))


def _dot(a: Float64Array, b: Float64Array) -> Float64Array:
    return np.asarray((a * b).sum(axis=-1))


def _unit(vectors: Float64Array) -> Float64Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST))
