"""Steady poses: zero-phase smoothing of whole tracks, and the One-Euro filter for live use.

A track is smoothed by local quadratic regression in time (Savitzky and Golay 1964; with weights, Cleveland 1979):
every sample counts by its distance in time, its score, and whether a running median finds it plausible. The fit uses
the frames' times, so variable frame rates are right; it looks both ways, so nothing lags; a quadratic follows a
jump's arc, so nothing shrinks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from animegen.errors import InvalidValue
from animegen.pose.expression import FADE_SECONDS, steady_expressions
from animegen.pose.hands import carry_hands, hand_points
from animegen.pose.regression import local_mean, local_quadratic
from animegen.types import Float32Array, Float64Array, Pose, Track

NARROW_SECONDS = 0.14
"""Half the window where a point moves fast: passes motion up to about 5 Hz."""
WIDE_SECONDS = 0.34
"""Half the window where a point is slow enough that the wide fit agrees with the narrow one."""
_NARROW_FRAMES, _WIDE_FRAMES = 2.6, 4.5
"""Half windows never shorter than this many frames: through three samples a quadratic passes with all their noise."""
_MEDIAN_SECONDS = 0.25
"""The running median spans five frames, or three where five would last longer than this."""
_IMPLAUSIBLE, _IMPLAUSIBLE_SPEED = 0.08, 2.0
"""A point this share of the person's size away from its running median counts little, or so many sizes a second away
where frames are far apart: a kick's turn stays below.
"""
_LEAST_WEIGHT = 1e-3
_CARRIED_WEIGHT = 0.1
"""Weight of finger points in frames that do not show them: they ride on their wrist, which is seen."""
_LEAST_NOISE = 5e-4
"""Noise that even a perfect detector has, as a share of the person's size."""
_AGREE, _DISAGREE = 0.8, 2.0
"""Distance of wide and narrow fit in units of the noise: up to the first noise explains it, from the second motion."""


def smooth_track(track: Track, rate: Fraction | float, times: Sequence[Fraction] | None = None) -> Track:
    """The same track with steadier points, boxes and faces; masks are handed on.

    ``rate`` is frames a second, ``times`` those of the track's frames in seconds where the rate varies. Points of
    low score are drawn from their neighbours in time, and hands come and go gently. Constant velocity passes unchanged,
    and smoothing backwards is the same as smoothing forwards. Raises InvalidValue for a rate that is not positive or
    times that do not fit.
    """
    seconds = _seconds(track, rate, times)
    if len(track.poses) < 3:
        return track
    poses = carry_hands(track).poses
    fingers = hand_points(poses[0].skeleton)
    boxes = np.array([pose.bbox for pose in poses], np.float64)
    size = float(np.median(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])))
    score = np.array([pose.score for pose in poses], np.float64)
    points = np.array([pose.xy for pose in poses], np.float64)
    least = np.full(score.shape[1], _LEAST_WEIGHT)
    least[fingers] = _CARRIED_WEIGHT
    weight = np.maximum(score**2, least) * _plausibility(seconds, points, size)
    xy = _steady(seconds, points, weight, size)
    corners = boxes.reshape(-1, 2, 2)
    bbox = _steady(seconds, corners, _plausibility(seconds, corners, size), size).reshape(-1, 4)
    sure = local_mean(seconds, score, weight, NARROW_SECONDS)
    sure[:, fingers] = local_mean(seconds, score[:, fingers], np.ones_like(score[:, fingers]), FADE_SECONDS)
    sure = np.where(score.max(axis=0) > 0, np.clip(sure, 0, 1), 0.0)
    depth = _smooth_depth(seconds, poses, weight)
    faces = steady_expressions(seconds, [pose.expression for pose in poses])
    smooth = tuple(
        replace(
            pose,
            xy=xy[i].astype(np.float32),
            score=sure[i].astype(np.float32),
            bbox=bbox[i].astype(np.float32),
            z=None if depth is None else depth[i].astype(np.float32),
            expression=faces[i],
        )
        for i, pose in enumerate(poses)
    )
    return Track(track.id, track.frame_indices, smooth)


