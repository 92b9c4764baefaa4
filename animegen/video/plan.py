"""Decides how an output is written, and refuses what cannot be, before any work is done."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from animegen.config import EncodeConfig
from animegen.errors import OutputError
from animegen.types import Colour, VideoInfo
from animegen.video.beside import StreamPlan, plan_streams, sound_and_text
from animegen.video.containers import (
    CONTAINERS,
    Container,
    Encoder,
    carries,
    container_for,
    container_named,
    encoder_for,
    first_to_carry,
)
from animegen.video.decoding import open_container
from animegen.video.encode import opens
from animegen.video.source import VideoFile
from animegen.video.streams import picture_stream

_MATRICES = frozenset({"bt709", "smpte170m", "bt470bg"})
DEFAULT_SUFFIX = "-anime"
"""What the name of an output has after that of its source where the user names none."""

IMAGE = -1
"""In place of the video stream's number where the source is an image."""

GIF_FASTEST = 50
"""Frames a second: browsers show shorter delays than two hundredths for a tenth of a second instead."""

MOST_NAME_BYTES = 250
"""Bytes of an output's name: file systems take 255, and while it is written it has ``.part`` behind it."""

_FREE_CLOCKS = frozenset({"mpegts", "mpeg", "mpegvideo"})
"""Formats whose clock starts anywhere: their first moment becomes zero."""


@dataclass(frozen=True, slots=True, eq=False)
class OutputPlan:
    """Everything that decides the bytes of an output, as inert values.

    ``picture_stream`` is the source's video stream, -1 for an image. ``output`` is a file, a folder, or a pattern
    such as ``name_%05d.png``. Frames ``start`` .. ``stop`` of the source are written; ``ticks`` and ``durations``
    (int64 [stop - start], units of ``time_base`` seconds) are their times in the source and ``origin`` is the
    source's time, in seconds, that becomes zero. ``options`` go to the encoder.
    """

    source: Path
    picture_stream: int
    output: Path
    container: str
    codec: str
    encoder: str
    segment_muxer: str
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    width: int
    height: int
    rate: Fraction
    colour: Colour
    alpha: bool
    start: int
    stop: int
    cut_end: bool
    time_base: Fraction
    ticks: NDArray[np.int64]
    durations: NDArray[np.int64]
    origin: Fraction
    streams: tuple[StreamPlan, ...]
    warnings: tuple[str, ...] = ()

    @property
    def frame_count(self) -> int:
        """How many frames are written."""
        return self.stop - self.start

    @property
    def is_trimmed(self) -> bool:
        """Whether frames of the source are left out at either end."""
        return self.cut_start or self.cut_end

    @property
    def cut_start(self) -> bool:
        """Whether frames are left out at the start."""
        return self.start > 0

    @property
    def end(self) -> Fraction:
        """The source's time in seconds at which the last frame is over."""
        return int(self.ticks[-1] + self.durations[-1]) * self.time_base

    @property
    def part(self) -> Path:
        """Where the output is put together before it stands under its name: beside it."""
        name = self.output.name.replace("%", "_") if self.is_pattern else self.output.name
        return self.output.with_name(f"{name}.part")

    @property
    def is_pattern(self) -> bool:
        """Whether the output is one file for each frame, numbered in its name."""
        return "%" in self.output.name

    def fingerprint(self) -> dict[str, object]:
        """What changes the bytes of the segments and the output, as plain values for the job's record."""
        times = hashlib.sha256(np.stack([self.ticks, self.durations]).astype("<i8").tobytes()).hexdigest()
        return {
            "container": self.container,
            "codec": self.codec,
            "encoder": self.encoder,
            "pixel_format": self.pixel_format,
            "options": dict(self.options),
            "size": [self.width, self.height],
            "rate": str(self.rate),
            "colour": [self.colour.primaries, self.colour.transfer, self.colour.matrix, self.colour.range],
            "alpha": self.alpha,
            "range": [self.start, self.stop],
            "time_base": str(self.time_base),
            "times": times,
            "origin": str(self.origin),
            "streams": [f"{s.index} {s.type} {s.codec} {s.action} {s.encoder}".strip() for s in self.streams],
        }


