"""A small vector canvas: outlined shapes in frame coordinates, drawn large and scaled down for smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from animegen.types import Float64Array, Sprite, Uint8Array

Rgb = tuple[int, int, int]

_SHIFT = 4
"""Binary digits of the fractions of a pixel that OpenCV is given."""
_MOST_SIDE = 2400
"""Pixels of the drawing's longer side at most: a giant is drawn smaller and scaled up by the sprite's affine."""


@dataclass(frozen=True)
class Ink:
    """The colours of one part: flat colour, the same in shadow, and the line around it."""

    flat: Rgb
    shade: Rgb
    line: Rgb


_ARC: Float64Array = np.linspace(0, 1, 14)


class Canvas:
    """Draws over the box ``low`` .. ``high`` (frame pixels); ``line`` is the outlines' width in frame pixels."""

    def __init__(self, low: Float64Array, high: Float64Array, line: float) -> None:
        self._low = np.floor(low)
        size = np.maximum(np.ceil(high) - self._low + 1, 1)
        wanted = 2.0 if size.max() >= 300 else 3.0
        self._scale = min(wanted, _MOST_SIDE / float(size.max()))
        self._shrink = 2 if self._scale <= 2.0 else 3
        width, height = (int(np.ceil(side * self._scale / self._shrink)) * self._shrink for side in size)
        self._pixels: Uint8Array = np.zeros((height, width, 4), np.uint8)
        self._line = line

    def shape(
        self, outlines: Sequence[Float64Array], ink: Ink, *, line: bool = True, colour: Rgb | None = None
    ) -> None:
        """Fill closed outlines, f64 [N, 2] in frame pixels, as one: the line runs around all of them together."""
        rings = [self._fixed(outline) for outline in outlines]
        width = round(2 * self._line * self._scale)
        if line and width > 0:
            for ring in rings:
                cv2.polylines(self._pixels, [ring], True, (*ink.line, 255), width, cv2.LINE_AA, _SHIFT)
        for ring in rings:
            cv2.fillPoly(self._pixels, [ring], (*(colour or ink.flat), 255), cv2.LINE_AA, _SHIFT)

    def stroke(self, path: Float64Array, colour: Rgb, width: float) -> None:
        """Draw an open line of ``width`` frame pixels."""
        thickness = max(1, round(width * self._scale))
        cv2.polylines(self._pixels, [self._fixed(path)], False, (*colour, 255), thickness, cv2.LINE_AA, _SHIFT)

    def _fixed(self, points: Float64Array) -> np.ndarray:
        drawn = (points - self._low + 0.5) * self._scale - 0.5
        return np.rint(drawn * (1 << _SHIFT)).astype(np.int32)

    def sprite(self, order: float) -> Sprite:
        """The drawing, scaled down; the canvas began transparent black, so its colours are premultiplied already."""
        height, width = (side // self._shrink for side in self._pixels.shape[:2])
        rgba = cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_AREA)
        rgba = cv2.min(rgba, cv2.merge([rgba[..., 3]] * 4))
        step = self._shrink / self._scale
        start = self._low + 0.5 * step - 0.5
        return Sprite(np.asarray(rgba, np.uint8), np.array([[step, 0.0, start[0]], [0.0, step, start[1]]]), order)


def smooth(points: Float64Array, steps: int = 6) -> Float64Array:
    """A closed Catmull-Rom curve (Catmull and Rom 1974) through the points f64 [N, 2], ``steps`` points for each."""
    before, after, beyond = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = (np.arange(steps) / steps)[None, :, None]
    p, a, b, c = (array[:, None, :] for array in (before, points, after, beyond))
    curve = a + 0.5 * t * ((b - p) + t * ((2 * p - 5 * a + 4 * b - c) + t * (3 * (a - b) + c - p)))
    closed: Float64Array = curve.reshape(-1, 2)
    return closed


def taper(start: Float64Array, end: Float64Array, first: float, last: float) -> Float64Array:
    """The outline of two discs of radius ``first`` and ``last`` joined by their tangents."""
    along = end - start
    length = float(np.linalg.norm(along))
    angle = float(np.arctan2(along[1], along[0]))
    lean = float(np.arccos(np.clip((first - last) / length, -1, 1))) if length > 1e-6 else np.pi / 2
    back = angle + lean + (2 * np.pi - 2 * lean) * _ARC
    front = angle - lean + 2 * lean * _ARC
    arcs = [
        point + radius * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        for point, radius, turn in ((start, first, back), (end, last, front))
    ]
    return np.concatenate(arcs)


def ellipse(centre: Float64Array, right: Float64Array, up: Float64Array, points: int = 28) -> Float64Array:
    """The outline of an ellipse with the given half axes."""
    turn = 2 * np.pi / points * np.arange(points)[:, None]
    outline: Float64Array = centre + np.cos(turn) * right + np.sin(turn) * up
    return outline
