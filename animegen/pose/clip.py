"""The poses of a clip in memory: what pose files and a job's segments hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from animegen.errors import InvalidValue
from animegen.types import Pose, Skeleton, Track

NOMINAL_RATE = Fraction(30)
"""Frames a second where a file of poses says nothing about time."""


@dataclass(frozen=True, slots=True, eq=False)
class PoseClip:
    """Every pose of a run of frames.

    ``size`` (width, height) of the frames in pixels, ``skeleton`` that of every pose, ``frame_indices`` and
    ``times`` (seconds) rising, ``poses`` those of each frame, ``track_ids`` aligned with them (None: no track).
    Frames without people are there as well, with no poses. Raises InvalidValue where the fields do not agree.
    """

    size: tuple[int, int]
    skeleton: Skeleton
    frame_indices: tuple[int, ...]
    times: tuple[Fraction, ...]
    poses: tuple[tuple[Pose, ...], ...]
    track_ids: tuple[tuple[int | None, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.frame_indices)
        for name in ("times", "poses", "track_ids"):
            if len(getattr(self, name)) != count:
                raise InvalidValue(f"PoseClip.{name} has {len(getattr(self, name))} entries for {count} frames")
        for frame, next_frame in pairwise(self.frame_indices):
            if next_frame <= frame:
                raise InvalidValue(f"PoseClip.frame_indices must rise, but {next_frame} follows {frame}")
        for time, next_time in pairwise(self.times):
            if next_time <= time:
                raise InvalidValue(f"PoseClip.times must rise, but {next_time} s follows {time} s")
        for index, poses, ids in zip(self.frame_indices, self.poses, self.track_ids, strict=True):
            self._check_frame(index, poses, ids)

    def _check_frame(self, index: int, poses: Sequence[Pose], ids: Sequence[int | None]) -> None:
        if len(poses) != len(ids):
            raise InvalidValue(f"frame {index} has {len(poses)} poses and {len(ids)} track ids")
        known = [track_id for track_id in ids if track_id is not None]
        if len(set(known)) != len(known):
            raise InvalidValue(f"frame {index} holds one track twice: {known}")
        if known and min(known) < 0:
            raise InvalidValue(f"frame {index}: track ids must not be negative, got {min(known)}")
        for pose in poses:
            if pose.skeleton != self.skeleton:
                raise InvalidValue(
                    f"frame {index} holds a pose of skeleton '{pose.skeleton.name}' in a clip of '{self.skeleton.name}'"
                )

    def __len__(self) -> int:
        return len(self.frame_indices)

    @property
    def rate(self) -> Fraction:
        """Mean frames a second; :data:`NOMINAL_RATE` for a clip of fewer than two frames."""
        if len(self) < 2:
            return NOMINAL_RATE
        return Fraction(self.frame_indices[-1] - self.frame_indices[0]) / (self.times[-1] - self.times[0])

    def tracks(self) -> tuple[Track, ...]:
        """The people of the clip by rising track id; poses of no track are left out."""
        found: dict[int, tuple[list[int], list[Pose]]] = {}
        for index, poses, ids in zip(self.frame_indices, self.poses, self.track_ids, strict=True):
            for pose, track_id in zip(poses, ids, strict=True):
                if track_id is not None:
                    indices, of_track = found.setdefault(track_id, ([], []))
                    indices.append(index)
                    of_track.append(pose)
        return tuple(Track(i, tuple(found[i][0]), tuple(found[i][1])) for i in sorted(found))

    def with_tracks(self, tracks: Iterable[Track]) -> PoseClip:
        """The same frames holding exactly the poses of ``tracks``."""
        frames: dict[int, list[tuple[int, Pose]]] = {index: [] for index in self.frame_indices}
        for track in tracks:
            for index, pose in zip(track.frame_indices, track.poses, strict=True):
                if index not in frames:
                    raise InvalidValue(f"track {track.id} has a pose in frame {index}, which the clip does not have")
                frames[index].append((track.id, pose))
        return PoseClip(
            self.size,
            self.skeleton,
            self.frame_indices,
            self.times,
            tuple(tuple(pose for _, pose in people) for people in frames.values()),
            tuple(tuple(track_id for track_id, _ in people) for people in frames.values()),
        )


def join_clips(clips: Sequence[PoseClip]) -> PoseClip:
    """One clip from consecutive ones, such as the segments of a job. Raises InvalidValue where they do not fit."""
    if not clips:
        raise InvalidValue("there is no clip to join")
    first = clips[0]
    for clip in clips:
        if (clip.size, clip.skeleton) != (first.size, first.skeleton):
            raise InvalidValue(
                f"clips of {first.size} '{first.skeleton.name}' and {clip.size} '{clip.skeleton.name}' cannot be joined"
            )
    return PoseClip(
        first.size,
        first.skeleton,
        tuple(index for clip in clips for index in clip.frame_indices),
        tuple(time for clip in clips for time in clip.times),
        tuple(poses for clip in clips for poses in clip.poses),
        tuple(ids for clip in clips for ids in clip.track_ids),
    )