def plan_output(
    source: VideoFile,
    output: Path | None,
    encode: EncodeConfig,
    *,
    start: int = 0,
    stop: int | None = None,
    overwrite: bool = False,
    folder: Path | None = None,
) -> OutputPlan:
    """Decide how frames ``start`` .. ``stop`` of ``source`` are written, without writing anything.

    ``output`` None: beside the source or in ``folder``, its name with ``-anime``, in its container where that carries
    the codec and the streams. Raises OutputError for everything that can be known to fail: a codec or stream the
    container cannot carry, an option out of range, a place that cannot be written, or a file that stands there already.
    """
    total = len(source.timeline.pts)
    stop = total if stop is None else stop
    if not 0 <= start < stop <= total:
        raise OutputError(f"frames {start}..{stop} are not in the source, which has {total}")
    info, picture = source.info, source_stream(source)
    with _opened(source) as media:
        path = output if output is not None else _default_output(source, media, encode, folder or source.path.parent)
        container = container_for(path)
        encoder = _choose_encoder(container, encode, (info.width, info.height))
        streams, warnings = plan_streams(media, picture, container, encoder.codec, encode) if media else ([], [])
        origin = clock_start(media) if media else Fraction(0)
    _check_place(path, source.path, overwrite)
    _check_pictures(path, container, stop - start, info.rate)
    pixel_format = _pixel_format(encoder, (info.width, info.height), alpha=encode.alpha)
    if pixel_format == encoder.whole_pixel_format:
        warnings.append(_about_odd_size(encoder, info))
    if start > 0:
        origin = source.timeline.time(start)
    return OutputPlan(
        source=source.path,
        picture_stream=picture,
        output=path,
        container=container.name,
        codec=encoder.codec,
        encoder=encoder.name,
        segment_muxer=encoder.segment_muxer,
        pixel_format=pixel_format,
        options=_options(encoder, encode),
        width=info.width,
        height=info.height,
        rate=info.rate,
        colour=_output_colour(info.colour, encoder, encode.alpha),
        alpha=encode.alpha,
        start=start,
        stop=stop,
        cut_end=stop < total,
        time_base=source.timeline.time_base,
        ticks=np.asarray(source.timeline.pts[start:stop], np.int64),
        durations=np.asarray(source.timeline.durations[start:stop], np.int64),
        origin=origin,
        streams=tuple(streams),
        warnings=tuple(warnings),
    )


def clock_start(media: InputContainer) -> Fraction:
    """The source's time in seconds that becomes zero: its first moment where its format's clock starts anywhere."""
    free = _FREE_CLOCKS & set(media.format.name.split(","))
    return Fraction(media.start_time or 0, av.time_base) if free else Fraction(0)


def source_stream(source: VideoFile) -> int:
    """The number of the source's video stream; IMAGE where it is an image."""
    index = picture_stream(source.streams)
    return IMAGE if index is None else index


def _opened(source: VideoFile) -> AbstractContextManager[InputContainer | None]:
    return open_container(source.path) if source.streams else nullcontext()


def _default_output(source: VideoFile, media: InputContainer | None, encode: EncodeConfig, folder: Path) -> Path:
    """In ``folder``: in the source's container if that carries all of it, else in the first of the table that does."""
    path, asked = source.path, source.path.suffix.lower()
    if media is None and encode.codec is None:
        return folder / f"{path.stem}{DEFAULT_SUFFIX}{_image_suffix(source, alpha=encode.alpha)}"
    own = next((c for c in CONTAINERS if c.kind == "film" and asked in c.suffixes), container_named("mp4"))
    codec = encoder_for(encode.codec).codec if encode.codec else ("prores" if encode.alpha else "h264")
    beside = [] if media is None or encode.alpha else sound_and_text(media)
    if codec not in own.codecs or not all(carries(own, stream) for stream in beside):
        own = first_to_carry(beside, codec) or first_to_carry((), codec) or own
    return folder / f"{path.stem}{DEFAULT_SUFFIX}{path.suffix if asked in own.suffixes else own.suffixes[0]}"


