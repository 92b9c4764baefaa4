"""A conversion that was checked and may start: what all three passes work from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from animegen.config import SEGMENT_FRAMES, ConvertConfig
from animegen.events import Listener, Warned
from animegen.identity import CastFile
from animegen.jobs import JobFolder
from animegen.measure.cores import usable_cores
from animegen.pipeline.progress import stage
from animegen.pipeline.stages import Stages
from animegen.video import OutputPlan, VideoFile

if TYPE_CHECKING:
    from animegen.pipeline.cast import Cast

BATCH_FRAMES = 8
"""Frames whose people are drawn in one call of the style."""

QUEUE_FRAMES = 8
QUEUE_BYTES = 64 * 2**20
"""Frames that wait between two stages at most, and how much memory they may take: large frames queue shorter."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``start`` .. ``stop - 1`` of a clip, worked on and stored together."""

    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def segments_of(start: int, stop: int, length: int = SEGMENT_FRAMES) -> tuple[Segment, ...]:
    """Cut a range of frames into segments of about ``length`` frames, equally long to a frame."""
    count = max(1, round((stop - start) / length))
    cuts = [start + (stop - start) * i // count for i in range(count + 1)]
    return tuple(Segment(i, cuts[i], cuts[i + 1]) for i in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The checked request, and the cast ``known`` before. ``check()`` raises Cancelled once the user asked to stop.

    ``fingerprint`` is everything that changes a pixel beside the cast, as nested mappings of plain values. ``cores`` is
    how many processor cores this process may keep busy; it changes no pixel.
    """

    video: VideoFile
    stages: Stages
    config: ConvertConfig
    plan: OutputPlan
    job: JobFolder
    segments: tuple[Segment, ...]
    engine: Engine
    fingerprint: Mapping[str, Any]
    on_event: Listener
    check: Callable[[], None]
    known: CastFile = field(default_factory=CastFile)
    cores: int = field(default_factory=usable_cores)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in pixels."""
        return self.video.info.width, self.video.info.height

    @property
    def queue(self) -> int:
        """How many frames may wait between two stages. It changes no result."""
        width, height = self.size
        return max(2, min(QUEUE_FRAMES, QUEUE_BYTES // (3 * width * height)))

    @property
    def frame_count(self) -> int:
        """Number of frames to convert."""
        return sum(len(segment) for segment in self.segments)

    @property
    def needs_clean(self) -> bool:
        """Whether the people must be removable from the frames: what stands behind them is then found out."""
        return bool(self.stages.specs["background"].needs_clean) and not self.plan.alpha

    def stands(self, path: Path) -> bool:
        """Whether an artefact stands as it was finished; one that is damaged or was never finished is removed."""
        state = self.job.state(path)
        if state == "damaged":
            self.on_event(Warned(f"{path} is damaged: it is made anew"))
        if state != "whole":
            self.job.discard(path)
        return state == "whole"

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Callable[[int], None]]:
        """Announce a stage of this run; see :func:`animegen.pipeline.progress.stage`."""
        return stage(name, total, self.on_event)


class Engine(Protocol):
    """Where segments are worked on. ``groups`` are runs of consecutive segments; ``advance`` counts their frames."""

    def analyse(self, run: Run, groups: Iterable[Sequence[Segment]], advance: Callable[[int], None]) -> None:
        """Write what the later passes read of these segments."""

    def render(
        self,
        run: Run,
        cast: Cast,
        files: Sequence[Path],
        groups: Iterable[Sequence[Segment]],
        advance: Callable[[int], None],
    ) -> None:
        """Encode these segments into those of ``files`` that their indices name."""


def unfinished(
    segments: Sequence[Segment], is_done: Callable[[Segment], bool], advance: Callable[[int], None]
) -> Iterator[list[Segment]]:
    """Runs of consecutive segments that are still to do, each decoded in one go; ``advance`` counts the others."""
    for done, run in groupby(segments, is_done):
        if done:
            advance(sum(len(segment) for segment in run))
        else:
            yield list(run)
