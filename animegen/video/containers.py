"""What each kind of output file holds, and which encoder writes it: two tables, and a trial of what a muxer takes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.stream import Stream

from animegen.errors import OutputError

ContainerKind: TypeAlias = Literal["film", "gif", "pictures"]


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of output file.

    ``muxer`` is FFmpeg's name of the format; ``codecs`` are those it carries here, the default first;
    ``alpha_codec`` the one that carries transparency; ``audio_encoder`` and ``subtitle_encoder`` are what
    streams it cannot carry as they are may be turned into.
    """

    name: str
    kind: ContainerKind
    suffixes: tuple[str, ...]
    muxer: str
    codecs: tuple[str, ...]
    alpha_codec: str | None = None
    audio_encoder: str = ""
    subtitle_encoder: str = ""


CONTAINERS = (
    Container("mp4", "film", (".mp4", ".m4v"), "mp4", ("h264", "hevc", "av1", "vp9"), None, "aac", "mov_text"),
    Container("mov", "film", (".mov",), "mov", ("h264", "hevc", "prores"), "prores", "aac", "mov_text"),
    Container(
        "mkv", "film", (".mkv",), "matroska", ("h264", "hevc", "av1", "vp9", "prores"), "vp9", "libopus", "subrip"
    ),
    Container("webm", "film", (".webm",), "webm", ("vp9", "av1"), "vp9", "libopus", "webvtt"),
    Container("gif", "gif", (".gif",), "gif", ("gif",)),
    Container("png", "pictures", (".png",), "", ("png",), "png"),
    Container("jpeg", "pictures", (".jpg", ".jpeg"), "", ("jpeg",)),
)


@dataclass(frozen=True, slots=True)
class Encoder:
    """How one encoder is driven.

    ``whole_pixel_format`` is for pictures of odd width or height where chroma at half resolution cannot express
    them; ``crf`` and ``preset`` name its options for quality and effort with their defaults; ``options`` are fixed
    because threads and rate control change the bytes; ``segment_muxer`` holds a segment until all are joined.
    """

    name: str
    codec: str
    pixel_format: str
    whole_pixel_format: str = ""
    alpha_pixel_format: str = ""
    crf: tuple[str, int] | None = None
    max_crf: int = 51
    preset: tuple[str, str] | None = None
    presets: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    segment_muxer: str = "matroska"


_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_NUMBERED = tuple(str(n) for n in range(14))

NVENC = Encoder(
    "h264_nvenc",
    "h264",
    "yuv420p",
    crf=("cq", 18),
    preset=("preset", "p5"),
    presets=tuple(f"p{n}" for n in range(1, 8)),
    options=(("rc", "vbr"), ("b", "0"), ("bf", "2"), ("forced-idr", "1")),
)

ENCODERS = (
    Encoder(
        "libx264",
        "h264",
        "yuv420p",
        whole_pixel_format="yuv444p",
        crf=("crf", 16),
        preset=("preset", "fast"),
        presets=_X26X_PRESETS,
        options=(("mbtree", "0"),),  # with AVX-512 its macroblock tree gives other bytes from run to run
    ),
    Encoder(
        "libx265",
        "hevc",
        "yuv420p",
        whole_pixel_format="yuv444p",
        crf=("crf", 18),
        preset=("preset", "fast"),
        presets=_X26X_PRESETS,
        options=(("x265-params", "log-level=error:pools=2:frame-threads=2:info=0"),),
    ),
    Encoder(
        "libvpx-vp9",
        "vp9",
        "yuv420p",
        alpha_pixel_format="yuva420p",
        crf=("crf", 20),
        max_crf=63,
        preset=("cpu-used", "4"),
        presets=_NUMBERED[:9],
        options=(("b", "0"), ("deadline", "good"), ("row-mt", "0"), ("lag-in-frames", "16")),
    ),
    Encoder(
        "libsvtav1",
        "av1",
        "yuv420p",
        crf=("crf", 22),
        max_crf=63,
        preset=("preset", "8"),
        presets=_NUMBERED,
        options=(("svtav1-params", "lp=2"),),
    ),
    Encoder(
        "prores_ks",
        "prores",
        "yuv422p10le",
        alpha_pixel_format="yuva444p10le",
        options=(("vendor", "apl0"),),
    ),
    Encoder("ffv1", "gif", "bgr0", options=(("level", "3"), ("slices", "4"))),
    Encoder("png", "png", "rgb24", alpha_pixel_format="rgba", segment_muxer="nut"),
    Encoder("mjpeg", "jpeg", "yuvj444p", options=(("q", "2"), ("qmin", "2"), ("qmax", "2"))),
    NVENC,
)

_CODEC_ALIASES = {"avc": "h264", "x264": "h264", "h265": "hevc", "x265": "hevc", "jpg": "jpeg"}


def container_named(name: str) -> Container:
    """The container called ``name``; raises OutputError for one that is not in the table."""
    for container in CONTAINERS:
        if container.name == name:
            return container
    raise OutputError(f"there is no container '{name}'", f"one of {', '.join(c.name for c in CONTAINERS)}")


def container_for(path: Path) -> Container:
    """The container that a path asks for by its suffix; a path without one is a folder of PNG pictures.

    Raises OutputError naming the suffixes that can be written.
    """
    suffix = path.suffix.lower()
    if not suffix:
        return container_named("png")
    for container in CONTAINERS:
        if suffix in container.suffixes:
            return container
    known = ", ".join(s for c in CONTAINERS for s in c.suffixes)
    raise OutputError(f"no video can be written as '{suffix}': {path}", f"one of {known}, or a folder for PNG pictures")


def encoder_for(name: str) -> Encoder:
    """The encoder of a codec (``h264``) or by its own name (``libx264``); raises OutputError for an unknown one."""
    wanted = _CODEC_ALIASES.get(name, name)
    for encoder in ENCODERS:
        if wanted in {encoder.codec, encoder.name}:
            return encoder
    known = dict.fromkeys(e.codec for e in ENCODERS if e.codec not in {"gif", "png", "jpeg"})
    raise OutputError(f"unknown codec '{name}'", f"one of {', '.join(known)}, or the name of its encoder")


def carries(container: Container, stream: Stream) -> bool:
    """Whether the installed FFmpeg can copy ``stream`` into the container, found out by trying."""
    if container.kind != "film" or (stream.codec_context is None and stream.type in {"audio", "subtitle"}):
        return False
    if (
        container.name == "mp4"
        and stream.codec_context
        and stream.codec_context.codec.canonical_name.startswith("pcm_")
    ):
        return False  # hardly a player knows raw sound in mp4, and the muxer fails at its first packet
    try:
        with av.open(io.BytesIO(), "w", format=container.muxer) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def first_to_carry(streams: Iterable[Stream], codec: str) -> Container | None:
    """The first container of the table that carries video of ``codec`` and all of ``streams``."""
    wanted = list(streams)
    for container in CONTAINERS:
        if container.kind == "film" and codec in container.codecs and all(carries(container, s) for s in wanted):
            return container
    return None
