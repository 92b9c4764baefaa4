"""``--background anime``: a picture as an anime background is painted, with flat tones, clear colours, thin lines."""

from __future__ import annotations

import cv2
import numpy as np

from animegen.types import Float32Array, Uint8Array

_WORK_SIDE = 640
"""Longest side, in pixels, at which tones are flattened and lines are found."""

_SMOOTHINGS = 2
_SMOOTH_TONE = 36.0
"""Rounds of smoothing, and the difference of 8-bit CIELAB that one smooths over."""

_BANDS = 8
_STEEP = 2.4
"""Tones of lightness, and how sharply one goes over into the next. Soft steps do not flicker with the noise."""

_COLOUR = 1.3
_LIFT = 0.86
"""Saturation, and the exponent that lifts the shadows, where film is dark and paint is coloured."""

_BUSY = 2.6
_FAINT = 0.006
_SENSITIVE = 0.03
_INK = 0.6
"""Share of the usual contrast and the contrast below which no line is drawn; the range to full ink; its darkness."""


def paint_anime(image: Uint8Array) -> Uint8Array:
    """``image`` uint8 [H, W, 3] RGB, painted. Each pixel depends on its surroundings alone: video does not flicker.

    Bilateral smoothing and soft lightness bands after Winnemöller, Olsen and Gooch 2006, "Real-time video
    abstraction"; lines from a difference of Gaussians, section 3.3 there.
    """
    height, width = image.shape[:2]
    shrink = max(1.0, max(height, width) / _WORK_SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    lab = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    for _ in range(_SMOOTHINGS):
        lab = cv2.bilateralFilter(lab, 7, _SMOOTH_TONE, 4.0)
    ink = cv2.resize(_lines(np.asarray(cv2.extractChannel(lab, 0), np.float32)), (width, height))
    flat = cv2.cvtColor(cv2.LUT(lab, _tones()), cv2.COLOR_LAB2RGB)
    flat = cv2.resize(flat, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.multiply(flat, cv2.merge([ink] * 3), scale=1 / 255), np.uint8)


def _tones() -> Uint8Array:
    """Look-up table uint8 [1, 256, 3] over 8-bit CIELAB: lightness in soft bands, colours away from grey."""
    level = np.linspace(0.0, 1.0, 256) ** _LIFT * _BANDS
    base = np.floor(level)
    within = np.tanh((level - base - 0.5) * _STEEP) / np.tanh(0.5 * _STEEP)
    light = (base + 0.5 + 0.5 * within) / _BANDS * 255.0
    colour = (np.arange(256) - 128.0) * _COLOUR + 128.0
    table = np.stack([light, colour, colour], axis=1)
    return np.asarray(np.clip(np.rint(table), 0, 255)[None], np.uint8)


def _lines(light: Float32Array) -> Uint8Array:
    """How much light the lines leave, uint8 [H, W] from lightness f32 [H, W]: 255 where there is none."""
    fine = cv2.GaussianBlur(light, (0, 0), 0.9)
    wide = cv2.GaussianBlur(light, (0, 0), 1.7)
    # Relative to the lightness, so that lines are drawn in the shade as in the sun ...
    dark = np.maximum(wide - fine, 0.0) / (wide + 24.0)
    # ... and to what is usual nearby, so that grass and leaves are not drawn blade by blade.
    usual = cv2.blur(cv2.blur(dark, (25, 25)), (25, 25))
    ink = np.clip((dark - _BUSY * usual - _FAINT) / _SENSITIVE, 0.0, 1.0)
    return np.asarray(cv2.convertScaleAbs(1.0 - _INK * ink, alpha=255.0), np.uint8)
