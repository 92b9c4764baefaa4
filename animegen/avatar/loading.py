"""Whatever draws avatars, from its file."""

from __future__ import annotations

from pathlib import Path

from animegen.avatar import rigged_files
from animegen.avatar.checkpoint import load_metadata
from animegen.avatar.drawing import Generator
from animegen.avatar.generator import load_avatar_generator
from animegen.avatar.rigged_generator import load_rigged_generator


def load_drawing(path: Path, *, device: str = "cpu", threads: int | None = None, round_ears: bool = False) -> Generator:
    """Load rigged avatars or a network for drawing, whichever the file holds.

    ``threads`` sets torch's threads for this process. ``round_ears``: draw rigged avatars with round ears. Raises
    WeightsError naming the file when it is missing, damaged or something else.
    """
    if load_metadata(path).get("format") == rigged_files.FORMAT:
        return load_rigged_generator(path, device=device, threads=threads, round_ears=round_ears)
    return load_avatar_generator(path, device=device, threads=threads)
