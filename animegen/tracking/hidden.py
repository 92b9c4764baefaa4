"""Poses for people who are hidden behind others, where they must be although nothing of them is found.

Applied in the second pass to finished tracks, so that an avatar passes behind another and does not fade out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from animegen.tracking.clip import make_track
from animegen.tracking.similarity import body_points, box_containment
from animegen.types import Float32Array, Pose, Track

_COVERED = 0.25
"""Share of the smaller box from which somebody may stand behind another."""

_PART, _PART_FRAMES = 0.8, 12
"""A body this much smaller than in the frames beside it is a part taken for the whole, for so many frames at most."""

_BESIDE = 36
"""Poses beside an absence by which the size of the body is told."""

_RETIRE = 24
"""Frames in which somebody who was seen beside another gets behind them, where nothing shows."""


def fill_hidden(tracks: Sequence[Track], most: int) -> list[tuple[Track, dict[int, int]]]:
    """Fill the absences of at most ``most`` frames in which a person was behind another.

    A person who is lost behind somebody, and found again behind the same one, is taken to have been there meanwhile.
    The poses put in change evenly from the last to the next, move sideways behind the person in front, and have no
    mask. They also replace the poses just before and after in which a backend took the visible part of the person for
    the whole, and so made the body too small.

    Returns each track, and with it a mapping from the frames put in to the position in ``tracks`` of the one in front.
    """
    paths = [dict(zip(track.frame_indices, track.poses, strict=True)) for track in tracks]
    return [_filled(k, tracks[k], paths, most) for k in range(len(tracks))]


def _filled(k: int, track: Track, paths: Sequence[Mapping[int, Pose]], most: int) -> tuple[Track, dict[int, int]]:
    own, frames = paths[k], track.frame_indices
    whole: dict[int, Pose] = dict(own)
    fronts: dict[int, int] = {}
    for i, (first, last) in enumerate(pairwise(frames), start=1):
        if not 1 < last - first <= most + 1:
            continue
        ends = _whole_end(own, frames[:i][::-1]), _whole_end(own, frames[i:])
        covered = {j: _cover(own, paths[j], (first, last), ends) for j in range(len(paths)) if j != k}
        front = max(covered, key=lambda j: covered[j], default=k)
        if covered.get(front, 0.0) >= _COVERED:
            for frame in range(ends[0] + 1, ends[1]):
                whole[frame] = _behind(own, paths[front], ends, frame)
                fronts[frame] = front
    return make_track(track.id, whole.items()), fronts


def _whole_end(own: Mapping[int, Pose], run: Sequence[int]) -> int:
    """The frame of a run, given from an absence on, from which the body is whole; its first where none is."""
    sizes = [_limbs(own[frame]) for frame in run[:_BESIDE]]
    least = _PART * float(np.median(sizes))
    return next((frame for frame, size in zip(run[:_PART_FRAMES], sizes, strict=False) if size >= least), run[0])


def _limbs(pose: Pose) -> float:
    """Lengths of all limbs added, in pixels: they change less than the box when somebody crouches."""
    a, b = np.array(pose.skeleton.edges).T
    return float(np.linalg.norm(pose.xy[a] - pose.xy[b], axis=1).sum())


def _cover(own: Mapping[int, Pose], other: Mapping[int, Pose], gap: tuple[int, int], ends: tuple[int, int]) -> float:
    """The lesser share of box in common at both sides of a gap; 0 where the other is not there throughout."""
    if not all(frame in other for frame in range(ends[0], ends[1] + 1)):
        return 0.0
    return min(box_containment(own[frame].bbox, other[frame].bbox) for frame in gap)


def _behind(own: Mapping[int, Pose], front: Mapping[int, Pose], ends: tuple[int, int], frame: int) -> Pose:
    """The pose between two frames: where it was beside the one in front, or behind them when nothing shows."""
    before, after = (own[end] for end in ends)
    share = (frame - ends[0]) / (ends[1] - ends[0])

    def mix(a: Float32Array, b: Float32Array) -> Float32Array:
        return np.asarray(a + np.float32(share) * (b - a), np.float32)

    start, stop = (_place(own[end]) for end in ends)
    beside = [_place(own[end]) - _place(front[end]) for end in ends]
    shows = 1.0 - _eased(min(frame - ends[0], ends[1] - frame) / _RETIRE)
    place = _place(front[frame]) + shows * (beside[0] + share * (beside[1] - beside[0]))
    shift = np.array([place - (start + share * (stop - start)), 0.0], np.float32)
    return replace(
        before,
        xy=mix(before.xy, after.xy) + shift,
        score=np.minimum(before.score, after.score),
        bbox=mix(before.bbox, after.bbox) + np.tile(shift, 2),
        z=None if before.z is None or after.z is None else mix(before.z, after.z),
        mask=None,
    )


def _place(pose: Pose) -> float:
    """Where a person stands, in pixels from the left: arms that swing count little among all points."""
    return float(np.median(pose.xy[body_points(pose.skeleton), 0]))


def _eased(share: float) -> float:
    """From 0 to 1 without a jerk at either end (a cubic)."""
    t = min(1.0, share)
    return t * t * (3.0 - 2.0 * t)
