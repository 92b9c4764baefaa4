"""What a face does, from its geometry: lids, mouth, brows and gaze in VRM's terms, and their course through a clip.

All lengths are taken in three dimensions on the face mesh (MediaPipe's 468 points, after Kartynnik et al. 2019, arXiv
1907.06724) and in widths between the outer corners of the eyes, so that neither size nor a moderate turn of the head
matters. Lids are told by the eye aspect ratio (Soukupova and Cech 2016) of the finer contour that a model of eyes
sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from types import MappingProxyType

import numpy as np

from animegen.pose.regression import local_mean, local_quadratic
from animegen.types import Expression, Float32Array, Float64Array

EYE_CORNERS: Mapping[str, tuple[int, int]] = MappingProxyType({"right": (33, 133), "left": (263, 362)})
"""Outer and inner corner of each eye among the mesh's points."""
_BROWS: Mapping[str, int] = MappingProxyType({"right": 105, "left": 334})
_LIPS, _MOUTH_CORNERS = (13, 14), (61, 291)
_LID_CORNERS, _LID_PAIRS = (0, 8), tuple((i, i + 8) for i in range(2, 7))
"""Of an eye's contour: its corners, and points above each other."""

# The ends of each scale, from photographs of some twenty adults: at rest, then fully so.
_EYE_OPEN, _EYE_CLOSED = 0.28, 0.08
_LIPS_SHUT, _LIPS_APART = 0.04, 0.34
_MOUTH_ROUND = (0.49, 0.41)
_MOUTH_SPREAD = (0.62, 0.74)
_BROW_AT_REST, _BROW_RAISED = 0.325, 0.06
_GAZE_ASIDE, _GAZE_UP, _GAZE_LEVEL = 0.22, 0.12, 0.02
"""How far the iris goes from the middle of the eye, in widths of the eye, and where it is when looking ahead."""
_GAZE_IMPOSSIBLE = 0.3
"""An iris as far as this from the middle of its eye was not seen: glasses, or a closed lid."""

_WINK = 0.4
"""Difference of the two lids that noise explains; only what is beyond is a wink."""
_WINK_OPEN = (0.1, 0.4)
"""Who winks has the other eye open: up to the first fully so, from the second on it is no wink."""
_TURNED = (math.radians(40.0), math.radians(65.0))
"""Turn of the head to the side up to which a face is measured well, and from which it is not."""
LEAST_SIDE = 40.0
"""Side in pixels of a face's region, half again its height, below which it is not measured."""
_SMALL = (LEAST_SIDE, 1.5 * LEAST_SIDE)
"""Sides of which nothing is believed, and from which all is; between them confidence rises, so that nothing pops."""

FADE_SECONDS = 0.2
"""Half the time over which faces and hands come and go."""
_LID_SECONDS, _MOUTH_SECONDS, _BROW_SECONDS, _GAZE_SECONDS = 0.09, 0.11, 0.34, 0.2
"""Half windows of smoothing: a blink lasts 0.1 to 0.3 s, brows move slowly."""
_HALF_WINDOWS: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("blink_l", "blink_r"), _LID_SECONDS),
        **dict.fromkeys(("aa", "ih", "ou", "ee", "oh"), _MOUTH_SECONDS),
        "brow": _BROW_SECONDS,
        **dict.fromkeys(("gaze_x", "gaze_y"), _GAZE_SECONDS),
    }
)
_LEAST_FRAMES = 2.6
"""Half windows are never shorter than this many frames, as those of points."""
_LEAST_WEIGHT = 1e-3
_SURE, _DOUBTFUL = 0.5, 0.2
"""Confidence from which a face tells what is usual for a person, and up to which it tells nothing at all."""
_OPEN_SHARE = 25.0
"""Per cent of a clip's frames in which eyes are at least as open as is usual for them."""
_MOST_DROOPING, _FULL_RANGE = 0.6, 0.7
"""Lids never count as open that are further closed than this; and the range that is left to them is never stretched as
if it were less than this: of someone who looks down it holds little but noise."""
_ASLEEP, _MOST_OPEN_SHARE = (0.7, 0.9), 5.0
"""Whose eyes are as closed as this even in those per cent of the frames in which they are the most open sleeps."""


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """``lids`` f32 [16, 2] the contour of an eye, its corners at 0 and 8; ``iris`` f32 [2] its middle: frame pixels."""

    lids: Float32Array
    iris: Float32Array

    @property
    def width(self) -> float:
        """From corner to corner, in pixels."""
        return max(_length(self.lids[_LID_CORNERS[0]] - self.lids[_LID_CORNERS[1]]), 1e-3)

    @property
    def aspect(self) -> float:
        """Mean height over width."""
        return float(np.mean([_length(self.lids[a] - self.lids[b]) for a, b in _LID_PAIRS])) / self.width

    @property
    def offset(self) -> Float32Array:
        """f32 [2] from the middle of the eye to its iris, in widths of the eye."""
        return np.asarray((self.iris - self.lids[list(_LID_CORNERS)].mean(axis=0)) / self.width, np.float32)


