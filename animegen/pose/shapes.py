"""Smooth-edged round shapes with sub-pixel positions: the strokes of every pose drawing.

Opaque colours are blended into uint8 pictures of 1, 3 or 4 channels by how much of a pixel a shape covers. On an
empty RGBA picture that gives premultiplied alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from animegen.types import Float64Array, Uint8Array

_SHIFT = 4
_ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)


def fill_hull(canvas: Uint8Array, centres: Float64Array, radii: Float64Array, colour: Sequence[int]) -> None:
    """Fill the convex hull of discs: ``centres`` f64 [N, 2] and ``radii`` f64 [N] in pixels.

    One disc is a dot, two are a limb that may taper, four a torso.
    """
    rims = centres[:, None] + radii[:, None, None] * _CIRCLE
    fixed = np.rint(rims.reshape(-1, 2) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(fixed), tuple(int(c) for c in colour), cv2.LINE_AA, _SHIFT)
