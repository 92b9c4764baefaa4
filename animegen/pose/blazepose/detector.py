"""Where people are: the BlazePose detector, run on overlapping tiles of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from animegen.pose.blazepose.model import PictureModel
from animegen.pose.blazepose.regions import Region
from animegen.types import Float32Array, Uint8Array

SIZE = 224
"""Side of the detector's input in pixels."""

_GRIDS = ((8, 2), (16, 2), (32, 6))
"""(stride, anchors per cell) of the detector's three grids: 28*28*2 + 14*14*2 + 7*7*6 = 2254 anchors."""

_ANCHORS = sum((SIZE // stride) ** 2 * count for stride, count in _GRIDS)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found: ``score`` f32 [N] 0..1, ``box`` f32 [N, 4] xyxy of the head, ``points`` f32 [N, 4, 2].

    The points are the middle of the hips, the top of the circle around the body, the middle of the shoulders and
    the top of the circle around the upper body (frame pixels).
    """

    score: Float32Array
    box: Float32Array
    points: Float32Array

    def __len__(self) -> int:
        return len(self.score)

    def regions(self) -> list[Region]:
        """The region of the whole body of each detection."""
        return [Region.from_alignment(points[0], points[1]) for points in self.points]

    def __getitem__(self, index: slice) -> Detections:
        return Detections(self.score[index], self.box[index], self.points[index])


def _anchor_centres() -> Float32Array:
    """f32 [2254, 2]: the middle of each anchor's cell in input pixels, in the order of the model's outputs."""
    centres = []
    for stride, count in _GRIDS:
        y, x = np.mgrid[0 : SIZE // stride, 0 : SIZE // stride]
        cells = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride
        centres.append(np.repeat(cells, count, axis=0))
    return np.concatenate(centres).astype(np.float32)


class Detector:
    """The BlazePose detector over one square of a frame at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, SIZE, ((1, _ANCHORS, 12), (1, _ANCHORS, 1)), threads)
        self._centres = _anchor_centres()

    def look(self, image: Uint8Array, tile: Region, min_score: float) -> Detections:
        """People in one tile (uint8 [H, W, 3] RGB image) with a score of at least ``min_score``, not yet merged."""
        to_frame = tile.to_frame(SIZE)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(image, to_frame, (SIZE, SIZE), flags=flags)
        picture = np.multiply(crop, np.float32(2 / 255), dtype=np.float32)
        picture -= 1
        boxes, logits = self._model(picture[None])
        score = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -30, 30)))
        keep = np.flatnonzero(score >= min_score)
        raw = boxes[0, keep]
        centre = self._centres[keep]
        scale = np.float32(tile.side / SIZE)
        corner = np.array([tile.x, tile.y], np.float32) - scale * np.float32(SIZE / 2)
        points = (raw[:, 4:].reshape(-1, 4, 2) + centre[:, None]) * scale + corner
        middle, half = raw[:, :2] + centre, raw[:, 2:4] / 2
        box = np.concatenate([middle - half, middle + half], axis=1) * scale + np.tile(corner, 2)
        return Detections(score[keep].astype(np.float32), box, points)


def tiles(width: int, height: int, scales: tuple[float, ...], overlap: float) -> list[Region]:
    """Squares that cover a frame: at scale 1 one over the whole frame, at scale s of 1/s of that side."""
    squares: list[Region] = []
    for scale in scales:
        side = max(width, height) / scale
        for y in _cover(height, side, overlap):
            squares.extend(Region(x, y, side) for x in _cover(width, side, overlap))
    return squares


def _cover(length: float, side: float, overlap: float) -> list[float]:
    """Middles of the fewest squares over 0..length that overlap by at least the given part of their side."""
    if side >= length:
        return [(length - 1) / 2]
    count = int(np.ceil((length - side) / (side * (1 - overlap)) - 1e-9)) + 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, count) - 0.5]


def merge(found: list[Detections], iou: float) -> Detections:
    """One detection per person: weighted non-maximum suppression (BlazeFace, arXiv 1907.05047, section 3.3).

    Detections whose boxes overlap the best one's by more than ``iou`` are averaged by score. The best come first.
    """
    score = np.concatenate([d.score for d in found])
    box = np.concatenate([d.box for d in found])
    points = np.concatenate([d.points for d in found])
    left = np.argsort(-score, kind="stable")
    scores, boxes, merged = [], [], []
    while left.size:
        best = left[0]
        same = box_iou(box[best], box[left]) > iou
        same[0] = True
        group, left = left[same], left[~same]
        weight = score[group] / score[group].sum()
        scores.append(score[best])
        boxes.append(weight @ box[group])
        merged.append(np.tensordot(weight, points[group], 1))
    return Detections(
        np.array(scores, np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(merged, np.float32).reshape(-1, 4, 2),
    )


def box_iou(box: Float32Array, boxes: Float32Array) -> Float32Array:
    """Intersection over union of one xyxy box [4] with each of ``boxes`` [N, 4]."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    ratio: Float32Array = common / np.maximum(area - common, 1e-6)
    return ratio
