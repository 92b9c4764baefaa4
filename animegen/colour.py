"""Between sRGB and CIELAB (D65), for whole pictures and for single colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.types import PARTS, Float32Array, Palette, Uint8Array


def rgb_to_lab(rgb: Uint8Array | Sequence[int]) -> Float32Array:
    """CIELAB of sRGB colours: uint8 [..., 3] in, f32 [..., 3] out (L 0..100; white point D65, 2 degrees)."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(np.asarray(rgb, np.uint8).astype(np.float32) / 255), np.float32)


def lab_to_rgb(lab: Float32Array | Sequence[float]) -> Uint8Array:
    """The nearest sRGB colours of CIELAB values: [..., 3] in, uint8 [..., 3] out; clipped where sRGB ends."""
    from skimage.color import lab2rgb

    lightness, a, b = np.moveaxis(np.array(lab, np.float64), -1, 0)
    lightness = np.clip(lightness, 0, 100)
    # Bluer than this, the Z of CIE XYZ would be negative: no light looks so.
    b = np.minimum(b, 199.999 * (lightness + 16) / 116)
    rgb = lab2rgb(np.stack([lightness, a, b], axis=-1))
    nearest: Uint8Array = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return nearest


def palette_rgb(palette: Palette, *, darkest: float = 0.0) -> Float32Array:
    """The sRGB colours of a palette, f32 [6, 3] 0..1 in the order of PARTS.

    With ``darkest``, a lightness, black becomes as light as that, what is twice as light stays, and what lies between
    keeps its order.
    """
    lab = np.array([palette.part(part).lab for part in PARTS], np.float32)
    lab[:, 0] = np.maximum(lab[:, 0], darkest + lab[:, 0] / 2)
    return np.asarray(lab_to_rgb(lab), np.float32) / np.float32(255)
