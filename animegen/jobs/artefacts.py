"""Files that stand under their final names only when they are whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animegen.errors import OutputError


@contextmanager
def artefact(path: Path) -> Iterator[Path]:
    """Yield the path to write to (``NAME.part``); on leaving, flush it to disk and rename it to ``path``.

    When the block raises, the part is removed and ``path`` is left as it was. Raises OutputError naming the file
    where the disk refuses it.
    """
    part = path.with_name(path.name + ".part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with suppress(OSError):  # the error that matters is the one on its way
            part.unlink(missing_ok=True)


@contextmanager
def artefact_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to write into (``NAME.part``); on leaving, rename it to ``path``, where nothing may stand.

    When the block raises, the part is removed. Raises OutputError naming the folder where the disk refuses it.
    """
    part = path.with_name(path.name + ".part")
    try:
        with writing(path):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into an OutputError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", write_hint(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, or none."""
    with artefact(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_hint(error: OSError) -> str:
    """What to do about an operating system's refusal to write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some disk space and run the same command again; finished segments are kept"
    return "choose another place with -o, where you may write"
