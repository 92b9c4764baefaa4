"""Chooses where the segments of the first and third pass are worked on, and does it in this process.

``engine_ray`` does it with the workers of a Ray cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.pipeline.analyse import analyse_segments
from animegen.pipeline.cast import Cast
from animegen.pipeline.render import render_segments, scene_of
from animegen.pipeline.run import Engine, Run, Segment


class LocalEngine:
    """Works on segments in this process, decoding and encoding them in parallel threads."""

    def analyse(self, run: Run, groups: Iterable[Sequence[Segment]], advance: Callable[[int], None]) -> None:
        """See :class:`animegen.pipeline.run.Engine`."""
        for todo in groups:
            analyse_segments(run, todo, advance)

    def render(
        self,
        run: Run,
        cast: Cast,
        files: Sequence[Path],
        groups: Iterable[Sequence[Segment]],
        advance: Callable[[int], None],
    ) -> None:
        """See :class:`animegen.pipeline.run.Engine`."""
        scene = scene_of(cast, run.stages)
        for todo in groups:
            render_segments(run, scene, files, todo, advance)


@contextmanager
def engine_of(config: ConvertConfig, threads: int) -> Iterator[Engine]:
    """The engine that a request asks for, its workers with so many threads each."""
    if config.engine == "local":
        yield LocalEngine()
        return
    from animegen.pipeline.engine_ray import ray_engine

    with ray_engine(config, threads) as engine:
        yield engine
