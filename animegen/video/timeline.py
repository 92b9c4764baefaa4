"""When every frame of a video is shown: found from the packets where they say it, else by decoding all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InputError, UsageError

Int64Array: TypeAlias = NDArray[np.int64]

JUMP_BACK = Fraction(1)
"""Seconds by which timestamps may fall back before the file counts as several recordings glued together."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The frames of a video in the order in which they are shown.

    ``pts`` int64 [N] ticks of ``time_base`` seconds, strictly rising; ``durations`` int64 [N] ticks until the next
    frame (the last: what the file says, else as long as the one before); ``keyframes`` int64 [K] indices of the
    frames at which decoding can start.
    """

    time_base: Fraction
    pts: Int64Array
    durations: Int64Array
    keyframes: Int64Array

    def __len__(self) -> int:
        return len(self.pts)

    def time(self, index: int) -> Fraction:
        """The timestamp of a frame in seconds, exact, as the file has it (the first need not be 0)."""
        return int(self.pts[index]) * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return int(self.pts[-1] + self.durations[-1] - self.pts[0]) * self.time_base

    def index_range(self, start: Fraction | None = None, end: Fraction | None = None) -> tuple[int, int]:
        """``(i0, i1)`` of the frames shown first at ``start <= t < end``, in seconds from the first frame.

        Raises UsageError where no frame lies in between.
        """
        first = int(self.pts[0])
        i0 = 0 if start is None else self._index_at(first + start / self.time_base)
        i1 = len(self) if end is None else self._index_at(first + end / self.time_base)
        if i0 >= i1:
            shown = f"{float(start or 0):g} s and {'the end' if end is None else f'{float(end):g} s'}"
            raise UsageError(f"no frame lies between {shown}", f"the video lasts {float(self.duration):.3f} s")
        return i0, i1

    def _index_at(self, tick: Fraction) -> int:
        return int(np.searchsorted(self.pts, -((-tick.numerator) // tick.denominator)))


def make_timeline(
    time_base: Fraction, shown: Sequence[int | None], keyframe_pts: Sequence[int], last_duration: int, step: int
) -> Timeline:
    """The timeline of frames whose timestamps, in showing order, are ``shown``.

    A frame without a timestamp comes ``step`` ticks after the one before, one whose timestamp does not rise comes a
    tick after it. ``last_duration`` 0: not known. Raises InputError where time jumps back by more than a second.
    """
    pts = np.empty(len(shown), np.int64)
    previous = None
    for index, tick in enumerate(shown):
        if previous is None:
            pts[index] = tick or 0
        elif tick is None:
            pts[index] = previous + step
        else:
            if (previous - tick) * time_base > JUMP_BACK:
                raise InputError(
                    f"time jumps back from {float(previous * time_base):.3f} s to {float(tick * time_base):.3f} s "
                    f"at frame {index}: several recordings stand in one file",
                    "convert them one by one, or join them again with a video editor",
                )
            pts[index] = max(tick, previous + 1)
        previous = int(pts[index])
    gaps = np.diff(pts)
    last = last_duration or (int(gaps[-1]) if len(gaps) else step)
    keyframes = np.flatnonzero(np.isin(pts, np.asarray(keyframe_pts, np.int64))).astype(np.int64)
    return Timeline(time_base, pts, np.append(gaps, last).astype(np.int64), keyframes)
