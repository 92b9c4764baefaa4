"""Cutting regions out of a frame, with the people already seen taken out of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from animegen.pose.blazepose.regions import Region
from animegen.types import Float32Array, Float64Array, Uint8Array

_COARSE = 32
"""Side of the picture in which the surroundings of a hidden person are averaged."""

_SPREAD = 11
"""Side of the averaging window in that picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette:
    """Where a person is seen: ``logits`` f32 [h, h], positive inside, in the pixels of ``region``."""

    logits: Float32Array
    region: Region

    def to_frame(self) -> Float64Array:
        """f64 [2, 3] from silhouette to frame pixels."""
        return self.region.to_frame(len(self.logits))

    @property
    def area(self) -> float:
        """Square pixels of the frame."""
        return float((self.logits > 0).mean()) * self.region.side**2

    @property
    def middle(self) -> tuple[float, float]:
        """Mean place, in frame pixels, of a silhouette that is not empty."""
        rows, columns = np.nonzero(self.logits > 0)
        x, y = self.to_frame() @ [columns.mean(), rows.mean(), 1.0]
        return float(x), float(y)

    def seen_from(self, crop_to_frame: Float64Array, size: int) -> Uint8Array:
        """uint8 [size, size]: 1 where the person is in a crop of the frame."""
        crop_to_own = cv2.invertAffineTransform(self.to_frame()) @ np.vstack([crop_to_frame, [0, 0, 1]])
        inside = (self.logits > 0).astype(np.uint8)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(inside, crop_to_own, (size, size), flags=flags), np.uint8)

    def share_in(self, others: Sequence[Silhouette]) -> float:
        """Part 0..1 of this silhouette that lies within the union of others; 1 when it is empty."""
        step = 4
        own = self.logits[::step, ::step] > 0
        if not own.any():
            return 1.0
        return float(covered(others, self.to_frame() @ np.diag([step, step, 1.0]), len(own))[own].mean())


def share_of(region: Region, others: Sequence[Silhouette]) -> float:
    """Part 0..1 of a region that people cover."""
    size = 64
    return float(covered(others, region.to_frame(size), size).mean())


def cut(image: Uint8Array, region: Region, size: int, hidden: Sequence[Silhouette]) -> Uint8Array:
    """The region of a uint8 [H, W, 3] image as a square of ``size`` pixels, black beyond the picture.

    People whose silhouettes are ``hidden`` are replaced by what surrounds them, so that a model that looks for the
    one person of a crop sees who is left: the one behind them.
    """
    to_frame = region.to_frame(size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = np.asarray(cv2.warpAffine(image, to_frame, (size, size), flags=flags), np.uint8)
    gone = covered(hidden, to_frame, size)
    if gone.any():
        gone = np.asarray(cv2.dilate(gone, np.ones((5, 5), np.uint8)), np.uint8)
        crop[gone > 0] = _surroundings(crop, gone)[gone > 0]
    return crop


def covered(people: Sequence[Silhouette], crop_to_frame: Float64Array, size: int) -> Uint8Array:
    """uint8 [size, size]: 1 where any of the people is in a crop of the frame."""
    inside = np.zeros((size, size), np.uint8)
    for one in people:
        inside |= one.seen_from(crop_to_frame, size)
    return inside


def _surroundings(crop: Uint8Array, gone: Uint8Array) -> Uint8Array:
    """The crop smoothed over what is not gone (normalised averaging), so that no outline of a person is left."""
    coarse = (_COARSE, _COARSE)
    weight = cv2.resize((1 - gone).astype(np.float32), coarse, interpolation=cv2.INTER_AREA)
    left = cv2.resize(crop * (1 - gone)[..., None], coarse, interpolation=cv2.INTER_AREA).astype(np.float32)
    window = (_SPREAD, _SPREAD)
    weights, sums = cv2.blur(weight, window), cv2.blur(left, window)
    mean = left.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-3)
    filled = np.where(weights[..., None] > 0.02, sums / np.maximum(weights, 0.02)[..., None], mean)
    smooth = cv2.resize(np.clip(filled, 0, 255).astype(np.float32), gone.shape, interpolation=cv2.INTER_LINEAR)
    return smooth.astype(np.uint8)
