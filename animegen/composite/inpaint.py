"""Inventing what no frame shows."""

from __future__ import annotations

import cv2
import numpy as np

from animegen.composite.fill import membrane
from animegen.types import Uint8Array


def inpaint(image: Uint8Array, hole: Uint8Array) -> Uint8Array:
    """``image`` uint8 [h, w, 3] with the places where ``hole`` uint8 [h, w] is not 0 filled from around them."""
    known = (hole == 0).astype(np.float32)
    smooth = membrane(image.astype(np.float32), known)
    filled = image.copy()
    cv2.copyTo(np.clip(np.rint(smooth), 0, 255).astype(np.uint8), hole, filled)
    return filled
