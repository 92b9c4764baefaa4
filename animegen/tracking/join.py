"""Pieces joined: the tracks of one person who was away in between, behind something or outside of the picture.

Also the whole of tracking as one call, :func:`track_clip`, of which joining is the last step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import combinations, groupby

import numpy as np

from animegen.protocols import Tracker
from animegen.tracking.clip import Appearance, broken, follow, make_track, renumber
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
_LOOK_SAME_AFTER_CUT = 0.2
"""The same for pieces of two shots: seen from elsewhere a person looks less alike."""


def track_clip(
    frames: Iterable[tuple[int, Sequence[Pose]]],
    make_tracker: Callable[[], Tracker],
    *,
    shots: Sequence[range] = (),
    width: int | None = None,
    appearance: Appearance | None = None,
) -> list[Track]:
    """One track for each person of a clip, from the poses of its frames in order.

    ``frames`` gives (frame index, poses) with rising indices. ``shots`` are the ranges of frames between two cuts; none
    means that the clip is a single shot. ``make_tracker`` is called for each shot, since nobody can be followed across
    a cut: after it people are found again by their looks. ``width`` and ``appearance`` are as :func:`join_tracks` has
    them. Ids are 0, 1, ... by first appearance.
    """
    begins = [shot.start for shot in shots][1:]
    pieces: list[Track] = []
    for _, shot in groupby(frames, key=lambda frame: bisect_right(begins, frame[0])):
        tracks = broken(follow(shot, make_tracker()))
        pieces += undo_swaps(tracks, appearance) if appearance is not None else tracks
    return join_tracks(renumber(pieces), width=width, appearance=appearance, begins=begins)


def join_tracks(
    tracks: Sequence[Track],
    *,
    width: int | None = None,
    appearance: Appearance | None = None,
    begins: Sequence[int] = (),
) -> list[Track]:
    """Join the tracks that are pieces of one person, and renumber all by first appearance.

    Two pieces that share no frame are joined in either of two cases: the gap between them is short, place, motion and
    size agree across it, and the looks do not differ; or the looks are the same, however long the gap. The likeliest
    pair is joined first, and the joined piece is compared with the others anew.

    ``width`` of the picture in pixels: who left it at the left or right side can then come back by motion at that side
    only. ``appearance`` tells how different two pieces look; without it motion alone counts. ``begins`` are the first
    frames of the later shots: pieces on two sides of a cut are joined by looks only.
    """
    pieces = {track.id: track for track in renumber(tracks)}
    looks = _Looks(appearance)
    queue: list[tuple[float, int, int]] = []

    def consider(a: Track, b: Track) -> None:
        first, second = (a, b) if a.frame_indices[0] < b.frame_indices[0] else (b, a)
        cost = _cost(first, second, width, looks, begins)
        if cost is not None:
            heappush(queue, (cost, first.id, second.id))

    for a, b in combinations(pieces.values(), 2):
        consider(a, b)
    next_id = len(pieces)
    while queue:
        _, *pair = heappop(queue)
        if not all(number in pieces for number in pair):
            continue
        first, second = (pieces.pop(number) for number in pair)
        seen = [pose for piece in (first, second) for pose in zip(piece.frame_indices, piece.poses, strict=True)]
        joined = make_track(next_id, seen)
        looks.join(first, second, joined, pieces)
        for other in pieces.values():
            consider(joined, other)
        pieces[next_id] = joined
        next_id += 1
    return renumber(list(pieces.values()))


class _Looks:
    """How different pieces look. For a joined piece it is the mean of its parts, so that no picture is read again."""

    def __init__(self, appearance: Appearance | None) -> None:
        self._appearance = appearance
        self._known: dict[tuple[int, int], float | None] = {}

    def between(self, a: Track, b: Track) -> float | None:
        """The distance of two pieces, or None where it cannot be told."""
        pair = min(a.id, b.id), max(a.id, b.id)
        if pair not in self._known:
            self._known[pair] = self._appearance(a, b) if self._appearance is not None else None
        return self._known[pair]

    def join(self, first: Track, second: Track, joined: Track, others: Mapping[int, Track]) -> None:
        """Tell that two pieces are one from now on."""
        for other in others.values():
            told = [(self.between(part, other), len(part.poses)) for part in (first, second)]
            known = [(look, count) for look, count in told if look is not None]
            total = sum(count for _, count in known)
            mean = sum(look * count for look, count in known) / total if known else None
            self._known[min(joined.id, other.id), max(joined.id, other.id)] = mean


def _cost(a: Track, b: Track, width: int | None, looks: _Looks, begins: Sequence[int]) -> float | None:
    """How unlikely it is that ``b`` is the person of ``a`` again, or None where it is not."""
    if b.frame_indices[0] <= a.frame_indices[-1] and not set(a.frame_indices).isdisjoint(b.frame_indices):
        return None
    look = looks.between(a, b)
    cut = bisect_right(begins, a.frame_indices[-1]) != bisect_right(begins, b.frame_indices[0])
    way = None if cut else _way(a, b, width)
    if way is not None and (look is None or look < _LOOK_DIFFERENT):
        return way + (look if look is not None else _LOOK_DIFFERENT)
    # Those joined by looks alone come after all joined by motion.
    same = _LOOK_SAME_AFTER_CUT if cut else _LOOK_SAME
    return 10.0 + look if look is not None and look <= same else None


def _way(a: Track, b: Track, width: int | None) -> float | None:
    """The way from ``a``'s end to ``b``'s start, as a share 0..1 of the farthest that is possible; None beyond that."""
    gap = b.frame_indices[0] - a.frame_indices[-1]
    if not 0 < gap <= _MOTION_GAP:
        return None
    before, after = a.poses[-1], b.poses[0]
    sizes = sorted((_size(a.poses[-_END_FRAMES:]), _size(b.poses[:_END_FRAMES])))
    if sizes[0] < _SIZE_RATIO * sizes[1]:
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
    """Median area of a person's box in square pixels, so that a single bad pose does not count."""
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
