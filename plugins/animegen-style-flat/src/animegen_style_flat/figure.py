"""From the points of a pose to the measures of a doll: its size, where it faces, where its joints are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from animegen.types import Float64Array, Pose

_SHOULDER_SPAN, _EAR_SPAN, _EYE_SPAN, _NECK, _THIGH = 0.74, 0.32, 0.16, 0.4, 0.85
"""Lengths of a standing adult as shares of the torso from shoulders to hips."""
_NOSE_REACH = 0.75
"""How far the nose stands out before the ears, as a share of the distance between them."""
_BODY_SPANS = (
    ("left_shoulder", "left_hip", 1.0),
    ("right_shoulder", "right_hip", 1.0),
    ("left_shoulder", "right_shoulder", _SHOULDER_SPAN),
    ("left_hip", "left_knee", _THIGH * 1.1),
    ("right_hip", "right_knee", _THIGH * 1.1),
)
_HEAD_SPANS = (
    ("left_ear", "right_ear", _EAR_SPAN),
    ("left_eye", "right_eye", _EYE_SPAN),
    ("nose", "left_ear", _EAR_SPAN),
    ("nose", "right_ear", _EAR_SPAN),
)
_NO_LENGTH = 1e-6


@dataclass(frozen=True)
class Figure:
    """The known points of a pose by name, f64 [2] in frame pixels, and depth by name in pixels where there is any."""

    points: Mapping[str, Float64Array]
    depth: Mapping[str, float]
    unit: float

    @classmethod
    def of(cls, pose: Pose, min_score: float, unit: float | None = None) -> Figure:
        """Read a pose. ``unit`` is the torso's length in pixels; measured from this pose alone where None."""
        names = pose.skeleton.points
        points = {n: pose.xy[i].astype(np.float64) for i, n in enumerate(names) if pose.score[i] >= min_score}
        depth = {n: float(pose.z[names.index(n)]) for n in points} if pose.z is not None else {}
        return cls(points, depth, measure(points) if unit is None else unit)

    def middle(self, *names: str) -> Float64Array | None:
        """The mean of the named points, or None unless all are known."""
        if not all(name in self.points for name in names):
            return None
        mean: Float64Array = np.mean([self.points[name] for name in names], axis=0)
        return mean

    @cached_property
    def skull(self) -> Float64Array | None:
        """The middle of the head between the ears, as well as it can be told."""
        for names in (("left_ear", "right_ear"), ("left_eye", "right_eye"), ("nose",), ("left_ear",), ("right_ear",)):
            found = self.middle(*names)
            if found is not None:
                return found
        return None

    @cached_property
    def shoulders(self) -> Float64Array | None:
        """The point between the shoulders; guessed from the head or the hips where a shoulder is unknown."""
        both = self.middle("left_shoulder", "right_shoulder")
        if both is not None:
            return both
        down = np.array([0.0, self.unit])
        if self.skull is not None:
            guessed: Float64Array = self.skull + _NECK * down
            return guessed
        hips = self.middle("left_hip", "right_hip")
        if hips is None:
            return None
        above: Float64Array = hips - down
        return above

    @cached_property
    def hips(self) -> Float64Array | None:
        """The point between the hips; below the shoulders, in line with the neck, where a hip is unknown."""
        both = self.middle("left_hip", "right_hip")
        if both is not None or self.shoulders is None:
            return both
        if self.skull is None:
            below: Float64Array = self.shoulders + np.array([0.0, self.unit])
            return below
        line = direction(self.shoulders - self.skull)
        guessed: Float64Array = self.shoulders + self.unit * direction(line + np.array([0.0, 1.0]))
        return guessed

    @cached_property
    def spine(self) -> Float64Array:
        """Unit vector up the back."""
        if self.shoulders is None or self.hips is None:
            return np.array([0.0, -1.0])
        return direction(self.shoulders - self.hips)

    @cached_property
    def faces_away(self) -> bool:
        """Whether the chest points away from the viewer: the left shoulder is then on the left of the picture."""
        left, right = self.points.get("left_shoulder"), self.points.get("right_shoulder")
        return bool(left is not None and right is not None and (left - right) @ across(self.spine) < 0)

    @cached_property
    def neck(self) -> Float64Array:
        """Unit vector from the shoulders to the head."""
        if self.shoulders is None or self.skull is None:
            return self.spine
        return direction(self.skull - self.shoulders, fallback=self.spine)

    @cached_property
    def yaw(self) -> float:
        """Where the face looks, in radians: 0 at the viewer, positive to the right of the picture, pi away."""
        right = across(self.neck)
        ears, nose = self._ears, self.points.get("nose")
        if ears is None or nose is None or self.skull is None:
            return math.pi if self.faces_away else 0.0
        open_to_viewer = float(ears @ right) / (_EAR_SPAN * self.unit)
        sideways = float((nose - self.skull) @ right) / (_NOSE_REACH * _EAR_SPAN * self.unit)
        if not {"left_ear", "right_ear"} <= self.points.keys():  # the nose stands out less before the eyes
            sideways *= 2
        return math.atan2(sideways, open_to_viewer)

    @cached_property
    def pitch(self) -> float:
        """How far the face is raised, -1 (down) .. 1 (up)."""
        nose = self.points.get("nose")
        if nose is None or self.middle("left_ear", "right_ear") is None or self.skull is None:
            return 0.0
        raised = float((nose - self.skull) @ self.neck) / (_EAR_SPAN * self.unit)
        return max(-1.0, min(1.0, 1.5 * (raised + 0.1)))

    @cached_property
    def crown(self) -> Float64Array:
        """Unit vector up the head: along the ears' line seen from front or back, else along the neck."""
        ears = self._ears
        if ears is None:
            return self.neck
        if ears @ across(self.neck) < 0:
            ears = -ears
        sure = min(1.0, float(np.linalg.norm(ears)) / (_EAR_SPAN * self.unit)) ** 2
        return direction(sure * np.array([ears[1], -ears[0]]) / self.unit / _EAR_SPAN + (1 - sure) * self.neck)

    @cached_property
    def _ears(self) -> Float64Array | None:
        """From the right to the left ear, or the same told by the eyes; None where neither pair is known."""
        for name, span in (("ear", _EAR_SPAN), ("eye", _EYE_SPAN)):
            left, right = self.points.get(f"left_{name}"), self.points.get(f"right_{name}")
            if left is not None and right is not None:
                apart: Float64Array = (left - right) * (_EAR_SPAN / span)
                return apart
        return None


def measure(points: Mapping[str, Float64Array]) -> float:
    """The torso's length in pixels, by the body or, where that is unknown, by the head; 0 where neither tells.

    The longest reading counts, since turning away only shortens.
    """
    for spans in (_BODY_SPANS, _HEAD_SPANS):
        known = [(points[a] - points[b], share) for a, b, share in spans if a in points and b in points]
        if known:
            return max(float(np.linalg.norm(apart)) / share for apart, share in known)
    return 0.0


def direction(vector: Float64Array, fallback: Float64Array | None = None) -> Float64Array:
    """The vector at length 1; ``fallback`` (up where None) for one of no length."""
    length = float(np.linalg.norm(vector))
    if length > _NO_LENGTH:
        unit: Float64Array = vector / length
        return unit
    return np.array([0.0, -1.0]) if fallback is None else fallback


def across(up: Float64Array) -> Float64Array:
    """The unit vector to the right in the picture of one that points up."""
    return np.array([-up[1], up[0]])
