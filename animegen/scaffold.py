"""Writes a new plugin package from the templates that come with animegen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Literal

from animegen import __version__
from animegen.errors import OutputError, UsageError

Kind = Literal["style", "background"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SUFFIX = ".tmpl"


def write_package(name: str, kind: Kind, folder: Path | None = None) -> Path:
    """Write a pip package with a working plugin of that name and kind; returns its folder.

    Raises UsageError for a name that cannot be one, OutputError when the folder exists already or cannot be written;
    nothing is left behind then.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' cannot be a plugin's name", "use lower-case letters, digits and single hyphens")
    project = f"animegen-{kind}-{name}"
    folder = Path(project) if folder is None else folder
    if folder.exists():
        raise OutputError(f"{folder} exists already", "choose another folder with -o")
    words = {"name": name, "kind": kind, "project": project, "version": __version__}
    words["package"] = project.replace("-", "_")
    templates = resources.files("animegen") / "_templates"
    try:
        for part in ("common", kind):
            for path, text in _files(templates / part):
                target = folder / path.replace("__package__", words["package"])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(Template(text).substitute(words), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OutputError(f"{folder} cannot be written: {error.strerror}", "choose another folder with -o") from error
    return folder


def _files(root: Traversable, inside: str = "") -> Iterator[tuple[str, str]]:
    """Every template below a folder: its path there without the suffix, and its text."""
    for item in sorted(root.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _files(item, f"{inside}{item.name}/")
        elif item.name.endswith(_SUFFIX):
            yield inside + item.name.removesuffix(_SUFFIX), item.read_text(encoding="utf-8")
