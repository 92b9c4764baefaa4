"""The job folder beside an output: what is finished, and what it was made for.

Layout::

    out.mp4.job/
      job.toml            the fingerprint: everything that changes a pixel
      poses/00000.npz     poses and masks of one segment
      crops/00000.npz     pictures of the people, a few a second
      shots/00000.npz     where a segment cuts to another shot
      scene/00000.npz     samples of the background of one segment, and how the camera moved
      plates/             what lies behind the people
      cast.toml           who is in the clip; may be edited
      prepared/KEY-DIGEST.npz  what a style computed once for a person
      video/00000-DIGEST  encoded segments
      seals.jsonl         SHA-256 of every finished artefact, and of the output
      result.json         what the finished output was made from
      log.jsonl           what happened
      lock                who works on it at this moment
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from animegen.errors import JobError
from animegen.jobs.artefacts import artefact, write_text, writing
from animegen.jobs.digests import size_of, sum_of
from animegen.jobs.lines import append_line, mend_lines, read_lines
from animegen.jobs.lock import Holder, holder, locked

JOB_FORMAT = 6
"""Raised whenever what a job's artefacts hold, or how they are drawn, changes: those from before would not go on."""

_OWN = frozenset(
    (
        "job.toml", "poses", "shots", "crops", "scene", "plates", "cast.toml", "prepared", "video", "seals.jsonl",
        "result.json", "log.jsonl", "lock",
    )
)  # fmt: skip
"""What a job makes in its folder; whatever else lies there is the user's."""

State = Literal["whole", "damaged", "absent"]
"""Of an artefact: as it was finished; other than it was finished; never finished."""


