"""How FFmpeg is told the name of a file."""

from __future__ import annotations

from pathlib import Path


def local_url(path: Path) -> str:
    """The path as FFmpeg takes it for a local file and nothing else, even where it reads ``http:.mp4`` or ``a:b``."""
    return f"file:{path}"
