"""What a conversion will take, from a short trial: time, memory and disk, before any of it is spent.

The trial converts a few windows of the clip as the whole would be converted. A stage is taken to cost a constant and so
much a frame; two windows that begin at the same place, one short and one long, tell the two apart. Finding the cast
costs what it costs in a window for every plate of the background, of which a window of any length has one; but what
nobody saw is invented once, and handed from plate to plate.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animegen.composite import PlateSet, inpaint
from animegen.composite.windows import PLATE_SECONDS
from animegen.config import ConvertConfig
from animegen.events import Event, Listener, Progress, StageFinished, ignore
from animegen.jobs import free_bytes, load_arrays, reading, size_of
from animegen.memory import share_one_heap
from animegen.pipeline.adapters import opened
from animegen.pipeline.convert import find_people, finish
from animegen.pipeline.prepare import prepared
from animegen.pipeline.preview import spread
from animegen.pipeline.run import Run, Segment, segments_of
from animegen.plugins import PluginHost
from animegen.video import VideoFile, plan_output
from animegen.video.segments import packet_sizes

STAGES = ("analyse", "cast", "render", "join")

WINDOWS = 3
"""Longer windows of the trial, spread over the clip."""

SHORT = 5
"""How many times shorter the window is that tells what a stage costs before its first frame."""

TRIAL_FRAMES = 120
"""Frames of all longer windows together."""

SEGMENTS_HELD = 2
"""Segments in memory at once: the one that is worked on, and the one that is written."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a conversion will take.

    ``seconds`` of wall time in all and for each of ``passes``; ``memory`` is the peak in bytes; ``output`` the size of
    the output, ``kept`` that of the job folder once it is finished, and ``disk`` the most that all of it takes together
    at any moment, of ``free`` bytes. ``frames`` are to be converted, ``tried`` were.
    """

    frames: int
    tried: int
    seconds: float
    passes: Mapping[str, float]
    memory: int
    output: int
    kept: int
    disk: int
    free: int


@dataclass(frozen=True, slots=True)
class _Trial:
    """One window, converted: seconds of every stage, bytes of every kind of artefact, and of what is in the output.

    ``inventing`` are the seconds, among the cast's, in which the plates' unseen places were painted.
    """

    frames: int
    seconds: Mapping[str, float]
    inventing: float
    sizes: Mapping[str, int]
    key_frames: Sequence[int]
    other_frames: Sequence[int]
    beside: int
    in_memory: int


def plan(
    source: Path | str,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    trial_frames: int = TRIAL_FRAMES,
) -> Forecast:
    """Forecast what ``convert`` with the same arguments will take. Nothing is left on disk.

    About ``trial_frames`` are tried. Memory is that of this process, which therefore should have done nothing else.
    Raises what ``convert`` would raise before it begins, and Cancelled.
    """
    config, tell = config or ConvertConfig(), on_event or ignore
    share_one_heap()
    began = time.perf_counter()
    with (
        opened(PluginHost.load(), source, output, replace(config, overwrite=True)) as asked,
        tempfile.TemporaryDirectory(prefix="animegen-plan-") as folder,
    ):
        video, config = asked.video, asked.config
        start, stop = video.timeline.index_range(config.start, config.end)
        place = plan_output(video, asked.output, config.encode, start=start, stop=stop, overwrite=True).output
        opening = _opening(video, began)
        trials = []
        for number, window in enumerate(_windows(start, stop, trial_frames)):
            path = Path(folder) / str(number) / place.name
            path.parent.mkdir()
            trials.append(_try(video, path, _cut(config, video, window), tell, cancel))
        segments = segments_of(start, stop, config.segment_frames)
        plates = max(1.0, float((stop - start) / video.info.rate) / PLATE_SECONDS)
        return _forecast(trials, segments, plates, opening, free_bytes(place))


def _opening(video: VideoFile, began: float) -> float:
    """Seconds from ``began`` until a video is opened and read once as a whole, as every run does."""
    assert video.fingerprint
    return time.perf_counter() - began


def _windows(start: int, stop: int, frames: int) -> list[range]:
    """The frames of every window: the longer ones after a short one at the first one's place, which comes twice.

    The first time it warms up.
    """
    length = max(1, frames // WINDOWS)
    first = [middle - length // 2 for middle in spread(start, stop, WINDOWS)]
    longer = [range(index, index + length) for index in first] if stop - start > frames else [range(start, stop)]
    short = longer[0][: max(1, length // SHORT)]
    return [short, short, *longer]


def _cut(config: ConvertConfig, video: VideoFile, window: range) -> ConvertConfig:
    """The request for a window alone, leaving everything that can be measured."""
    time_of, last = video.timeline.time, len(video.timeline)
    end = None if window.stop == last else time_of(window.stop) - time_of(0)
    return replace(
        config, start=time_of(window.start) - time_of(0), end=end, keep=True, discard_job=False, restart=False
    )


def _try(
    video: VideoFile, output: Path, config: ConvertConfig, on_event: Listener, cancel: threading.Event | None
) -> _Trial:
    seconds: dict[str, float] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StageFinished):
            seconds[event.stage] = event.seconds
        elif isinstance(event, Progress):
            on_event(event)

    with prepared(video, output, config, listen, cancel) as run:
        finish(run, find_people(run))
        videos = sorted((run.job.root / "video").iterdir())
        key_frames, other_frames = packet_sizes(videos)
        inside = [path for path in run.job.root.iterdir() if path.name != "video"]
        kinds = {path.name: size_of(path) for path in inside if path.is_dir()}
        kinds["files"] = sum(size_of(path) for path in inside if not path.is_dir())
        return _Trial(
            frames=run.frame_count,
            seconds={stage: seconds[stage] for stage in STAGES},
            inventing=_inventing(run),
            sizes=kinds,
            key_frames=key_frames,
            other_frames=other_frames,
            beside=size_of(run.plan.output) - sum(key_frames) - sum(other_frames),
            in_memory=_in_memory(run),
        )


def _inventing(run: Run) -> float:
    """Seconds that it takes to paint, once more, what the plates show and nobody saw."""
    if not run.job.plates.exists():
        return 0.0
    seconds = 0.0
    for picture, known in PlateSet.load(run.job.plates).pictures():
        began = time.perf_counter()
        if not known.all():
            inpaint(picture, 255 - known)
        seconds += time.perf_counter() - began
    return seconds


def _in_memory(run: Run) -> int:
    """Bytes of a run's poses and pictures of people as they are held in memory."""
    paths = [run.job.segment(kind, segment.index) for kind in ("poses", "crops") for segment in run.segments]
    total = 0
    for path in paths:
        with reading(path, "run the same command again"):
            total += sum(array.nbytes for array in load_arrays(path).values())
    return total


