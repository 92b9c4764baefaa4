"""The points of one person in one region: the full BlazePose landmark model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from animegen.pose.blazepose.model import PictureModel
from animegen.pose.blazepose.regions import Region
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.types import Float32Array, Float64Array, Mask, Pose, Uint8Array

SIZE = 256
"""Side of the landmark model's input and of its mask in pixels."""

_POINTS = 39
"""The 33 points of the skeleton and six auxiliary ones, of which 33 and 34 align the next region."""

_OUTPUTS = ((1, 5 * _POINTS), (1, 1), (1, SIZE, SIZE, 1), (1, 64, 64, _POINTS), (1, 3 * _POINTS))


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What the model sees in a region.

    ``presence`` 0..1 whether there is a person; ``xy`` f32 [39, 2] frame pixels; ``z`` f32 [33] pixels relative to
    the hips; ``score`` f32 [33] 0..1; ``mask`` logits f32 [256, 256] in region pixels.
    """

    region: Region
    presence: float
    xy: Float32Array
    z: Float32Array
    score: Float32Array
    mask: Float32Array

    def next_region(self) -> Region:
        """The region in which this person is to be looked for next: from the two alignment points."""
        return Region.from_alignment(self.xy[33], self.xy[34])

    def pose(self, width: int, height: int) -> Pose:
        """The person as a pose of the frame of the given size; points outside the picture are unknown."""
        xy = self.xy[:33]
        alpha = _alpha(self.mask)
        affine = self.region.to_frame(SIZE)
        inside = ((xy >= -0.5) & (xy <= (width - 0.5, height - 0.5))).all(axis=1)
        score = np.where(inside, self.score, np.float32(0))
        bbox = _bbox(xy[score > 0.5], alpha, affine, (width, height))
        return Pose(BLAZEPOSE33, xy, score, bbox, self.z, Mask(alpha, affine))


def _alpha(logits: Float32Array) -> Uint8Array:
    """Logits as opacity: uint8 [h, w]."""
    return np.rint(255 * _sigmoid(logits)).astype(np.uint8)


def _bbox(xy: Float32Array, alpha: Uint8Array, affine: Float64Array, size: tuple[int, int]) -> Float32Array:
    rows, columns = np.nonzero(alpha >= 128)
    silhouette = np.stack([columns, rows], 1) @ affine[:, :2].T + affine[:, 2]
    every = np.concatenate([xy, silhouette])
    low, high = every.min(axis=0), every.max(axis=0)
    limit = (size[0] - 1, size[1] - 1)
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)]).astype(np.float32)


def _sigmoid(x: Float32Array) -> Float32Array:
    result: Float32Array = np.reciprocal(1 + np.exp(-np.clip(x, -30, 30)), dtype=np.float32)
    return result


class LandmarkModel:
    """The landmark model over one region at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, SIZE, _OUTPUTS, threads)

    def look(self, image: Uint8Array, region: Region) -> Landmarks:
        """The person in a region of a picture (uint8 [H, W, 3] RGB)."""
        to_frame = region.to_frame(SIZE)
        crop = cv2.warpAffine(image, to_frame, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        picture = np.multiply(crop, np.float32(1 / 255), dtype=np.float32)
        values, flag, mask, _, _ = self._model(picture[None])
        point = values.reshape(_POINTS, 5)
        xy = (point[:, :2] - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        z = point[:33, 2] * (region.side / SIZE)
        score = _sigmoid(point[:33, 3]) * _sigmoid(point[:33, 4])
        return Landmarks(region, float(flag[0, 0]), xy.astype(np.float32), z, score, mask[0, :, :, 0])
