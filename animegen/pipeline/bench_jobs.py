"""Measures what long runs need: constant memory, a forecast that comes true, and a job folder that costs little."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.errors import AnimegenError
from animegen.jobs import JobFolder, artefact, size_of
from animegen.jobs.digests import sum_of
from animegen.measure.child import measured
from animegen.pipeline.bench import animegen_command, looped, passes_of
from animegen.pipeline.convert import convert
from animegen.pipeline.plan import Forecast

SHORTER = 10
"""How many times shorter the run is beside whose peak memory that of the long one is held."""


@dataclass(frozen=True, slots=True)
class LongBench:
    """One long run beside its forecast.

    ``short_peak`` and ``peak`` are bytes of memory of a tenth of the run and of the whole; ``disk`` and ``output`` are
    bytes; ``folder_seconds`` is what writing and sealing every artefact takes, ``resume_seconds`` what the same command
    takes once all is finished, start of the process included; ``passes`` are the seconds of each.
    """

    forecast: Forecast
    seconds: float
    passes: Mapping[str, float]
    short_frames: int
    short_peak: float
    peak: float
    disk: int
    output: int
    folder_seconds: float
    resume_seconds: float

    @property
    def folder_share(self) -> float:
        """Share of the run that the job folder costs."""
        return self.folder_seconds / self.seconds


@dataclass(frozen=True, slots=True)
class EngineBench:
    """Seconds of both passes over frames with one Ray worker of one thread, and with ``workers`` of them."""

    frames: int
    workers: int
    one: float
    several: float

    @property
    def gain(self) -> float:
        """How many times faster several workers are."""
        return self.one / self.several


def bench_long(clip: Path, config: ConvertConfig, frames: int, tell: Callable[[str], None]) -> LongBench:
    """Forecast and run the conversion of ``clip`` looped to ``frames`` frames, and a tenth of it."""
    with tempfile.TemporaryDirectory(prefix="animegen-bench-") as name:
        folder = Path(name)
        tell(f"looping the clip to {frames} frames")
        source, output = looped(clip, folder / "long.mp4", frames), folder / "out.mp4"
        tell("forecasting")
        forecast = _forecast(source, output, config)
        short = max(1, frames // SHORTER)
        tell(f"running over {short} frames")
        less = looped(clip, folder / "short.mp4", short)
        few = measured(animegen_command("convert", less, folder / "short-out.mp4", config, "--discard-job"))
        tell(f"running over {frames} frames")
        command = animegen_command("convert", source, output, config, "--keep")
        many = measured(command)
        job = JobFolder.beside(output)
        disk, size = size_of(job.root) + size_of(output), size_of(output)
        passes = passes_of(job)
        again = measured(command)
        return LongBench(
            forecast=forecast,
            seconds=many.seconds,
            passes=passes,
            short_frames=short,
            short_peak=few.peak_mb * 2**20,
            peak=many.peak_mb * 2**20,
            disk=disk,
            output=size,
            folder_seconds=_rewritten(job, folder / "again"),
            resume_seconds=again.seconds,
        )


def _forecast(source: Path, output: Path, config: ConvertConfig) -> Forecast:
    """What `animegen plan` says, in a process of its own, as memory is that of the process."""
    command = animegen_command("plan", source, output, config, "--json")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, encoding="utf-8")
    if done.returncode:
        raise AnimegenError(f"exit code {done.returncode} of: {' '.join(command)}", "run that command by itself")
    return Forecast(**json.loads(done.stdout))


def _rewritten(job: JobFolder, place: Path) -> float:
    """Seconds that it takes to write, flush, seal and check once more everything that a job folder holds."""
    paths = [path for path in job.root.rglob("*") if path.is_file()]
    began = time.perf_counter()
    for path in paths:
        with artefact(place / path.relative_to(job.root)) as part:
            part.write_bytes(path.read_bytes())
        sum_of(place / path.relative_to(job.root))
        sum_of(path)
    return time.perf_counter() - began


def bench_engine(
    clip: Path, config: ConvertConfig, frames: int, workers: int, tell: Callable[[str], None]
) -> EngineBench:
    """Time both passes over ``clip`` looped to ``frames`` frames, with one and with several one-thread Ray workers.

    Each run has as many cores as workers: one thread of networks does not keep a worker from decoding, drawing and
    encoding on other cores at the same time.
    """
    taken = {}
    with tempfile.TemporaryDirectory(prefix="animegen-bench-") as name:
        source = looped(clip, Path(name) / "loop.mp4", frames)
        for count in (1, workers):
            tell(f"running with {count} of {workers} workers")
            output = Path(name) / f"out-{count}.mp4"
            with _on_cores(count):
                convert(source, output, replace(config, engine="ray", workers=count, threads=1))
            passes = passes_of(JobFolder.beside(output))
            taken[count] = passes["analyse"] + passes["render"]
    return EngineBench(frames, workers, taken[1], taken[workers])


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Hold this process, and those that it starts, to so many cores, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(whole)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, whole)
