"""Runs a command and tells what it took: ``python -m animegen.measure.child COMMAND...`` prints one line of JSON.

A process of its own, because the peak memory that a system tells of a child starts at its parent's: this one is small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from animegen.errors import AnimegenError


@dataclass(frozen=True, slots=True)
class Taken:
    """Wall and processor seconds of a command, its peak resident memory in MB, and its exit code."""

    seconds: float
    core_seconds: float
    peak_mb: float
    exit_code: int


def measured(command: Sequence[str]) -> Taken:
    """Run a command to its end, its standard output dropped, and measure it. Raises AnimegenError when it fails."""
    if not hasattr(os, "wait4"):
        raise AnimegenError("this system does not tell a child's processor time and memory", "run it on Linux or macOS")
    done = subprocess.run(
        [sys.executable, "-m", __name__, *command], stdout=subprocess.PIPE, check=False, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise AnimegenError(f"measuring failed: {' '.join(command)}", "run that command by itself to see why")
    taken = Taken(**json.loads(done.stdout))
    if taken.exit_code:
        raise AnimegenError(
            f"exit code {taken.exit_code} of: {' '.join(command)}", "run that command by itself to see why"
        )
    return taken


def _main(command: Sequence[str]) -> None:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    taken = Taken(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, process.returncode)
    sys.stdout.write(json.dumps(asdict(taken)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
