"""Times a conversion: every stage alone, then the whole, and the memory of short and long clips.

Stages are timed on the same frames one after the other in this process; the whole runs as a user would start it, in
a process of its own, so that its processor time and peak memory are its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from animegen.composite import PlateObserver
from animegen.config import ConvertConfig
from animegen.jobs import JobFolder, read_lines
from animegen.measure.child import measured
from animegen.measure.cores import usable_cores
from animegen.measure.machine import MachineRates, machine_rates
from animegen.pipeline.analyse import analyse, estimate
from animegen.pipeline.cast import Cast, cast
from animegen.pipeline.prepare import prepared
from animegen.pipeline.render import scene_of
from animegen.pipeline.run import Run
from animegen.pose.files import open_npz
from animegen.types import Frame
from animegen.video import SegmentWriter, open_video
from animegen.video.drawing import write_film

CHUNK_FRAMES = 48
"""Frames that are held in memory at once while stages are timed on them."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage: wall and processor milliseconds a frame."""

    name: str
    wall_ms: float
    core_ms: float

    @property
    def fps(self) -> float:
        """Frames a second of the stage alone."""
        return 1e3 / self.wall_ms if self.wall_ms else float("inf")


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Every stage of one clip's conversion, and how many people were drawn in a frame of it on average."""

    stages: tuple[StageTime, ...]
    people: float


@dataclass(frozen=True, slots=True)
class WholeTime:
    """A conversion in a process of its own.

    ``core_ms`` is per frame, ``peak_mb`` its largest resident memory, ``passes`` the seconds of each pass by name.
    """

    frames: int
    seconds: float
    core_ms: float
    peak_mb: float
    passes: Mapping[str, float]

    @property
    def fps(self) -> float:
        """Frames a second, start of the process included."""
        return self.frames / self.seconds

    @property
    def busy(self) -> float:
        """Share of the usable cores' time that was used."""
        return self.core_ms * self.frames / 1e3 / (self.seconds * usable_cores())


@dataclass(frozen=True, slots=True)
class ConvertBench:
    """Everything one bench run measured."""

    machine: MachineRates
    stages: tuple[StageTime, ...]
    wholes: tuple[WholeTime, ...]


@dataclass(slots=True)
class _Clock:
    """Adds up wall and processor time per stage."""

    wall: dict[str, float] = field(default_factory=dict)
    core: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        wall, core = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.core[name] = self.core.get(name, 0.0) + time.process_time() - core

    def stages(self, frames: int) -> tuple[StageTime, ...]:
        return tuple(StageTime(n, 1e3 * self.wall[n] / frames, 1e3 * self.core[n] / frames) for n in self.wall)


def bench_convert(
    clip: Path, config: ConvertConfig, frame_counts: tuple[int, ...], tell: Callable[[str], None]
) -> ConvertBench:
    """Measure the conversion of ``clip``, looped or cut to each of ``frame_counts`` frames."""
    machine = machine_rates()
    with tempfile.TemporaryDirectory(prefix="animegen-bench-") as folder:
        tell("timing the stages one by one")
        film = looped(clip, Path(folder) / "stages.mp4", min(frame_counts))
        stages = time_stages(film, Path(folder) / "stages-out.mp4", config).stages
        wholes = []
        for count in frame_counts:
            tell(f"timing the whole over {count} frames")
            source = looped(clip, Path(folder) / f"loop-{count}.mp4", count)
            wholes.append(_time_whole(source, Path(folder) / f"out-{count}.mp4", config, count))
    return ConvertBench(machine, stages, tuple(wholes))


def looped(clip: Path, path: Path, count: int, copies: int = 1) -> Path:
    """The clip's frames over and over, ``count`` in all, as a film of constant rate; ``copies`` side by side."""
    with open_video(clip) as video:
        rate = video.info.rate

        def frames() -> Iterator[Frame]:
            passes = (frame for _ in cycle([None]) for frame in video.frames())
            for index, frame in enumerate(islice(passes, count)):
                yield Frame(index, index / rate, np.tile(frame.image, (1, copies, 1)))

        write_film(path, frames(), rate)
    return path


def time_stages(source: Path, output: Path, config: ConvertConfig) -> StageTimes:
    """Time every stage of the conversion of ``source`` alone; the job folder is left beside ``output``."""
    clock = _Clock()
    with open_video(source) as video, prepared(video, output, config) as run:
        count = run.frame_count
        _time_first_pass(run, clock)
        analyse(run)  # once more as a whole, for the artefacts that the other passes read
        with clock.timed("cast"):
            people = cast(run)
        seen = _time_third_pass(run, people, clock)
    return StageTimes(clock.stages(count), seen / count)


def _chunks(run: Run, clock: _Clock) -> Iterator[list[Frame]]:
    """The clip's frames in lists of :data:`CHUNK_FRAMES`; their decoding is timed."""
    frames = run.video.frames(run.segments[0].start, run.segments[-1].stop)
    while True:
        with clock.timed("decode"):
            chunk = list(islice(frames, CHUNK_FRAMES))
        if not chunk:
            return
        yield chunk


def _time_first_pass(run: Run, clock: _Clock) -> None:
    backend = run.stages.pose_backend()
    observer = PlateObserver(run.size, run.video.info.rate)
    for chunk in _chunks(run, clock):
        with clock.timed("pose"):
            found = list(estimate(backend, chunk))
        if run.needs_clean:
            with clock.timed("observe"):
                for frame, poses in found:
                    observer.observe(frame, poses)


def _time_third_pass(run: Run, people: Cast, clock: _Clock) -> int:
    """Time drawing, composing and encoding; returns how many avatars were drawn in all."""
    seen = 0
    scene = scene_of(people, run.stages)
    raw = ChainMap(*(dict(open_npz(run.job.segment("poses", segment.index))) for segment in run.segments))
    with ExitStack() as stack:
        with clock.timed("encode"):
            writer = stack.enter_context(SegmentWriter(run.plan, run.job.segment("bench", 0, "")))
        for chunk in _chunks(run, clock):
            with clock.timed("draw"):
                drawn = list(scene.draw(chunk, raw))
            seen += sum(len(item.poses) for item in drawn)
            with clock.timed("compose"):
                pictures = [scene.compose(item) for item in drawn]
            with clock.timed("encode"):
                for picture in pictures:
                    writer.write(picture)
        with clock.timed("encode"):
            stack.close()
    return seen


def _time_whole(source: Path, output: Path, config: ConvertConfig, count: int) -> WholeTime:
    """Run ``animegen convert`` as a child process and read its processor time and peak memory."""
    taken = measured(animegen_command("convert", source, output, config))
    passes = passes_of(JobFolder.beside(output))
    return WholeTime(count, taken.seconds, 1e3 * taken.core_seconds / count, taken.peak_mb, passes)


def animegen_command(name: str, source: Path, output: Path, config: ConvertConfig, *more: str) -> list[str]:
    """A command on a video as a user would start it, quietly, with what a bench lets one choose."""
    command = [sys.executable, "-m", "animegen", name, str(source), "-o", str(output), "--quiet"]
    command += ["--style", config.style, "--pose", config.pose, "--background", config.background, *more]
    return command + [word for key, value in config.settings.items() for word in ("--set", f"{key}={value}")]


def passes_of(job: JobFolder) -> dict[str, float]:
    """Seconds of each pass, as the job's log tells."""
    events = read_lines(job.log)
    return {event["stage"]: event["seconds"] for event in events if event["event"] == "StageFinished"}
