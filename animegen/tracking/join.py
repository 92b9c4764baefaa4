"""Joining the pieces of a person whom occlusion or the picture's edge broke into several tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from animegen.protocols import Tracker
from animegen.tracking.clip import Appearance, follow, make_track, renumber
from animegen.tracking.crossings import undo_swaps
from animegen.tracking.similarity import box_area
from animegen.types import Float64Array, Pose, Track

_MOTION_GAP = 150
"""Frames of absence over which place and motion alone may join two pieces."""
_REACH_START, _REACH_PER_FRAME, _REACH_CAP = 1.0, 0.05, 2.0
"""How far a person may have got, in body sizes: at once, per unseen frame, and at most."""
_SIZE_RATIO = 0.25
_END_FRAMES = 12
"""Poses at a piece's end by which the person's size is told."""
_SIDE_MARGIN = 0.02
_LOOK_SAME, _LOOK_DIFFERENT = 0.09, 0.5
"""Distances of look up to which pieces far apart are joined, and from which near ones are not."""


def track_clip(
    frames: Iterable[tuple[int, Sequence[Pose]]],
    tracker: Tracker,
    *,
    width: int | None = None,
    appearance: Appearance | None = None,
) -> list[Track]:
    """Every person of a clip as one track, from the poses of its frames in order.

    ``frames`` gives (frame index, poses) with rising indices; ``width`` is the picture's, in pixels. Ids are 0, 1,
    ... by first appearance. The tracker may be any; see :func:`join_tracks` for the rest.
    """
    tracks = follow(frames, tracker)
    if appearance is not None:
        tracks = undo_swaps(tracks, appearance)
    return join_tracks(tracks, width=width, appearance=appearance)


def join_tracks(
    tracks: Sequence[Track], *, width: int | None = None, appearance: Appearance | None = None
) -> list[Track]:
    """The tracks with the pieces of one person joined, renumbered by first appearance.

    Two pieces join when they share no frame and either place, motion and size agree across a short gap and the looks
    do not differ, or the looks are the same whatever the gap. Who left the picture by its left or right side (known
    where its ``width`` in pixels is given) goes on by motion at that side only. The likeliest pair joins first; people
    visible at once never join.
    """
    pieces = list(renumber(tracks))
    costs: dict[tuple[int, int], float | None] = {}
    next_id = len(pieces)
    while True:
        best: tuple[float, int, int] | None = None
        for a in pieces:
            for b in pieces:
                if a.frame_indices[0] >= b.frame_indices[0]:
                    continue
                if (a.id, b.id) not in costs:
                    costs[a.id, b.id] = _cost(a, b, width, appearance)
                cost = costs[a.id, b.id]
                if cost is not None and (best is None or (cost, a.id, b.id) < best):
                    best = (cost, a.id, b.id)
        if best is None:
            return renumber(pieces)
        joined = [piece for piece in pieces if piece.id in best[1:]]
        seen = [pair for piece in joined for pair in zip(piece.frame_indices, piece.poses, strict=True)]
        pieces = [piece for piece in pieces if piece.id not in best[1:]] + [make_track(next_id, seen)]
        next_id += 1


def _cost(a: Track, b: Track, width: int | None, appearance: Appearance | None) -> float | None:
    """Unlikeliness that ``b`` goes on where ``a`` was, or None where it does not."""
    if not set(a.frame_indices).isdisjoint(b.frame_indices):
        return None
    look = appearance(a, b) if appearance is not None else None
    way = _way(a, b, width)
    if way is not None and (look is None or look < _LOOK_DIFFERENT):
        return way + (look if look is not None else _LOOK_DIFFERENT)
    # Those joined by looks alone come after all joined by motion.
    return 10.0 + look if look is not None and look <= _LOOK_SAME else None


def _way(a: Track, b: Track, width: int | None) -> float | None:
    """Share 0..1 of what a person may move used up between ``a``'s end and ``b``'s start; None when impossible."""
    if b.frame_indices[0] <= a.frame_indices[-1]:
        return None
    gap = b.frame_indices[0] - a.frame_indices[-1]
    before, after = a.poses[-1], b.poses[0]
    sizes = sorted((_size(a.poses[-_END_FRAMES:]), _size(b.poses[:_END_FRAMES])))
    if gap > _MOTION_GAP or sizes[0] < _SIZE_RATIO * sizes[1]:
        return None
    if width is not None and _sides(before, width) and not _sides(before, width) & _sides(after, width):
        return None
    scale = float(np.sqrt(0.5 * (sizes[0] + sizes[1])))
    reach = scale * min(_REACH_START + _REACH_PER_FRAME * gap, _REACH_CAP)
    went = _centre(after) - _centre(before)
    # The person may have gone on as before or have stopped: the nearer of both counts.
    expected = _velocity(a) * min(gap, 15)
    used = min(float(np.linalg.norm(went)), float(np.linalg.norm(went - expected))) / reach
    return used if used <= 1.0 else None


def _size(poses: Sequence[Pose]) -> float:
    """Area of a person's box in square pixels, whatever one pose at the edge of being seen says."""
    return float(np.median([box_area(pose.bbox) for pose in poses]))


def _sides(pose: Pose, width: int) -> set[str]:
    """The sides of the picture that a person touches."""
    margin = _SIDE_MARGIN * width
    touches = {"left": pose.bbox[0] <= margin, "right": pose.bbox[2] >= width - 1 - margin}
    return {side for side, touched in touches.items() if touched}


def _centre(pose: Pose) -> Float64Array:
    weight = pose.score.astype(np.float64) + 1e-6
    centre: Float64Array = (weight[:, None] * pose.xy).sum(axis=0) / weight.sum()
    return centre


def _velocity(track: Track, over: int = 6) -> Float64Array:
    """Mean motion of the centre in pixels a frame over the last poses of a track."""
    tail = min(over, len(track.poses))
    steps = max(1, track.frame_indices[-1] - track.frame_indices[-tail])
    return (_centre(track.poses[-1]) - _centre(track.poses[-tail])) / steps
