"""How steadily a picture moves: along a film, and when a figure is moved by a little.

Pictures are uint8 [H, W, 3]; errors are root mean squares in 8-bit steps, 0..255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array, Uint8Array

BoolArray: TypeAlias = NDArray[np.bool_]

_ROUND_TRIP, _LEEWAY = 0.01, 0.5
"""A pixel is seen in both frames where going there and back ends within ``sqrt(0.01 * |motion|^2 + 0.5)`` pixels."""


@dataclass(frozen=True, slots=True)
class WarpError:
    """Change from frame to frame that motion does not explain, of an output and of the truth it follows."""

    output: float
    truth: float


def optical_flow(first: Uint8Array, second: Uint8Array) -> Float32Array:
    """Where each pixel of the first picture is in the second: f32 [H, W, 2], x and y in pixels.

    Source: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search" (arXiv 1603.03590), medium preset.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    none = np.zeros((*grey[0].shape, 2), np.float32)
    return np.asarray(search.calc(grey[0], grey[1], none), np.float32)


def warp_error(truth: tuple[Uint8Array, Uint8Array], output: tuple[Uint8Array, Uint8Array]) -> WarpError:
    """Compare two consecutive frames of an output and of the truth along the truth's motion.

    The second frame is brought back to the first along the flow of the truth; pixels that are hidden in one of them
    (forward and backward flow disagree) are left out. Source: Lai et al. 2018 (arXiv 1808.00449), equation 9, with the
    test for hidden pixels of Sundaram et al. 2010.
    """
    forward, backward = optical_flow(*truth), optical_flow(truth[1], truth[0])
    seen = ~hidden_pixels(forward, backward)
    errors = [_rms((follow(second, forward) - first)[seen]) for first, second in (output, truth)]
    return WarpError(*errors)


def hidden_pixels(forward: Float32Array, backward: Float32Array) -> BoolArray:
    """Pixels of the first of two frames that the second does not show: bool [H, W], from the flows f32 [H, W, 2]."""
    round_trip = forward + follow(backward, forward)
    size = (forward**2).sum(axis=2) + (backward**2).sum(axis=2)
    return np.asarray((round_trip**2).sum(axis=2) > _ROUND_TRIP * size + _LEEWAY)


def follow(picture: Uint8Array | Float32Array, flow: Float32Array) -> Float32Array:
    """The picture as seen from where the flow starts."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    along = x + flow[..., 0], y + flow[..., 1]
    followed = cv2.remap(picture.astype(np.float32), *along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(followed, np.float32)


def _rms(values: Float32Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else math.nan


def moved(picture: Uint8Array, affine: Float64Array) -> Uint8Array:
    """The picture under ``affine`` f64 [2, 3], pixels to pixels, bicubic; what comes from outside repeats the edge."""
    size = (picture.shape[1], picture.shape[0])
    at_edge = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(picture, affine, size, flags=cv2.INTER_CUBIC, borderMode=at_edge), np.uint8)


def turn(degrees: float, middle: float) -> Float64Array:
    """The affine f64 [2, 3] that turns a square picture about its middle, clockwise as seen."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, -sin, middle * (1 - cos + sin)], [sin, cos, middle * (1 - cos - sin)]])
