"""Prepares a run: refuses, before any work is done, what cannot be done, and claims the job folder.

Comes after ``stages``, which finds the plugins, and before the three passes, which get the ``Run`` made here. A job
folder knows its request by *fingerprints*: what makes the difference between two of them decides what may be kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animegen.config import ConvertConfig
from animegen.errors import Cancelled
from animegen.events import Event, Listener, Progress, Warned, as_dict, ignore
from animegen.identity import CastFile
from animegen.jobs import JobFolder, append_line, check_space, digest_of, flatten, read_lines, size_of, write_text
from animegen.pipeline.adapters import opened
from animegen.pipeline.engine import engine_of
from animegen.pipeline.run import BATCH_FRAMES, Run, segments_of
from animegen.pipeline.stages import Stages, located, located_cast, resolve, with_drawings
from animegen.pipeline.who import known_cast
from animegen.plugins import PluginHost
from animegen.video import OutputPlan, VideoFile, plan_output, refuse_taken

TRACKED_BY = ("rendering.plugins.tracker", "rendering.options.tracker", "rendering.files.tracker.")
"""Prefixes of the fields of a job's fingerprint on which the tracks depend, and so the plates, without people."""

FREE = ("source", "request", "casting", "rendering", "others")
"""Sections of a job's fingerprint in which a run may differ from the one before: the analysis is kept, and what depends
on them is made anew. A difference in any other section is refused."""

LEAST_FRAME_BYTES = 3000
"""Bytes that the artefacts of a frame with one person take at least; close to the camera, ten times as many."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a conversion made: the output, its number of frames, the people's keys, and the job folder."""

    output: Path
    frames: int
    people: tuple[str, ...]
    job: Path


def request_of(job: JobFolder) -> ConvertConfig:
    """What a job was asked for. It follows its own cast once it has one, which may have been edited."""
    config = ConvertConfig.from_plain(job.section("request"))
    return replace(config, cast=None) if job.cast.exists() else config


@contextmanager
def begun(
    source: Path | str,
    output: Path | None,
    config: ConvertConfig,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    folder: Path | None = None,
    record: bool = True,
) -> Iterator[Run]:
    """A run of any source, also of one that a plugin reads, to any output; the rest as for :func:`prepared`."""
    host = PluginHost.load()
    with (
        opened(host, source, output, config, folder=folder) as asked,
        prepared(
            asked.video,
            asked.output,
            asked.config,
            on_event or ignore,
            cancel,
            host=host,
            folder=folder,
            origin=asked.origin,
            record=record,
        ) as run,
    ):
        yield run


@contextmanager
def prepared(
    video: VideoFile,
    output: Path | None,
    config: ConvertConfig,
    on_event: Listener = ignore,
    cancel: threading.Event | None = None,
    *,
    host: PluginHost | None = None,
    folder: Path | None = None,
    origin: str | None = None,
    record: bool = True,
) -> Iterator[Run]:
    """Check a request, and yield its run while the job folder is locked for it.

    Without ``output``, it goes into ``folder``, or beside the source. ``origin`` is what the user named as source, if
    the video is a film of it. Without ``record``, a job that exists keeps its request, cast and plates.
    """
    host = host or PluginHost.load()
    config = located(config, host)
    start, stop = video.timeline.index_range(config.start, config.end)
    plan = plan_output(video, output, config.encode, start=start, stop=stop, overwrite=True, folder=folder)
    job = JobFolder.beside(plan.output)
    config = _without_own_cast(config, job)
    stages = resolve(config, on_event, host=host)
    recast = _casts_anew(job, config, stages)
    known = CastFile(style=config.style) if recast else known_cast(config, job)
    known = located_cast(known, _followed(config, job).parent, host)
    stages = with_drawings(stages, config, on_event, known.drawings)
    fingerprint = _fingerprint(video, config, plan, stages, origin)
    if not config.overwrite and (config.restart or _told(job, fingerprint, config) is None):
        refuse_taken(plan.output)
    check_space(plan.output, _least_bytes(video, plan) - size_of(job.root))
    _warn(video, plan, on_event)

    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped; what is finished is kept", "run the same command again to go on")

    with job.held(), engine_of(config, stages.context.threads) as engine:
        if config.restart:
            tell_kept(job.clear(), on_event)
        differing = job.claim(fingerprint, free=FREE, record=record)
        if record and (recast or (config.cast is not None and _standing(job, fingerprint, config) is None)):
            tell_kept(job.set_cast_aside(), on_event)  # the next run goes on with the cast of this request
        if record and any(field.startswith(TRACKED_BY) for field in differing):
            job.discard(job.plates)
        yield Run(
            video=video,
            stages=stages,
            config=config,
            plan=plan,
            job=job,
            segments=segments_of(start, stop, config.segment_frames),
            engine=engine,
            fingerprint=fingerprint,
            on_event=_logged(job, on_event),
            check=check,
            known=known,
        )


def finished(run: Run) -> Result | None:
    """The result of an earlier run of the same request, if all of it is still there and unchanged."""
    told = _standing(run.job, run.fingerprint, run.config)
    return None if told is None else Result(run.plan.output, told["frames"], tuple(told["people"]), run.job.root)