class OneEuro:
    """The One-Euro filter (Casiez, Roussel, Vogel 2012): a low-pass whose cutoff rises with speed.

    ``min_cutoff`` is the cutoff in Hz at rest, ``beta`` how much it rises per unit of speed, ``derivative_cutoff``
    that of the speed itself. One instance follows one array through time.
    """

    def __init__(self, min_cutoff: float = 1.0, beta: float = 0.01, derivative_cutoff: float = 1.0) -> None:
        if min(min_cutoff, derivative_cutoff) <= 0 or beta < 0:
            raise InvalidValue(f"cutoffs must be positive and beta not negative, got {min_cutoff}, {beta}")
        self._min_cutoff, self._beta, self._derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self._time = -math.inf
        self._value: Float64Array | None = None
        self._speed: Float64Array | None = None

    def update(self, time: Fraction | float, value: Float32Array | Float64Array) -> Float64Array:
        """The filtered value of any fixed shape at ``time`` (seconds, rising). Raises InvalidValue otherwise."""
        now, new = float(time), np.asarray(value, np.float64)
        if self._value is None or self._speed is None:
            self._time, self._value, self._speed = now, new, np.zeros_like(new)
            return new
        step = now - self._time
        if step <= 0:
            raise InvalidValue(f"time must rise, but {now} s follows {self._time} s")
        smooth = self._share(np.float64(self._derivative_cutoff), step)
        self._speed = self._speed + smooth * ((new - self._value) / step - self._speed)
        cutoff = self._min_cutoff + self._beta * np.abs(self._speed)
        self._value = self._value + self._share(cutoff, step) * (new - self._value)
        self._time = now
        return self._value

    @staticmethod
    def _share(cutoff: Float64Array | np.float64, step: float) -> Float64Array:
        """How much of the new sample is taken: equations 3 and 5 of the paper."""
        return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * step)))


def _seconds(track: Track, rate: Fraction | float, times: Sequence[Fraction] | None) -> Float64Array:
    if rate <= 0:
        raise InvalidValue(f"rate must be positive, got {float(rate)}")
    if times is None:
        return np.array(track.frame_indices, np.float64) / float(rate)
    if len(times) != len(track.poses):
        raise InvalidValue(f"track {track.id} has {len(track.poses)} poses and {len(times)} times")
    return np.array([float(time - times[0]) for time in times], np.float64)


def _steady(seconds: Float64Array, values: Float64Array, weight: Float64Array, size: float) -> Float64Array:
    """The wide fit where it agrees with the narrow one but for noise, the narrow one where there is real motion."""
    interval = float(np.median(np.diff(seconds)))
    short = max(NARROW_SECONDS, _NARROW_FRAMES * interval)
    narrow = local_quadratic(seconds, values, weight, short)
    wide = local_quadratic(seconds, values, weight, max(WIDE_SECONDS, _WIDE_FRAMES * interval))
    noise = 1.4826 * np.median(np.abs(values - narrow), axis=(0, 2)) + _LEAST_NOISE * size
    apart = local_mean(seconds, ((wide - narrow) ** 2).sum(axis=-1), weight, short)
    moving = np.clip((np.sqrt(apart) / noise - _AGREE) / (_DISAGREE - _AGREE), 0, 1)
    return wide + moving[..., None] * (narrow - wide)


def _smooth_depth(seconds: Float64Array, poses: Sequence[Pose], weight: Float64Array) -> Float64Array | None:
    depth = [pose.z for pose in poses if pose.z is not None]
    if len(depth) < len(poses):
        return None
    return local_quadratic(seconds, np.array(depth, np.float64)[..., None], weight, WIDE_SECONDS)[..., 0]


def _plausibility(seconds: Float64Array, values: Float64Array, size: float) -> Float64Array:
    """1 near the running median of a few samples, falling off beyond a share of the person's size: [T, K]."""
    from scipy.ndimage import median_filter

    interval = float(np.median(np.diff(seconds)))
    samples = 5 if 5 * interval <= _MEDIAN_SECONDS else 3
    middle = median_filter(values, (samples, 1, 1), mode="nearest")
    tolerance = max(_IMPLAUSIBLE, _IMPLAUSIBLE_SPEED * interval) * max(size, 1.0)
    distance = np.hypot(*np.moveaxis(values - middle, -1, 0)) / tolerance
    plausible: Float64Array = 1 / (1 + distance**8) + _LEAST_WEIGHT
    return plausible
