"""Where people are: the BlazePose detector, which looks at one square of a frame at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animegen.pose.blazepose.crops import Silhouette, cut
from animegen.pose.blazepose.model import PictureModel, sigmoid
from animegen.pose.blazepose.regions import ENLARGE, Region
from animegen.types import Float32Array, Uint8Array

SIZE = 224
"""Side of the detector's input in pixels."""

_GRIDS = ((8, 2), (16, 2), (32, 6))
"""(stride, anchors per cell) of the detector's three grids: 28*28*2 + 14*14*2 + 7*7*6 = 2254 anchors."""

_ANCHORS = sum((SIZE // stride) ** 2 * count for stride, count in _GRIDS)

_SAME = 0.2
"""Detections are of one person when their alignment points lie this close, in sides of the region."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found: ``score`` f32 [N] 0..1 and ``points`` f32 [N, 2, 2] frame pixels.

    The points are the two that align a region: the middle of the hips and the top of the circle around the body.
    """

    score: Float32Array
    points: Float32Array


class Detector:
    """The BlazePose detector. Raises WeightsError when the file is missing or not this model."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, SIZE, ((1, _ANCHORS, 12), (1, _ANCHORS, 1)), threads)
        self._centres = anchor_centres(SIZE, _GRIDS)

    def detect(
        self, image: Uint8Array, squares: Sequence[Region], min_score: float, hidden: Sequence[Silhouette] = ()
    ) -> list[Region]:
        """Regions of the people seen in any of the squares of a uint8 [H, W, 3] RGB image, surest first.

        The people whose silhouettes are ``hidden`` are not seen.
        """
        looks = [self._look(image, square, min_score, hidden) for square in squares]
        if not looks:
            return []
        return _merge(np.concatenate([look.score for look in looks]), np.concatenate([look.points for look in looks]))

    def _look(self, image: Uint8Array, square: Region, min_score: float, hidden: Sequence[Silhouette]) -> Detections:
        """Every anchor that answers with at least ``min_score`` in one square that is not turned."""
        crop = cut(image, square, SIZE, hidden)
        picture = np.multiply(crop, np.float32(2 / 255), dtype=np.float32)
        picture -= 1
        boxes, logits = self._model(picture)
        score = sigmoid(logits[0, :, 0])
        seen = np.flatnonzero(score >= min_score)
        offsets = boxes[0, seen, 4:8].reshape(-1, 2, 2)
        points = offsets + self._centres[seen, None] - np.float32(0.5)
        to_frame = square.to_frame(SIZE)
        scale, corner = to_frame[0, 0], to_frame[:, 2]
        return Detections(score[seen], (points * scale + corner).astype(np.float32))


def anchor_centres(side: int, grids: Sequence[tuple[int, int]]) -> Float32Array:
    """f32 [anchors, 2]: the middle of each anchor's cell in input pixels, in the order of the model's outputs.

    ``grids`` are (stride, anchors per cell) over an input of ``side`` pixels.
    """
    centres = []
    for stride, count in grids:
        y, x = np.mgrid[0 : side // stride, 0 : side // stride]
        cells = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        centres.append(np.repeat(cells, count, axis=0))
    return np.concatenate(centres).astype(np.float32)


def _merge(score: Float32Array, points: Float32Array) -> list[Region]:
    """One region per person: the average, weighted by score, of the detections around each best one.

    This is the blending that BlazeFace (arXiv 1907.05047, section 3.3) uses in place of non-maximum suppression,
    with the alignment points as the measure of overlap: boxes of heads say little about people who overlap.
    """
    left = np.argsort(-score, kind="stable")
    regions = []
    while left.size:
        best = points[left[0]]
        side = 2 * ENLARGE * np.linalg.norm(best[1] - best[0])
        same = np.linalg.norm(points[left] - best, axis=2).max(axis=1) < _SAME * side
        same[0] = True
        group, left = left[same], left[~same]
        hips, top = np.tensordot(score[group] / score[group].sum(), points[group], axes=1)
        regions.append(Region.from_alignment(hips, top))
    return regions