def tell_finished(run: Run, result: Result, outputs: Mapping[Path, Path]) -> None:
    """Seal the finished files, given by the names they are about to take, and note what they were made from.

    That is told by the cast that was asked for and by the job's own, which the next run may follow.
    """
    for final, content in outputs.items():
        run.job.seal(final, content)
    told = {
        "made_from": [_made_from(run.fingerprint, cast) for cast in (_followed(run.config, run.job), run.job.cast)],
        "outputs": [run.job.name(final) for final in outputs],
        "frames": result.frames,
        "people": list(result.people),
    }
    write_text(run.job.result, json.dumps(told) + "\n")


def tell_kept(kept: Sequence[Path], on_event: Listener) -> None:
    """Warn of files in a job folder that were not removed because the user made or edited them."""
    for path in kept:
        on_event(Warned(f"{path} is yours and is kept"))


def _made_from(fingerprint: Mapping[str, Any], cast: Path) -> str:
    """A digest of everything on which an output's bytes depend: the request, and what the cast says.

    The paths of source and cast are no part of it.
    """
    asked = {**fingerprint["request"], "cast": None}
    return digest_of({**fingerprint, "request": asked, "source": None}, cast.read_bytes() if cast.exists() else None)


def _told(job: JobFolder, fingerprint: Mapping[str, Any], config: ConvertConfig) -> dict[str, Any] | None:
    """What a job notes about its finished output, where that was made from this."""
    told = next(read_lines(job.result), None)
    if not isinstance(told, dict) or _made_from(fingerprint, _followed(config, job)) not in told.get("made_from", ()):
        return None
    return told


def _standing(job: JobFolder, fingerprint: Mapping[str, Any], config: ConvertConfig) -> dict[str, Any] | None:
    """The same, where the output stands as it was made."""
    told = _told(job, fingerprint, config)
    whole = told is not None and all(job.state(job.root / name) == "whole" for name in told["outputs"])
    return told if whole else None


def _followed(config: ConvertConfig, job: JobFolder) -> Path:
    """The cast file that a run follows, if it is there."""
    return config.cast or job.cast


def _least_bytes(video: VideoFile, plan: OutputPlan) -> int:
    """Bytes that a job takes on disk at least. The output is hardly smaller than the source, and while its segments are
    joined it is there twice.
    """
    film = video.path.stat().st_size * plan.frame_count // len(video.timeline)
    return 2 * film + LEAST_FRAME_BYTES * plan.frame_count


def _warn(video: VideoFile, plan: OutputPlan, on_event: Listener) -> None:
    """Warn of what the source has and the output will not have."""
    if video.info.colour.is_hdr:
        on_event(Warned(f"{video.path.name} is HDR ({video.info.colour.transfer}): it is tone-mapped to BT.709"))
    if video.info.interlaced:
        what = "its frames are deinterlaced, what the output keeps of them too; their number and times stay"
        on_event(Warned(f"{video.path.name} is interlaced: {what}"))
    for warning in plan.warnings:
        on_event(Warned(warning))


def _casts_anew(job: JobFolder, config: ConvertConfig, stages: Stages) -> bool:
    """Whether the job's cast was measured for another request, and nobody edited it since."""
    if config.cast is not None or config.restart or not job.cast.exists():
        return False
    found = {field: value for field, value in job.fingerprint().items() if field.startswith("casting.")}
    return found != flatten({"casting": _casting(config, stages)}) and job.state(job.cast) == "whole"


def _without_own_cast(config: ConvertConfig, job: JobFolder) -> ConvertConfig:
    """The request without the job's own cast: that one is followed unasked, and is not written anew."""
    own = config.cast is not None and config.cast.exists() and job.cast.exists() and config.cast.samefile(job.cast)
    return replace(config, cast=None) if own and not config.restart else config


def _casting(config: ConvertConfig, stages: Stages) -> dict[str, Any]:
    """The part of the fingerprint on which the keys and the measured looks of people depend."""
    return {**stages.fingerprint("tracker", "identity"), "seed": config.seed, "max_people": config.max_people}


def _fingerprint(
    video: VideoFile,
    config: ConvertConfig,
    plan: OutputPlan,
    stages: Stages,
    origin: str | None,
) -> dict[str, Any]:
    from animegen import __version__

    return {
        "animegen": __version__,
        "input": {
            "sha256": video.fingerprint,
            "frames": [plan.start, plan.stop],
            "salvage": config.salvage,
        },
        "analysis": {**stages.fingerprint("pose"), "segment_frames": config.segment_frames},
        "casting": _casting(config, stages),
        "rendering": {
            **stages.fingerprint("tracker", "style", "background"),
            "seed": config.seed,
            "batch_frames": BATCH_FRAMES,
            "output": plan.fingerprint(),
        },
        "others": digest_of([stages.fingerprint("style") for stages in stages.others.values()]),
        "request": config.to_plain(),
        "source": {"path": origin or str(video.path.resolve())},
    }


def _logged(job: JobFolder, on_event: Listener) -> Listener:
    """A listener that also writes everything but progress to the job's log."""

    def listen(event: Event) -> None:
        if not isinstance(event, Progress):
            append_line(job.log, as_dict(event))
        on_event(event)

    return listen
