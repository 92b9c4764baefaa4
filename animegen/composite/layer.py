"""Sprites are laid over a picture, the last step of a frame; and who stands in front of whom."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from animegen.composite.matte import VISIBLE, body_height, midpoint, own_matte
from animegen.ops.pictures import composite
from animegen.types import Float64Array, Pose, Sprite, Uint8Array

_MINIFY = 0.6
"""A sprite that is drawn at less than this scale is averaged down first: bilinear sampling would skip pixels of it."""


def compose(background: Uint8Array, sprites: Iterable[Sprite]) -> Uint8Array:
    """A copy of ``background`` uint8 [H, W, 3] with the sprites blended over it by rising ``order``.

    Sprites of equal order are blended in the sequence given. The operator is "over" of Porter and Duff 1984.
    """
    canvas = background.copy()
    _lay(canvas, sprites)
    return canvas


def compose_alpha(size: tuple[int, int], sprites: Iterable[Sprite]) -> Uint8Array:
    """The sprites alone on a transparent frame of (width, height): premultiplied uint8 [H, W, 4]."""
    width, height = size
    canvas = np.zeros((height, width, 4), np.uint8)
    _lay(canvas, sprites)
    return canvas


def depth_order(pose: Pose) -> float:
    """How near a person stands to the camera, as a number that is larger for the nearer of two people.

    It is the row on which the feet stand (lower in the frame is nearer) plus half the body's height (larger is nearer),
    in pixels. Feet that are not seen are placed below the shoulders by the body's proportions.
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


def cut_out(image: Uint8Array, pose: Pose, order: float, others: Iterable[Pose] = ()) -> Sprite:
    """A person of a frame uint8 [H, W, 3] as a sprite: the source itself, inside the person's matte.

    Pixels that are nearer to one of ``others`` than to the person are left out: those are shown on their own.
    """
    matte = own_matte(pose, others, (image.shape[1], image.shape[0]))
    if not matte.alpha.size:
        return Sprite(np.zeros((1, 1, 4), np.uint8), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), order)
    straight = np.dstack([image[matte.window], matte.alpha])
    return Sprite.from_straight(straight, np.array([[1.0, 0.0, matte.x], [0.0, 1.0, matte.y]]), order)


def _lay(canvas: Uint8Array, sprites: Iterable[Sprite]) -> None:
    """Blend sprites onto a canvas of 3 or 4 channels."""
    drawn = [_sized(sprite) for sprite in sorted(sprites, key=lambda s: s.order)]
    composite(canvas, [rgba for rgba, _ in drawn], [affine for _, affine in drawn])


def _sized(sprite: Sprite) -> tuple[Uint8Array, Float64Array]:
    """The picture and affine of a sprite, averaged down where it is drawn much smaller."""
    scale = float(np.sqrt(abs(np.linalg.det(sprite.affine[:, :2]))))
    if 0.0 < scale < _MINIFY:
        return _minified(sprite.rgba, sprite.affine, scale)
    return sprite.rgba, sprite.affine


def _minified(rgba: Uint8Array, affine: Float64Array, scale: float) -> tuple[Uint8Array, Float64Array]:
    """The sprite averaged down to about the size it is drawn at, and the affine that still puts it in its place."""
    height, width = rgba.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    factor = np.array([width / small[0], height / small[1]])
    rescaled = affine.copy()
    rescaled[:, :2] *= factor
    rescaled[:, 2] += affine[:, :2] @ (factor / 2 - 0.5)
    return np.asarray(cv2.resize(rgba, small, interpolation=cv2.INTER_AREA), np.uint8), rescaled