def _forecast(
    trials: Sequence[_Trial], segments: Sequence[Segment], plates: float, opening: float, free: int
) -> Forecast:
    frames = sum(len(segment) for segment in segments)
    warm_up, short, *longer = trials
    tried = sum(trial.frames for trial in longer)
    passes = {stage: _seconds(stage, warm_up, short, longer, frames) for stage in STAGES}
    inventing = float(np.mean([trial.inventing for trial in longer]))
    seeing = float(np.mean([trial.seconds["cast"] for trial in longer])) - inventing
    passes["cast"] = plates * max(0.0, seeing) + inventing
    times = {"plates": plates, "files": 1.0}
    sizes = {
        kind: round(times[kind] * max(trial.sizes.get(kind, 0) for trial in longer))
        if kind in times
        else sum(trial.sizes.get(kind, 0) for trial in longer) * frames // tried
        for kind in longer[0].sizes
    }
    film = _film(longer, len(segments), frames)
    output = film + sum(trial.beside for trial in longer) * frames // tried
    kept = sum(size for kind, size in sizes.items() if kind != "scene")
    held = sum(trial.in_memory for trial in longer) / tried * (max(map(len, segments)) - longer[0].frames)
    return Forecast(
        frames=frames,
        tried=sum(trial.frames for trial in trials),
        seconds=opening + sum(passes.values()),
        passes=passes,
        memory=_peak() + max(0, round(SEGMENTS_HELD * held)),
        output=output,
        kept=kept,
        disk=sum(sizes.values()) + film + output,
        free=free,
    )


def _seconds(stage: str, warm_up: _Trial, short: _Trial, longer: Sequence[_Trial], frames: int) -> float:
    """A stage's seconds for ``frames`` frames: what it costs before the first one, once and in every run, and each."""
    begun, ended, more = short.seconds[stage], longer[0].seconds[stage], longer[0].frames - short.frames
    constant = max(0.0, begun - short.frames * max(0.0, ended - begun) / more) if more else 0.0
    each = sum(max(0.0, trial.seconds[stage] - constant) for trial in longer) / sum(trial.frames for trial in longer)
    once = max(0.0, warm_up.seconds[stage] - begun)
    return once + constant + each * frames


def _film(trials: Sequence[_Trial], segments: int, frames: int) -> int:
    """Bytes of the encoded frames: a segment has one key frame, however long it is."""
    keys = [size for trial in trials for size in trial.key_frames]
    others = [size for trial in trials for size in trial.other_frames]
    if not others:  # a codec that has key frames only
        return round(float(np.mean(keys)) * frames)
    return round(float(np.mean(keys)) * segments + float(np.mean(others)) * (frames - segments))


def _peak() -> int:
    """The largest resident memory of this process so far, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
