"""The shots of a clip (its frames between two cuts): the first pass finds them in segments, the second joins them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from animegen.jobs import load_arrays, reading, save_arrays
from animegen.pipeline.run import Run
from animegen.types import Frame, Uint8Array
from animegen.video import is_cut, marked_shots
from animegen.video.shots import AFTER, BEFORE, dissolves, tiny_picture


@dataclass(frozen=True, slots=True, eq=False)
class SegmentShots:
    """Where shots begin in one segment: ``begins`` are indices of frames, ``start`` is that of the segment's first.

    ``head`` and ``tail`` are small pictures of its first and last frames, by which it is told whether there is a cut
    between two segments. ``tiny`` uint8 [T, 9, 16, 3] are even smaller pictures of all its frames, by which dissolves
    are found.
    """

    start: int
    begins: tuple[int, ...]
    head: tuple[Uint8Array, ...]
    tail: tuple[Uint8Array, ...]
    tiny: Uint8Array

    def save(self, path: Path) -> None:
        """Write all of it as one npz, the same bytes for the same shots."""
        arrays = {"start": np.array(self.start), "begins": np.array(self.begins, np.int64)}
        pictures = {"head": np.array(self.head), "tail": np.array(self.tail), "tiny": self.tiny}
        save_arrays(path, {**arrays, **pictures}, deflated={"tiny"})

    @classmethod
    def load(cls, path: Path) -> SegmentShots:
        """Read what :meth:`save` wrote; raises InputError naming the file where it is damaged or absent."""
        with reading(path, "remove it; the next run makes it anew"):
            data = load_arrays(path)
            begins, head, tail = data["begins"].tolist(), data["head"], data["tail"]
            return cls(int(data["start"]), tuple(begins), tuple(head), tuple(tail), data["tiny"])


class ShotWatch:
    """Splits the frames of one segment into shots as they are decoded, and remembers where shots begin."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._begins: list[int] = []
        self._head: list[Uint8Array] = []
        self._tail: deque[Uint8Array] = deque(maxlen=BEFORE)
        self._tiny: list[Uint8Array] = []

    def shots(self, frames: Iterable[Frame]) -> Iterator[Iterator[Frame]]:
        """One iterator over frames for each shot, which must be used up before the next is asked for."""
        for _, shot in groupby(self._numbered(frames), key=lambda numbered: numbered[0]):
            yield (frame for _, frame in shot)

    def _numbered(self, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        for frame, small, begins in marked_shots(frames):
            if begins:
                self._begins.append(frame.index)
            if len(self._head) < AFTER:
                self._head.append(small)
            self._tail.append(small)
            self._tiny.append(tiny_picture(small))
            yield len(self._begins), frame

    def found(self) -> SegmentShots:
        """What was found in the frames that have passed."""
        return SegmentShots(
            self._start, tuple(self._begins), tuple(self._head), tuple(self._tail), np.array(self._tiny)
        )


def joined_shots(segments: Iterable[SegmentShots], stop: int) -> list[range]:
    """The frames of each shot of a clip that ends before frame ``stop``, from its segments in order.

    A dissolve ends a shot in its middle.
    """
    begins: list[int] = []
    tail: tuple[Uint8Array, ...] = ()
    tiny: list[Uint8Array] = []
    for segment in segments:
        if not begins or is_cut(tail, segment.head):
            begins.append(segment.start)
        begins += segment.begins
        tail = segment.tail
        tiny.append(segment.tiny)
    pictures, start = np.concatenate(tiny), begins[0]
    hard = list(pairwise([*begins, stop]))
    soft = [first + place for first, last in hard for place in dissolves(pictures[first - start : last - start])]
    return [range(a, b) for a, b in pairwise([*sorted([*begins, *soft]), stop])]


def shots_of(run: Run) -> list[range]:
    """The frames of each shot of an analysed clip, in order."""
    found = (SegmentShots.load(run.job.segment("shots", segment.index)) for segment in run.segments)
    return joined_shots(found, run.segments[-1].stop)
