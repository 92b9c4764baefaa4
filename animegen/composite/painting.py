"""A picture painted in the manner of an anime background: flat tones, clear colours, thin dark lines."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Uint8Array

_WORK_SIDE = 720
"""Longest side, in pixels, at which tones are flattened; lines are drawn at full size."""

_BANDS = 9
_STEEP = 2.6
"""Tones of lightness, and how sharply one goes over into the next. Soft steps do not flicker with the noise."""

_COLOUR = 1.28
_LIFT = 0.92
"""Saturation, and the exponent that lifts the shadows, where film is dark and paint is coloured."""

_LINE = 0.0018
_SENSITIVE = 0.032
_INK = 0.62
"""Line width in frame heights, difference of blurred lightness at full ink, and how dark that is."""


def paint_anime(image: Uint8Array) -> Uint8Array:
    """uint8 [H, W, 3] RGB painted flat. Works on each place by its surroundings only, so that video stays calm.

    Bilateral smoothing and soft lightness bands after Winnemöller, Olsen and Gooch 2006, "Real-time video
    abstraction"; lines from a difference of Gaussians, section 3.3 there.
    """
    height, width = image.shape[:2]
    shrink = max(1.0, max(height, width) / _WORK_SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    for _ in range(2):
        lab = cv2.bilateralFilter(lab, 7, 22.0, 5.0)
    lab = cv2.LUT(lab, _tones())
    flat = cv2.resize(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), (width, height), interpolation=cv2.INTER_CUBIC)
    ink = _lines(image)
    return np.asarray(cv2.multiply(flat, cv2.merge([ink] * 3), scale=1 / 255), np.uint8)


def _tones() -> NDArray[np.uint8]:
    """Look-up table uint8 [1, 256, 3] over 8-bit CIELAB: lightness in soft bands, colours away from grey."""
    level = np.linspace(0.0, 1.0, 256) ** _LIFT * _BANDS
    base = np.floor(level)
    within = np.tanh((level - base - 0.5) * _STEEP) / np.tanh(0.5 * _STEEP)
    light = (base + 0.5 + 0.5 * within) / _BANDS * 255.0
    colour = (np.arange(256) - 128.0) * _COLOUR + 128.0
    table = np.stack([light, colour, colour], axis=1)
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[None]


def _lines(image: Uint8Array) -> Uint8Array:
    """How much light the lines leave, uint8 [H, W]: 255 where there is none."""
    grey: Float32Array = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sigma = max(0.8, _LINE * image.shape[0])
    fine = cv2.GaussianBlur(grey, (0, 0), sigma)
    wide = cv2.GaussianBlur(grey, (0, 0), 1.8 * sigma)
    # Relative to the lightness, so that lines are drawn in the shade as in the sun.
    dark = cv2.divide(wide - fine, wide + 24.0)
    ink = cv2.min(cv2.max((dark - 0.012) / _SENSITIVE, 0.0), 1.0)
    return np.asarray(cv2.convertScaleAbs(1.0 - _INK * ink, alpha=255.0), np.uint8)
