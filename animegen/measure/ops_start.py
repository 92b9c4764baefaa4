"""``animegen bench build``: what it takes to build the native ops from nothing, and to have them at a start."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import OpsError
from animegen.ops.build import Kind, build, cuda_architectures, cuda_compiler
from animegen.ops.library import FOLDER_VARIABLE, MODE_VARIABLE
from animegen.weights.locations import shipped

_STARTS = 5
_START = """
import time
import torch
start = time.process_time()
from animegen.ops import library, modulated_conv2d, nearest_conv2d, pictures, pose_maps, to_rgb_skip
imported = time.process_time()
library.native("cpu")
print(imported - start, time.process_time() - imported)
"""


@dataclass(frozen=True, slots=True)
class ColdBuild:
    """A library built from nothing: seconds, those of all processors, and how many kernels spill registers."""

    kind: Kind
    targets: tuple[str, ...]
    seconds: float
    core_seconds: float
    spills: int


@dataclass(frozen=True, slots=True)
class BuildBench:
    """Cold builds, and the seconds of one with nothing to do; of a start with PyTorch loaded, the processor's
    milliseconds at the median in which every op is imported, and in which the library is checked and opened.
    """

    builds: tuple[ColdBuild, ...]
    again_seconds: float
    import_ms: float
    open_ms: float


def bench_build(wanted: str, tell: Callable[[str], None]) -> BuildBench:
    """Build in a folder of its own, for CUDA the targets ``wanted`` as in ``animegen ops build``, and start from there.

    Where there is no nvcc, CUDA is left out. Raises OpsError where the CPU library cannot be built.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tell("the CPU library")
        builds = [_cold(folder, "cpu", ())]
        start = time.perf_counter()
        build(shipped("ops").resolve(), folder, "cpu")
        again = time.perf_counter() - start
        if wanted != "none" and cuda_compiler() is not None:
            tell("the CUDA library")
            builds.append(_cold(folder, "cuda", cuda_architectures(wanted)))
        tell("starts")
        starts = [_start(folder) for _ in range(1 + _STARTS)][1:]  # the first compiles Python's modules
    imported, opened = (1e3 * statistics.median(times) for times in zip(*starts, strict=True))
    return BuildBench(tuple(builds), again, imported, opened)


def _cold(folder: Path, kind: Kind, targets: tuple[str, ...]) -> ColdBuild:
    start, before = time.perf_counter(), os.times()
    built = build(shipped("ops").resolve(), folder, kind, architectures=targets)
    seconds, after = time.perf_counter() - start, os.times()
    cores = sum(after[2:4]) - sum(before[2:4])  # of the children
    return ColdBuild(kind, targets, seconds, cores, len(re.findall(r"[1-9]\d* bytes spill stores", built.log)))


def _start(folder: Path) -> tuple[float, float]:
    environment: Mapping[str, str] = {**os.environ, FOLDER_VARIABLE: str(folder), MODE_VARIABLE: "native"}
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", _START], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"a start with the new library failed: {done.stderr.strip().splitlines()[-1]}")
    imported, opened = map(float, done.stdout.split())
    return imported, opened
