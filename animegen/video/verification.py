"""Proves that an output has the source's frames, times, sound, subtitles and chapters."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from animegen.errors import InputError
from animegen.video.decoding import open_container
from animegen.video.pictures import GIF_SHORTEST, GIF_TICK
from animegen.video.plan import clock_start, source_stream
from animegen.video.source import VideoFile, open_video
from animegen.video.streams import Chapter
from animegen.video.ticks import rescale

if TYPE_CHECKING:
    from animegen.video.segments import AnyPacket

CHAPTER_TICK = Fraction(1, 1000)

_SHARED_LABELS = {"mp1": "mp3", "mp2": "mp3"}
"""mp4 has one label for all three layers of MPEG audio; which one it is stands in every packet."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was compared: whether it agrees, and a sentence with the figures."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All checks of one output against its source."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class _Track:
    """One sound or subtitle stream: the SHA-256 of its payload and the times of its packets in seconds."""

    type: str
    codec: str
    tick: Fraction
    sha256: str
    times: tuple[Fraction, ...]


def verify(source: Path, output: Path) -> VerifyReport:
    """Compare ``output`` with the ``source`` it was made from, both read whole.

    A time agrees when it is the output's tick nearest to the source's time: the same time where the output's time
    base can state it. Of an output with fewer frames nothing else is compared. Raises InputError for a file that
    cannot be read.
    """
    with open_video(source) as before, open_video(output) as after:
        checks = [_frames(before, after), _size(before, after)]
        if len(after.timeline) < len(before.timeline):
            return VerifyReport(tuple(checks))
        shift = _clock_shift(source, before)
        checks += _times(before, after, shift)
        checks += _tracks(_read_tracks(before, shift), _read_tracks(after, Fraction(0)), silent=not after.streams)
        if after.streams:
            checks.append(_chapters(before.chapters, after.chapters, shift))
    return VerifyReport(tuple(checks))


def _clock_shift(path: Path, video: VideoFile) -> Fraction:
    if not video.streams:
        return Fraction(0)
    with open_container(path) as media:
        return clock_start(media)


def _frames(before: VideoFile, after: VideoFile) -> Check:
    want, have = len(before.timeline), len(after.timeline)
    if want == have:
        return Check("frames", True, f"{have} frames")
    part = "; of a part (--start, --end) times and sound are not compared" if have < want else ""
    return Check("frames", False, f"{have} frames instead of {want}{part}")


def _size(before: VideoFile, after: VideoFile) -> Check:
    want, have = (f"{v.info.width}x{v.info.height}" for v in (before, after))
    return Check("size", want == have, have if want == have else f"{have} instead of {want}")


def _times(before: VideoFile, after: VideoFile, shift: Fraction) -> list[Check]:
    was, now = before.timeline, after.timeline
    tick, step = now.time_base, 1
    if not after.streams:  # an animated image has no clock: it begins at zero and counts hundredths of a second
        tick, step, shift = GIF_TICK, GIF_SHORTEST, was.time(0)
    want = [index * tick for index in rescale(was.pts, was.time_base, tick, origin=shift, step=step)]
    have = [now.time(index) for index in range(len(now))]
    length = was.time(0) + was.duration - shift
    late = abs(_end(after) - length)
    return [
        _agreement("timestamps", want, have, tick, exact=(was.time_base / tick).denominator == 1),
        Check("duration", late <= tick, f"{_seconds(length)}" if late <= tick else f"ends {_seconds(late)} apart"),
    ]


def _end(video: VideoFile) -> Fraction:
    """When the last frame is over, in seconds: what the file says of the stream, else by its last frame."""
    if video.streams:
        with open_container(video.path) as media:
            stream = media.streams[source_stream(video)]
            told = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
            if told:  # Matroska; what it gives as the stream's duration is the whole file's
                return (int(told[1]) * 60 + int(told[2])) * 60 + Fraction(told[3])
            if stream.duration and stream.time_base:
                return ((stream.start_time or 0) + stream.duration) * stream.time_base
    return video.timeline.time(0) + video.timeline.duration


