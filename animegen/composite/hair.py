"""Hair that sticks out of a person's matte: what hangs on a head and differs from the background plate.

Applied when people are removed from a frame in the third pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from animegen.composite.matte import Head, Matte, disc
from animegen.types import Uint8Array

_REACH = 0.24
"""How far from the middle of a head its hair may fly, in body heights."""

_UNLIKE = 26
"""Grey levels in any channel by which a pixel must differ from all background pixels near it to be no background."""

_LOOSE = 5
"""Side in pixels of the neighbourhood that counts as near: frame and plate are not aligned to the pixel."""

_STRANDS = 0.015
"""Half the widest gap between a tuft and the rest, in body heights: the strands in it may be too thin to be seen."""

_GROW = 0.008
"""Growth around what is found and width of its soft edge, in body heights."""

_SIDE = 160
"""Longest side, in pixels, at which hair is looked for."""


def with_hair(matte: Matte, heads: Sequence[Head], image: Uint8Array, plate: Uint8Array, known: Uint8Array) -> Matte:
    """The matte, extended over the hair of ``heads``.

    ``image`` and ``plate`` uint8 [h, w, 3] are frame and background in the matte's window; ``known`` uint8 [h, w] is
    255 where the plate was seen and not invented. Only what is connected with the matte counts: a ball that flies past
    a head is not its hair.
    """
    alpha = matte.alpha.copy()
    height, width = alpha.shape
    for head in heads:
        x, y, reach = head.x - matte.x, head.y - matte.y, _REACH * head.unit
        left, right = max(0, round(x - reach)), min(width, round(x + reach) + 1)
        top, bottom = max(0, round(y - reach)), min(height, round(y + reach) + 1)
        if left < right and top < bottom:
            window = slice(top, bottom), slice(left, right)
            pictures = alpha[window], image[window], plate[window], known[window]
            found = _hair(*pictures, middle=(x - left, y - top), unit=head.unit)
            alpha[window] = np.maximum(alpha[window], found)
    return Matte(alpha, matte.x, matte.y)


def _hair(
    alpha: Uint8Array,
    image: Uint8Array,
    plate: Uint8Array,
    known: Uint8Array,
    *,
    middle: tuple[float, float],
    unit: float,
) -> Uint8Array:
    """Soft alpha uint8 [h, w] of the hair in the window of one head, whose ``middle`` is (x, y) in it."""
    height, width = alpha.shape
    shrink = max(1.0, max(height, width) / _SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    body, here, behind, sure = (
        np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (alpha, image, plate, known)
    )
    near = np.zeros(size[::-1], np.uint8)
    cv2.circle(near, (round(middle[0] / shrink), round(middle[1] / shrink)), round(_REACH * unit / shrink), 255, -1)
    around = np.ones((_LOOSE, _LOOSE), np.uint8)
    apart = cv2.max(cv2.subtract(here, cv2.dilate(behind, around)), cv2.subtract(cv2.erode(behind, around), here))
    unlike = (apart.max(axis=2) > _UNLIKE) & (near > 0) & (sure == 255)
    joined = cv2.dilate((unlike | (body > 0)).astype(np.uint8), disc(max(1, round(_STRANDS * unit / shrink))))
    _, labels = cv2.connectedComponents(joined)
    hair = unlike & np.isin(labels, np.unique(labels[body == 255]))
    reach = max(1, round(_GROW * unit / shrink))
    grown = cv2.dilate(hair.astype(np.uint8) * np.uint8(255), disc(2 * reach))
    soft = cv2.blur(grown, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