def measure_expression(mesh: Float32Array, eyes: tuple[Eye, Eye], *, presence: float, side: float) -> Expression:
    """The expression of a face in one picture.

    ``mesh`` f32 [468, 3] pixels, ``eyes`` the left one and the right one, ``presence`` 0..1 how surely there is a face,
    ``side`` pixels of its region.
    """
    unit = max(_length(mesh[EYE_CORNERS["left"][0]] - mesh[EYE_CORNERS["right"][0]]), 1e-3)
    confidence = presence * _falling(_turn(mesh), _TURNED) * (1 - _falling(side, _SMALL))
    lids = np.array([_rise(eye.aspect, _EYE_OPEN, _EYE_CLOSED) for eye in eyes])
    wink = (lids[0] - lids[1]) / 2
    wink = math.copysign(max(abs(wink) - _WINK / 2, 0.0), wink) * _falling(float(lids.min()), _WINK_OPEN)
    closed = np.clip(_even(lids, eyes) + np.array([wink, -wink]), 0, 1)
    raised = np.mean([_length(mesh[_BROWS[s], :] - mesh[list(EYE_CORNERS[s])].mean(axis=0)) for s in _BROWS]) / unit
    # Behind lids that come down an iris is found too high: what of it is hidden lies above or below unseen.
    aside, up = ((1 - closed.mean()) * value for value in _gaze(mesh, eyes))
    return Expression(
        blink_l=float(closed[0]),
        blink_r=float(closed[1]),
        **_mouth(mesh, unit),
        brow=float(np.clip((raised - _BROW_AT_REST) / _BROW_RAISED, -1, 1)),
        gaze_x=float(aside),
        gaze_y=float(up),
        confidence=confidence,
    )


def steady_expressions(seconds: Float64Array, faces: Sequence[Expression | None]) -> list[Expression | None]:
    """The expressions of a track without jitter, measured against how its person usually looks.

    ``seconds`` f64 [T] rising. Each value is smoothed as points are: zero-phase, by confidence, so that frames in which
    the face is hardly seen follow those around, and their confidence falls gently. How open the eyes usually are is a
    person's own, as is where the brows are. Frames without a face get one where the track has any.
    """
    values = np.array([astuple(face or Expression()) for face in faces], np.float64)
    sure = values[:, -1]
    if len(faces) < 3 or not sure.any():
        return list(faces)
    values = _as_usual(_filled(seconds, values))
    weight = np.maximum(sure**2, _LEAST_WEIGHT)[:, None]
    shortest = _LEAST_FRAMES * float(np.median(np.diff(seconds)))
    names = [field.name for field in fields(Expression)]
    for half in sorted(set(_HALF_WINDOWS.values())):
        columns = [names.index(name) for name, own in _HALF_WINDOWS.items() if own == half]
        smooth = local_quadratic(seconds, values[:, None, columns], weight, max(half, shortest))
        values[:, columns] = smooth[:, 0]
    values[:, -1] = local_mean(seconds, sure[:, None], np.ones_like(weight), max(FADE_SECONDS, shortest))[:, 0]
    lowest = np.array([-1.0 if name in ("brow", "gaze_x", "gaze_y") else 0.0 for name in names])
    return [Expression(*row) for row in np.clip(values, lowest, 1.0).tolist()]


