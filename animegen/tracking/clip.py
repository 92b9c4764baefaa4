"""The tracks of one shot: a tracker goes through its frames, then what only hindsight can tell is put right.

The first step of :func:`animegen.tracking.track_clip`; ``crossings`` and ``join`` go on with these tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from animegen.protocols import Tracker
from animegen.tracking.similarity import box_containment, pose_similarity, strength
from animegen.types import Pose, Track

Appearance: TypeAlias = Callable[[Track, Track], float | None]
"""Tells how different two tracks look, 0 (the same) .. 1, or None where it cannot be told. Tracking sees no pictures:
the caller, who has them, hands this in."""

_ADOPT_LIKENESS = 0.35
"""Keypoint similarity from which a pose without a track belongs to the track that begins right after it, and over how
many frames such poses may be missing."""
_ADOPT_GAP = 3
_EVIDENCE, _EVIDENCE_SHARE = 5.0, 0.3
"""Tracks with less evidence than this are no person. In short clips it is the second, times the frames with poses."""
_LEAST_STRENGTH = 0.35
_SHADOW, _SHADOW_DOUBT = 0.85, 0.6
"""A pose whose box lies inside another track's by this share counts less as evidence, by the second: backends see
people in the arms and hair of others."""
_SPLINTER_GAP, _SPLINTER_FRAMES = 5, 3
"""At most so many poses (the second) between two absences longer than the first are dropped: what backends make of
somebody who is hidden."""
_LONG_ABSENCE = 12
"""Frames of absence after which a tracker that finds somebody again has only guessed who it is."""
_DOUBLE_LIKENESS, _DOUBLE_SHARE = 0.6, 0.6
"""A track that lies on another this closely, in this share of its frames, is the same person found twice."""


@dataclass(slots=True, eq=False)
class _Clip:
    """The poses of every frame, and in ``owner``, aligned with them, the track that each belongs to."""

    indices: list[int] = field(default_factory=list)
    poses: list[tuple[Pose, ...]] = field(default_factory=list)
    owner: list[list[int | None]] = field(default_factory=list)

    def tracks(self) -> list[Track]:
        seen: dict[int, list[tuple[int, Pose]]] = {}
        for index, poses, owner in zip(self.indices, self.poses, self.owner, strict=True):
            for pose, track_id in zip(poses, owner, strict=True):
                if track_id is not None:
                    seen.setdefault(track_id, []).append((index, pose))
        return [make_track(track_id, seen[track_id]) for track_id in sorted(seen)]


def make_track(track_id: int, seen: Iterable[tuple[int, Pose]]) -> Track:
    """A track from its frames and poses, in any order."""
    ordered = sorted(seen, key=lambda pair: pair[0])
    return Track(track_id, tuple(index for index, _ in ordered), tuple(pose for _, pose in ordered))


def follow(frames: Iterable[tuple[int, Sequence[Pose]]], tracker: Tracker) -> list[Track]:
    """The tracks of a shot, from its poses by frame index in order.

    A tracker reports a person only after some frames; the poses of these frames are given to the track afterwards.
    Then tracks that are no person are dropped, and those that are one person found twice.
    """
    clip = _Clip()
    for frame_index, poses in frames:
        clip.indices.append(frame_index)
        clip.poses.append(tuple(poses))
        clip.owner.append(list(tracker.update(frame_index, poses)))
    _adopt_first_frames(clip)
    count = sum(1 for poses in clip.poses if poses)
    return renumber(_without_ghosts([_without_splinters(track) for track in clip.tracks()], count))


def broken(tracks: Sequence[Track]) -> list[Track]:
    """The tracks, cut in two wherever the person was away for long.

    Whether both pieces are the same person is then decided by :func:`animegen.tracking.join_tracks`, which sees looks.
    """
    pieces: list[Track] = []
    for track in tracks:
        start = 0
        for end in range(1, len(track.poses) + 1):
            if end == len(track.poses) or track.frame_indices[end] - track.frame_indices[end - 1] > _LONG_ABSENCE:
                pieces.append(Track(track.id, track.frame_indices[start:end], track.poses[start:end]))
                start = end
    return renumber(pieces)


def renumber(tracks: Sequence[Track]) -> list[Track]:
    """The tracks with ids 0, 1, ... by first appearance; where two appear at once, the longer comes first."""
    ordered = sorted(tracks, key=lambda t: (t.frame_indices[0], -len(t.poses), float(t.poses[0].bbox[0]), t.id))
    return [Track(i, track.frame_indices, track.poses) for i, track in enumerate(ordered)]


def keep_longest(tracks: Sequence[Track], count: int) -> list[Track]:
    """The ``count`` tracks seen in most frames (of equals, the first to appear), in their order and with their ids."""
    kept = {t.id for t in sorted(tracks, key=lambda t: (-len(t.poses), t.frame_indices[0], t.id))[:count]}
    return [track for track in tracks if track.id in kept]


def _adopt_first_frames(clip: _Clip) -> None:
    """Give each track the poses that lead up to its first frame, as far as they belong to nobody."""
    known: set[int] = set()
    for start, owner in enumerate(clip.owner):
        for slot, track_id in enumerate(owner):
            if track_id is not None and track_id not in known:
                known.add(track_id)
                _adopt_backwards(clip, start, clip.poses[start][slot], track_id)


def _adopt_backwards(clip: _Clip, start: int, pose: Pose, track_id: int) -> None:
    position, gap = start - 1, 0
    while position >= 0 and gap < _ADOPT_GAP:
        free = [slot for slot, owner in enumerate(clip.owner[position]) if owner is None]
        likeness = {slot: pose_similarity(pose, clip.poses[position][slot], 2.0) for slot in free}
        best = max(free, key=lambda slot: likeness[slot], default=None)
        if best is not None and likeness[best] >= _ADOPT_LIKENESS:
            clip.owner[position][best] = track_id
            pose, gap = clip.poses[position][best], 0
        else:
            gap += 1
        position -= 1


def _without_splinters(track: Track) -> Track:
    """The track without short runs of poses between long absences; the whole track where there are only such."""
    whole = [pair for run in _runs(track) if len(run) > _SPLINTER_FRAMES for pair in run]
    return make_track(track.id, whole) if whole else track


def _runs(track: Track) -> list[list[tuple[int, Pose]]]:
    """The track's frames and poses, parted where it is absent for long."""
    runs: list[list[tuple[int, Pose]]] = []
    for index, pose in zip(track.frame_indices, track.poses, strict=True):
        if not runs or index - runs[-1][-1][0] > _SPLINTER_GAP:
            runs.append([])
        runs[-1].append((index, pose))
    return runs


