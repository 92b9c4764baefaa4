"""The planes of a decoded or yet to be encoded frame as NumPy arrays over its own memory."""

from __future__ import annotations

import av
import numpy as np

from animegen.ops.pictures import Planes, rgb_to_yuv
from animegen.types import Colour, Uint8Array

FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12"})
"""Pixel formats of 8 bits whose chroma has half the size of luma both ways."""


def planes_of(frame: av.VideoFrame) -> Planes:
    """y, u and v of a frame in one of :data:`FORMATS`; writing to them changes the frame."""
    width, height = (frame.width + 1) // 2, (frame.height + 1) // 2
    rows = [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    luma = rows[0][: frame.height, : frame.width]
    if len(rows) == 2:
        both = rows[1][:height, : 2 * width]
        return luma, both[:, ::2], both[:, 1::2]
    return luma, rows[1][:height, :width], rows[2][:height, :width]


def yuv420p(image: Uint8Array, colour: Colour) -> av.VideoFrame:
    """A frame in ``yuv420p`` of uint8 [H, W, 3] RGB, in the matrix and range of ``colour``."""
    frame = av.VideoFrame(image.shape[1], image.shape[0], "yuv420p")
    rgb_to_yuv(image, planes_of(frame), matrix=colour.matrix, value_range=colour.range)
    return frame
