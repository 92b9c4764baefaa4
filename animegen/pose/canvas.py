"""The square of the frame that an avatar is drawn in, followed through a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from animegen.pose.limbs import middles
from animegen.pose.regression import local_quadratic
from animegen.pose.retarget import Retargeted
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float64Array

MARGIN = 0.16
"""Room around the points on each side for hair and clothes, as a share of their box."""

HEAD_MARGIN = 0.2
"""Room around a head above its crown and below its mouth, as a share of the distance between them."""

HAND_MARGIN = 0.3
"""Room around a hand before its fingers and behind its wrist, as a share of its length."""

_AT_MOST = 0.9
_STEADY_FRAMES = 8
"""Half the window over which the square is steadied."""
_LEAST = 1e-9
_EYES, _MOUTH = (
    [AVATAR35.index(name) for name in names] for names in (("left_eye", "right_eye"), ("mouth_left", "mouth_right"))
)
_WRIST, *_KNUCKLES = (AVATAR35.index(f"right_{name}") for name in ("wrist", "index", "pinky"))
_LEGS = frozenset({"knee", "ankle", "heel", "foot"})
_BODY = [i for i, name in enumerate(AVATAR35.points) if _LEGS.isdisjoint(name.split("_"))]


def canvases(avatar: Retargeted, *, crown: float, lowest: Float64Array) -> Float64Array:
    """Where an avatar is drawn: f64 [T, 3] left, top and side in frame pixels.

    ``crown``: how far the top of the head lies above the ears, in distances from the shoulders' middle to the ears';
    ``lowest`` f64 [T] the lowest pixel of the person. A whole figure stands in the middle of its square. Of half a
    figure, whose legs are not known, the square ends at the hips, or where less or more of the person is seen.
    """
    points = avatar.xyz[..., :2].astype(np.float64)
    _, shoulders, ears = np.moveaxis(middles(points), 1, 0)
    framed = points if avatar.whole else points[:, _BODY]
    framed = np.concatenate([framed, (ears + crown * (ears - shoulders))[:, None]], axis=1)
    low, high = framed.min(axis=1), framed.max(axis=1)
    room = MARGIN * (high - low).max(axis=1, keepdims=True)
    low, high = low - room, high + room
    centre = local_quadratic(avatar.time, (low + high)[:, None] / 2, np.ones((len(low), 1)), _STEADY_FRAMES)[:, 0]
    across = 2 * np.maximum(high - centre, centre - low)
    if avatar.whole:
        side = _roof(across.max(axis=1))
        top = centre[:, 1] - side / 2
    else:
        bottom = _roof(np.maximum(high[:, 1], lowest + 1))
        side = _roof(np.maximum(across[:, 0], bottom - low[:, 1]))
        top = bottom - side
    return np.stack([centre[:, 0] - side / 2, top, np.maximum(side, 1.0)], axis=1)


def head_canvases(avatar: Retargeted, *, crown: float) -> Float64Array:
    """Where an avatar's head is drawn: f64 [T, 3] as :func:`canvases`, of a side that does not depend on its turn."""
    ends = head_ends(avatar.xyz.astype(np.float64), crown)
    return _around(ends, (1 + 2 * HEAD_MARGIN) * _length(ends))


def hand_canvases(avatar: Retargeted) -> Float64Array:
    """Where an avatar's right hand is drawn: f64 [T, 3] as :func:`head_canvases`.

    Where little is known of how deep a hand reaches it is lifted too short, so nearly its greatest length is taken.
    """
    ends = hand_ends(avatar.xyz.astype(np.float64))
    length = avatar.height * np.quantile(_length(ends) / avatar.height, _AT_MOST)
    return _around(ends, (1 + 2 * HAND_MARGIN) * length)


def mirrored(avatar: Retargeted) -> Retargeted:
    """The avatar in a mirror that stands at x = 0: its left hand is a right one."""
    order = np.arange(len(AVATAR35))
    for left, right in AVATAR35.flip_pairs:
        order[[left, right]] = right, left
    return replace(avatar, xyz=avatar.xyz[:, order] * np.array([-1, 1, 1], np.float32), score=avatar.score[:, order])


def _length(ends: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))


def _around(ends: Float64Array, side: Float64Array) -> Float64Array:
    """Canvases f64 [T, 3] of sides f64 [T] around what has these ends, f64 [T, 2, 3]."""
    return np.concatenate([ends.mean(axis=1)[:, :2] - side[:, None] / 2, np.maximum(side, 1.0)[:, None]], axis=1)


def head_ends(points: Float64Array, crown: float) -> Float64Array:
    """The top of a head, hair included, and the middle of its mouth, f64 [..., 2, 3], of points f64 [..., 35, 3].

    ``crown`` as :func:`canvases` takes it. Both lie on the head, so their distance is the avatar's own.
    """
    _, shoulders, ears = np.moveaxis(middles(points), -2, 0)
    eyes, mouth = points[..., _EYES, :].mean(axis=-2), points[..., _MOUTH, :].mean(axis=-2)
    up = (eyes - mouth) / np.maximum(np.linalg.norm(eyes - mouth, axis=-1, keepdims=True), _LEAST)
    neck = np.linalg.norm(ears - shoulders, axis=-1, keepdims=True)
    return np.stack([ears + crown * neck * up, mouth], axis=-2)


def hand_ends(points: Float64Array) -> Float64Array:
    """The wrist of a right hand and where its fingers end when they are straight, f64 [..., 2, 3], of points as above.

    The fingers are taken to be as long as the palm, whose knuckles lie in the middle: so neither end tells their bend.
    """
    wrist, knuckles = points[..., _WRIST, :], points[..., _KNUCKLES, :].mean(axis=-2)
    return np.stack([wrist, 2 * knuckles - wrist], axis=-2)


def sprite_affine(canvas: Float64Array, pixels: int) -> Float64Array:
    """Where the pixels of a canvas's picture lie in the frame, f64 [2, 3].

    ``canvas`` f64 [3] left, top and side, ``pixels`` the picture's side. The middle of its first pixel lies half a
    pixel from the canvas's border, that of the frame's first at 0.
    """
    left, top, side = canvas.tolist()
    pixel = side / pixels
    return np.array([[pixel, 0.0, left + pixel / 2], [0.0, pixel, top + pixel / 2]])


def _roof(values: Float64Array) -> Float64Array:
    """A smooth curve that nowhere lies below the values."""
    width = 2 * _STEADY_FRAMES + 1
    highest = maximum_filter1d(values, width, mode="nearest")
    return np.asarray(uniform_filter1d(highest, width, mode="nearest"))
