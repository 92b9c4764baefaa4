"""Opening a video: what it is, when its frames are shown, and the frames themselves as upright RGB pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from animegen.errors import InputError
from animegen.types import Frame, Uint8Array, VideoInfo
from animegen.video.colour import RgbConverter, read_colour
from animegen.video.decoding import Reader, Scan, open_container, scan
from animegen.video.orientation import Orientation
from animegen.video.streams import Chapter, StreamInfo, read_chapters, read_streams
from animegen.video.timeline import Timeline

SQUARE = Fraction(1, 100)
"""Relative difference from square below which the shape of the pixels is left alone."""


class VideoFile:
    """A video that is open for reading. Made by :func:`open_video`; a context manager.

    ``path``, ``info`` (sizes as shown), ``timeline``, ``streams`` and ``chapters`` are plain values.
    """

    def __init__(self, path: Path, *, salvage: bool) -> None:
        self.path = path
        with open_container(path) as container:
            self.streams: tuple[StreamInfo, ...] = read_streams(container)
            self.chapters: tuple[Chapter, ...] = read_chapters(container)
            self._stream = _picture_stream(path, self.streams)
            stream = container.streams[self._stream]
            rate = stream.average_rate or stream.guessed_rate
            self._pixel_shape = stream.sample_aspect_ratio or Fraction(1)
        self._salvage = salvage
        self._scan: Scan = scan(path, self._stream, salvage=salvage)
        self.timeline: Timeline = self._scan.timeline
        self._idle: list[Reader] = []
        self.info: VideoInfo = self._describe(rate)

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the plain values stay."""
        while self._idle:
            self._idle.pop().close()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole file, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``start`` to ``stop - 1`` (None: to the end), one by one, upright RGB; ``pts`` exact.

        Several iterators may run at once. Raises InputError where the file turns out to be damaged.
        """
        end = len(self.timeline) if stop is None else min(stop, len(self.timeline))
        if not 0 <= start <= end:
            raise IndexError(f"frames {start} to {stop} asked of a video that has {len(self.timeline)}")
        convert = RgbConverter(self.info.colour)
        for index, decoded in enumerate(self._decoded(start, end), start):
            yield Frame(index, self.timeline.time(index), self._as_shown(convert(decoded)))

    def _decoded(self, start: int, end: int) -> Iterator[av.VideoFrame]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = Reader(self.path, self._stream, self._scan, salvage=self._salvage)
        try:
            yield from reader.frames(start, end)
        except InputError:
            reader.close()
            raise
        except GeneratorExit:
            self._idle.append(reader)
            raise
        self._idle.append(reader)

    def _as_shown(self, image: Uint8Array) -> Uint8Array:
        height, width = image.shape[:2]
        if (width, height) != self._square_size:
            image = np.asarray(cv2.resize(image, self._square_size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(self._orientation.apply(image))

    def _describe(self, rate: Fraction | None) -> VideoInfo:
        first = next(self._decoded(0, 1))
        matrix = next((bytes(data) for data in first.side_data if data.type.name == "DISPLAYMATRIX"), None)
        self._orientation = Orientation() if matrix is None else Orientation.from_display_matrix(matrix)
        shape = self._pixel_shape if abs(self._pixel_shape - 1) > SQUARE else Fraction(1)
        self._square_size = (round(first.width * shape), first.height)
        width, height = self._orientation.size(*self._square_size)
        return VideoInfo(
            width=width,
            height=height,
            time_base=self.timeline.time_base,
            rate=_rate(self.timeline, rate),
            frame_count=len(self.timeline),
            rotation=self._orientation.rotation,
            has_audio=any(stream.type == "audio" for stream in self.streams),
            colour=read_colour(first),
        )


def open_video(path: Path, *, salvage: bool = False) -> VideoFile:
    """Open a video, GIF or still for reading.

    ``salvage`` takes what can be decoded of a damaged or truncated file. Raises InputError for everything that is
    not a whole, decodable file with pictures.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a video file", "name one file")
    with suppress(OSError):
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)", "was it copied or downloaded in full?")
    return VideoFile(path, salvage=salvage)


def _picture_stream(path: Path, streams: tuple[StreamInfo, ...]) -> int:
    videos = [stream for stream in streams if stream.type == "video" and not stream.is_attached_picture]
    if not videos:
        found = " and ".join(sorted({stream.type for stream in streams})) or "nothing"
        raise InputError(f"{path} holds no pictures, only {found}", "a video file is needed")
    return next((stream for stream in videos if stream.is_default), videos[0]).index


def _rate(timeline: Timeline, told: Fraction | None) -> Fraction:
    """Frames a second: what the file says if that agrees with its timeline within 5 %, else the timeline's mean."""
    mean = len(timeline) / timeline.duration
    if told and abs(told / mean - 1) < Fraction(5, 100):
        return told
    return mean.limit_denominator(1001)
