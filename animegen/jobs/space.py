"""Whether a disk has room for a job, asked before any work is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from animegen.errors import OutputError


def free_bytes(path: Path) -> int:
    """Free bytes of the disk that holds ``path``, or would hold it."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_space(path: Path, needed: int) -> None:
    """Raise OutputError, with both figures, where the disk of ``path`` has less than ``needed`` bytes free."""
    free = free_bytes(path)
    if free < needed:
        raise OutputError(
            f"the disk of {path} has {in_words(free)} free, and this job needs about {in_words(needed)}",
            "free some space, or choose another place with -o; `animegen plan` tells the need exactly",
        )


def in_words(size: int) -> str:
    """A number of bytes as a person reads it: ``3.4 GB``."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 99.5 or units[0] == "B" else f"{value:.1f} {units[0]}"