class JobFolder:
    """Paths, the fingerprint and the seals of one job. Opening it does not hold anything open."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._states: dict[str, State] = {}
        self._sealed: dict[str, dict[str, Any]] | None = None

    @classmethod
    def beside(cls, output: Path) -> JobFolder:
        """The job of an output file: ``OUTPUT.job`` in the same folder."""
        return cls(output.with_name(output.name + ".job"))

    @property
    def output(self) -> Path:
        """The output beside which this folder stands."""
        return self.root.with_suffix("")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder where there is none and keep other runs out of it.

        What a killed run left half-written is removed. Raises JobError where another run holds the folder, and where
        a folder of that name is no job, which is never touched.
        """
        begun = {self._lock.name, f"{self._manifest.name}.part"}
        foreign = self.root.exists() and not (self.root.is_dir() and {p.name for p in self.root.iterdir()} <= begun)
        if foreign and not self._manifest.exists():
            raise JobError(
                f"{self.root} exists and is not a job folder", "move it away, or choose another output with -o"
            )
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self._lock):
                self.forget()
                for part in [path for own in self._own() for path in (own, *own.rglob("*.part"))]:
                    if part.suffix == ".part":
                        _remove(part)
                for lines in (self.log, self._seals):
                    mend_lines(lines)
                yield
        finally:
            with suppress(OSError):  # there is something in it, as there should
                self.root.rmdir()

    @property
    def holder(self) -> Holder | None:
        """Who works on this job at the moment, None where nobody does."""
        return holder(self._lock)

    def claim(self, fingerprint: Mapping[str, Any], *, free: Collection[str] = (), record: bool = True) -> set[str]:
        """Make this folder the job of ``fingerprint`` (nested mappings of plain values), while it is held.

        A folder of the same fingerprint is taken on with all that is finished in it; fields of the sections ``free``
        may differ and are brought up to date, unless ``record`` is False. Returns the names of those that differed.
        Raises JobError naming the other fields that differ.
        """
        wanted = flatten({"format": JOB_FORMAT, **fingerprint})
        found = self.fingerprint() if self._manifest.exists() else wanted
        differing = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
        if "format" in differing:
            raise JobError(
                f"{self.root} was made by another version of animegen, whose jobs are of format {found.get('format')}, "
                f"not {JOB_FORMAT}",
                "choose another output with -o, or throw that job away with --restart",
            )
        refused = sorted(key for key in differing if key.partition(".")[0] not in free)
        if refused:
            fields = ", ".join(_difference(key, found, wanted) for key in refused)
            raise JobError(
                f"{self.root} belongs to another request: {fields}",
                "choose another output with -o, or throw that job away with --restart",
            )
        if not self._manifest.exists() or (differing and record):
            write_text(self._manifest, "".join(f"{_toml(k)} = {_toml(v)}\n" for k, v in sorted(wanted.items())))
        return differing

    def fingerprint(self) -> dict[str, Any]:
        """The flat fingerprint that stands in ``job.toml``. Raises JobError where there is none."""
        try:
            return tomllib.loads(self._manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise JobError(
                f"{self.root} is not a job folder: it has no job.toml", "`animegen analyse` makes one"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise JobError(f"{self._manifest} is damaged: {error}", "run the command again with --restart") from error

    def section(self, name: str) -> dict[str, Any]:
        """The part of the fingerprint under a name, nested again one level below it."""
        section: dict[str, Any] = {}
        for key, value in self.fingerprint().items():
            head, _, rest = key.partition(".")
            if head == name:
                group, dot, leaf = rest.partition(".")
                if dot:
                    section.setdefault(group, {})[leaf] = value
                else:
                    section[group] = value
        return section

    def segment(self, kind: str, index: int, suffix: str = ".npz") -> Path:
        """Path of one segment's artefact of a kind: ``poses``, ``shots``, ``crops``, ``scene``, ``video-...``."""
        return self.root / kind / f"{index:05d}{suffix}"

    @property
    def cast(self) -> Path:
        """The cast file."""
        return self.root / "cast.toml"

    @property
    def log(self) -> Path:
        """What happened: one event a line."""
        return self.root / "log.jsonl"

    @property
    def plates(self) -> Path:
        """The folder of background plates."""
        return self.root / "plates"

    @property
    def result(self) -> Path:
        """What the output was made from, once it was made."""
        return self.root / "result.json"

    @property
    def _manifest(self) -> Path:
        return self.root / "job.toml"

    @property
    def _lock(self) -> Path:
        return self.root / "lock"

    @property
    def _seals(self) -> Path:
        return self.root / "seals.jsonl"

    def prepared(self, key: str, digest: str) -> Path:
        """What a style prepared for one person, under the digest of what it was prepared from."""
        return self.root / "prepared" / f"{key}-{digest}.npz"

    @contextmanager
    def artefact(self, path: Path) -> Iterator[Path]:
        """Yield the path to write to; on leaving, the artefact stands under ``path`` and is sealed. As
        :func:`animegen.jobs.artefact`.
        """
        with artefact(path) as part:
            yield part
        self.seal(path)

    def seal(self, path: Path, content: Path | None = None) -> None:
        """Record the SHA-256 of a finished artefact; of ``content`` where that is to stand under ``path``."""
        content = content or path
        name = self.name(path)
        seal = {"path": name, "bytes": size_of(content), "sha256": sum_of(content)}
        append_line(self._seals, seal)
        if self._sealed is not None:
            self._sealed[name] = seal
        self._states[name] = "whole"

    def state(self, path: Path) -> State:
        """Whether an artefact stands as it was sealed; its content is read once, and not again while this lives."""
        name = self.name(path)
        if not path.exists():
            return "absent"
        if name not in self._states:
            seal = self.seals().get(name)
            right = seal is not None and size_of(path) == seal["bytes"] and sum_of(path) == seal["sha256"]
            self._states[name] = "absent" if seal is None else "whole" if right else "damaged"
        return self._states[name]

    def seals(self) -> dict[str, dict[str, Any]]:
        """The latest seal of every artefact by its path from the folder, with ``bytes`` and ``sha256``."""
        if self._sealed is None:
            lines = (line for line in read_lines(self._seals) if isinstance(line, dict))
            self._sealed = {line["path"]: line for line in lines if {"path", "bytes", "sha256"} <= line.keys()}
        return self._sealed

    def discard(self, path: Path) -> None:
        """Remove an artefact, if it stands."""
        _remove(path)
        self._states.pop(self.name(path), None)

    def drop(self, *patterns: str) -> None:
        """Remove the entries whose names match a pattern."""
        for pattern in patterns:
            for path in list(self.root.glob(pattern)):
                _remove(path)
        self.forget()

    def clear(self) -> list[Path]:
        """Remove all that the job made, while the folder is held: last what makes it a job, whenever this is killed.

        Returns what is the user's and is therefore kept: a cast that was edited, which is set aside, and files that the
        job did not make, which stay where they are.
        """
        edited = self.set_cast_aside()
        for path in self._own():
            if path not in (self._lock, self._manifest):
                _remove(path)
        _remove(self._manifest)
        self.forget()
        return [*edited, *sorted(path for path in self.root.iterdir() if path != self._lock)]

    def set_cast_aside(self) -> list[Path]:
        """Remove the cast file. One that was edited since it was written moves beside the folder: returns its place."""
        if self.state(self.cast) != "damaged":
            self.discard(self.cast)
            return []
        places = (self.output.with_name(f"{self.output.name}.cast{number}.toml") for number in chain([""], count(2)))
        place = next(place for place in places if not place.exists())
        with writing(place):
            self.cast.replace(place)
        self.forget()
        return [place]

    def _own(self) -> list[Path]:
        """What stands in the folder of all that a job makes, whole or not."""
        return [path for path in self.root.iterdir() if path.name.removesuffix(".part") in _OWN]

    def forget(self) -> None:
        """Believe nothing any longer that was read of the folder: others wrote into it."""
        self._states.clear()
        self._sealed = None

    def name(self, path: Path) -> str:
        """A path of this job as it stands in its files: from the folder, with ``../`` for an output."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else ".." / path.relative_to(self.root.parent)).as_posix()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def beside(output: Path, what: str) -> Path:
    """``OUT-what`` in an output's folder; ``OUT.SUFFIX-what`` where another job is called OUT too."""
    jobs = (Path(job.stem) for job in output.parent.glob("*.job"))
    shared = any(other.name != output.name and other.stem == output.stem for other in jobs)
    return output.with_name(f"{output.name if shared else output.stem}-{what}")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted keys; None is left out, as TOML has no word for it."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        elif value is not None:
            flat[name] = value if isinstance(value, bool | int | float | str | list) else str(value)
    return flat


def _toml(value: bool | int | float | str | list[Any]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON's strings are TOML's, but for the one control character that JSON leaves as it is
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _difference(key: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return f"{key} was {found.get(key, 'not set')!r}, is {wanted.get(key, 'not set')!r}"