def _agreement(name: str, want: Sequence[Fraction], have: Sequence[Fraction], tick: Fraction, *, exact: bool) -> Check:
    apart = [abs(a - b) for a, b in zip(want, have, strict=False)]
    off = sum(distance > tick / 2 for distance in apart) + abs(len(want) - len(have))
    if off:
        count, furthest = max(len(want), len(have)), max(apart, default=Fraction(0))
        return Check(name, False, f"{off} of {count} differ, by up to {_seconds(furthest)}")
    kind = "equal to the" if exact else "at the nearest"
    return Check(name, True, f"{len(have)} {kind} tick of {tick.numerator}/{tick.denominator} s")


def _seconds(time: Fraction) -> str:
    return f"{float(time):.6f} s"


def _read_tracks(video: VideoFile, shift: Fraction) -> list[_Track]:
    wanted = [stream for stream in video.streams if stream.type in {"audio", "subtitle"}]
    if not wanted:
        return []
    digests = {stream.index: hashlib.sha256() for stream in wanted}
    times: dict[int, list[Fraction]] = {stream.index: [] for stream in wanted}
    codecs = {stream.index: stream.codec for stream in wanted}
    try:
        with open_container(video.path) as media:
            for packet in media.demux(*(media.streams[index] for index in digests)):
                payload = _payload(packet, codecs[packet.stream_index]) if packet.size else b""
                if payload and packet.pts is not None:
                    digests[packet.stream_index].update(payload)
                    times[packet.stream_index].append(packet.pts * packet.time_base - shift)
    except av.FFmpegError as error:
        raise InputError(f"the sound or subtitles of {video.path} cannot be read: {error.strerror}") from error
    return [
        _Track(s.type, s.codec, s.time_base or CHAPTER_TICK, digests[s.index].hexdigest(), tuple(times[s.index]))
        for s in wanted
    ]


def _payload(packet: AnyPacket, codec: str) -> bytes:
    """The bytes that must arrive: without what only a container adds around them."""
    data = bytes(packet)
    if codec == "mov_text" and data[:2] == b"\0\0":
        return b""  # the time between two lines
    if codec == "aac" and len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]  # the ADTS header of a transport stream
    return data


def _tracks(before: Sequence[_Track], after: Sequence[_Track], *, silent: bool) -> list[Check]:
    checks = []
    for kind in ("audio", "subtitle"):
        was, now = ([track for track in tracks if track.type == kind] for tracks in (before, after))
        if len(was) != len(now) and not silent:
            checks.append(Check(kind, False, f"{len(now)} streams instead of {len(was)}"))
        for number, (a, b) in enumerate(zip(was, now, strict=False), 1):
            checks.append(_track(f"{kind} {number}", a, b))
    return checks


def _track(name: str, was: _Track, now: _Track) -> Check:
    if _SHARED_LABELS.get(was.codec, was.codec) != _SHARED_LABELS.get(now.codec, now.codec):
        return Check(name, False, f"encoded again, from {was.codec} to {now.codec}")
    if was.sha256 != now.sha256:
        return Check(name, False, f"the {was.codec} packets differ")
    exact = (was.tick / now.tick).denominator == 1
    if len(was.times) == len(now.times):
        timing = _agreement(name, was.times, now.times, now.tick, exact=exact)
        return Check(name, timing.ok, f"{was.codec} packets equal; times: {timing.text}")
    # Raw sound is cut into packets anew by every container: then the first must begin at its time.
    timing = _agreement(name, was.times[:1], now.times[:1], now.tick, exact=exact)
    return Check(name, timing.ok, f"{was.codec} bytes equal, cut into {len(now.times)} packets; start {timing.text}")


def _chapters(before: Sequence[Chapter], after: Sequence[Chapter], shift: Fraction) -> Check:
    same = len(before) == len(after) and all(
        a.title == b.title and abs(a.start - shift - b.start) <= CHAPTER_TICK
        for a, b in zip(before, after, strict=True)
    )
    return Check("chapters", same, f"{len(after)} chapters" if same else f"{len(after)} differ from {len(before)}")
