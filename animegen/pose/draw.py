"""Poses drawn as coloured limbs on a picture: left cool, right warm, the trunk between; faces and hands finer."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from animegen.pose.shapes import fill_hull
from animegen.types import Pose, Uint8Array

Rgb: TypeAlias = tuple[int, int, int]

_TRUNK, _HEAD = (250, 214, 70), (255, 150, 190)
_LEFT = {"arm": (70, 200, 255), "leg": (60, 110, 245), "fine": (150, 225, 255)}
_RIGHT = {"arm": (255, 150, 50), "leg": (235, 70, 50), "fine": (255, 205, 140)}
_LINE = (24, 24, 32)
_FACE_WORDS = ("nose", "eye", "ear", "mouth", "face", "head")
_FINE_WORDS = ("hand", "pinky", "index", "thumb", "toe", "heel")
_ARM_WORDS = ("shoulder", "elbow", "wrist")
_WIDTH = 0.009
"""Half the width of a limb as a share of the person's size."""
_FINE, _FACE = 0.55, 0.4


def draw_pose(image: Uint8Array, pose: Pose, *, min_score: float = 0.3) -> None:
    """Draw a pose into uint8 [H, W, 3] RGB or [H, W, 4] premultiplied RGBA, in place.

    Limbs are as thick as the person's size asks. Points below ``min_score`` are left out, those just above drawn
    thin.
    """
    width, height = pose.bbox[2:] - pose.bbox[:2]
    radius = max(_WIDTH * float(np.hypot(width, height)), 1.2)
    presence = np.clip((pose.score - min_score) / 0.2 + 0.25, 0, 1) * (pose.score >= min_score) * (pose.score > 0)
    alpha = (255,) if image.shape[2] == 4 else ()
    strokes = []
    for edge in sorted(pose.skeleton.edges, key=lambda edge: _fineness(pose, edge)):
        shown = float(presence[list(edge)].min())
        if shown > 0:
            thick = radius * _fineness(pose, edge)
            strokes.append((pose.xy[list(edge)].astype(np.float64), np.full(2, thick * shown), _colour(pose, edge)))
    for centres, radii, _ in strokes:
        fill_hull(image, centres, radii + max(radius * 0.25, 0.8), (*_LINE, *alpha))
    for centres, radii, colour in strokes:
        fill_hull(image, centres, radii, (*colour, *alpha))
    for centres, radii, _ in strokes:
        for centre, dot in zip(centres, radii, strict=True):
            if dot > 1.5:
                fill_hull(image, centre[None], np.array([dot * 0.5]), (255, 255, 255, *alpha))


def _words(pose: Pose, edge: tuple[int, int]) -> str:
    return " ".join(pose.skeleton.points[i] for i in edge)


def _fineness(pose: Pose, edge: tuple[int, int]) -> float:
    words = _words(pose, edge)
    if any(word in words for word in _FACE_WORDS):
        return _FACE
    return _FINE if any(word in words for word in _FINE_WORDS) else 1.0


def _colour(pose: Pose, edge: tuple[int, int]) -> Rgb:
    words = _words(pose, edge)
    if any(word in words for word in _FACE_WORDS):
        return _HEAD
    left, right = "left" in words, "right" in words
    # Across the body, along its side, or along the spine.
    if left == right or ("shoulder" in words and "hip" in words):
        return _TRUNK
    side = _LEFT if left else _RIGHT
    if any(word in words for word in _FINE_WORDS):
        return side["fine"]
    return side["arm"] if any(word in words for word in _ARM_WORDS) else side["leg"]
