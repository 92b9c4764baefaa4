"""A small network of random weights as a source of features, where no trained one is at hand.

Distances of its features tell sets of pictures apart, and grow with what is wrong with one of them, but they are no
FID: they can be compared with each other only, which is why the network has a name of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch.nn import functional

from animegen.types import Float64Array, Uint8Array

_SIDE = 64
_WIDTHS = (3, 32, 64, 128, 256)


class RandomFeatures:
    """Four 3x3 convolutions, each to half the size, with ReLU: the means of all their channels over the picture.

    Pictures are scaled to 64 px (area averaging when smaller) and to -1..1; the weights are always the same.
    """

    name = "animegen-random-features-1"
    output = "means of four layers"

    def __init__(self) -> None:
        draw, digest = np.random.RandomState(0), hashlib.sha256()
        self._weights = []
        for inputs, outputs in pairwise(_WIDTHS):
            weight = draw.randn(outputs, inputs, 3, 3).astype(np.float32) * np.float32((2 / (9 * inputs)) ** 0.5)
            digest.update(weight.tobytes())
            self._weights.append(torch.from_numpy(weight))
        self.sha256 = digest.hexdigest()

    def __call__(self, pictures: Iterable[Uint8Array]) -> Float64Array:
        """Features f64 [N, 480] of uint8 [H, W, 3] RGB pictures."""
        return np.stack([self._features(picture) for picture in pictures])

    @torch.inference_mode()
    def _features(self, picture: Uint8Array) -> Float64Array:
        smaller = picture.shape[0] * picture.shape[1] > _SIDE**2
        scaled = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        x = torch.from_numpy(scaled).permute(2, 0, 1)[None].float() / 127.5 - 1
        means = []
        for weight in self._weights:
            x = functional.relu(functional.conv2d(x, weight, stride=2, padding=1))
            means.append(x[0].mean(dim=(1, 2)))
        features: Float64Array = torch.cat(means).double().numpy()
        return features
