"""Faces cut out as those of FFHQ are: upright, of one size, the eyes and the mouth always in the same places.

A square around a face is f64 [4]: its centre, and the way from there to the middle of its right side, in pixels. As it
is the way to its side that is kept, and not an angle, squares can be averaged and smoothed as they are.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import medfilt, savgol_filter

from animegen.types import FACE_POINTS, Face, Float32Array, Float64Array, Mask, Uint8Array

_RIGHT_EYE, _LEFT_EYE, _, _MOUTH_RIGHT, _MOUTH_LEFT = range(len(FACE_POINTS))

EYE_LINE = 0.475
"""Where the eyes lie in a square, from 0 at its top to 1."""
_ACROSS, _DOWN, _LOWER = 2.0, 1.8, 0.1
"""Half a side in distances of the eyes, and from eyes to mouth; how far the centre lies from the eyes to the mouth."""

_MOST_SAMPLES = 4
"""Samples of the source that are averaged for one pixel of a much smaller picture, in each direction."""

_PLACE_FRAMES, _SIZE_FRAMES, _OUTLIER_FRAMES = 5, 11, 3
"""Windows over which a square's place is smoothed, which shakes with the camera, its size and tilt, which do not, and
over which single outliers are taken out of both before."""


def face_square(points: Float32Array) -> Float64Array:
    """The square that FFHQ cuts around a face: f64 [..., 4] of ``points`` [..., 5, 2] in the order of FACE_POINTS.

    It lies as the eyes do and as the mouth lies below them, and is four eye distances wide, or 3.6 times as wide as the
    mouth is below the eyes where that is more. Source: Karras et al. 2019, arXiv 1812.04948, appendix A, and the
    published tool's formula.
    """
    placed = np.moveaxis(points.astype(np.float64), -2, 0)
    eyes = (placed[_RIGHT_EYE] + placed[_LEFT_EYE]) / 2
    mouth = (placed[_MOUTH_RIGHT] + placed[_MOUTH_LEFT]) / 2
    across, down = placed[_LEFT_EYE] - placed[_RIGHT_EYE], mouth - eyes
    along = across + np.stack([down[..., 1], -down[..., 0]], axis=-1)
    half = np.maximum(_ACROSS * _length(across), _DOWN * _length(down))
    return np.concatenate([eyes + _LOWER * down, along / np.maximum(_length(along), 1e-9) * half], axis=-1)


def side_of(square: Float64Array) -> Float64Array:
    """The side of squares f64 [..., 4] in pixels, f64 [...]."""
    side: Float64Array = 2 * _length(square[..., 2:])[..., 0]
    return side


def to_source(square: Float64Array, pixels: int, stretch: float = 1.0) -> Float64Array:
    """f64 [2, 3] from the pixels of a square's picture, ``pixels`` wide, to those of the picture it was cut from.

    With a ``stretch`` the picture is that many times as high as the square, its eyes where they were: so faces that are
    longer than those that a generator draws are cut out and laid back with their chins in its chins' place.
    """
    x, y, right, below = square.tolist()
    step, first = 2 / pixels, 1 / pixels - 1
    turn = np.array([[right, -stretch * below], [below, stretch * right]])
    lower = (1 - stretch) * (2 * EYE_LINE - 1)
    shift = turn @ [first, first] + [x - lower * below, y + lower * right]
    return np.concatenate([turn * step, shift[:, None]], axis=1)


def moved_square(square: Float64Array, affine: Float64Array) -> Float64Array:
    """A square f64 [4] in the pixels of another picture, where an affine f64 [2, 3] leads without shearing."""
    return np.concatenate([affine[:, :2] @ square[:2] + affine[:, 2], affine[:, :2] @ square[2:]])


def moved_face(face: Face, affine: Float64Array) -> Face:
    """A face in the pixels of another picture, where an affine f64 [2, 3] leads without turning."""
    turn, shift = affine[:, :2], affine[:, 2]
    mask = face.mask
    if mask is not None:
        mask = Mask(mask.alpha, np.column_stack([turn @ mask.affine[:, :2], turn @ mask.affine[:, 2] + shift]))
    return replace(
        face,
        points=(face.points @ turn.T + shift).astype(np.float32),
        bbox=(face.bbox.reshape(2, 2) @ turn.T + shift).astype(np.float32).ravel(),
        mask=mask,
    )


def cut_square(image: Uint8Array, square: Float64Array, pixels: int, stretch: float = 1.0) -> Uint8Array:
    """The picture of a square, uint8 [pixels, pixels, C] of an image [H, W, C]; mirrored at the image's edges.

    ``stretch`` as in :func:`to_source`.
    """
    samples = int(np.clip(np.round(float(side_of(square)) / pixels), 1, _MOST_SAMPLES))
    fine = pixels * samples
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    place, border = to_source(square, fine, stretch), cv2.BORDER_REFLECT_101
    cut = cv2.warpAffine(image, place, (fine, fine), flags=flags, borderMode=border)
    if samples > 1:
        cut = cv2.resize(cut, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return np.asarray(cut, np.uint8)


def steady_squares(squares: Float64Array) -> Float64Array:
    """The squares f64 [T, 4] of consecutive frames without jitter; constant motion passes unchanged."""
    plausible = _plausible(squares) if len(squares) > _OUTLIER_FRAMES else squares
    return np.concatenate([steady(plausible[:, :2], _PLACE_FRAMES), steady(plausible[:, 2:])], axis=1)


def steady(values: NDArray[np.floating], frames: int = _SIZE_FRAMES) -> Float64Array:
    """Values [T, ...] of consecutive frames, smoothed by a quadratic around each that looks both ways.

    ``frames``, odd, is how many it is fitted to; two values or fewer stay as they are. Source: Savitzky and Golay 1964.
    """
    window = min(frames, len(values) - (len(values) + 1) % 2)
    if window <= 2:
        return np.asarray(values, np.float64)
    return np.asarray(savgol_filter(values.astype(np.float64), window, 2 if window > 3 else 1, axis=0))


def _plausible(squares: Float64Array) -> Float64Array:
    """The squares with single frames that stand out put back between their neighbours; the ends stay."""
    middle = np.stack([medfilt(column, _OUTLIER_FRAMES) for column in squares.T], axis=1)
    middle[[0, -1]] = squares[[0, -1]]
    return middle


def _length(vectors: Float64Array) -> Float64Array:
    length: Float64Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return length
