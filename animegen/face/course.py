"""The course of one face through a clip: where it is, frame by frame, and how surely it can be drawn there.

A face is drawn where it is large enough and turned to the camera; it fades in and out where that ends, so that nothing
pops, and is carried over frames in which it was missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter1d

from animegen.face.align import face_square, side_of, steady_squares
from animegen.types import Face, Float32Array, Float64Array

SMALL = (28.0, 40.0)
"""Sides of a face's square, in pixels of the frame, up to which it is not drawn, and from which it is fully so."""
TURNED = (28.0, 36.0)
"""Degrees, by :func:`turn`, up to which a face is drawn, and from which it is not. The face mesh takes a head for less
turned than it is: these are about 40 and 50 degrees in truth."""
_NOSE = 0.45
"""How far the tip of a nose lies before the eyes, in distances of the eyes."""
_LEAST_SCORE = 0.5
_GAP_FRAMES = 8
"""Missing faces of no more frames than this are drawn between those around."""
_LEAST_FRAMES = 5
"""A face seen for fewer frames on end is taken for a mistake, unless that is the whole clip."""
_FADE_FRAMES = 4
_DRAWN = 0.5
"""A face that can be drawn so well on the mean over a fade is drawn, any other fades out: one that stands half drawn is
two faces."""
_JUMP = 0.5
"""A face that moves or grows by this share of its side from one frame to the next is in another shot."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """``places`` i64 [N] rising, of the frames in which the face is drawn, ``squares`` f64 [N, 4] around it there (see
    :mod:`animegen.face.align`), ``strength`` f32 [N] 0..1 its opacity; ``starts`` the frames of N at which another
    stretch begins: what belongs to two of them is never averaged."""

    places: tuple[int, ...]
    squares: Float64Array
    strength: Float32Array
    starts: tuple[int, ...]

    def stretches(self) -> Iterator[slice]:
        """The parts of N that belong together."""
        for start, stop in pairwise((*self.starts, len(self.places))):
            yield slice(start, stop)


def visible(face: Face | None) -> float:
    """How well a face can be drawn, 0..1, by its size and its turn; in pixels of the frame."""
    if face is None or face.score < _LEAST_SCORE:
        return 0.0
    side = float(side_of(face_square(face.points)))
    return _rise(side, *SMALL) * (1 - _rise(turn(face.points), *TURNED))


def turn(points: Float32Array) -> float:
    """How far a head is turned aside, in degrees: the mean of what its nose and the distance of its eyes tell.

    The nose moves along the eyes, and these come nearer to one another than to the mouth; where points are guessed that
    are not seen, either alone tells less than the other.
    """
    right, left, nose, *mouth = points.astype(np.float64)
    across, eyes = left - right, (left + right) / 2
    offset = abs(float((nose - eyes) @ across)) / max(float(across @ across), 1e-9)
    down = float(np.hypot(*(np.mean(mouth, axis=0) - eyes)))
    narrowed = min(1.0, float(np.hypot(*across)) / max(down, 1e-9))
    return float(np.degrees(np.arctan(offset / _NOSE) + np.arccos(narrowed)) / 2)


def follow(faces: Sequence[Face | None], frames: Sequence[int]) -> Course:
    """The course of a face, found or not in the frames of these rising indices."""
    seen = np.array([visible(face) for face in faces])
    known = [place for place in range(len(faces)) if seen[place] > 0]
    squares = {place: face_square(face.points) for place, face in enumerate(faces) if face is not None}
    least = min(_LEAST_FRAMES, len(faces))
    stretches = [found for found in _stretches(known, squares, frames) if found[-1] - found[0] + 1 >= least]
    parts = [_part(found, squares, seen, frames) for found in stretches]
    counts = [len(places) for places, _, _ in parts]
    return Course(
        tuple(place for places, _, _ in parts for place in places),
        np.concatenate([part for _, part, _ in parts]) if parts else np.zeros((0, 4)),
        np.concatenate([part for _, _, part in parts]) if parts else np.zeros(0, np.float32),
        tuple(int(n) for n in np.cumsum([0, *counts])[:-1]),
    )


def _stretches(known: Sequence[int], squares: dict[int, Float64Array], frames: Sequence[int]) -> Iterator[list[int]]:
    """The known places of one shot each, between which no more frames are missing than can be bridged."""
    stretch: list[int] = []
    for place in known:
        if stretch and (
            frames[place] - frames[stretch[-1]] > _GAP_FRAMES + 1
            or _jumps(squares[stretch[-1]], squares[place], frames[place] - frames[stretch[-1]])
        ):
            yield stretch
            stretch = []
        stretch.append(place)
    if stretch:
        yield stretch


def _jumps(before: Float64Array, after: Float64Array, frames: int) -> bool:
    size = float(side_of(before))
    moved = float(np.hypot(*(after[:2] - before[:2])))
    grown = abs(float(side_of(after)) - size)
    return max(moved, grown) > _JUMP * size * frames


def _part(
    known: list[int], squares: dict[int, Float64Array], seen: Float64Array, frames: Sequence[int]
) -> tuple[range, Float64Array, Float32Array]:
    """A stretch with the frames between filled in: its places, steady squares, and opacities."""
    places = range(known[0], known[-1] + 1)
    columns = np.stack([squares[place] for place in known]).T
    filled = np.stack([np.interp([frames[p] for p in places], [frames[k] for k in known], c) for c in columns], axis=1)
    clear = np.interp(places, known, seen[known])
    window = min(2 * _FADE_FRAMES + 1, len(clear))
    drawn = uniform_filter1d(clear, window, mode="nearest") >= _DRAWN
    clear = uniform_filter1d(drawn.astype(np.float64), window, mode="nearest")
    count = np.arange(len(places))
    if places[0] > 0 and seen[places[0] - 1] == 0:
        clear = np.minimum(clear, (count + 1) / (_FADE_FRAMES + 1))
    if places[-1] < len(seen) - 1 and seen[places[-1] + 1] == 0:
        clear = np.minimum(clear, (count[::-1] + 1) / (_FADE_FRAMES + 1))
    return places, steady_squares(filled), clear.astype(np.float32)


def _rise(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
