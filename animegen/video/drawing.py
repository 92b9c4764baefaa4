"""Writes frames that have no source video: drawings, demonstrations, animations."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.container.core import Flags
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from animegen.errors import OutputError
from animegen.jobs.artefacts import artefact
from animegen.types import Frame

CRF = 18
TIME_BASE = Fraction(1, 90000)
"""The ticks of MPEG's clock, in which every common frame rate is whole."""


def write_film(path: Path, frames: Iterable[Frame], rate: Fraction) -> None:
    """Encode ``frames`` (all of one size) as an H.264 mp4 at their own times; raises OutputError for no frame.

    ``rate`` is the nominal number of frames a second. Odd sizes lose their last row or column, as 4:2:0 needs.
    """
    with artefact(path) as part, av.open(str(part), "w", format="mp4") as container:
        container.flags |= Flags.bitexact.value
        stream = None
        for frame in frames:
            width, height = frame.size[0] // 2 * 2, frame.size[1] // 2 * 2
            if stream is None:
                stream = _stream(container, (width, height), rate)
            picture = av.VideoFrame.from_ndarray(frame.image[:height, :width], format="rgb24")
            picture = picture.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            picture.pts, picture.time_base = round(frame.pts / TIME_BASE), TIME_BASE
            container.mux(stream.encode(picture))
        if stream is None:
            raise OutputError(f"cannot write {path}: there is no frame to write")
        container.mux(stream.encode(None))


def _stream(container: av.container.OutputContainer, size: tuple[int, int], rate: Fraction) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(CRF)}, width=size[0], height=size[1])
    assert isinstance(stream, av.VideoStream)
    stream.time_base = TIME_BASE
    context = stream.codec_context
    context.pix_fmt = "yuv420p"
    context.time_base = TIME_BASE
    context.thread_count = 2  # a constant, because the bytes depend on it
    context.color_primaries = int(ColorPrimaries.BT709)
    context.color_trc = int(ColorTrc.BT709)
    context.colorspace = int(Colorspace.ITU709)
    context.color_range = int(ColorRange.MPEG)
    return stream
