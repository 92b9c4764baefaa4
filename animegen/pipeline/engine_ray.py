"""Segments as tasks of Ray workers, on this machine or on the cluster at an address.

Every worker reads the source and writes its artefacts into the job folder itself, so on a cluster both lie on a disk
that all machines share. A worker that is lost is started again, and its segment is worked on anew.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animegen.composite import PlateSet
from animegen.config import ConvertConfig
from animegen.errors import AnimegenError, JobError, UsageError
from animegen.events import ignore
from animegen.identity import Drawing
from animegen.jobs import JobFolder
from animegen.measure.cores import usable_cores
from animegen.pipeline.analyse import analyse_segments
from animegen.pipeline.cast import Cast
from animegen.pipeline.engine import LocalEngine
from animegen.pipeline.render import render_segments, scene_of
from animegen.pipeline.run import Engine, Run, Segment
from animegen.pipeline.stages import resolve, with_drawings
from animegen.video import OutputPlan, open_video

RETRIES = 3
"""How often a worker is started again at most, since a segment may be what kills it."""

POLL_SECONDS = 0.2
"""Seconds after which it is looked whether the user has asked to stop."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a worker is sent so that it can take part in a run: plain values and paths."""

    source: Path
    config: ConvertConfig
    plan: OutputPlan
    job: Path
    drawings: Mapping[Drawing, str]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, run: Run) -> Errand:
        """The errand of a run; what this machine chose for itself holds for the workers too."""
        context = run.stages.context
        config = replace(run.config, threads=context.threads, device=context.device)
        return cls(run.video.path, config, run.plan, run.job.root, run.known.drawings, run.segments)


class Worker:
    """One Ray actor: it works on single segments of one pass of a run. With a cast it renders, without it analyses.

    The cast comes without its plates, which every worker reads itself where ``plates`` says that there are some.
    """

    def __init__(self, errand: Errand, cast: Cast | None, *, plates: bool) -> None:
        self._run = Run(
            video=open_video(errand.source, salvage=errand.config.salvage),
            stages=with_drawings(resolve(errand.config, ignore), errand.config, ignore, errand.drawings),
            config=errand.config,
            plan=errand.plan,
            job=JobFolder(errand.job),
            segments=errand.segments,
            engine=LocalEngine(),
            fingerprint={},
            on_event=ignore,
            check=lambda: None,
            cores=errand.config.threads or 1,
        )
        if cast is not None and plates:
            cast = replace(cast, plates=PlateSet.load(self._run.job.plates))
        self._scene = None if cast is None else scene_of(cast, self._run.stages)

    def work(self, segment: Segment, files: Sequence[Path]) -> None:
        """Work on one segment; ``files`` are those of all segments where it is rendered."""
        if self._scene is None:
            analyse_segments(self._run, [segment], lambda _: None)
        else:
            render_segments(self._run, self._scene, files, [segment], lambda _: None)


class RayEngine:
    """Workers of a Ray cluster, which is started or connected to when the first segment is worked on.

    ``ray`` is that module, ``threads`` are those of one worker.
    """

    def __init__(self, ray: Any, config: ConvertConfig, threads: int) -> None:
        self._ray = ray
        self._config = config
        self._threads = threads
        self._connected = False

    def analyse(self, run: Run, groups: Iterable[Sequence[Segment]], advance: Callable[[int], None]) -> None:
        """See :class:`animegen.pipeline.run.Engine`."""
        self._work(run, None, (), [segment for group in groups for segment in group], advance)

    def render(
        self,
        run: Run,
        cast: Cast,
        files: Sequence[Path],
        groups: Iterable[Sequence[Segment]],
        advance: Callable[[int], None],
    ) -> None:
        """See :class:`animegen.pipeline.run.Engine`."""
        self._work(run, cast, files, [segment for group in groups for segment in group], advance)

    def _work(
        self,
        run: Run,
        cast: Cast | None,
        files: Sequence[Path],
        segments: Sequence[Segment],
        advance: Callable[[int], None],
    ) -> None:
        """Hand out segments to workers, each one at a time, until all are done."""
        if not segments:
            return
        self._connect()
        actor = self._ray.remote(Worker).options(
            num_cpus=self._threads,
            num_gpus=1 if run.stages.context.device == "cuda" else 0,
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
        )
        plates = cast is not None and cast.plates is not None
        given = self._ray.put(cast and replace(cast, plates=None))
        count = min(self._worker_count(), len(segments))
        workers = [actor.remote(Errand.of(run), given, plates=plates) for _ in range(count)]
        left = iter(segments)
        busy = {w.work.remote(segment, files): (w, segment) for w, segment in zip(workers, left, strict=False)}
        try:
            while busy:
                run.check()
                done, _ = self._ray.wait(list(busy), timeout=POLL_SECONDS)
                for task in done:
                    worker, segment = busy.pop(task)
                    self._result(task, segment)
                    advance(len(segment))
                    if (following := next(left, None)) is not None:
                        busy[worker.work.remote(following, files)] = worker, following
        finally:
            for worker in workers:
                self._ray.kill(worker)
            run.job.forget()

    def _connect(self) -> None:
        """Start or join the cluster, unless this program is in one. Raises UsageError where that fails."""
        if self._ray.is_initialized():
            return
        address = self._config.address
        local = self._config.workers or max(1, usable_cores() // self._threads)
        here = {"address": "local", "num_cpus": local * self._threads, "include_dashboard": False}
        try:
            with _signals_kept():
                self._ray.init(
                    **({"address": address} if address else here), log_to_driver=False, logging_level="ERROR"
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"the Ray cluster {address or 'of this machine'} cannot be used: {error}",
                "look at it with `ray status`",
            ) from error
        self._connected = True

    def _worker_count(self) -> int:
        """As many as asked for, or as the cluster has cores for."""
        return self._config.workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._threads)

    def close(self) -> None:
        """Leave the cluster, where it was this that joined it."""
        if self._connected:
            self._ray.shutdown()

    def _result(self, task: Any, segment: Segment) -> None:
        """Raise what went wrong in a task, as it would have been raised here."""
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None if isinstance(error.cause, AnimegenError) else error
        except self._ray.exceptions.RayError as error:
            raise JobError(
                f"the worker of frames {segment.start} to {segment.stop - 1} was lost {RETRIES + 1} times: {error}",
                "what is finished is kept; run the same command again, with fewer --workers if memory ran out",
            ) from error


@contextmanager
def ray_engine(config: ConvertConfig, threads: int) -> Iterator[Engine]:
    """The engine of a Ray cluster: the one at ``config.address``, or one of this machine that ends with the run.

    ``threads`` are those of one worker. Raises UsageError where Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--engine ray needs the package ray: {error}", "install it with: pip install 'animegen[distributed]'"
        ) from error
    engine = RayEngine(ray, config, threads)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore this program's signal handlers on leaving: Ray replaces them by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
