"""Swaps undone: where two people cross, a tracker may leave with the wrong one of them.

The second step of :func:`animegen.tracking.track_clip`, for which the looks before and after the crossing are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from animegen.tracking.clip import Appearance, make_track
from animegen.tracking.similarity import box_containment, box_iou
from animegen.types import Pose, Track

_OVERLAP = 0.3
"""Share of the smaller box from which two people may be taken for each other."""
_APART = 15
"""Frames without overlap that end a crossing, or after which a lost track was not lost in it."""
_LEAST, _MOST = 6, 120
"""Frames before and after a crossing by which a look is told: with fewer nothing is."""
_SETTLE = 6
"""Frames beside a crossing by which no look is told where there are others: the two are then still mixed in them."""
_JUMP = 0.5
"""Box in common below which a pose is another body's than that of the frame before."""
_MARGIN = 0.12
"""How much better the looks must agree, per person, before tails are exchanged: motion is right as a rule."""


def undo_swaps(tracks: Sequence[Track], appearance: Appearance) -> list[Track]:
    """The tracks, with what follows a crossing exchanged between two of them where their looks demand it.

    Where one of the two ends in the crossing, what follows goes to the one whom it looks like. Crossings are judged in
    the order of time, each by the tracks as the earlier ones left them. No pose is lost.
    """
    people = {track.id: track for track in tracks}
    for start, a, b in sorted(_crossings(tracks)):
        first, second = people[a], people[b]
        span = _span(first, second, start)
        if span is None:
            continue
        cut, stop = span
        if _looks_swapped(first, second, start, stop, appearance):
            people[a], people[b] = _spliced(first, second, cut), _spliced(second, first, cut)
    return [track for track in people.values() if track.poses]


def _crossings(tracks: Sequence[Track]) -> Iterator[tuple[int, int, int]]:
    """(first frame, id, id) of every crossing of two tracks."""
    for a, b in combinations(tracks, 2):
        last = None
        for frame, share in _overlaps(a, b):
            if share >= _OVERLAP:
                if last is None or frame - last > _APART:
                    yield frame, a.id, b.id
                last = frame


def _overlaps(a: Track, b: Track) -> Iterator[tuple[int, float]]:
    there = dict(zip(b.frame_indices, b.poses, strict=True))
    for frame, pose in zip(a.frame_indices, a.poses, strict=True):
        other = there.get(frame)
        if other is not None:
            yield frame, box_containment(pose.bbox, other.bbox)


def _span(a: Track, b: Track, start: int) -> tuple[int, int] | None:
    """(frame after which tails are exchanged, last frame) of the crossing that starts at ``start``.

    Where one of the two ended in it, the other may have gone on as both in one, until they came apart with a jump.
    """
    stop, most, cut = start, 0.0, start
    for frame, share in _overlaps(a, b):
        if frame < start or share < _OVERLAP:
            continue
        if frame - stop > _APART:
            break
        stop = frame
        if share > most:
            most, cut = share, frame
    ends = [track.frame_indices[-1] for track in (a, b) if track.frame_indices[-1] <= stop + _APART]
    if len(ends) == 2:
        return None
    if not ends:
        return cut, stop
    other = b if a.frame_indices[-1] == ends[0] else a
    jump = _jump(other, ends[0], stop + _APART)
    return jump, max(stop, jump)


def _jump(track: Track, first: int, last: int) -> int:
    """The frame from ``first`` to ``last`` after which the pose changes most, or ``first`` where it never jumps."""
    steps = [
        (box_iou(here.bbox, there.bbox), frame)
        for (frame, here), (_, there) in pairwise(zip(track.frame_indices, track.poses, strict=True))
        if first <= frame <= last
    ]
    likeness, frame = min(steps, default=(1.0, first))
    return frame if likeness < _JUMP else first


def _looks_swapped(a: Track, b: Track, start: int, stop: int, appearance: Appearance) -> bool:
    before = [
        _part(track, start - _MOST, start - 1 - _SETTLE) or _part(track, start - _MOST, start - 1) for track in (a, b)
    ]
    after = [_part(track, stop + 1 + _SETTLE, stop + _MOST) or _part(track, stop + 1, stop + _MOST) for track in (a, b)]
    if any(part is None for part in before):
        return False
    kept, exchanged, links = 0.0, 0.0, 0
    for i, tail in enumerate(after):
        own, other = before[i], before[1 - i]
        if tail is None or own is None or other is None:
            continue
        same, crossed = appearance(own, tail), appearance(other, tail)
        if same is None or crossed is None:
            return False
        kept, exchanged, links = kept + same, exchanged + crossed, links + 1
    return links > 0 and exchanged + links * _MARGIN < kept


def _part(track: Track, first: int, last: int) -> Track | None:
    """The poses of frames ``first`` .. ``last``, or None where they are too few."""
    seen = [(f, pose) for f, pose in zip(track.frame_indices, track.poses, strict=True) if first <= f <= last]
    return make_track(track.id, seen) if len(seen) >= _LEAST else None


def _spliced(head: Track, tail: Track, cut: int) -> Track:
    """``head`` up to frame ``cut``, then ``tail``."""
    seen: list[tuple[int, Pose]] = [p for p in zip(head.frame_indices, head.poses, strict=True) if p[0] <= cut]
    seen += [p for p in zip(tail.frame_indices, tail.poses, strict=True) if p[0] > cut]
    return make_track(head.id, seen)
