"""Laying sprites over a picture, and which person stands in front of which."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from animegen.composite.matte import VISIBLE, body_height, midpoint, person_matte
from animegen.types import Float64Array, Pose, Sprite, Uint8Array

_WHOLE_PIXEL = 1e-4
"""An affine this close to a shift by whole pixels is one: it moves no sample by a visible amount."""

_MINIFY = 0.6
"""Below this scale bilinear sampling skips texels, so the sprite is first averaged down."""


def compose(background: Uint8Array, sprites: Iterable[Sprite]) -> Uint8Array:
    """``background`` uint8 [H, W, 3] with premultiplied sprites blended over it, smallest ``order`` first.

    Returns a new picture; sprites of equal order keep their sequence. Porter and Duff 1984, "over".
    """
    canvas = background.copy()
    for sprite in sorted(sprites, key=lambda s: s.order):
        _over(canvas, sprite)
    return canvas


def compose_alpha(size: tuple[int, int], sprites: Iterable[Sprite]) -> Uint8Array:
    """The sprites alone on a transparent frame of (width, height): premultiplied uint8 [H, W, 4]."""
    width, height = size
    canvas = np.zeros((height, width, 4), np.uint8)
    for sprite in sorted(sprites, key=lambda s: s.order):
        _over(canvas, sprite)
    return canvas


def depth_order(pose: Pose) -> float:
    """How near a person stands, in pixels; larger is nearer.

    The sum of where the feet touch the ground (lower in the frame is nearer) and the person's size (larger is
    nearer). Feet that are not seen are placed below the shoulders by the body's proportions.
    """
    unit = body_height(pose)
    ankles = [
        float(xy[1])
        for name, xy, score in zip(pose.skeleton.points, pose.xy, pose.score, strict=True)
        if name.endswith("ankle") and score >= VISIBLE
    ]
    shoulders, score = midpoint(pose, "shoulder")
    if ankles:
        ground = max(ankles)
    elif score >= VISIBLE:
        ground = float(shoulders[1]) + 0.8 * unit
    else:
        ground = float(pose.bbox[1]) + unit
    return ground + 0.5 * unit


def faded(sprite: Sprite, opacity: float) -> Sprite:
    """The sprite at an opacity 0..1."""
    if opacity >= 1.0:
        return sprite
    return Sprite(cv2.convertScaleAbs(sprite.rgba, alpha=opacity).astype(np.uint8), sprite.affine, sprite.order)


def cut_out(image: Uint8Array, pose: Pose, order: float) -> Sprite:
    """A person of a frame uint8 [H, W, 3] as a sprite: the source itself, inside the person's matte."""
    matte = person_matte(pose, (image.shape[1], image.shape[0]))
    if not matte.alpha.size:
        return Sprite(np.zeros((1, 1, 4), np.uint8), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), order)
    straight = np.dstack([image[matte.window], matte.alpha])
    return Sprite.from_straight(straight, np.array([[1.0, 0.0, matte.x], [0.0, 1.0, matte.y]]), order)


def _over(canvas: Uint8Array, sprite: Sprite) -> None:
    """Blend one sprite onto a canvas of 3 or 4 channels, in the part of the frame it covers only."""
    rows, columns = canvas.shape[:2]
    left, top, right, bottom = _cover(sprite, columns, rows)
    if right <= left or bottom <= top:
        return
    source = _sample(sprite, left, top, right, bottom)
    target = canvas[top:bottom, left:right]
    channels = target.shape[2]
    keep = cv2.merge([cv2.bitwise_not(cv2.extractChannel(source, 3))] * channels)
    colour = source if channels == 4 else cv2.cvtColor(source, cv2.COLOR_RGBA2RGB)
    target[...] = cv2.add(cv2.multiply(target, keep, scale=1.0 / 255.0), colour)


def _cover(sprite: Sprite, columns: int, rows: int) -> tuple[int, int, int, int]:
    """Frame pixels (left, top, right, bottom) that the sprite can touch."""
    height, width = sprite.rgba.shape[:2]
    corners = np.array([(-1, -1, 1), (width, -1, 1), (-1, height, 1), (width, height, 1)], np.float64)
    mapped = corners @ sprite.affine.T
    low = np.clip(np.ceil(mapped.min(axis=0) - _WHOLE_PIXEL), 0, (columns, rows))
    high = np.clip(np.floor(mapped.max(axis=0) + _WHOLE_PIXEL) + 1, 0, (columns, rows))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _sample(sprite: Sprite, left: int, top: int, right: int, bottom: int) -> Uint8Array:
    """The sprite as seen through a window of the frame: uint8 [bottom - top, right - left, 4]."""
    rgba, affine = sprite.rgba, sprite.affine.copy()
    affine[:, 2] -= (left, top)
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if 0.0 < scale < _MINIFY:
        rgba, affine = _minified(rgba, affine, scale)
    shift = np.round(affine[:, 2])
    if np.abs(affine - np.column_stack([np.eye(2), shift])).max() < _WHOLE_PIXEL:
        return _shifted(rgba, int(shift[0]), int(shift[1]), right - left, bottom - top)
    return np.asarray(
        cv2.warpAffine(rgba, affine, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0)),
        np.uint8,
    )


def _minified(rgba: Uint8Array, affine: Float64Array, scale: float) -> tuple[Uint8Array, Float64Array]:
    """The sprite averaged down to about the size it is drawn at, and the affine that still puts it in its place."""
    height, width = rgba.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    factor = np.array([width / small[0], height / small[1]])
    rescaled = affine.copy()
    rescaled[:, :2] *= factor
    rescaled[:, 2] += affine[:, :2] @ (factor / 2 - 0.5)
    return np.asarray(cv2.resize(rgba, small, interpolation=cv2.INTER_AREA), np.uint8), rescaled


def _shifted(rgba: Uint8Array, x: int, y: int, width: int, height: int) -> Uint8Array:
    """The sprite at whole-pixel place (x, y) of a transparent window."""
    source_height, source_width = rgba.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + source_width, width), min(y + source_height, height)
    if (left, top, right, bottom) == (0, 0, width, height):
        return np.ascontiguousarray(rgba[-y : height - y, -x : width - x])
    window = np.zeros((height, width, 4), np.uint8)
    if right > left and bottom > top:
        window[top:bottom, left:right] = rgba[top - y : bottom - y, left - x : right - x]
    return window
