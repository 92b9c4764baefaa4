"""The ops on pictures: NumPy arrays in, NumPy arrays out, without torch."""

from __future__ import annotations

from animegen.ops.composite import composite, composite_reference
from animegen.ops.rgb_yuv import (
    Planes,
    empty_planes,
    rgb_to_yuv,
    rgb_to_yuv_reference,
    yuv_to_rgb,
    yuv_to_rgb_reference,
    yuv_to_tensor,
)

__all__ = [
    "Planes",
    "composite",
    "composite_reference",
    "empty_planes",
    "rgb_to_yuv",
    "rgb_to_yuv_reference",
    "yuv_to_rgb",
    "yuv_to_rgb_reference",
    "yuv_to_tensor",
]
