"""Encodes one segment of consecutive frames into a file of its own, to be joined later without encoding again."""

from __future__ import annotations

import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from animegen.errors import InvalidValue, OutputError
from animegen.jobs.artefacts import artefact, write_hint
from animegen.types import Colour, Frame, Uint8Array
from animegen.video.local import local_url
from animegen.video.planes import yuv420p

if TYPE_CHECKING:
    from animegen.video.plan import OutputPlan

ENCODER_THREADS = 3
"""Threads of every encoder: a constant, because the bytes depend on it."""

BITEXACT = 0x0400
"""FFmpeg's AVFMT_FLAG_BITEXACT: no dates, no random numbers and no version in the file."""

FRAME_TICK = Fraction(1, 1000)
"""In a segment file frame n of the segment stands at n of these: an ordinal, not a time."""

LONGEST_DELAY = 64
"""Frames by which decoding runs ahead of showing at most: more than any encoder holds back."""

_PRIMARIES = {"bt709": 1, "bt470m": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020": 9, "smpte432": 12}
_TRANSFERS = {"bt709": 1, "gamma22": 4, "gamma28": 5, "smpte170m": 6, "smpte240m": 7, "linear": 8, "iec61966-2-1": 13}
_MATRICES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6}
_SCALER_MATRICES = {"bt709": Colorspace.ITU709, "bt470bg": Colorspace.ITU601, "smpte170m": Colorspace.ITU601}


def silence_encoders() -> None:
    """Keep encoders from talking to the terminal past FFmpeg: SVT-AV1 reads how much it may say from its variable."""
    os.environ.setdefault("SVT_LOG", "1")


def opens(encoder: str, pixel_format: str, size: tuple[int, int], options: dict[str, str]) -> bool:
    """Whether the encoder works here, with these options for frames of this (width, height): it has to encode one."""
    silence_encoders()
    try:
        context = av.CodecContext.create(encoder, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height = size
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        context.options = options
        context.thread_count = ENCODER_THREADS
        frame = av.VideoFrame(*size, pixel_format)
        frame.pts = 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))  # else it holds whatever stood in memory
        return bool([*context.encode(frame), *context.encode(None)])
    except (ValueError, av.FFmpegError):
        return False


class SegmentWriter:
    """Encodes frames into the segment file ``path``, which stands there only once it is whole.

    A context manager. Frames come in order and are counted; their times are the plan's. Raises OutputError naming
    the file when it cannot be written.
    """

    def __init__(self, plan: OutputPlan, path: Path) -> None:
        self.plan = plan
        self.path = path
        self.count = 0
        self._decoded = -LONGEST_DELAY - 1
        self._stack = ExitStack()
        self._reformatter = VideoReformatter()

    def __enter__(self) -> Self:
        self._part = self._stack.enter_context(artefact(self.path))
        try:
            self._container = av.open(local_url(self._part), "w", format=self.plan.segment_muxer)
            self._stream = _add_stream(self._container, self.plan)
        except BaseException:
            self._stack.close()
            raise
        return self

    def write(self, frame: Frame) -> None:
        """Encode one frame, uint8 [H, W, 3] RGB of the plan's size."""
        if self.plan.alpha:
            raise InvalidValue("a transparent output is written with write_rgba")
        self._encode(frame.image, "rgb24")

    def write_rgba(self, rgba: Uint8Array) -> None:
        """Encode one transparent picture, uint8 [H, W, 4] with premultiplied alpha, of the plan's size."""
        if not self.plan.alpha:
            raise InvalidValue("this output is not transparent: set EncodeConfig.alpha")
        self._encode(_straight(rgba), "rgba")

    def _encode(self, image: Uint8Array, layout: str) -> None:
        wanted = (self.plan.height, self.plan.width)
        if image.shape[:2] != wanted:
            raise InvalidValue(f"the frame must be {wanted} (height, width), got {image.shape[:2]}")
        converted = self._converted(image, layout)
        converted.pts = self.count
        converted.time_base = 1 / self.plan.rate
        converted.pict_type = 0
        self.count += 1
        self._mux(converted)

    def _converted(self, image: Uint8Array, layout: str) -> av.VideoFrame:
        """The picture in the plan's pixel format and colour."""
        colour = self.plan.colour
        if (layout, self.plan.pixel_format) == ("rgb24", "yuv420p"):
            return yuv420p(image, colour)
        full = colour.range == "pc" or self.plan.pixel_format.startswith(("rgb", "bgr"))
        return self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), layout),
            format=self.plan.pixel_format,
            dst_colorspace=_SCALER_MATRICES[colour.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )

    def _mux(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.codec_context.encode(picture):
            # libx265 leaves decoding times undefined in clips shorter than its delay; only the order counts here
            assert packet.pts is not None
            told = packet.pts if packet.dts is None else min(packet.dts, packet.pts)
            packet.dts = self._decoded = max(told, self._decoded + 1)
            packet.stream = self._stream
            packet.time_base = FRAME_TICK
            packet.duration = 1
            self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if not self.count:
                    raise InvalidValue("a segment needs at least one frame")
                self._mux(None)
            self._container.close()
        except OSError as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise OutputError(f"cannot write {self.path}: {failure.strerror}", write_hint(failure)) from failure
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        finally:
            del self._stream  # closing the container leaves the encoder and all its frames in memory
        self._stack.__exit__(kind, error, trace)


def _add_stream(container: OutputContainer, plan: OutputPlan) -> av.VideoStream:
    silence_encoders()
    container.flags |= BITEXACT
    stream = container.add_stream(
        plan.encoder, rate=plan.rate, options=dict(plan.options), width=plan.width, height=plan.height
    )
    assert isinstance(stream, av.VideoStream)
    stream.time_base = FRAME_TICK
    context = stream.codec_context
    context.pix_fmt = plan.pixel_format
    context.time_base = 1 / plan.rate
    context.thread_count = ENCODER_THREADS
    _tag(context, plan.colour)
    return stream


def _tag(context: av.VideoCodecContext, colour: Colour) -> None:
    context.color_primaries = _PRIMARIES.get(colour.primaries, int(ColorPrimaries.UNSPECIFIED))
    context.color_trc = _TRANSFERS.get(colour.transfer, int(ColorTrc.UNSPECIFIED))
    context.colorspace = _MATRICES[colour.matrix]
    context.color_range = int(ColorRange.JPEG if colour.range == "pc" else ColorRange.MPEG)


def _straight(rgba: Uint8Array) -> Uint8Array:
    """Straight alpha, as video and PNG carry it, from premultiplied."""
    alpha = rgba[..., 3:].astype(np.uint16)
    soft = np.maximum(alpha, 1)
    straight = rgba.copy()
    straight[..., :3] = np.minimum((rgba[..., :3].astype(np.uint32) * 255 + soft // 2) // soft, 255)
    return straight
