"""A run: a conversion that was checked and may start. All three passes work from it.

``prepare`` makes it; ``analyse``, ``cast`` and ``render`` take it.
"""

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

CROPS_PER_SECOND = 2
"""In how many frames of a second crops of the people are taken."""

QUEUE_FRAMES = 8
QUEUE_BYTES = 64 * 2**20
"""At most so many frames wait between two stages, and no more than fit into these bytes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames ``start`` .. ``stop - 1`` of a clip, which are worked on and stored together."""

    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def segments_of(start: int, stop: int, length: int = SEGMENT_FRAMES) -> tuple[Segment, ...]:
    """Cut a range of frames into segments of about ``length`` frames, of which none is longer by more than one."""
    count = max(1, round((stop - start) / length))
    cuts = [start + (stop - start) * i // count for i in range(count + 1)]
    return tuple(Segment(i, cuts[i], cuts[i + 1]) for i in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Everything that the passes of a conversion need to know.

    The open source ``video``; the plugins (``stages``) and options (``config``) of the request; ``plan``, how the
    output is written; the ``job`` folder; the ``segments`` to work on, and the ``engine`` that does. ``known`` is the
    cast file that is followed, empty if there is none. ``fingerprint`` is all on which pixels depend beside that cast,
    as nested mappings of plain values. ``cores`` is how many processor cores this process may use, which changes no
    pixel. ``check()`` raises Cancelled once the user has asked to stop.
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
    def crop_interval(self) -> int:
        """Crops of the people are taken in every frame whose index is a multiple of this."""
        return max(1, round(self.video.info.rate / CROPS_PER_SECOND))

    @property
    def frame_count(self) -> int:
        """Number of frames to convert."""
        return sum(len(segment) for segment in self.segments)

    @property
    def needs_clean(self) -> bool:
        """Whether the background asks for frames without the people, so that plates must be built."""
        return bool(self.stages.specs["background"].needs_clean) and not self.plan.alpha

    def stands(self, path: Path) -> bool:
        """Whether an artefact is there as it was finished; one that is damaged or was never finished is removed."""
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
    """Works on segments somewhere. Each of ``groups`` is a series of consecutive segments.

    ``advance`` is called with the number of frames that are done.
    """

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
    """The series of consecutive segments that are still to do, each of which can be decoded in one go.

    ``advance`` is called with the number of frames of those that are done already.
    """
    for done, run in groupby(segments, is_done):
        if done:
            advance(sum(len(segment) for segment in run))
        else:
            yield list(run)
