"""Files that grow by one JSON value a line, and stay readable wherever a run was killed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from animegen.jobs.artefacts import writing


def append_line(path: Path, value: Any) -> None:
    """Add a value at the end, in one write. Raises OutputError where the disk refuses it."""
    line = (json.dumps(value, ensure_ascii=False) + "\n").encode()
    with writing(path), path.open("ab", buffering=0) as file:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, "the disk is full")


def read_lines(path: Path) -> Iterator[Any]:
    """The values of a file, in order; none where there is no file. Lines that are no JSON are passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def mend_lines(path: Path) -> None:
    """Cut off a last line that a killed run left half-written."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        if whole < file.seek(0, os.SEEK_END):
            file.truncate(whole)
