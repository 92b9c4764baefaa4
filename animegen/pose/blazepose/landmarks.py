"""The points of one person in one region: the full BlazePose landmark model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animegen.pose.blazepose.crops import Silhouette, cut
from animegen.pose.blazepose.model import PictureModel, sigmoid
from animegen.pose.blazepose.regions import Region
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.types import Float32Array, Float64Array, Mask, Pose, Uint8Array

SIZE = 256
"""Side of the landmark model's input and of its silhouette in pixels."""

_POINTS = 39
"""The 33 points of the skeleton and six auxiliary ones, of which 33 and 34 align the next region."""

_OUTPUTS = ((1, 5 * _POINTS), (1, 1), (1, SIZE, SIZE, 1), (1, 64, 64, _POINTS), (1, 3 * _POINTS))

_SURE = 0.5
"""Points with a lower score do not widen a person's box."""

_NEAR = 0.05
"""Points this far apart, in sides of the region, are about equally likely to be one point or two."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What the model sees in a region.

    ``presence`` 0..1 whether there is a person; ``xy`` f32 [33, 2] frame pixels; ``z`` f32 [33] pixels relative to
    the hips; ``score`` f32 [33] 0..1, a point's visibility times its presence, 0 outside the picture; ``quality``
    0..1 how well the person is seen as far as the picture goes; ``next`` the region of the same person refined by
    what was seen.
    """

    presence: float
    xy: Float32Array
    z: Float32Array
    score: Float32Array
    quality: float
    silhouette: Silhouette
    next: Region

    def likeness(self, other: Landmarks) -> float:
        """Closeness 0..1 of the points of two looks, weighted by their scores."""
        weight = self.score * other.score
        side = min(self.silhouette.region.side, other.silhouette.region.side)
        distance = np.linalg.norm(self.xy - other.xy, axis=1) / side
        return float((weight * np.exp(-0.5 * (distance / _NEAR) ** 2)).sum() / max(float(weight.sum()), 1e-6))

    def pose(self, width: int, height: int, behind: Sequence[Silhouette] = ()) -> Pose:
        """The person in a picture of the given size.

        What shows of people ``behind`` this one is united with the mask, but not with the box.
        """
        alpha = np.rint(255 * sigmoid(self.silhouette.logits)).astype(np.uint8)
        mask = Mask(alpha, self.silhouette.to_frame())
        extent = np.concatenate([self.xy[self.score >= _SURE], _outline(mask)])
        if not extent.size:
            extent = self.xy.astype(np.float64)
        limit = np.array([width - 1, height - 1])
        low, high = (np.clip(extent.min(axis=0), 0, limit), np.clip(extent.max(axis=0), 0, limit))
        for trace in behind:
            alpha = np.maximum(alpha, 255 * trace.seen_from(mask.affine, SIZE))
        united = Mask(alpha, mask.affine)
        return Pose(BLAZEPOSE33, self.xy, self.score, np.concatenate([low, high]).astype(np.float32), self.z, united)


def _outline(mask: Mask) -> Float64Array:
    """f64 [N, 2] frame pixels: the leftmost and rightmost pixel of each row of a silhouette."""
    inside = mask.alpha >= 128
    rows = np.flatnonzero(inside.any(axis=1))
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - 1 - inside[rows, ::-1].argmax(axis=1)
    ends = np.stack([np.concatenate([left, right]), np.tile(rows, 2)], axis=1)
    outline: Float64Array = ends @ mask.affine[:, :2].T + mask.affine[:, 2]
    return outline


class LandmarkModel:
    """The landmark model. Raises WeightsError when the file is missing or not this model."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = PictureModel(path, SIZE, _OUTPUTS, threads)

    def look(self, image: Uint8Array, region: Region, hidden: Sequence[Silhouette] = ()) -> Landmarks:
        """The person in a region of a uint8 [H, W, 3] RGB image, who is not one of the hidden ones."""
        crop = cut(image, region, SIZE, hidden)
        values, presence, silhouette, _, _ = self._model(np.multiply(crop, np.float32(1 / 255), dtype=np.float32))
        points = values.reshape(_POINTS, 5)
        to_frame = region.to_frame(SIZE)
        xy = ((points[:, :2] - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]).astype(np.float32)
        height, width = image.shape[:2]
        inside = np.all((xy[:33] >= -0.5) & (xy[:33] <= (width - 0.5, height - 0.5)), axis=1)
        score = np.where(inside, sigmoid(points[:33, 3]) * sigmoid(points[:33, 4]), np.float32(0))
        return Landmarks(
            presence=float(presence[0, 0]),
            xy=xy[:33],
            z=points[:33, 2] * np.float32(region.side / SIZE),
            score=score,
            quality=float(presence[0, 0] * score.sum() / max(int(inside.sum()), 1)),
            silhouette=Silhouette(silhouette[0, :, :, 0], region),
            next=Region.from_alignment(xy[33], xy[34]),
        )
