"""The backgrounds that come with the house."""

from __future__ import annotations

import cv2
import numpy as np

from animegen.composite.options import BlurOptions, ColorOptions
from animegen.protocols import Background, BackgroundRequest, PluginContext
from animegen.types import Uint8Array


class _Keep:
    def render(self, request: BackgroundRequest) -> Uint8Array:
        return request.frame.image


class _Clean:
    def render(self, request: BackgroundRequest) -> Uint8Array:
        return request.clean()


class _Blur:
    def __init__(self, percent: float) -> None:
        self._percent = percent

    def render(self, request: BackgroundRequest) -> Uint8Array:
        clean = request.clean()
        height, width = clean.shape[:2]
        sigma = max(0.5, self._percent / 100.0 * height / 2.0)
        # A blurred picture holds no detail: it is blurred where a pixel is about half a sigma wide.
        shrink = max(1.0, sigma / 2.0)
        small = cv2.resize(
            clean, (max(1, round(width / shrink)), max(1, round(height / shrink))), interpolation=cv2.INTER_AREA
        )
        soft = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


class _Color:
    def __init__(self, rgb: tuple[int, int, int]) -> None:
        self._rgb = rgb

    def render(self, request: BackgroundRequest) -> Uint8Array:
        return np.full(request.frame.image.shape, self._rgb, np.uint8)


def make_keep(options: None, context: PluginContext) -> Background:
    """The frame as it is."""
    del options, context
    return _Keep()


def make_clean(options: None, context: PluginContext) -> Background:
    """The frame with the people removed."""
    del options, context
    return _Clean()


def make_blur(options: BlurOptions | None, context: PluginContext) -> Background:
    """The frame with the people removed, out of focus."""
    del context
    return _Blur((options or BlurOptions()).radius)


def make_color(options: ColorOptions | None, context: PluginContext) -> Background:
    """One colour."""
    del context
    return _Color((options or ColorOptions()).rgb)
