"""The cases of the bench that work on pictures, with swscale and OpenCV as rivals; all in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from animegen.measure.exact_pictures import exact_composite, exact_planes, exact_rgb, exact_samples
from animegen.measure.ops_bench import Case
from animegen.ops import library
from animegen.ops.composite import composite, composite_reference
from animegen.ops.rgb_yuv import (
    Planes,
    rgb_to_yuv,
    rgb_to_yuv_reference,
    yuv_to_rgb,
    yuv_to_rgb_reference,
    yuv_to_tensor,
)
from animegen.types import Float64Array, Uint8Array

_SPACE: dict[str, Any] = {"matrix": "smpte170m", "value_range": "tv"}
"""BT.601 in limited range: the one that OpenCV has too."""

_SIZE = (1080, 1920)
_SPRITE = 512
_BOX, _INPUT = (420.0, 60.0, 1380.0, 1020.0), (256, 256)


def picture_cases() -> Iterator[Case]:
    """1080p to video and back, to a network's input, and a sprite of 512 pixels laid over it."""
    native = library.native("cpu") is not None
    none = str(library.choice("cpu"))
    pixels = _SIZE[0] * _SIZE[1]
    yield Case(
        "rgb_to_yuv 1080p",
        pixels * 9 // 2,
        _picture,
        {
            "native": (lambda rgb: rgb_to_yuv(rgb, **_SPACE)) if native else none,
            "reference": lambda rgb: rgb_to_yuv_reference(rgb, **_SPACE),
            "swscale": _Swscale("rgb24", "yuv420p", Interpolation.AREA).planes,
            "OpenCV": lambda rgb: _opencv_planes(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)),
        },
        lambda rgb, planes: max(
            float(np.abs(plane - exact).max()) for plane, exact in zip(planes, exact_planes(rgb, **_SPACE), strict=True)
        ),
    )
    accurate = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    yield Case(
        "yuv_to_rgb 1080p",
        pixels * 9 // 2,
        lambda rng: rgb_to_yuv_reference(_picture(rng), **_SPACE),
        {
            "native": (lambda planes: yuv_to_rgb(planes, **_SPACE)) if native else none,
            "reference": lambda planes: yuv_to_rgb_reference(planes, **_SPACE),
            "swscale, accurate": _Swscale("yuv420p", "rgb24", accurate).picture,
            "swscale, fast": _Swscale("yuv420p", "rgb24", Interpolation.FAST_BILINEAR).picture,
            "OpenCV": lambda planes: cv2.cvtColor(_stacked(planes), cv2.COLOR_YUV2RGB_I420),
        },
        lambda planes, rgb: float(np.abs(rgb - exact_rgb(planes, **_SPACE)).max()),
    )
    yield Case(
        "yuv_to_tensor 256",
        _INPUT[0] * _INPUT[1] * 12 + 960 * 960 * 3 // 2,
        lambda rng: rgb_to_yuv_reference(_picture(rng), **_SPACE),
        {
            "native": (lambda planes: yuv_to_tensor(planes, _BOX, _INPUT, **_SPACE)) if native else none,
            "OpenCV": _opencv_tensor,
        },
        lambda planes, out: 255 * float(np.abs(out.transpose(1, 2, 0) - _exact_tensor(planes)).max()),
    )
    yield Case(
        f"composite {_SPRITE}",
        _SPRITE**2 * (4 + 3 + 3),
        _scene,
        {
            "native": (lambda scene: _laid(composite, *scene)) if native else none,
            "reference": lambda scene: _laid(composite_reference, *scene),
            "OpenCV": lambda scene: _opencv_composite(*scene),
        },
        lambda scene, laid: float(np.abs(laid - exact_composite(*scene)).max()),
    )


