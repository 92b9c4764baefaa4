"""What the tests of jobs share: a short clip in four segments, what became of it undisturbed, and runs to disturb."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from animegen.config import ConvertConfig
from animegen.pipeline.demo import RATE, backdrop, demo_frames
from animegen.pipeline.stages import resolve
from animegen.types import Frame
from animegen.video.drawing import write_film

SEGMENT = 6
EMPTY, PEOPLED = 12, 12
"""Frames of the clip without and with people: two segments each, so that some segments show nobody."""

REQUEST = ConvertConfig(style="skeleton", segment_frames=SEGMENT)
OPTIONS = ("--style", "skeleton", "--segment-frames", str(SEGMENT))


def make_job_clip(path: Path) -> Path:
    """A wall, then two people in front of it, 320x180."""
    backend = resolve(REQUEST, print, kinds=("pose",)).pose_backend()
    walls = [np.asarray(backdrop())] * EMPTY
    people = [frame.image for frame in islice(demo_frames(backend), 20, 20 + 4 * PEOPLED, 4)]
    frames = (Frame(i, i / RATE, np.ascontiguousarray(image[::3, ::3])) for i, image in enumerate(walls + people))
    write_film(path, frames, RATE)
    return path


def names_in(folder: Path) -> list[str]:
    """Every file of a folder by its path."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class Command:
    """``animegen convert --json`` in a process of its own."""

    def __init__(self, source: Path, output: Path, *more: str, through: Sequence[str] = ()) -> None:
        command = [*through, sys.executable, "-m", "animegen", "convert", str(source), "-o", str(output), "--json"]
        self.process = subprocess.Popen(
            [*command, *OPTIONS, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """What the process tells, as it tells it."""
        assert self.process.stdout is not None
        yield from map(json.loads, self.process.stdout)

    def until(self, stage: str, done: int) -> bool:
        """Wait until a stage has told of ``done`` frames (0: until it begins); False where the run ended before."""
        return any(event.get("stage") == stage and event.get("done", 0) >= done for event in self.events())

    def send(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self.said = self.process.communicate(timeout=120)[1]
        return self.process.returncode
