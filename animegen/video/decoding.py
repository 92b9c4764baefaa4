"""Decoding one video stream: the scan that finds its timeline, and the reader that gives the frames asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from animegen.errors import InputError
from animegen.video.fields import deinterlaced
from animegen.video.local import local_url
from animegen.video.timeline import Int64Array, Timeline, make_timeline

DECODER_THREADS = 2
"""Threads of every decoder: a constant, so that a file decodes alike on every machine."""

HEAD = 8
"""Frames decoded when a file is opened, to see whether its packets tell the truth."""

REORDERED = 16
"""Frames by which decoding runs ahead of showing at most (H.264, A.4.2)."""

_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
"""Formats by which FFmpeg shows a text file as a picture of its letters."""

_LISTS = {"concat", "hls", "dash", "imf"}
"""Formats that name other files: what is in these is no part of the file whose fingerprint a job notes."""

SALVAGE_HINT = "--salvage uses the frames that can be decoded"

# In these every packet is one shown picture and carries its timestamp; elsewhere (fields, hidden frames, packed
# frames, guessed timestamps) only decoding tells.
_TELLING_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_TELLING_CODECS = {"h264", "hevc", "vvc", "av1", "vp9", "prores", "dnxhd", "mjpeg", "ffv1", "png", "rawvideo"}


def open_container(path: Path) -> InputContainer:
    """An open container, allowed to read nothing but local files. Raises InputError."""
    try:
        container = av.open(
            local_url(path), metadata_errors="replace", container_options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a video: {_reason(error)}", "is it a video file, and is it whole?"
        ) from None
    if container.format.name in _LISTS:
        container.close()
        raise InputError(f"{path} is a list of other files, not a video", "join them into one file first")
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise InputError(f"{path} is a text file, not a video", "name a video file")
    return container


def video_stream(container: InputContainer, index: int) -> av.VideoStream:
    """The stream of an open container that stands at ``index`` among all its streams."""
    return next(stream for stream in container.streams.video if stream.index == index)


def damaged(path: Path, what: str) -> InputError:
    """The error for a file whose content breaks off or contradicts itself."""
    return InputError(f"{path} is damaged or truncated: {what}", SALVAGE_HINT)


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of a video stream once it was scanned.

    ``shown``: the timestamps as the decoder gives them, in showing order; ``seekable``: whether they can serve to
    find a frame again after a jump; ``interlaced``: whether a frame that was decoded for it holds two fields.
    """

    timeline: Timeline
    shown: tuple[int | None, ...]
    seekable: bool
    interlaced: bool


def scan(path: Path, stream_index: int, *, salvage: bool) -> Scan:
    """Find every frame of a stream: from its packets where these can be trusted, else by decoding all of it.

    Raises InputError where the file breaks off or does not decode, unless ``salvage``.
    """
    with open_container(path) as container:
        stream = video_stream(container, stream_index)
        time_base = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step = max(1, round(1 / (rate * time_base)))
        if not salvage:
            _check_samples(container, path)
        packets = _packets(container, stream, path, salvage=salvage)
        telling = container.format.name in _TELLING_CONTAINERS and stream.codec.canonical_name in _TELLING_CODECS
    keys = [packet.pts for packet in packets if packet.key and packet.pts is not None]
    if telling and not salvage:
        kept = sorted((p.pts, p.duration) for p in packets if p.pts is not None and not p.discard)
        shown = [pts for pts, _ in kept]
        told = len(set(shown)) == len(shown) and all(packet.pts is not None for packet in packets)
        if told and shown:
            head, _, interlaced = _decoded(path, stream_index, HEAD, salvage=False)
            if shown[:HEAD] == head:
                timeline = make_timeline(time_base, shown, keys, kept[-1][1], step)
                return Scan(timeline, tuple(shown), True, interlaced)
    decoded, last, interlaced = _decoded(path, stream_index, None, salvage=salvage)
    if not decoded:
        raise InputError(f"{path} holds no frame that can be decoded", "" if salvage else "is the file whole?")
    rising = all(p is not None and q is not None and p < q for p, q in pairwise(decoded))
    timeline = make_timeline(time_base, decoded, keys if rising else [], last, step)
    return Scan(timeline, tuple(decoded), rising and not salvage, interlaced)