def _picture(rng: np.random.Generator) -> Uint8Array:
    """Noise that is smooth enough for a photograph: what interpolation makes of white noise tells nothing."""
    small = rng.integers(0, 256, (_SIZE[0] // 8, _SIZE[1] // 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, _SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _scene(rng: np.random.Generator) -> tuple[Uint8Array, Uint8Array, Float64Array]:
    alpha = cv2.resize(rng.integers(0, 256, (16, 16), np.uint8), (_SPRITE, _SPRITE))[..., None]
    sprite = np.dstack([_picture(rng)[:_SPRITE, :_SPRITE] * (alpha / 255), alpha]).astype(np.uint8)
    angle = rng.uniform(-0.2, 0.2)
    c, s = np.cos(angle), np.sin(angle)
    return _picture(rng), sprite, np.array([(c, -s, rng.uniform(200, 900)), (s, c, rng.uniform(150, 400))])


def _laid(lay: Callable[..., None], picture: Uint8Array, sprite: Uint8Array, affine: Float64Array) -> Uint8Array:
    """The picture itself is laid over: the others are given it as it was."""
    lay(picture, [sprite], [affine])
    return picture


def _opencv_composite(picture: Uint8Array, sprite: Uint8Array, affine: Float64Array) -> Uint8Array:
    """As one would with OpenCV: warp to the part that is covered, multiply, add."""
    canvas = picture.copy()
    corners = np.array([(0, 0, 1), (_SPRITE, 0, 1), (0, _SPRITE, 1), (_SPRITE, _SPRITE, 1)]) @ affine.T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, _SIZE[::-1])
    moved = affine - [(0, 0, left), (0, 0, top)]
    source = cv2.warpAffine(sprite, moved, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    keep = cv2.merge([cv2.bitwise_not(cv2.extractChannel(source, 3))] * 3)
    target = canvas[top:bottom, left:right]
    colour = cv2.cvtColor(source, cv2.COLOR_RGBA2RGB)
    target[...] = cv2.add(cv2.multiply(target, keep, scale=1.0 / 255.0), colour)
    return canvas


class _Swscale:
    """swscale by way of PyAV, in one thread."""

    def __init__(self, source: str, target: str, interpolation: Interpolation) -> None:
        self._source, self._target, self._interpolation = source, target, interpolation
        self._reformatter = VideoReformatter()

    def planes(self, rgb: Uint8Array) -> Planes:
        """The planes of a picture."""
        frame = self._converted(av.VideoFrame.from_numpy_buffer(rgb, self._source))
        y, u, v = (np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes)
        return y, u, v

    def picture(self, planes: Planes) -> Uint8Array:
        """The picture of planes."""
        frame = self._converted(av.VideoFrame.from_numpy_buffer(_stacked(planes), self._source))
        (plane,) = frame.planes
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, -1)
        return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)

    def _converted(self, frame: av.VideoFrame) -> av.VideoFrame:
        rgb = ColorRange.JPEG
        return self._reformatter.reformat(
            frame,
            format=self._target,
            src_colorspace=Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=rgb if self._source == "rgb24" else ColorRange.MPEG,
            dst_color_range=rgb if self._target == "rgb24" else ColorRange.MPEG,
            interpolation=self._interpolation,
            threads=1,
        )


def _stacked(planes: Planes) -> Uint8Array:
    """One array [3 H / 2, W], as OpenCV and PyAV take it."""
    return np.concatenate([plane.reshape(-1, planes[0].shape[1]) for plane in planes])


def _opencv_planes(stacked: Any) -> Planes:
    height, width = _SIZE
    u, v = stacked[height:].reshape(2, height // 2, width // 2)
    return stacked[:height], u, v


def _opencv_tensor(planes: Planes) -> Any:
    """As one would with OpenCV: the whole picture to RGB, crop, resize, scale, transpose."""
    rgb = cv2.cvtColor(_stacked(planes), cv2.COLOR_YUV2RGB_I420)
    left, top, right, bottom = (round(edge + 0.5) for edge in _BOX)
    small = cv2.resize(rgb[top:bottom, left:right], _INPUT, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray((small.astype(np.float32) / 255).transpose(2, 0, 1))


def _exact_tensor(planes: Planes) -> Float64Array:
    (left, top, right, bottom), (width, height) = _BOX, _INPUT
    xs = left + (np.arange(width) + 0.5) * (right - left) / width
    ys = top + (np.arange(height) + 0.5) * (bottom - top) / height
    return exact_samples(planes, ys, xs, **_SPACE) / 255