def _image_suffix(source: VideoFile, *, alpha: bool) -> str:
    """What an image becomes: an animated one a GIF (transparent: a folder), a JPEG again a JPEG, any other a PNG."""
    if len(source.timeline) > 1:
        return "" if alpha else ".gif"
    is_jpeg = source.path.suffix.lower() in container_named("jpeg").suffixes
    return source.path.suffix if is_jpeg and not alpha else ".png"


def _choose_encoder(container: Container, encode: EncodeConfig, size: tuple[int, int]) -> Encoder:
    """The encoder asked for; for H.264 NVENC where it opens and has the preset, unless x264 is asked for by name."""
    if encode.alpha and container.alpha_codec is None:
        raise OutputError(f"{container.name} cannot be transparent", "write mov, webm or a folder of PNG pictures")
    default = container.alpha_codec if encode.alpha else container.codecs[0]
    name = encode.codec or default or ""
    encoder = encoder_for("ffv1" if name == "gif" else name)
    if encoder.codec not in container.codecs:
        able = [c for c in (container_named(n) for n in ("mp4", "mov", "mkv", "webm")) if encoder.codec in c.codecs]
        hint = f"it can be written to {', '.join(c.name for c in able)}" if able else ""
        raise OutputError(f"{container.name} cannot carry {encoder.codec} video", hint)
    if encode.alpha and not encoder.alpha_pixel_format:
        raise OutputError(
            f"{encoder.codec} cannot be transparent", f"leave --codec out: {container.name} then has {default}"
        )
    if name in {"h264", "avc"}:
        nvenc = encoder_for("h264_nvenc")
        fits = not _is_odd(size) and (encode.preset is None or encode.preset in nvenc.presets)
        encoder = nvenc if fits and _opens(nvenc, encode, size) else encoder
    _check_quality(encoder, encode)
    if not _opens(encoder, encode, size):
        frames = f"{size[0]}x{size[1]} frames"
        raise OutputError(f"the encoder {encoder.name} cannot write {frames} on this machine", "choose another --codec")
    return encoder


def _opens(encoder: Encoder, encode: EncodeConfig, size: tuple[int, int]) -> bool:
    return opens(encoder.name, _pixel_format(encoder, size, alpha=encode.alpha), size, dict(_options(encoder, encode)))


def _check_quality(encoder: Encoder, encode: EncodeConfig) -> None:
    if encode.crf is not None and (encoder.crf is None or encode.crf > encoder.max_crf):
        allowed = f"0..{encoder.max_crf}" if encoder.crf else "no --crf: its quality is fixed"
        raise OutputError(f"--crf {encode.crf} does not fit {encoder.codec}", f"{encoder.codec} takes {allowed}")
    if encode.preset is not None and encode.preset not in encoder.presets:
        allowed = f"one of {', '.join(encoder.presets)}" if encoder.presets else f"{encoder.codec} has no presets"
        raise OutputError(f"unknown preset '{encode.preset}' for {encoder.name}", allowed)


def _about_odd_size(encoder: Encoder, info: VideoInfo) -> str:
    return (
        f"{info.width}x{info.height} is odd, so {encoder.codec} is written with full chroma "
        f"({encoder.whole_pixel_format}), which QuickTime and most phones cannot play; for a file that plays widely "
        "write .webm (with --reencode-audio for its sound), or crop the input to an even size"
    )


def _is_odd(size: tuple[int, int]) -> bool:
    return any(side % 2 for side in size)


