"""The built-in tracker: predicted points against seen points, in two stages of association.

Each person's points are carried on by a damped constant-velocity (alpha-beta) filter. Poses are given to people by
the Hungarian method on keypoint similarity, box overlap and size: sure poses first, then weak ones to those still
unmatched (the order of ByteTrack, Zhang et al. 2022, arXiv 2110.06864), then what is left to people not yet confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from animegen.errors import InvalidValue
from animegen.protocols import PluginContext, Tracker
from animegen.tracking.options import OksTrackerOptions
from animegen.tracking.similarity import box_area, box_iou, keypoint_similarity, pose_similarity, strength
from animegen.types import Float64Array, Pose, Skeleton

_DAMPING = 0.9
"""Share of the velocity left after one unseen frame: an unseen person is not carried out of the picture."""
_POSITION_GAIN, _VELOCITY_GAIN = 0.85, 0.35
_TOLERANCE = 1.4
"""A prediction is less sure than an annotation, for which COCO's spreads are made."""
_TOLERANCE_GROWTH, _TOLERANCE_CAP = 0.08, 3.5
_LOST_FADE, _LOST_FADE_CAP = 0.05, 0.3
"""Likeness taken from a person per unseen frame, and at most: the one in view is preferred where both would fit."""
_LONG_UNSEEN = 5
_WEIGHT_POINTS, _WEIGHT_BOX, _WEIGHT_SIZE = 0.6, 0.3, 0.1
_LEAST_SIZE_RATIO = 0.15
"""No person's box shrinks or grows to more than this from one finding to the next."""
_DUPLICATE = 0.6
"""Keypoint similarity from which an unmatched pose is a second finding of a person already matched."""


@dataclass(slots=True, eq=False)
class _Person:
    """The filter's state of one followed person."""

    skeleton: Skeleton
    xy: Float64Array
    velocity: Float64Array
    score: Float64Array
    box: Float64Array
    frame_index: int
    hits: int = 1
    id: int | None = None

    @classmethod
    def start(cls, pose: Pose, frame_index: int) -> _Person:
        xy = pose.xy.astype(np.float64)
        return cls(pose.skeleton, xy, np.zeros_like(xy), pose.score.astype(np.float64), _box(pose), frame_index)

    def predict(self, frame_index: int) -> tuple[Float64Array, Float64Array]:
        """Points f64 [K, 2] and box f64 [4] expected at a later frame."""
        steps = frame_index - self.frame_index
        reach = (1.0 - _DAMPING**steps) / (1.0 - _DAMPING)
        body = self._body_velocity() * reach
        # Limbs swing back and forth: beyond the next frame only the body's common motion can be carried on.
        moved = self.xy + (self.velocity * reach if steps == 1 else body)
        return moved, self.box + np.tile(body, 2)

    def _body_velocity(self) -> Float64Array:
        weight = self.score + 1e-6
        mean: Float64Array = (weight[:, None] * self.velocity).sum(axis=0) / weight.sum()
        return mean

    def correct(self, pose: Pose, frame_index: int) -> None:
        """Take in the pose seen at ``frame_index``."""
        steps = frame_index - self.frame_index
        predicted, _ = self.predict(frame_index)
        trust = pose.score.astype(np.float64)[:, None]
        error = pose.xy - predicted
        self.xy = predicted + (_POSITION_GAIN + (1.0 - _POSITION_GAIN) * trust) * error
        self.velocity = self.velocity * _DAMPING ** (steps - 1) + _VELOCITY_GAIN * trust * error / steps
        self.score = 0.5 * (self.score + pose.score)
        self.box = _box(pose)
        self.frame_index = frame_index
        self.hits += 1

    def likeness(self, pose: Pose, frame_index: int) -> float:
        """How likely it is that a pose is this person, 0..1: similarity of points, overlap and size of boxes."""
        unseen = frame_index - self.frame_index - 1
        xy, box = self.predict(frame_index)
        here, there = box_area(self.box), box_area(pose.bbox)
        size = min(here, there) / max(here, there)
        if size < _LEAST_SIZE_RATIO:
            return 0.0
        tolerance = min(_TOLERANCE * (1.0 + _TOLERANCE_GROWTH * unseen), _TOLERANCE_CAP)
        points = keypoint_similarity(
            self.skeleton, xy, self.score, pose, area=0.5 * (here + there), tolerance=tolerance
        )
        likeness = _WEIGHT_POINTS * points + _WEIGHT_BOX * box_iou(box, pose.bbox) + _WEIGHT_SIZE * size
        # Size alone is no evidence of place.
        return 0.0 if likeness <= _WEIGHT_SIZE else likeness * (1.0 - min(_LOST_FADE * unseen, _LOST_FADE_CAP))


