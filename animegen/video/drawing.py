"""Writes frames that have no source video: drawings, demonstrations, animations."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from animegen.errors import OutputError
from animegen.jobs.artefacts import artefact
from animegen.types import Colour, Frame, Uint8Array
from animegen.video.encode import BITEXACT
from animegen.video.local import local_url
from animegen.video.planes import yuv420p

CRF = 18
ENCODER_THREADS = 2
"""A constant, because the bytes depend on it."""

TIME_BASE = Fraction(1, 90000)
"""The ticks of MPEG's clock, in which every common frame rate is whole."""


def write_film(path: Path, frames: Iterable[Frame], rate: Fraction, *, lossless: bool = False) -> None:
    """Encode ``frames`` (all of one size) as an H.264 mp4 at their own times; raises OutputError for no frame.

    ``rate`` is the nominal number of frames a second. ``lossless`` keeps every RGB sample. Otherwise odd sizes lose
    their last row or column, as 4:2:0 needs.
    """
    with artefact(path) as part, av.open(local_url(part), "w", format="mp4") as container:
        container.flags |= BITEXACT
        stream = None
        for frame in frames:
            picture = _rgb(frame.image) if lossless else _yuv(frame.image)
            if stream is None:
                stream = _stream(container, picture, rate)
            picture.pts, picture.time_base = round(frame.pts / TIME_BASE), TIME_BASE
            container.mux(stream.encode(picture))
        if stream is None:
            raise OutputError(f"cannot write {path}: there is no frame to write", "give it at least one")
        container.mux(stream.encode(None))


def _rgb(image: Uint8Array) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def _yuv(image: Uint8Array) -> av.VideoFrame:
    height, width = (n // 2 * 2 for n in image.shape[:2])
    return yuv420p(image[:height, :width], Colour())


def _stream(container: av.container.OutputContainer, first: av.VideoFrame, rate: Fraction) -> av.VideoStream:
    is_rgb = first.format.name == "rgb24"
    stream = container.add_stream(
        "libx264rgb" if is_rgb else "libx264",
        rate=rate,
        options={"crf": "0", "preset": "ultrafast"} if is_rgb else {"crf": str(CRF)},
        width=first.width,
        height=first.height,
    )
    assert isinstance(stream, av.VideoStream)
    stream.time_base = TIME_BASE
    context = stream.codec_context
    context.pix_fmt = first.format.name
    context.time_base = TIME_BASE
    context.thread_count = ENCODER_THREADS
    if not is_rgb:
        context.color_primaries = int(ColorPrimaries.BT709)
        context.color_trc = int(ColorTrc.BT709)
        context.colorspace = int(Colorspace.ITU709)
        context.color_range = int(ColorRange.MPEG)
    return stream
