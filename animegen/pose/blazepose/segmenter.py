"""Who shows beside a person in front: a segmentation of people that asks for no face and no pose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from animegen.pose.blazepose.crops import Silhouette, covered, cut
from animegen.pose.blazepose.model import PictureModel
from animegen.pose.blazepose.regions import Region
from animegen.types import Uint8Array

SIZE = 256
"""Side of the model's input and output in pixels."""

_PART = 0.6
"""Side of the squares that are segmented, over the side of the region in front: the model is made for people who
fill the picture, and somebody half hidden fills a quarter of the region."""

_REACH = 0.22
"""Distance from the person in front, over the side of the region, within which somebody hidden shows."""

_EDGE = 0.02
"""Width, over the side of the region, of what is left between two people who touch, and of what is no trace."""


class Segmenter:
    """The selfie segmentation model. Raises WeightsError when the file is missing or not this model."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, SIZE, ((1, SIZE, SIZE, 1),), threads)

    def beside(self, image: Uint8Array, front: Silhouette, known: Sequence[Silhouette]) -> Silhouette:
        """What shows, at the edges of a person in a uint8 [H, W, 3] RGB image, of people who are not known.

        A silhouette in the pixels of ``front``, which may be empty. ``known`` has the silhouettes of all in view.
        """
        size = len(front.logits)
        to_frame = front.to_frame()
        seen = np.zeros((size, size), np.uint8)
        for part in _parts(front.region):
            crop = cut(image, part, SIZE, known)
            (people,) = self._model(np.multiply(crop, np.float32(1 / 255), dtype=np.float32))
            seen |= Silhouette(people[0, :, :, 0] - np.float32(0.5), part).seen_from(to_frame, size)
        gone = covered(known, to_frame, size)
        own = (front.logits > 0).astype(np.uint8)
        left = seen & _grown(own, _REACH) & (1 - _grown(gone, _EDGE / 2))
        left = np.asarray(cv2.morphologyEx(left, cv2.MORPH_OPEN, _window(size, _EDGE)), np.uint8)
        _, parts = cv2.connectedComponents(left)
        touching = np.unique(parts[_grown(own, 1.5 * _EDGE) > 0])
        return Silhouette((np.isin(parts, touching) & (left > 0)).astype(np.float32), front.region)


def _parts(region: Region) -> Iterator[Region]:
    """Four squares that cover a region, each in one of its corners."""
    cos, sin, step = (math.cos(region.angle), math.sin(region.angle), (1 - _PART) / 2 * region.side)
    for dx, dy in ((-step, -step), (step, -step), (-step, step), (step, step)):
        x, y = region.x + cos * dx - sin * dy, region.y + sin * dx + cos * dy
        yield Region(x, y, _PART * region.side, region.angle)


def _window(size: int, share: float) -> Uint8Array:
    return np.ones((2 * round(share * size / 2) + 1,) * 2, np.uint8)


def _grown(inside: Uint8Array, reach: float) -> Uint8Array:
    """A silhouette grown by ``reach`` of its side."""
    return np.asarray(cv2.dilate(inside, _window(len(inside), 2 * reach)), np.uint8)
