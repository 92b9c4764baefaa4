"""The built-in backgrounds: what ``--background`` names, called in the third pass for every frame."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from animegen.composite.options import BlurOptions, ColorOptions, PictureOptions
from animegen.composite.painting import paint_anime
from animegen.errors import InputError
from animegen.protocols import Background, BackgroundRequest, PluginContext
from animegen.types import Uint8Array

_RECENT = 32
"""Latest pictures of a background video that are kept: composing threads are never more frames apart."""


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


class _Anime:
    def render(self, request: BackgroundRequest) -> Uint8Array:
        return paint_anime(request.clean())


class _Picture:
    def __init__(self, image: Uint8Array) -> None:
        self._image = image
        self._covered = lru_cache(maxsize=1)(lambda size: cover(self._image, size))

    def render(self, request: BackgroundRequest) -> Uint8Array:
        return self._covered(request.frame.size)


class _Footage:
    """A video, looped, whose picture at a frame's time stands behind it.

    It is read forward; asked for an earlier picture than the latest, it starts over. So frames in any order get the
    same pictures.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._capture = _open_footage(path)
        self._rate = Fraction(self._capture.get(cv2.CAP_PROP_FPS) or 25.0).limit_denominator(1001)
        if not self._capture.grab():
            raise InputError(f"{self._path} holds no picture", "give an image or a video")
        self._count: int | None = None
        self._start_over((0, 0))

    def _start_over(self, size: tuple[int, int]) -> None:
        self._capture.release()
        self._capture = _open_footage(self._path)
        self._size = size
        self._next = 0
        self._recent: OrderedDict[int, Uint8Array] = OrderedDict()

    def render(self, request: BackgroundRequest) -> Uint8Array:
        with self._lock:
            return self._at(int(request.frame.pts * self._rate), request.frame.size)

    def _at(self, wanted: int, size: tuple[int, int]) -> Uint8Array:
        """Picture ``wanted`` of the endless loop, covering a frame of ``size``."""
        if size != self._size:
            self._start_over(size)
        while True:
            number = wanted if self._count is None else wanted % self._count
            if number in self._recent:
                return self._recent[number]
            if number < self._next:
                self._start_over(size)
            self._read()

    def _read(self) -> None:
        """Read the next picture; at the end of the file, note how many there are."""
        found, picture = self._capture.read()
        if not found:
            self._count = self._next
            return
        self._recent[self._next] = cover(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), self._size)
        self._next += 1
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)


def _open_footage(path: Path) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET: what is wrong is raised, not printed
    return cv2.VideoCapture(str(path))


def make_anime(options: None, context: PluginContext) -> Background:
    """The frame with the people removed, painted flat."""
    del options, context
    return _Anime()


def make_picture(options: PictureOptions | None, context: PluginContext) -> Background:
    """An image or a looped video, cropped to cover the frame. Raises InputError where it is neither."""
    del context
    path = (options or PictureOptions()).value
    if not path.is_file():
        raise InputError(f"the background {path} is not a file", "give an image or a video")
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB) if path.stat().st_size else None
    if image is not None:
        return _Picture(np.asarray(image, np.uint8))
    return _Footage(path)


def cover(image: Uint8Array, size: tuple[int, int]) -> Uint8Array:
    """``image`` uint8 [h, w, 3] scaled so that it covers ``size`` (width, height), with what sticks out cut off."""
    height, width = image.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    part = (min(width, max(1, round(size[0] / scale))), min(height, max(1, round(size[1] / scale))))
    left, top = (width - part[0]) // 2, (height - part[1]) // 2
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(image[top : top + part[1], left : left + part[0]], size, interpolation=method), np.uint8
    )
