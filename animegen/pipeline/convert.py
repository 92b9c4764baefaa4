"""``animegen convert``: the three passes of a conversion, one after the other, and its two halves apart."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.errors import InputError, UsageError
from animegen.events import Finished, Listener, ignore
from animegen.jobs import JobFolder
from animegen.memory import share_one_heap
from animegen.pipeline.adapters import asked_output, hand_over, source_spec
from animegen.pipeline.analyse import analyse
from animegen.pipeline.cast import Cast, cast
from animegen.pipeline.prepare import Result, begun, finished, request_of, tell_finished, tell_kept
from animegen.pipeline.render import render
from animegen.pipeline.run import Run
from animegen.plugins import PluginHost
from animegen.video import write_output


def find_people(run: Run) -> Cast:
    """The first two passes: analyse and cast."""
    analyse(run)
    return cast(run)


def finish(run: Run, people: Cast) -> Result:
    """The third pass, after which the encoded segments are joined to the output under its name."""
    files = render(run, people)
    keys = tuple(person.identity.key for person in people.people)
    result = Result(run.plan.output, run.frame_count, keys, run.job.root)
    run.check()
    with run.stage("join"):
        write_output(run.plan, files, partial(tell_finished, run, result))
    for replaced in set(files[0].parent.iterdir()) - set(files):
        run.job.discard(replaced)
    return result


def _tidy(run: Run, on_event: Listener) -> None:
    """Remove from a finished job folder what the user did not ask to keep.

    A folder that is discarded must not be written to again, not even its log: hence the listener of the caller.
    """
    if run.config.discard_job:
        tell_kept(run.job.clear(), on_event)
    elif not run.config.keep:
        run.job.drop("video", "scene")


def _whole(run: Run) -> Result:
    """All three passes, without what earlier runs have done already."""
    result = finished(run) or finish(run, find_people(run))
    run.on_event(Finished(str(run.plan.output)))
    return result


def convert(
    source: Path | str,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    folder: Path | None = None,
) -> Result:
    """Turn the people of ``source`` into avatars and write the result to ``output``.

    Without ``output`` it stands in ``folder``, or beside the source, as ``NAME-anime``. Events go to ``on_event``;
    setting ``cancel`` stops the run after the current frame and keeps what is finished. The same call again goes on
    where it stopped. Raises AnimegenError; a broken file is never left under the output's name.
    """
    share_one_heap()
    config, on_event = config or ConvertConfig(), on_event or ignore
    with begun(source, output, config, on_event, cancel, folder=folder) as run:
        result = _whole(run)
        _tidy(run, on_event)
        return replace(result, output=hand_over(run.stages.host, result.output, output))


def analyse_only(
    source: Path | str,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> JobFolder:
    """The first half of :func:`convert`: the job folder with poses, cast and plates, and nothing rendered."""
    share_one_heap()
    with begun(source, output, config or ConvertConfig(), on_event, cancel) as run:
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
    config = replace(request_of(job), overwrite=overwrite, keep=keep)
    host = PluginHost.load()
    source, output = job.section("source")["path"], asked_output(host, job.output)
    if source_spec(host, source) is None and not Path(source).exists():
        way = f"put it back, or go on where it is now: `animegen convert IN -o {output}`"
        raise InputError(f"{source} does not exist any more, of which {folder} was made", way)
    return convert(source, output, config, on_event, cancel)
