"""Several conversions one after the other, of files and whole folders; one that fails does not stop the others."""

from __future__ import annotations

import os.path
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.errors import AnimegenError, Cancelled, InputError, UsageError
from animegen.events import ClipFailed, ClipStarted, Listener, ignore
from animegen.jobs import JobFolder, writing
from animegen.pipeline.convert import convert
from animegen.pipeline.prepare import Result
from animegen.plugins import PluginHost
from animegen.video import DEFAULT_SUFFIX

VIDEO_SUFFIXES = frozenset(
    (
        ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".ogv", ".ts", ".webm", ".wmv",
    )
)  # fmt: skip
"""Files of a folder that are taken for videos, beside those that a plugin's source reads."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One input, and the folder, relative to the one given for outputs, into which its output goes."""

    source: Path | str
    inside: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input: a result, or the error that stopped it."""

    source: Path | str
    result: Result | None
    error: AnimegenError | None


def convert_all(
    sources: Sequence[Path | str],
    folder: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[Outcome]:
    """Convert files and all videos of folders, one after the other, in the order of the names within each folder.

    Outputs stand beside their sources, or in ``folder``, which is made, with the folders' own folders inside it. Raises
    Cancelled when the user stops it, and InputError or UsageError where there is nothing to begin with.
    """
    tell = on_event or ignore
    clips = clips_of(sources)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and several outputs are to be written", "name a folder with -o")
    outcomes = []
    for number, clip in enumerate(clips, 1):
        tell(ClipStarted(str(clip.source), number, len(clips)))
        try:
            into = None if folder is None else folder / clip.inside
            if into is not None:
                with writing(into):
                    into.mkdir(parents=True, exist_ok=True)
            outcomes.append(Outcome(clip.source, convert(clip.source, None, config, tell, cancel, folder=into), None))
        except Cancelled:
            raise
        except AnimegenError as error:
            tell(ClipFailed(str(clip.source), str(error), error.hint))
            outcomes.append(Outcome(clip.source, None, error))
    return outcomes


def clips_of(sources: Sequence[Path | str]) -> list[Clip]:
    """The files among ``sources`` and all videos in its folders, each once.

    Raises InputError for a folder without a video.
    """
    suffixes = VIDEO_SUFFIXES | {s for spec in PluginHost.load().specs("source").values() for s in spec.suffixes}
    clips: dict[str, Clip] = {}
    for source in sources:
        place = Path(source)
        if not place.is_dir():
            clips.setdefault(os.path.realpath(place), Clip(source, Path()))
            continue
        found = _videos(place, suffixes)
        if not found:
            raise InputError(f"{source} holds no video", "name a folder with videos in it, or the files themselves")
        for path in found:
            clips.setdefault(os.path.realpath(path), Clip(path, path.parent.relative_to(place)))
    return list(clips.values())


def _videos(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The videos of a folder and the folders in it: nothing hidden, no job's, and no output of an earlier run.

    An output is known by its name after another video's, or by its job folder.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = [path for path in inside if path.is_file() and path.suffix.lower() in suffixes]
    made = {path.stem + DEFAULT_SUFFIX for path in found}
    deeper = [path for path in inside if path.is_dir() and path.suffix != ".job"]
    sources = [path for path in found if path.stem not in made and not JobFolder.beside(path).root.is_dir()]
    return sources + [p for path in deeper for p in _videos(path, suffixes)]