class Reader:
    """Decodes forward from wherever it stands, and jumps where that is shorter. Serves one thread."""

    def __init__(self, path: Path, stream_index: int, scanned: Scan, *, salvage: bool) -> None:
        self._path, self._stream_index, self._scan, self._salvage = path, stream_index, scanned, salvage
        self._kept: deque[av.VideoFrame] = deque(maxlen=3)
        self._restart()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, start: int, stop: int) -> Iterator[av.VideoFrame]:
        """The decoded frames ``start`` to ``stop - 1`` of the timeline, each checked against it, without combs.

        Raises InputError where decoding gives another frame than the timeline says.
        """
        if start == stop:
            return
        count = len(self._scan.shown)
        for index in range(start, stop):
            frame = self._at(index)
            if frame.interlaced_frame:
                before = self._at(index - 1) if index else None
                frame = deinterlaced(before, frame, self._at(index + 1) if index + 1 < count else None)
            yield frame
        if stop == count:
            self._go_to(count)
            self._check_end()

    def _restart(self) -> None:
        self._container = open_container(self._path)
        self._frames = decode(self._container, self._stream_index, salvage=self._salvage)
        self._next = 0

    def _at(self, index: int) -> av.VideoFrame:
        """One frame as it is stored. The three before the next are at hand."""
        back = self._next - index
        if 0 < back <= len(self._kept):
            return self._kept[-back]
        if back:
            self._go_to(index)
        return self._take()

    def _go_to(self, index: int) -> None:
        keyframes = self._scan.timeline.keyframes if self._scan.seekable else np.empty(0, np.int64)
        entries = keyframes[keyframes <= index]
        nearest = int(entries[-1]) if len(entries) else 0
        on_the_way = nearest <= self._next <= index
        if not on_the_way:
            self._kept.clear()
            if not self._jump(index, entries):
                self.close()
                self._restart()
        while self._next < index:
            self._take()

    def _jump(self, index: int, entries: Int64Array) -> bool:
        """Stand before frame ``index`` by way of a keyframe; False where no keyframe leads there."""
        back = 1
        while back <= len(entries):
            tick = int(self._scan.timeline.pts[entries[-back]])
            frames = self._from_keyframe(tick)
            try:
                first = self._found(index, frames, tick)
            except av.FFmpegError:
                first = None
            if first is not None:
                self._frames, self._next = chain([first], frames), index
                return True
            back *= 2
        return False

    def _found(self, index: int, frames: Iterator[av.VideoFrame], tick: int) -> av.VideoFrame | None:
        """Frame ``index`` of those that follow the keyframe at ``tick``; None where it is missing or only nearly right.

        That may be soon after a keyframe that is not shown itself, with which a gradual refresh begins.
        """
        pts, settled = self._scan.timeline.pts, None
        for frame in frames:
            if frame.pts is None or frame.pts < tick:
                continue
            if settled is None:
                settled = 0 if frame.pts == tick else int(np.searchsorted(pts, frame.pts)) + REORDERED
            if frame.pts >= pts[index]:
                return frame if frame.pts == pts[index] and settled <= index else None
        return None

    def _from_keyframe(self, tick: int) -> Iterator[av.VideoFrame]:
        self._container.seek(tick, stream=video_stream(self._container, self._stream_index))
        yield from decode(self._container, self._stream_index, salvage=False)

    def _take(self) -> av.VideoFrame:
        shown, index = self._scan.shown, self._next
        at = f"frame {index} of {len(shown)}"
        try:
            frame = next(self._frames, None)
        except av.FFmpegError as error:
            raise damaged(self._path, f"{at} cannot be decoded ({_reason(error)})") from None
        if frame is None:
            raise damaged(self._path, f"it ends before {at}")
        if frame.is_corrupt:
            raise damaged(self._path, f"{at} cannot be decoded in full")
        if frame.pts != shown[index]:
            raise damaged(self._path, f"{at} is missing")
        self._kept.append(frame)
        self._next += 1
        return frame

    def _check_end(self) -> None:
        try:
            extra = next(self._frames, None)
        except av.FFmpegError as error:
            raise damaged(self._path, f"what follows the last frame cannot be decoded ({_reason(error)})") from None
        if extra is not None:
            raise damaged(self._path, f"more than its {len(self._scan.shown)} frames can be decoded")


def decode(container: InputContainer, stream_index: int, *, salvage: bool) -> Iterator[av.VideoFrame]:
    """Decode a stream from where the container stands.

    What cannot be decoded for want of a keyframe, at the beginning, is passed over. ``salvage`` passes over all that
    does not decode, from the first sign of damage to the next keyframe; without it av.FFmpegError is raised.
    """
    stream = video_stream(container, stream_index)
    if not stream.codec_context.is_open:
        # With frame threads an error comes up some packets late and takes good frames with it.
        stream.thread_type = "SLICE" if salvage else "AUTO"
        stream.codec_context.thread_count = DECODER_THREADS
    packets = container.demux(stream)
    waiting, begun, broken = True, False, False
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            waiting = waiting and not packet.is_keyframe
            frames = [] if waiting and packet.size else stream.decode(packet)
        except av.FFmpegError:
            if not salvage:
                raise
            broken = True
            continue
        for frame in frames:
            if salvage:
                broken = frame.is_corrupt or (broken and not frame.key_frame)
            elif not begun:
                broken = frame.is_corrupt and not frame.key_frame
            if not broken:
                begun = True
                yield frame


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int | None
    duration: int
    key: bool
    discard: bool


def _check_samples(container: InputContainer, path: Path) -> None:
    """Raise InputError where the index of a file names a last packet, of any stream, that lies behind its end."""
    size = path.stat().st_size
    for stream in container.streams:
        if len(stream.index_entries):
            last = stream.index_entries[-1]
            if last.pos + last.size > size:
                raise damaged(path, f"stream {stream.index} should reach byte {last.pos + last.size} of {size}")


def _packets(container: InputContainer, stream: av.VideoStream, path: Path, *, salvage: bool) -> list[_Packet]:
    packets: list[_Packet] = []
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt and not salvage:
                raise damaged(path, f"packet {len(packets)} is not whole")
            if packet.size:
                packets.append(_Packet(packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_discard))
    except av.FFmpegError as error:
        if not salvage:
            raise damaged(path, f"packet {len(packets)} cannot be read ({_reason(error)})") from None
    return packets


def _decoded(path: Path, stream_index: int, count: int | None, *, salvage: bool) -> tuple[list[int | None], int, bool]:
    """Timestamps of the first ``count`` frames (None: all) as decoded, how long the last of them is shown, and whether
    one of them holds two fields.
    """
    shown: list[int | None] = []
    last, interlaced = 0, False
    with open_container(path) as container:
        try:
            for frame in islice(decode(container, stream_index, salvage=salvage), count):
                if frame.is_corrupt:
                    raise damaged(path, f"frame {len(shown)} cannot be decoded in full")
                shown.append(frame.pts)
                last, interlaced = frame.duration, interlaced or frame.interlaced_frame
        except av.FFmpegError as error:
            raise damaged(path, f"frame {len(shown)} cannot be decoded ({_reason(error)})") from None
    return shown, last, interlaced


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
