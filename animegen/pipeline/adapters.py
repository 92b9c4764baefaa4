"""Sources and sinks of plugins: what FFmpeg cannot read or write goes through a film on disk.

A source's frames are filmed without loss before the conversion, a sink is handed the frames of the finished film.
So both work with everything a conversion can do: several passes, stopping and going on, sound apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.errors import InputError, OutputError, UsageError
from animegen.jobs import digest
from animegen.plugins import PluginHost
from animegen.protocols import PluginContext, VideoSinkSpec, VideoSourceSpec
from animegen.video import open_video
from animegen.video.drawing import write_film

_FILM = ".film.mov"
"""What the name of the film that is handed to a sink has after the output's."""


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


def location(host: PluginHost, source: Path) -> str:
    """What is opened, so that it means the same in every folder: ``NAME:...`` of a plugin source, or a whole path."""
    spec = source_spec(host, str(source))
    is_name = spec is not None and str(source).startswith(f"{spec.name}:")
    return str(source if is_name else source.resolve())


@contextmanager
def filmed_source(host: PluginHost, source: Path, output: Path | None) -> Iterator[Path]:
    """The source as a file that FFmpeg reads: itself, or a lossless film of a plugin's frames beside the output.

    The film bears a digest of the source's name. It is removed when what is done with it succeeds, and serves again
    when a stopped run goes on.
    """
    spec = source_spec(host, str(source))
    if spec is None:
        yield source
        return
    origin = location(host, source)
    if output is None:
        raise UsageError(f"{source} is read by the plugin source '{spec.name}'", "name the output with -o")
    film = output.with_name(f"{output.name}.{digest(origin)}.source.mp4")
    if not film.exists():
        frames = iter(host.create(spec, None, PluginContext())(origin))
        first = list(islice(frames, 2))
        if not first:
            raise InputError(f"the plugin source '{spec.name}' gave no frame for {source}", "check the name")
        step = first[1].pts - first[0].pts if len(first) == 2 else Fraction(1, 25)
        if step <= 0:
            raise InputError(
                f"the plugin source '{spec.name}' gave two frames for one time, {float(first[0].pts)} s",
                "a source's frames must follow each other in time",
            )
        write_film(film, chain(first, frames), 1 / step, lossless=True)
    yield film
    film.unlink()


def asked_output(host: PluginHost, written: Path) -> Path:
    """The output of which ``written`` is the one that FFmpeg writes: itself, or the one that a plugin's sink makes."""
    asked = written.with_name(written.name.removesuffix(_FILM))
    return asked if asked != written and sink_spec(host, asked) is not None else written


@contextmanager
def sunk_output(
    host: PluginHost, output: Path | None, config: ConvertConfig
) -> Iterator[tuple[Path | None, ConvertConfig]]:
    """Where FFmpeg shall write, and how: the output itself, or a film whose frames are handed to a plugin's sink."""
    spec = sink_spec(host, output)
    if spec is None or output is None:
        yield output, config
        return
    if output.exists() and not config.overwrite:
        raise OutputError(f"{output} exists already", "choose another name with -o, or add --overwrite")
    film = output.with_name(output.name + _FILM)
    # ProRes keeps ten bits of every channel: what comes out again differs by less than a level of eight bits
    yield film, replace(config, overwrite=True, encode=replace(config.encode, codec="prores"))
    part = output.with_name(f"{output.name}.part")
    with open_video(film) as video:
        host.create(spec, None, PluginContext())(str(part), video.frames())
    part.replace(output)
    film.unlink()
