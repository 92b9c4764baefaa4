"""What a file holds beside its pictures: streams and chapters, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from av.stream import Disposition, Stream


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container.

    ``type``: video, audio, subtitle, data or attachment; ``codec``: FFmpeg's name of the codec (not of a decoder),
    empty where it knows none; ``language`` and ``title`` empty where the file names none.
    """

    index: int
    type: str
    codec: str
    time_base: Fraction | None
    language: str = ""
    title: str = ""
    is_default: bool = False
    is_attached_picture: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named span of the file, in seconds of its own clock."""

    start: Fraction
    end: Fraction
    title: str = ""


def read_streams(container: InputContainer) -> tuple[StreamInfo, ...]:
    """Every stream of an open container, in its order."""
    return tuple(_stream_info(stream) for stream in container.streams)


def picture_stream(streams: Sequence[StreamInfo]) -> int | None:
    """The number of the video stream that players show: the default one, else the first; None where there is none."""
    videos = [stream for stream in streams if stream.type == "video" and not stream.is_attached_picture]
    videos.sort(key=lambda stream: not stream.is_default)
    return videos[0].index if videos else None


def read_chapters(container: InputContainer) -> tuple[Chapter, ...]:
    """The chapters of an open container, in its order."""
    chapters = []
    for entry in container.chapters():
        base = entry["time_base"] or Fraction(1)
        chapters.append(Chapter(entry["start"] * base, entry["end"] * base, entry["metadata"].get("title", "")))
    return tuple(chapters)


def _stream_info(stream: Stream) -> StreamInfo:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else ""
    return StreamInfo(
        index=stream.index,
        type=stream.type,
        codec=codec,
        time_base=stream.time_base,
        language=stream.language or "",
        title=stream.metadata.get("title", ""),
        is_default=bool(stream.disposition & Disposition.default),
        is_attached_picture=bool(stream.disposition & Disposition.attached_pic),
    )
