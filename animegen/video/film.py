"""A video file opened through FFmpeg: what it is, and its pictures as they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData

from animegen.errors import InputError
from animegen.types import Uint8Array, VideoInfo
from animegen.video.colour import RgbConverter, read_colour
from animegen.video.decoding import Reader, open_container, scan, video_stream
from animegen.video.hdr import peak_luminance
from animegen.video.orientation import Orientation
from animegen.video.streams import Chapter, StreamInfo, picture_stream, read_chapters, read_streams
from animegen.video.timeline import Timeline

SQUARE = Fraction(1, 100)
"""Relative difference from square up to which the shape of the pixels is left alone."""

RATE_AGREES = Fraction(5, 100)
"""Relative difference up to which the frame rate that a file states is believed against its timeline."""


class Film:
    """Pictures of one video file. Several readings may run at once, each with a decoder of its own."""

    def __init__(self, path: Path, *, salvage: bool) -> None:
        with open_container(path) as container:
            self.streams: tuple[StreamInfo, ...] = read_streams(container)
            self.chapters: tuple[Chapter, ...] = read_chapters(container)
            self._stream = _shown_stream(path, self.streams)
            stream = video_stream(container, self._stream)
            if stream.codec_context is None:
                raise InputError(
                    f"{path}: nothing here decodes the codec of its video stream", "convert it to H.264 in mp4 first"
                )
            rate = stream.average_rate or stream.guessed_rate
            pixel = stream.sample_aspect_ratio or Fraction(1)
        self._path, self._salvage = path, salvage
        self._scan = scan(path, self._stream, salvage=salvage)
        self.timeline: Timeline = self._scan.timeline
        self._idle: list[Reader] = []
        first = next(self._decoded(0, 1))
        self._describe(first, rate, pixel if abs(pixel - 1) > SQUARE else Fraction(1))

    def close(self) -> None:
        """Close the decoders that wait for further readings."""
        while self._idle:
            self._idle.pop().close()

    def pictures(self, start: int, stop: int) -> Iterator[Uint8Array]:
        """uint8 [H, W, 3] RGB of frames ``start`` to ``stop - 1``, upright, with square pixels."""
        convert = RgbConverter(self.info.colour, self._peak)
        for frame in self._decoded(start, stop):
            image = convert(frame)
            if (image.shape[1], image.shape[0]) != self._square_size:
                image = np.asarray(cv2.resize(image, self._square_size, interpolation=cv2.INTER_AREA), np.uint8)
            yield np.ascontiguousarray(self._orientation.apply(image))

    def _decoded(self, start: int, stop: int) -> Iterator[av.VideoFrame]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = Reader(self._path, self._stream, self._scan, salvage=self._salvage)
        try:
            yield from reader.frames(start, stop)
        except GeneratorExit:
            # A reading given up half-way leaves its decoder in good order.
            self._idle.append(reader)
            raise
        except InputError:
            reader.close()
            raise
        self._idle.append(reader)

    def _describe(self, first: av.VideoFrame, rate: Fraction | None, pixel: Fraction) -> None:
        side_data = {data.type.name: bytes(data) for data in cast("Iterable[SideData]", first.side_data)}
        matrix = side_data.get("DISPLAYMATRIX")
        self._orientation = Orientation() if matrix is None else Orientation.from_display_matrix(matrix)
        self._square_size = (round(first.width * pixel), first.height)
        self._peak = peak_luminance(side_data)
        width, height = self._orientation.size(*self._square_size)
        self.info = VideoInfo(
            width=width,
            height=height,
            time_base=self.timeline.time_base,
            rate=_rate(self.timeline, rate),
            frame_count=len(self.timeline),
            rotation=self._orientation.rotation,
            has_audio=any(stream.type == "audio" for stream in self.streams),
            colour=read_colour(first),
            interlaced=self._scan.interlaced,
        )


def _shown_stream(path: Path, streams: tuple[StreamInfo, ...]) -> int:
    index = picture_stream(streams)
    if index is None:
        found = {"a cover picture" if stream.is_attached_picture else stream.type for stream in streams}
        only = " and ".join(sorted(found)) or "nothing"
        raise InputError(f"{path} holds no pictures, only {only}", "name a file with a video stream")
    return index


def _rate(timeline: Timeline, told: Fraction | None) -> Fraction:
    """Frames a second: what the file states, if it fits the usual distance of two frames, else the mean."""
    usual = int(np.median(timeline.durations)) * timeline.time_base
    if told and usual and abs(told * usual - 1) < RATE_AGREES:
        return told
    return (len(timeline) / timeline.duration).limit_denominator(1001)
