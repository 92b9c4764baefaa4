"""Opens the source of every job, and lets the sources and sinks of plugins read and write what FFmpeg cannot.

The frames of a plugin's source are encoded without loss to a video file (a *film*) before a conversion begins, and a
plugin's sink is handed the frames of the finished output. In between, a conversion works on files as always: it decodes
twice, may be stopped and goes on. Sound is not carried.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.errors import InputError, InvalidValue, OutputError, UsageError
from animegen.jobs import JobFolder, digest
from animegen.plugins import PluginHost, blamed
from animegen.protocols import PluginContext, VideoSinkSpec, VideoSourceSpec
from animegen.types import Frame
from animegen.video import DEFAULT_SUFFIX, VideoFile, open_video
from animegen.video.drawing import write_film

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address on a network begins, of whose slashes a path leaves one."""

_FILM = ".film.mov"
"""Suffix, after the output's name, of the film whose frames a sink is handed."""


def source_spec(host: PluginHost, location: str) -> VideoSourceSpec | None:
    """The plugin source that opens ``NAME:...`` or a file of this suffix, or None: FFmpeg reads it."""
    for spec in host.specs("source").values():
        if location.startswith(f"{spec.name}:") or (spec.suffixes and location.endswith(tuple(spec.suffixes))):
            found: VideoSourceSpec = spec
            return found
    return None


def sink_spec(host: PluginHost, output: Path | None) -> VideoSinkSpec | None:
    """The plugin sink that writes files of this suffix, or None: FFmpeg writes it."""
    for spec in host.specs("sink").values():
        if output is not None and output.suffix in spec.suffixes:
            found: VideoSinkSpec = spec
            return found
    return None


def location(host: PluginHost, source: Path | str) -> str:
    """The source as jobs note it: ``NAME:...`` of a plugin's source as it is, anything else as an absolute path."""
    spec = source_spec(host, str(source))
    is_name = spec is not None and str(source).startswith(f"{spec.name}:")
    return str(source) if is_name else os.path.realpath(source)


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is open: its ``video``, its ``origin`` as :func:`location` has it, and what FFmpeg is to write.

    ``output`` and ``config`` are the user's, or for a plugin's sink those of the film that it will be handed.
    """

    video: VideoFile
    origin: str
    output: Path | None
    config: ConvertConfig


@contextmanager
def opened(
    host: PluginHost, source: Path | str, output: Path | None, config: ConvertConfig, *, folder: Path | None = None
) -> Iterator[Opened]:
    """Open any source: a file that FFmpeg reads, or a lossless film of a plugin's frames beside the output.

    Without ``output``, that of a file which a plugin reads stands in ``folder``, or beside it. Raises UsageError for a
    plugin's ``NAME:...`` without an output, and InputError for what cannot be opened.
    """
    spec = source_spec(host, str(source))
    if spec is None and _ADDRESS.match(str(source)) and not Path(source).exists():
        raise InputError(f"{source} is an address, and only files are read", "download the video, then name its file")
    if spec is not None and output is None:
        output = _output_beside(spec, source, config, folder)
    target, wanted = _written(host, output, config)
    origin = location(host, source)
    _check_text(origin, str(target or ""))
    with (
        _filmed(host, source, target, restart=config.restart) as film,
        open_video(film, salvage=config.salvage) as video,
    ):
        yield Opened(video, origin, target, wanted)


def _check_text(*names: str) -> None:
    """Raise UsageError for a name that is no text, and so cannot be written down in the job."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(f"the name {name!a} is not UTF-8", "rename the file, or its folder") from None


def film_of(output: Path, origin: str) -> Path:
    """The path of the film of a plugin's source: beside the output, named after the output and the source."""
    return output.with_name(f"{output.name}.{digest(origin)}.source.mp4")


@contextmanager
def _filmed(host: PluginHost, source: Path | str, output: Path | None, *, restart: bool) -> Iterator[Path]:
    """The source as a file that FFmpeg reads: itself, or the film of a plugin's frames.

    The film is removed once the job beside the output is finished. Until then it stays, so that a run that was stopped
    goes on from the same frames.
    """
    spec = source_spec(host, str(source))
    if spec is None or output is None:
        yield Path(source)
        return
    origin = location(host, source)
    film = film_of(output, origin)
    if restart:
        film.unlink(missing_ok=True)
    if not film.exists():
        _make_film(host, spec, origin, film)
    yield film
    job = JobFolder.beside(output)
    if job.result.exists() or not job.root.exists():
        film.unlink()


def _make_film(host: PluginHost, spec: VideoSourceSpec, origin: str, film: Path) -> None:
    frames = _frames(host, spec, origin)
    first = list(islice(frames, 2))
    if not first:
        raise InputError(f"the plugin source '{spec.name}' gave no frame for {origin}", "check the name")
    step = first[1].pts - first[0].pts if len(first) == 2 else Fraction(1, 25)
    if step <= 0:
        raise InputError(
            f"the plugin source '{spec.name}' gave two frames for one time, {float(first[0].pts)} s",
            "a source's frames must follow each other in time",
        )
    write_film(film, chain(first, frames), 1 / step, lossless=True)


def _frames(host: PluginHost, spec: VideoSourceSpec, origin: str) -> Iterator[Frame]:
    with blamed(host.owner(spec)):
        for frame in host.create(spec, None, PluginContext())(origin):
            if not isinstance(frame, Frame):
                raise InvalidValue(f"must yield Frame, got {frame!r:.60}")
            yield frame


def _output_beside(spec: VideoSourceSpec, source: Path | str, config: ConvertConfig, folder: Path | None) -> Path:
    """The output of a file that a plugin reads, where none is named."""
    if str(source).startswith(f"{spec.name}:"):
        raise UsageError(
            f"{source} is read by the plugin source '{spec.name}'",
            "name the output: -o OUT, or --for OUT of `animegen cast`",
        )
    suffix = ".mov" if config.encode.alpha else ".mp4"
    path = Path(source)
    return (folder or path.parent) / f"{path.stem}{DEFAULT_SUFFIX}{suffix}"


def asked_output(host: PluginHost, written: Path) -> Path:
    """The output that the user asked for, if FFmpeg is to write ``written``: the same, or what a sink makes of it."""
    asked = written.with_name(written.name.removesuffix(_FILM))
    return asked if asked != written and sink_spec(host, asked) is not None else written


def _written(host: PluginHost, output: Path | None, config: ConvertConfig) -> tuple[Path | None, ConvertConfig]:
    """What FFmpeg shall write, and how: the output itself, or a film whose frames are handed to a plugin's sink."""
    if output is None or sink_spec(host, output) is None:
        return output, config
    if output.exists() and not config.overwrite:
        raise OutputError(f"{output} exists already", "choose another name with -o, or add --overwrite")
    film = output.with_name(output.name + _FILM)
    # ProRes keeps ten bits of every channel: what comes out again differs by less than a level of eight bits
    return film, replace(config, overwrite=True, encode=replace(config.encode, codec="prores"))


def hand_over(host: PluginHost, written: Path, output: Path | None) -> Path:
    """Let a plugin's sink write ``output`` from what FFmpeg wrote, where it is one's; returns what the user gets."""
    spec = sink_spec(host, output)
    if spec is None or output is None:
        return written
    part = output.with_name(f"{output.name}.part")
    with open_video(written) as video, blamed(host.owner(spec)):
        host.create(spec, None, PluginContext())(str(part), video.frames())
        if not part.exists():
            raise InvalidValue(f"wrote no file {part}")
    part.replace(output)
    written.unlink()
    return output
