"""The job folder beside an output: what is finished, and what it was made for.

Layout::

    out.mp4.job/
      job.toml            the fingerprint: everything that changes a pixel
      poses/00000.npz     poses and masks of one segment
      crops/00000.npz     pictures of the people, a few a second
      scene/00000.npz     samples of the background of one segment, and how the camera moved
      plates/             what lies behind the people
      cast.toml           who is in the clip; may be edited
      prepared-DIGEST/    what a style computed once for a person
      video-DIGEST/00000  encoded segments
      log.jsonl           what happened
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animegen.errors import JobError
from animegen.jobs.artefacts import write_text

JOB_FORMAT = 1


class JobFolder:
    """Paths and the fingerprint of one job. Opening it does not hold anything open."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def beside(cls, output: Path) -> JobFolder:
        """The job of an output file: ``OUTPUT.job`` in the same folder."""
        return cls(output.with_name(output.name + ".job"))

    def claim(self, fingerprint: Mapping[str, Any], *, restart: bool) -> None:
        """Make this folder the job of ``fingerprint`` (nested mappings of plain values).

        A folder of the same fingerprint is taken on with all that is finished in it. Raises JobError naming the
        fields that differ where it belongs to another request, unless ``restart`` throws that one away; and where a
        folder of that name is no job, which is never touched.
        """
        manifest = self.root / "job.toml"
        if self.root.exists() and not manifest.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise JobError(
                f"{self.root} exists and is not a job folder", "move it away, or choose another output with -o"
            )
        if restart and manifest.exists():
            shutil.rmtree(self.root)
        wanted = flatten({"format": JOB_FORMAT, **fingerprint})
        if manifest.exists():
            found = self.fingerprint()
            differing = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
            if differing:
                fields = ", ".join(_difference(key, found, wanted) for key in differing)
                raise JobError(
                    f"{self.root} belongs to another request: {fields}",
                    "choose another output with -o, or throw that job away with --restart",
                )
            return
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(manifest, "".join(f"{_toml(k)} = {_toml(v)}\n" for k, v in sorted(wanted.items())))

    def fingerprint(self) -> dict[str, Any]:
        """The flat fingerprint that stands in ``job.toml``. Raises JobError where there is none."""
        manifest = self.root / "job.toml"
        try:
            return tomllib.loads(manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise JobError(
                f"{self.root} is not a job folder: it has no job.toml", "`animegen analyse` makes one"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise JobError(f"{manifest} is damaged: {error}", "run the command again with --restart") from error

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
        """Path of one segment's artefact of a kind: ``poses``, ``crops``, ``scene``, ``video-...``."""
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

    def prepared(self, key: str, digest: str) -> Path:
        """What a style prepared for one person, under the digest of what it was prepared from."""
        return self.root / f"prepared-{digest}" / f"{key}.npz"

    def drop(self, *patterns: str) -> None:
        """Remove the entries whose names match a pattern."""
        for pattern in patterns:
            for path in self.root.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def digest(*parts: str) -> str:
    """A short name for a text: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


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