def _filled(seconds: Float64Array, values: Float64Array) -> Float64Array:
    """Expressions [T, 11] in which doubtful ones lie between those around, their confidence apart."""
    known = values[:, -1] >= _DOUBTFUL
    if not known.any():
        return values
    drawn = [np.interp(seconds, seconds[known], column[known]) for column in values[:, :-1].T]
    return np.where(known[:, None], values, np.column_stack([*drawn, values[:, -1]]))


def _as_usual(values: Float64Array) -> Float64Array:
    """Expressions [T, 11] with lids and brows against what is usual for the person."""
    shown = values[:, -1] >= _SURE
    if not shown.any():
        return values
    lids, brow = values[:, :2], values[:, 7]
    widest, usual = np.percentile(lids[shown].mean(axis=1), [_MOST_OPEN_SHARE, _OPEN_SHARE]).tolist()
    usual = min(usual, _MOST_DROOPING) * _falling(widest, _ASLEEP)
    result = values.copy()
    result[:, :2] = np.clip((lids - usual) / max(1 - usual, _FULL_RANGE), 0, 1)
    result[:, 7] = np.clip(brow - np.median(brow[shown]), -1, 1)
    return result


def _mouth(mesh: Float32Array, unit: float) -> dict[str, float]:
    """The vowels by how far the lips are apart and how wide the mouth is."""
    apart = _rise(_length(mesh[_LIPS[0]] - mesh[_LIPS[1]]) / unit, _LIPS_SHUT, _LIPS_APART)
    width = _length(mesh[_MOUTH_CORNERS[0]] - mesh[_MOUTH_CORNERS[1]]) / unit
    narrow, wide = _rise(width, *_MOUTH_ROUND), _rise(width, *_MOUTH_SPREAD)
    return {
        "aa": apart * (1 - narrow) * (1 - wide * (1 - apart)),
        "ih": apart * (1 - apart) * (1 - narrow) * (1 - wide),
        "ou": (1 - apart) * narrow,
        "ee": min(2.5 * apart, 1.0) * (1 - apart) * wide,
        "oh": apart * narrow,
    }


def _gaze(mesh: Float32Array, eyes: tuple[Eye, Eye]) -> tuple[float, float]:
    """Gaze to the person's left and up, from both irises; 0 where they were not seen."""
    left = mesh[EYE_CORNERS["left"][0], :2] - mesh[EYE_CORNERS["right"][0], :2]
    left = left / max(_length(left), 1e-3)
    up = np.array([left[1], -left[0]])
    offset = np.array([eye.offset for eye in eyes])
    aside, above = _even(offset @ left, eyes), _even(offset @ up, eyes) - _GAZE_LEVEL
    if abs(aside) > _GAZE_IMPOSSIBLE or abs(above) > _GAZE_IMPOSSIBLE:
        return 0.0, 0.0
    return float(np.clip(aside / _GAZE_ASIDE, -1, 1)), float(np.clip(above / _GAZE_UP, -1, 1))


def _even(values: Float64Array, eyes: tuple[Eye, Eye]) -> float:
    """The mean of a value over both eyes; the one that is seen the broader tells more."""
    widths = [eye.width**2 for eye in eyes]
    return float(np.average(values, weights=widths))


def _turn(mesh: Float32Array) -> float:
    """How far the face is turned to either side, in radians."""
    across = mesh[EYE_CORNERS["left"][0]] - mesh[EYE_CORNERS["right"][0]]
    return abs(math.atan2(float(across[2]), _length(across[:2])))


def _rise(value: float, low: float, high: float) -> float:
    """0 at ``low``, 1 at ``high``, straight between, and no further."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def _falling(value: float, band: tuple[float, float]) -> float:
    return 1 - _rise(value, *band)


def _length(way: Float32Array) -> float:
    return float(np.linalg.norm(way))