class OksTracker:
    """Follows several people by their points; implements :class:`animegen.protocols.Tracker`."""

    def __init__(self, options: OksTrackerOptions) -> None:
        self._options = options
        self._people: list[_Person] = []
        self._next_id = 0
        self._last_index: int | None = None

    def update(self, frame_index: int, poses: Sequence[Pose]) -> list[int | None]:
        """Track ids aligned with ``poses``; None for a pose not (yet) taken for a person.

        Raises InvalidValue when ``frame_index`` does not rise or a pose has another skeleton than those before.
        """
        self._check(frame_index, poses)
        options = self._options
        self._people = [p for p in self._people if frame_index - p.frame_index <= self._patience(p)]
        matched: dict[int, _Person] = {}
        sure = [i for i, pose in enumerate(poses) if strength(pose) >= options.confident]
        weak = [i for i in range(len(poses)) if i not in sure]
        confirmed = [p for p in self._people if p.id is not None]
        tentative = [p for p in self._people if p.id is None]

        self._associate(frame_index, poses, sure, confirmed, least=options.min_similarity, matched=matched)
        self._associate(frame_index, poses, weak, confirmed, least=options.min_similarity_weak, matched=matched)
        self._associate(frame_index, poses, sure + weak, tentative, least=options.min_similarity, matched=matched)
        for index, person in matched.items():
            person.correct(poses[index], frame_index)
        for index in sure:
            if index not in matched and not any(pose_similarity(poses[index], poses[m]) > _DUPLICATE for m in matched):
                matched[index] = person = _Person.start(poses[index], frame_index)
                self._people.append(person)
        for index in sorted(matched):
            self._confirm(matched[index], strength(poses[index]))
        return [matched[i].id if i in matched else None for i in range(len(poses))]

    def _check(self, frame_index: int, poses: Sequence[Pose]) -> None:
        if self._last_index is not None and frame_index <= self._last_index:
            raise InvalidValue(f"frame_index must rise, got {frame_index} after {self._last_index}")
        self._last_index = frame_index
        names = sorted({p.skeleton.name for p in poses} | {p.skeleton.name for p in self._people})
        if len(names) > 1:
            raise InvalidValue(f"a tracker follows poses of one skeleton, got {' and '.join(names)}")

    def _patience(self, person: _Person) -> int:
        """Frames until an unseen person is given up: one not confirmed must be seen again soon."""
        lost = self._options.max_lost
        return 1 + (lost if person.id is not None else min(lost, self._options.confirm_hits))

    def _associate(
        self,
        frame_index: int,
        poses: Sequence[Pose],
        candidates: Sequence[int],
        people: Sequence[_Person],
        *,
        least: float,
        matched: dict[int, _Person],
    ) -> None:
        """Give the still free poses among ``candidates`` to the still free ``people``, best sum of likeness first."""
        taken = {id(person) for person in matched.values()}
        free = [p for p in people if id(p) not in taken]
        open_poses = [i for i in candidates if i not in matched]
        if not free or not open_poses:
            return
        likeness = np.array([[person.likeness(poses[i], frame_index) for i in open_poses] for person in free])
        # Who was long away must come back much as they left: a wrong pose would be worse than a new track.
        unseen = np.array([frame_index - person.frame_index for person in free])
        demanded = np.where(unseen > _LONG_UNSEEN, max(least, self._options.min_similarity_weak), least)
        gain = np.where(likeness >= demanded[:, None], likeness, 0.0)
        for row, column in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if gain[row, column] > 0:
                matched[open_poses[column]] = free[row]

    def _confirm(self, person: _Person, seen: float) -> None:
        ripe = person.hits >= self._options.confirm_hits or seen >= self._options.instant
        if person.id is None and ripe:
            person.id = self._next_id
            self._next_id += 1


def _box(pose: Pose) -> Float64Array:
    return pose.bbox.astype(np.float64)


def make_tracker(options: OksTrackerOptions | None, context: PluginContext) -> Tracker:  # noqa: ARG001
    """Factory of the tracker ``oks``."""
    return OksTracker(options or OksTrackerOptions())
