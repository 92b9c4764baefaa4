"""How the stored picture is turned and mirrored for showing (the display matrix of a video, EXIF of a photo)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import cv2
import numpy as np

from animegen.types import Uint8Array


@dataclass(frozen=True, slots=True)
class Orientation:
    """First ``transpose`` (swap x and y), then ``mirror_x`` (left and right), ``mirror_y`` (top and bottom)."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """The nearest of the eight orientations to a display matrix of nine 32-bit numbers (ISO 14496-12, 8.3.2)."""
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
        # The matrix takes (x, y) to (a x + c y, b x + d y).
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the picture's x axis is turned: 0, 90, 180 or 270."""
        right = (0, -1 if self.mirror_y else 1) if self.transpose else (-1 if self.mirror_x else 1, 0)
        return round(math.degrees(math.atan2(right[1], right[0]))) % 360

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the picture as shown."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, image: Uint8Array) -> Uint8Array:
        """The picture uint8 [H, W, C] as shown; the same array where nothing is to do."""
        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirror_x or self.mirror_y:
            code = -1 if self.mirror_x and self.mirror_y else 1 if self.mirror_x else 0
            image = np.asarray(cv2.flip(image, code), np.uint8)
        return image
