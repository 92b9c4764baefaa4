"""From the samples of a decoded frame to RGB: matrix, range, bit depth, chroma (ITU-T H.273 for the tags)."""

from __future__ import annotations

import re
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from animegen.ops.pictures import yuv_to_rgb
from animegen.ops.rgb_yuv import LUMA, yuv_to_rgb_matrix
from animegen.types import Colour, Uint8Array
from animegen.video.hdr import ToneMap, Uint16Array, needs_tone_map
from animegen.video.planes import FORMATS, planes_of

UNKNOWN = 2
"""The tag that says nothing, for primaries, transfer and matrix alike."""

_PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 14: "ictcp",
}  # fmt: skip

_SWSCALE_SPACES = {
    "bt709": Colorspace.ITU709,
    "fcc": Colorspace.FCC,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020nc": Colorspace.BT2020,
    "bt2020c": Colorspace.BT2020,
}
_PLANAR_YUV = re.compile(r"yuvj?4\d\dp(\d+)?(le)?")
_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def read_colour(frame: av.VideoFrame) -> Colour:
    """The colour tags of a frame; what it does not say is filled in as players do.

    Without a matrix tag: BT.2020 where the transfer is PQ or HLG, BT.709 for pictures wider than 1279 or higher than
    576, else BT.601. Without a range tag: full for the ``yuvj`` formats and RGB, else limited.
    """
    transfer = _TRANSFERS.get(frame.color_trc, "")
    hdr = transfer in {"smpte2084", "arib-std-b67"}
    large = frame.width >= 1280 or frame.height > 576
    matrix = _MATRICES.get(frame.colorspace) or ("bt2020nc" if hdr else "bt709" if large else "smpte170m")
    primaries = _PRIMARIES.get(frame.color_primaries) or ("bt2020" if hdr else "bt709" if large else "smpte170m")
    rgb = frame.format.is_rgb or frame.format.has_palette
    full = rgb or frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    return Colour(
        primaries=primaries,
        transfer=transfer or "bt709",
        matrix="gbr" if rgb else matrix,
        range="pc" if full else "tv",
        bit_depth=max(component.bits for component in frame.format.components),
    )


class RgbConverter:
    """Makes BT.709 RGB pictures of the decoded frames of one video. One instance serves one thread.

    YUV is converted here, other formats by swscale with its accurate flags: 4:2:0 of 8 bits by the native op, other
    planar formats of any depth with bilinear chroma and one 3x4 matrix, within 1 of the exact value. Alpha is laid on
    white; HDR and wide gamut are tone-mapped, ``peak`` being the brightest light in cd/m2.
    """

    def __init__(self, colour: Colour, peak: float) -> None:
        self._colour = colour
        self._tone_map = ToneMap(colour, peak) if needs_tone_map(colour) else None
        self._swscale = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Uint8Array:
        """uint8 [H, W, 3] of one frame."""
        if self._tone_map is not None:
            return self._tone_map(self._deep(frame))
        if frame.format.name in FORMATS and self._colour.matrix in LUMA:
            return yuv_to_rgb(planes_of(frame), matrix=self._colour.matrix, value_range=self._colour.range)
        planar = _PLANAR_YUV.fullmatch(frame.format.name)
        if planar is None or self._colour.matrix not in LUMA:
            return self._by_swscale(frame)
        if planar[1] is not None:
            return np.asarray(cv2.convertScaleAbs(self._deep(frame), alpha=255 / 65535), np.uint8)
        to_rgb = yuv_to_rgb_matrix(self._colour.matrix, self._colour.range, 8) * 255
        return np.asarray(cv2.transform(_upsampled(frame, np.uint8), to_rgb), np.uint8)

    def _deep(self, frame: av.VideoFrame) -> Uint16Array:
        """uint16 [H, W, 3] R'G'B', 65535 being full signal."""
        planar = _PLANAR_YUV.fullmatch(frame.format.name)
        if planar is None or self._colour.matrix not in LUMA:
            return np.asarray(self._reformatted(frame, "rgb48le"), np.uint16)
        bits = int(planar[1] or 8)
        samples = _upsampled(frame, np.uint16 if bits > 8 else np.uint8).astype(np.uint16, copy=False)
        to_rgb = yuv_to_rgb_matrix(self._colour.matrix, self._colour.range, bits) * 65535
        return np.asarray(cv2.transform(samples, to_rgb), np.uint16)

    def _by_swscale(self, frame: av.VideoFrame) -> Uint8Array:
        if any(component.is_alpha for component in frame.format.components) or frame.format.has_palette:
            return on_white(self._reformatted(frame, "rgba").astype(np.uint8, copy=False))
        return np.array(self._reformatted(frame, "rgb24"), np.uint8)  # a copy: it may be the frame's own memory

    def _reformatted(self, frame: av.VideoFrame, pixel_format: str) -> NDArray[Any]:
        space = _SWSCALE_SPACES.get(self._colour.matrix, Colorspace.ITU601)
        return self._swscale.reformat(
            frame,
            format=pixel_format,
            src_colorspace=space,
            dst_colorspace=space,
            src_color_range=ColorRange.JPEG if self._colour.range == "pc" else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_ACCURATE,
        ).to_ndarray()


def on_white(rgba: Uint8Array) -> Uint8Array:
    """uint8 [H, W, 3]: straight RGBA [H, W, 4] laid on white."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upsampled(frame: av.VideoFrame, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """[H, W, 3] of Y, Cb and Cr, chroma brought to full size."""
    planes: list[NDArray[Any]] = [
        np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes[:3]
    ]
    height, width = planes[0].shape
    for index in (1, 2):
        rows, columns = planes[index].shape
        # An odd size has half a chroma sample to spare: enlarge by the whole factor, then cut.
        grown = (columns * -(-width // columns), rows * -(-height // rows))
        if grown != (columns, rows):
            planes[index] = np.asarray(cv2.resize(planes[index], grown), dtype)[:height, :width]
    return np.asarray(cv2.merge(planes), dtype)
