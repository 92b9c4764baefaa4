"""The contract of :class:`animegen.protocols.Tracker`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from animegen.protocols import Tracker
from animegen.testing.checks import frozen, require
from animegen.testing.synthetic import synthetic_pose
from animegen.types import Pose

_FRAMES = 20
_SETTLED = 10
"""Frames after which a person standing in full view must have an id."""


def check_tracker(make: Callable[[], Tracker]) -> None:
    """Raise AssertionError unless the trackers that ``make`` returns keep their contract.

    Ids are aligned with the poses and unique in a frame; two people standing apart keep theirs, in whatever order
    their poses come; frames without poses and gaps in the numbering are taken; a new tracker starts afresh.
    """
    require(list(make().update(0, [])) == [], "update must return an empty list for a frame without poses")
    clip = [_pair(index) for index in range(_FRAMES)]
    ids = _run(make(), list(enumerate(clip)))
    require(ids == _run(make(), list(enumerate(clip))), "two new trackers give different ids to the same clip")
    _check_kept(ids, "standing apart")
    turned = [poses if index % 2 else poses[::-1] for index, poses in enumerate(clip)]
    swapped = _run(make(), list(enumerate(turned)))
    _check_kept(
        [found if index % 2 else found[::-1] for index, found in enumerate(swapped)], "whose poses come in turns"
    )
    _check_kept(_run(make(), [(index * 2 + 100, poses) for index, poses in enumerate(clip)]), "seen every other frame")
    _run(make(), [(index, poses if index % 3 else []) for index, poses in enumerate(clip)])


def _pair(index: int) -> list[Pose]:
    """Two people far apart, swaying a little."""
    sway = float(index % 3)
    return [frozen(synthetic_pose(feet=(x + sway, 220.0))) for x in (80.0, 240.0)]


def _run(tracker: Tracker, frames: Sequence[tuple[int, Sequence[Pose]]]) -> list[list[int | None]]:
    result = []
    for index, poses in frames:
        ids = list(tracker.update(index, poses))
        require(len(ids) == len(poses), f"update must return {len(poses)} ids, got {len(ids)} at frame {index}")
        known = [person for person in ids if person is not None]
        plain = all(isinstance(person, int) for person in known)
        require(plain, f"ids must be whole numbers or None, got {ids} at frame {index}")
        require(len(set(known)) == len(known), f"one id for two people at frame {index}: {ids}")
        result.append(ids)
    return result


def _check_kept(ids: Sequence[Sequence[int | None]], who: str) -> None:
    """Each of two people has one id through the clip, and has it by the settled frame."""
    for person in range(2):
        given = {frame[person] for frame in ids} - {None}
        require(len(given) == 1, f"a person {who} has the ids {given}, and must keep one")
        settled = all(frame[person] is not None for frame in ids[_SETTLED:])
        require(settled, f"a person {who} must have an id after {_SETTLED} frames")
