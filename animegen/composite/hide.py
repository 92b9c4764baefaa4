"""A coarse mosaic over somebody who must not be seen: ``blur = true`` in a cast file."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from animegen.composite.matte import body_height, own_matte
from animegen.types import Pose, Sprite, Uint8Array

_BLOCKS = 10
"""Blocks over a standing person's height: a face, about an eighth of it, is one or two of them."""
_LEAST_BLOCK = 8


def pixelated(image: Uint8Array, pose: Pose, order: float, others: Iterable[Pose] = ()) -> Sprite:
    """A sprite that covers a person of a frame uint8 [H, W, 3] with blocks of one colour each.

    Every block is covered that the person's generous matte touches; where somebody of ``others`` is nearer, it does not
    reach. Blocks lie on a fixed grid of the frame, with a power of two as their side, so that they stand still while
    the person moves.
    """
    height, width = image.shape[:2]
    matte = own_matte(pose, others, (width, height))
    block = 2 ** int(np.ceil(np.log2(max(_LEAST_BLOCK, body_height(pose) / _BLOCKS))))
    rows, columns = matte.window
    top, left = rows.start // block, columns.start // block
    bottom, right = -(-rows.stop // block), -(-columns.stop // block)
    colours = np.zeros((max(1, bottom - top), max(1, right - left), 4), np.uint8)
    for y in range(top, bottom):
        for x in range(left, right):
            tile = slice(y * block, (y + 1) * block), slice(x * block, (x + 1) * block)
            own = matte.alpha[_within(tile[0], rows), _within(tile[1], columns)]
            if own.any():
                colours[y - top, x - left] = (*image[tile].reshape(-1, 3).mean(axis=0).round(), 255)
    rgba = cv2.resize(colours, None, fx=block, fy=block, interpolation=cv2.INTER_NEAREST)
    to_frame = np.array([[1.0, 0.0, left * block], [0.0, 1.0, top * block]])
    return Sprite(np.asarray(rgba, np.uint8), to_frame, order)


def _within(part: slice, whole: slice) -> slice:
    """A range of the frame's rows (or columns) as a range of those of a window."""
    return slice(max(0, part.start - whole.start), max(0, part.stop - whole.start))