def _pixel_format(encoder: Encoder, size: tuple[int, int], *, alpha: bool) -> str:
    if alpha:
        return encoder.alpha_pixel_format
    return encoder.whole_pixel_format if encoder.whole_pixel_format and _is_odd(size) else encoder.pixel_format


def _options(encoder: Encoder, encode: EncodeConfig) -> tuple[tuple[str, str], ...]:
    options = list(encoder.options)
    if encoder.crf:
        options.append((encoder.crf[0], str(encoder.crf[1] if encode.crf is None else encode.crf)))
    if encoder.preset:
        options.append((encoder.preset[0], encode.preset or encoder.preset[1]))
    if encoder.name == "prores_ks":
        options += [("profile", "4444"), ("alpha_bits", "16")] if encode.alpha else [("profile", "hq")]
    if encoder.name == "libvpx-vp9" and encode.alpha:
        options.append(("auto-alt-ref", "0"))  # hidden frames have no alpha of their own
    return tuple(options)


def _output_colour(source: Colour, encoder: Encoder, alpha: bool) -> Colour:
    """HDR was tone-mapped to BT.709 when it was read; a standard picture keeps its own tags where they are common."""
    if encoder.codec == "jpeg":
        return Colour(matrix="smpte170m", range="pc")
    if alpha or source.is_hdr or source.matrix not in _MATRICES:
        return Colour()
    return replace(source, range="tv", bit_depth=8)


def refuse_taken(output: Path) -> None:
    """Raise OutputError where a file, or a folder with something in it, stands under the output's name."""
    if output.is_dir() and any(output.iterdir()):
        hint = f"name a file in it, such as {output / 'out.mp4'}; --overwrite writes pictures into it"
        raise OutputError(f"{output} is a folder with something in it", hint)
    if output.is_file():
        raise OutputError(f"{output} stands already", "choose another name with -o; --overwrite replaces it")


def _check_place(path: Path, source: Path, overwrite: bool) -> None:
    if str(path) == "-":
        raise OutputError("the output is put together in a file, not on standard output", "name the file with -o")
    if path.name in {"", ".."}:
        raise OutputError(f"{path} has no name of its own to write under", f"name a file in it: {path / 'out.mp4'}")
    if any(path.name in container.suffixes for container in CONTAINERS):
        raise OutputError(f"{path} is a suffix without a name", f"for example -o {path.with_name(f'out{path.name}')}")
    if len(os.fsencode(path.name)) > MOST_NAME_BYTES:
        raise OutputError(f"the name of the output is too long: {path}", "choose a shorter one with -o")
    if path.exists():
        if not (path.is_file() or path.is_dir()):
            raise OutputError(f"{path} is a pipe or a device, not a file", "choose another name with -o")
        if source.exists() and path.samefile(source):
            raise OutputError(f"the output is the source itself: {path}", "choose another name with -o")
        if path.is_dir() and path.suffix:
            raise OutputError(f"there is a folder under the output's name: {path}", "choose another name with -o")
    if not overwrite:
        refuse_taken(path)
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"there is no folder {parent}", "make it, or choose another place with -o")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write into {parent}: {error.strerror}", "choose another place with -o, where you may write"
        ) from error


def _check_pictures(path: Path, container: Container, frames: int, rate: Fraction) -> None:
    if container.kind == "gif" and rate > GIF_FASTEST:
        raise OutputError(
            f"a GIF cannot show {float(rate):g} frames a second: {path}", "write mp4 or webm, or a slower video"
        )
    if container.kind != "pictures":
        return
    if "%" in path.name:
        try:
            named = path.name % 1 != path.name % 2
        except (TypeError, ValueError):
            named = False
        if not named:
            raise OutputError(f"'{path.name}' does not number the pictures", "for example name_%05d.png")
    elif path.suffix and frames > 1:
        raise OutputError(
            f"{frames} pictures do not fit into {path}",
            f"number them ({path.stem}_%05d{path.suffix}) or name a folder",
        )
