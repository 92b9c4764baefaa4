"""How the camera moved between two frames: features are tracked on small grey pictures, and a homography fitted.

Used while the first pass observes the background, and again when the second lays samples on plates.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from animegen.composite.fill import as_mask
from animegen.types import Float32Array, Float64Array, Uint8Array

SMALL_SIDE = 640
"""Longest side, in pixels, of the grey pictures on which frames are aligned."""

_FEATURES = 180
_MIN_FEATURES = 12
_MIN_SHARE = 0.4
"""With fewer tracked features, or a smaller share of them in agreement, the camera's motion is not known."""

_AGREEMENT = 1.0
"""How far, in small pixels, a feature may lie from where the homography puts it."""

_TRIALS = 300
"""Random draws at most: with half of the features in agreement, 300 fail once in a hundred million."""

_UNCHANGED = 3.0
"""Mean difference in grey levels up to which two featureless frames show the same view."""

_FLOW_WINDOW = (15, 15)
_FLOW_LEVELS = 3
_FLOW_ENDS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A frame as alignment sees it: small ``grey`` uint8 [h, w], and ``people`` uint8 [h, w], not 0 on them."""

    grey: Uint8Array
    people: Uint8Array


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """``homography`` f64 [3, 3] between full frames' pixels; ``shift``: median motion of the features in pixels."""

    homography: Float64Array
    shift: float


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) at which a frame of ``size`` is aligned."""
    shrink = max(1.0, max(size) / SMALL_SIDE)
    return max(1, round(size[0] / shrink)), max(1, round(size[1] / shrink))


def small_grey(image: Uint8Array) -> Uint8Array:
    """RGB uint8 [H, W, 3] as the small grey picture of :class:`View`."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey, small_size((image.shape[1], image.shape[0])), interpolation=cv2.INTER_AREA), np.uint8
    )


def to_small(size: tuple[int, int]) -> Float64Array:
    """The 3x3 matrix from a frame's pixels to those of its small picture."""
    small = small_size(size)
    x, y = small[0] / size[0], small[1] / size[1]
    return np.array([(x, 0.0, (x - 1) / 2), (0.0, y, (y - 1) / 2), (0.0, 0.0, 1.0)])


class Aligner:
    """Aligns other frames of the same size to one view, whose features are found once."""

    def __init__(self, view: View, size: tuple[int, int]) -> None:
        self._view = view
        self._to_small = to_small(size)
        self._from_small = np.linalg.inv(self._to_small)
        free = as_mask(view.people == 0)
        found = cv2.goodFeaturesToTrack(view.grey, _FEATURES, 0.01, 9, mask=free)
        self._points = np.zeros((0, 1, 2), np.float32) if found is None else found.reshape(-1, 1, 2)

    def align(self, grey: Uint8Array, guess: Float64Array | None = None) -> Alignment | None:
        """Align a frame, given as its small grey picture, to the view's frame; None where no camera motion fits.

        The homography maps the frame's pixels to those of the view's frame. ``guess`` is a homography to start from.
        """
        if len(self._points) < _MIN_FEATURES:
            return self._unchanged(grey)
        here, there = self._follow(grey, guess)
        if len(here) < max(_MIN_FEATURES, _MIN_SHARE * len(self._points)):
            return self._unchanged(grey)
        fitted, agree = cv2.findHomography(there, here, cv2.RANSAC, _AGREEMENT, maxIters=_TRIALS)
        small = np.asarray(fitted, np.float64)
        if fitted is None or agree.sum() < max(_MIN_FEATURES, _MIN_SHARE * len(here)) or not _is_camera(small):
            return self._unchanged(grey)
        agreeing = agree.ravel() > 0
        moved = np.linalg.norm((here - there)[agreeing], axis=1)
        homography = self._from_small @ small @ self._to_small
        return Alignment(homography / homography[2, 2], float(np.median(moved)) / self._to_small[0, 0])

    def _follow(self, grey: Uint8Array, guess: Float64Array | None) -> tuple[Float32Array, Float32Array]:
        """Features of the view and where they lie in the other frame, both f32 [n, 2] small pixels."""
        start, flags = self._points.copy(), 0
        if guess is not None:
            back = np.linalg.inv(self._to_small @ guess @ self._from_small)
            start = np.asarray(cv2.perspectiveTransform(self._points, back), np.float32)
            flags = cv2.OPTFLOW_USE_INITIAL_FLOW
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            self._view.grey,
            grey,
            self._points,
            start,
            winSize=_FLOW_WINDOW,
            maxLevel=_FLOW_LEVELS,
            criteria=_FLOW_ENDS,
            flags=flags,
        )
        height, width = grey.shape
        there = np.asarray(moved, np.float32).reshape(-1, 2)
        inside = (there >= 0).all(axis=1) & (there < (width, height)).all(axis=1)
        kept = inside & (found.ravel() > 0)
        return np.asarray(self._points, np.float32).reshape(-1, 2)[kept], there[kept]

    def _unchanged(self, grey: Uint8Array) -> Alignment | None:
        """No motion, where both frames look the same outside of the people: for scenes without features."""
        free = as_mask(self._view.people == 0)
        if cv2.mean(cv2.absdiff(self._view.grey, grey), mask=free)[0] <= _UNCHANGED:
            return Alignment(np.eye(3), 0.0)
        return None


def _is_camera(homography: Float64Array) -> bool:
    """Whether a homography can be a camera's motion between frames: not mirrored, collapsed or wildly distorted."""
    area = float(np.linalg.det(homography[:2, :2]))
    return 0.25 < area < 4.0 and float(np.abs(homography[2, :2]).max()) < 2e-3