def _without_ghosts(tracks: Sequence[Track], frames_with_people: int) -> list[Track]:
    """The tracks without those that are no person, and those that are the person of a longer track found twice."""
    enough = min(_EVIDENCE, _EVIDENCE_SHARE * frames_with_people)
    kept: list[Track] = []
    for track in sorted(tracks, key=lambda t: (-len(t.poses), t.id)):
        if _evidence(track, kept) >= enough and not any(_lies_on(track, other) for other in kept):
            kept.append(track)
    return kept


def _evidence(track: Track, others: Sequence[Track]) -> float:
    """How much speaks for a track being a person: the sum of its poses' strengths.

    It counts less where the track is often interrupted, and where its poses lie inside those of ``others``.
    """
    total = sum(strength(pose) for pose in track.poses)
    if total < _LEAST_STRENGTH * len(track.poses):
        return 0.0
    present = len(track.poses) / sum(run[-1][0] - run[0][0] + 1 for run in _runs(track))
    there = [dict(zip(other.frame_indices, other.poses, strict=True)) for other in others]
    inside = sum(
        any(index in poses and box_containment(pose.bbox, poses[index].bbox) >= _SHADOW for poses in there)
        for index, pose in zip(track.frame_indices, track.poses, strict=True)
    )
    return total * present**2 * (1.0 - _SHADOW_DOUBT * inside / len(track.poses))


def _lies_on(track: Track, other: Track) -> bool:
    there = dict(zip(other.frame_indices, other.poses, strict=True))
    alike = sum(
        index in there and pose_similarity(pose, there[index]) > _DOUBLE_LIKENESS
        for index, pose in zip(track.frame_indices, track.poses, strict=True)
    )
    return alike >= _DOUBLE_SHARE * len(track.poses)
