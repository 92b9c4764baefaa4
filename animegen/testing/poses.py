"""The contract of :class:`animegen.protocols.PoseBackend`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from animegen.protocols import PoseBackend
from animegen.testing.checks import require
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.types import Frame, Pose, Skeleton

_MOST_AHEAD = 32
"""Frames a backend may take in before it yields: a batch, not the whole segment."""

_SIZES = ((320, 240), (33, 57), (640, 31), (8, 8), (1, 1))


def check_pose_backend(backend: PoseBackend, frames: Sequence[Frame] | None = None) -> None:
    """Raise AssertionError unless a pose backend keeps its contract.

    ``frames``: consecutive frames to run on, best with people in them; drawn figures where None. One list of poses per
    frame, in order, of the backend's skeleton; a call depends on nothing but its frames; any picture size is taken.
    """
    require(isinstance(backend.skeleton, Skeleton), f"skeleton must be a Skeleton, got {backend.skeleton!r:.60}")
    require(list(backend.estimate([])) == [], "estimate([]) must yield nothing")
    clip = list(frames) if frames is not None else _clip((320, 240), 6)
    first = _run(backend, clip)
    _check_same(first, _run(backend, clip), "the same frames give other poses the second time")
    _run(backend, clip[::-1])
    _check_same(first, _run(backend, clip), "frames of an earlier call change what a later call finds")
    for size in _SIZES:
        _run(backend, _clip(size, 2))
    _check_lazy(backend, clip[0])


def _clip(size: tuple[int, int], count: int) -> list[Frame]:
    width, height = size
    frames = []
    for index in range(count):
        feet = (width * (0.4 + 0.02 * index), height * 0.95)
        person = synthetic_pose(feet=feet, height=height * 0.85)
        frames.append(synthetic_frame([(person, synthetic_identity())], size=size, index=index))
    return frames


def _run(backend: PoseBackend, frames: Sequence[Frame]) -> list[list[Pose]]:
    """The poses of each frame, checked one by one."""
    copies = [frame.image.copy() for frame in frames]
    found = [list(poses) for poses in backend.estimate(iter(frames))]
    require(len(found) == len(frames), f"{len(frames)} frames must give as many lists of poses, got {len(found)}")
    for frame, copy, poses in zip(frames, copies, found, strict=True):
        where = f"in a frame of {frame.size[0]}x{frame.size[1]}"
        require(np.array_equal(frame.image, copy), f"estimate must not write to the picture {where}")
        for pose in poses:
            require(isinstance(pose, Pose), f"estimate must yield lists of poses, got {type(pose).__name__} {where}")
            require(pose.skeleton == backend.skeleton, f"a pose has skeleton '{pose.skeleton.name}' {where}")
            inside = bool((pose.score >= 0).all() and (pose.score <= 1).all())
            require(inside, f"scores must be 0..1, got {pose.score.min()}..{pose.score.max()} {where}")
            box = pose.bbox
            require(bool((box[2:] > box[:2]).all()), f"a box must have an area, got {box} {where}")
    return found


def _check_same(a: list[list[Pose]], b: list[list[Pose]], text: str) -> None:
    require([len(poses) for poses in a] == [len(poses) for poses in b], f"{text}: not as many of them")
    for one, other in zip((p for poses in a for p in poses), (p for poses in b for p in poses), strict=True):
        same = np.array_equal(one.xy, other.xy) and np.array_equal(one.score, other.score)
        require(same, f"{text}: points differ by up to {np.abs(one.xy - other.xy).max()} pixels")


def _check_lazy(backend: PoseBackend, frame: Frame) -> None:
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while taken <= _MOST_AHEAD:
            yield Frame(taken, frame.pts + taken, frame.image)
            taken += 1

    next(backend.estimate(endless()))
    require(taken < _MOST_AHEAD, f"estimate took {_MOST_AHEAD} frames before it yielded the first: memory would grow")
