"""The main job as one call: a video of people in, the same video of avatars out."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animegen.config import ConvertConfig
from animegen.errors import Cancelled, UsageError
from animegen.events import Event, Finished, Listener, Progress, Warned, as_dict, ignore
from animegen.jobs import JobFolder
from animegen.pipeline.adapters import filmed_source, sunk_output
from animegen.pipeline.analyse import analyse
from animegen.pipeline.cast import Cast, cast
from animegen.pipeline.memory import share_one_heap
from animegen.pipeline.render import render
from animegen.pipeline.run import BATCH_FRAMES, SEGMENT_FRAMES, Run, segments_of
from animegen.pipeline.stages import Stages, resolve
from animegen.pipeline.who import known_cast
from animegen.plugins import PluginHost
from animegen.video import OutputPlan, VideoFile, open_video, plan_output, write_output


@dataclass(frozen=True, slots=True)
class Result:
    """What a conversion made: the output, its number of frames, the people's keys, and the job folder."""

    output: Path
    frames: int
    people: tuple[str, ...]
    job: Path


def prepare(
    video: VideoFile,
    output: Path | None,
    config: ConvertConfig,
    on_event: Listener = ignore,
    cancel: threading.Event | None = None,
    *,
    host: PluginHost | None = None,
) -> Run:
    """Check everything that can be refused, claim the job folder, and return the run."""
    start, stop = video.timeline.index_range(config.start, config.end)
    plan = plan_output(video, output, config.encode, start=start, stop=stop, overwrite=config.overwrite)
    job = JobFolder.beside(plan.output)
    known = known_cast(config, job)
    stages = resolve(config, on_event, host=host, styles=known.styles)
    if video.info.colour.is_hdr:
        on_event(Warned(f"{video.path.name} is HDR ({video.info.colour.transfer}): it is tone-mapped to BT.709"))
    for warning in plan.warnings:
        on_event(Warned(warning))
    job.claim(_fingerprint(video, config, plan, stages, (start, stop)), restart=config.restart)

    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped; what is finished is kept", "run the same command again to go on")

    return Run(video, stages, config, plan, job, segments_of(start, stop), _logged(job, on_event), check, known)


def find_people(run: Run) -> Cast:
    """The first two passes: analyse and cast."""
    analyse(run)
    return cast(run)


def finish(run: Run, people: Cast) -> Result:
    """The third pass, and the output under its name."""
    files = render(run, people)
    with run.stage("join"):
        write_output(run.plan, files)
    if not run.config.keep:
        run.job.drop("video-*", "scene")
    run.on_event(Finished(str(run.plan.output)))
    return Result(run.plan.output, run.frame_count, tuple(p.identity.key for p in people.people), run.job.root)


def convert(
    source: Path,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Turn the people of ``source`` into avatars and write the result to ``output``.

    Without ``output`` it stands beside the source as ``NAME-anime``. Events go to ``on_event``; setting ``cancel``
    stops the run after the current frame and keeps what is finished. The same call again goes on where it stopped.
    Raises AnimegenError; a broken file is never left under the output's name.
    """
    share_one_heap()
    config, host = config or ConvertConfig(), PluginHost.load()
    with (
        sunk_output(host, output, config) as (target, wanted),
        filmed_source(host, Path(source), target) as film,
        open_video(film, salvage=config.salvage) as video,
    ):
        run = prepare(video, target, wanted, on_event or ignore, cancel, host=host)
        result = finish(run, find_people(run))
    return replace(result, output=output or result.output)


def analyse_only(
    source: Path,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> JobFolder:
    """The first half of :func:`convert`: the job folder with poses, cast and plates, and nothing rendered."""
    share_one_heap()
    config = config or ConvertConfig()
    with open_video(Path(source), salvage=config.salvage) as video:
        run = prepare(video, output, config, on_event or ignore, cancel)
        find_people(run)
        return run.job


def render_job(
    folder: Path,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    overwrite: bool = False,
    keep: bool = False,
) -> Result:
    """The second half of :func:`convert` for a job folder, as it was asked for when the job was made."""
    if folder.suffix != ".job":
        raise UsageError(f"{folder} is not a job folder", "name the folder OUTPUT.job that `animegen analyse` made")
    job = JobFolder(folder)
    config = replace(ConvertConfig.from_plain(job.section("request")), overwrite=overwrite, keep=keep)
    source = Path(job.section("input")["path"])
    return convert(source, folder.with_suffix(""), config, on_event, cancel)


def _fingerprint(
    video: VideoFile, config: ConvertConfig, plan: OutputPlan, stages: Stages, frames: tuple[int, int]
) -> dict[str, Any]:
    from animegen import __version__

    return {
        "animegen": __version__,
        "input": {"path": str(video.path.resolve()), "sha256": video.fingerprint, "frames": list(frames)},
        "request": config.to_plain(),
        "stages": stages.fingerprint(),
        "output": plan.fingerprint(),
        "constants": {"segment_frames": SEGMENT_FRAMES, "batch_frames": BATCH_FRAMES},
    }


def _logged(job: JobFolder, on_event: Listener) -> Listener:
    """A listener that also writes everything but progress to the job's log."""

    def listen(event: Event) -> None:
        if not isinstance(event, Progress):
            with job.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(as_dict(event)) + "\n")
        on_event(event)

    return listen
