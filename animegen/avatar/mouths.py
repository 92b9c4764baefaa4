"""Mouths, drawn as lines into the shade layers of heads.

A closed mouth of these avatars is a line thinner than a pixel of any picture that shows the whole head. A network draws
the mean of all places where it may run, and that is nothing. But the pose tells where the corners are, and the
expression how far it is open: so it is drawn as illustrators draw it, a stroke that a dark red parts.
"""

from __future__ import annotations

import numpy as np

from animegen.avatar.config import EXPRESSION
from animegen.avatar.layers import ALPHA, FIXED, SHADES
from animegen.types import PARTS, Float32Array, Float64Array, Skeleton, Uint8Array

_HEIGHT = {"aa": 1.1, "oh": 0.9, "ou": 0.5, "ih": 0.45, "ee": 0.4}
_WIDTH = {"aa": -0.05, "oh": -0.3, "ou": -0.4, "ih": 0.1, "ee": 0.15}
"""What each shape adds to how far a mouth is open and how wide it is, in halves of the closed mouth's width."""
_HALF = 0.36
"""Half the width of a closed mouth in halves of the eyes' distance, where a face is seen from the front."""
_CURVE = 0.25
"""How far the middle of a closed mouth lies below its corners, in halves of its width."""
_STROKE = 0.025
"""Half the stroke's thickness in ways from the eyes down to the mouth."""
_LEAST_STROKE = 0.45
"""The same in pixels: a thinner one would break up."""
_LINE, _INSIDE = 0.35, (0.42, 0.12, 0.14)
"""The skin's shade under the stroke, as a share of what it was; the colour of an open mouth."""
_TO_PROFILE, _TO_FRONT = 0.25, 0.6
"""From which width of the eyes' distance over the way down to the mouth on, a mouth is drawn faintly, and wholly."""
_COVERED, _CLEAR = 0.4, 0.8
"""A hand whose points come so near to the mouth, in ways from the eyes to it, lies over it; farther away none does."""
_HAND = ("wrist", "index", "pinky", "thumb")
_LEAST = 1e-4

_SKIN = SHADES.start + PARTS.index("skin")


def with_mouth(
    layers: Uint8Array, skeleton: Skeleton, xy: Float32Array, score: Float32Array, expression: Float32Array
) -> Uint8Array:
    """Layers with the mouth drawn where they show skin.

    ``layers`` uint8 [S, S, 10], ``xy`` f32 [K, 2] in canvas sides, ``score`` f32 [K], ``expression`` f32 [10] as
    :class:`animegen.avatar.generator.AvatarGenerator` takes them. As it is where the face is turned away or
    behind a hand, or a point of it is not known. Returns uint8 [S, S, 10].
    """
    points = xy.astype(np.float64) * len(layers)
    face = [skeleton.index(name) for name in ("left_eye", "right_eye", "mouth_left", "mouth_right")]
    left, right, corner_left, corner_right = points[face]
    eyes, middle = (left - right) / 2, (corner_left + corner_right) / 2
    down = middle - (left + right) / 2
    reach = max(float(np.hypot(*down)), _LEAST)
    # positive where the face looks out of the picture: the left eye is to the right of the other one
    front = float(eyes[0] * down[1] - eyes[1] * down[0]) / reach**2
    hands = [i for i, name in enumerate(skeleton.points) if any(part in name for part in _HAND)]
    away = float(np.linalg.norm(points[hands] - middle, axis=1).min()) / reach
    shown = float(score[face].min()) * _rise(front, _TO_PROFILE, _TO_FRONT) * _rise(away, _COVERED, _CLEAR)
    if shown == 0.0:
        return layers
    shapes = dict(zip(EXPRESSION, expression.tolist(), strict=True))
    half = _HALF * eyes * (1 + sum(shapes[name] * share for name, share in _WIDTH.items()))
    unit = float(np.hypot(*half))
    apart = sum(shapes[name] * share for name, share in _HEIGHT.items())
    places = np.stack(np.meshgrid(*[np.arange(len(layers)) + 0.5] * 2), axis=-1) - middle
    u, v = np.moveaxis(places @ np.linalg.inv(np.stack([half, down / reach * unit])), -1, 0)
    stroke, inside = _strokes(u, v, apart, unit, max(_STROKE * reach, _LEAST_STROKE))
    return _painted(layers, shown * stroke, shown * inside)


def _rise(value: float, begin: float, end: float) -> float:
    """From 0 at ``begin`` to 1 at ``end``."""
    return min(max((value - begin) / (end - begin), 0.0), 1.0)


def _strokes(
    u: Float64Array, v: Float64Array, apart: float, unit: float, thick: float
) -> tuple[Float64Array, Float64Array]:
    """Coverage 0..1 of a mouth's lines and of what is between them, f64 [S, S] each.

    ``u`` leads from the middle to the corners, -1..1, and ``v`` down; ``apart`` is how far the mouth is open. All are
    in ``unit`` pixels; ``thick`` is half the stroke in pixels.
    """
    bow = np.sqrt(np.clip(1 - u * u, 0, 1))
    upper = _CURVE * (1 - u * u) * (1 - min(apart, 1.0)) - 0.3 * apart * bow
    lower = upper + apart * bow
    ends = np.clip((1 - np.abs(u)) * unit + 0.5, 0, 1)
    line = np.maximum(*(np.clip(thick + 0.5 - np.abs(v - edge) * unit, 0, 1) for edge in (upper, lower)))
    between = np.clip(np.minimum(v - upper, lower - v) * unit + 0.5, 0, 1) if apart * unit > 1 else np.zeros_like(v)
    return np.asarray(line * ends), np.asarray(between * ends * (1 - line * ends))


def _painted(layers: Uint8Array, stroke: Float64Array, inside: Float64Array) -> Uint8Array:
    """Layers with strokes and a mouth's inside on their skin."""
    planes = layers.astype(np.float32)
    parts = planes[..., SHADES].sum(axis=-1) + planes[..., FIXED].max(axis=-1)
    skin = planes[..., _SKIN] / np.maximum(parts, 1)
    inside = inside * skin
    kept = (1 - inside)[..., None]
    planes[..., SHADES] *= kept
    planes[..., FIXED] *= kept
    planes[..., FIXED] += inside[..., None] * planes[..., ALPHA : ALPHA + 1] * np.array(_INSIDE, np.float32)
    planes[..., _SKIN] *= 1 - (1 - _LINE) * stroke * skin
    painted: Uint8Array = np.rint(planes).astype(np.uint8)
    return painted
