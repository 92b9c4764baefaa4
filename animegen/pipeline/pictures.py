"""Crops of people for the second pass: those that the first pass took, or decoded anew; and looks compared by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from animegen.identity import describe, distance, load_crops, take_crop
from animegen.pipeline.run import Run
from animegen.types import Crop, Float32Array, Track
from animegen.video import VideoFile

CROPS_PER_TRACK = 48
"""Most pictures of one person from which the identity is measured, spread evenly over the clip."""

_UNUSUAL = 1.3
"""A crop whose box is larger or smaller than the person's usual one by more than this factor is not used to compare
looks."""


def crops_of(
    run: Run, tracks: Sequence[Track], slots: Mapping[int, Mapping[int, int]], *, usual: bool = False
) -> dict[int, list[Crop]]:
    """Crops of each track by its id, at most :data:`CROPS_PER_TRACK` of each, spread evenly over the clip.

    With ``usual``, only crops in which the body has about its usual size, where there are any, since others may show
    somebody else as well. Without, all are taken: a person who crouches and stands up is measured in both.
    ``slots`` has by track id and frame index the position of the track's raw pose among the frame's poses.
    """
    wanted = {track.id: _spread(_cropped_frames(track, run.crop_interval, usual=usual)) for track in tracks}
    found: dict[int, list[Crop]] = {track.id: [] for track in tracks}
    for segment in run.segments:
        here = range(segment.start, segment.stop)
        if not any(index in here for indices in wanted.values() for index in indices):
            continue
        by_frame: dict[int, list[Crop]] = defaultdict(list)
        for crop in load_crops(run.job.segment("crops", segment.index)):
            by_frame[crop.frame_index].append(crop)
        for track in tracks:
            found[track.id] += [by_frame[i][slots[track.id][i]] for i in wanted[track.id] if i in here]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class ClipCrops(Sequence[Crop]):
    """A sequence of crops of a person, one for every frame of the track, of at most ``side`` pixels a side.

    None is kept in memory: each iteration decodes the clip again.
    """

    video: VideoFile
    track: Track
    side: int

    def __len__(self) -> int:
        return len(self.track.poses)

    @overload
    def __getitem__(self, place: int) -> Crop: ...
    @overload
    def __getitem__(self, place: slice) -> ClipCrops: ...
    def __getitem__(self, place: int | slice) -> Crop | ClipCrops:
        if isinstance(place, slice):
            track = Track(self.track.id, self.track.frame_indices[place], self.track.poses[place])
            return ClipCrops(self.video, track, self.side)
        index = self.track.frame_indices[place]
        frame = next(iter(self.video.frames(index, index + 1)))
        return take_crop(frame, self.track.poses[place], self.side)

    def __iter__(self) -> Iterator[Crop]:
        if not self.track.poses:
            return
        poses = dict(zip(self.track.frame_indices, self.track.poses, strict=True))
        for frame in self.video.frames(min(poses), max(poses) + 1):
            if frame.index in poses:
                yield take_crop(frame, poses[frame.index], self.side)


def appearance(run: Run, slot_of: Mapping[int, tuple[int, int]]) -> Callable[[Track, Track], float | None]:
    """A function that tells how different two tracks look by their crops (:data:`animegen.tracking.Appearance`).

    ``slot_of`` has by the id of a raw pose its frame index and its position among the frame's poses.
    """
    descriptors: dict[tuple[int, int, int], Float32Array | None] = {}

    def descriptor(track: Track) -> Float32Array | None:
        key = (id(track.poses[0]), id(track.poses[-1]), len(track.poses))  # tracks share no pose, and so no end
        if key not in descriptors:
            places = {track.id: dict(slot_of[id(pose)] for pose in track.poses)}
            crops = crops_of(run, [track], places, usual=True)[track.id]
            descriptors[key] = describe(crops) if crops else None
        return descriptors[key]

    def between(a: Track, b: Track) -> float | None:
        first, second = descriptor(a), descriptor(b)
        return None if first is None or second is None else distance(first, second)

    return between


def _cropped_frames(track: Track, interval: int, *, usual: bool) -> list[int]:
    """The frames of a track of which there are crops; ``usual`` as in :func:`crops_of`."""
    sizes = {
        index: pose.bbox[2:] - pose.bbox[:2]
        for index, pose in zip(track.frame_indices, track.poses, strict=True)
        if index % interval == 0
    }
    if not (sizes and usual):
        return list(sizes)
    middle = np.maximum(np.median(np.stack(list(sizes.values())), axis=0), 1)
    near = [i for i, size in sizes.items() if (abs(np.log(np.maximum(size, 1) / middle)) <= np.log(_UNUSUAL)).all()]
    return near or list(sizes)


def _spread(indices: Sequence[int]) -> tuple[int, ...]:
    if len(indices) <= CROPS_PER_TRACK:
        return tuple(indices)
    return tuple(indices[i] for i in np.linspace(0, len(indices) - 1, CROPS_PER_TRACK).round().astype(int))
