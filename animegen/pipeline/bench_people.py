"""Times clips of several people against as many clips of one: the same person n times side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from animegen.config import ConvertConfig
from animegen.measure.machine import MachineRates, machine_rates
from animegen.pipeline.bench import StageTimes, looped, time_stages


@dataclass(frozen=True, slots=True)
class Crowd:
    """A clip ``copies`` times side by side, and what the stages of its conversion took."""

    copies: int
    times: StageTimes


@dataclass(frozen=True, slots=True)
class PeopleBench:
    """Everything one bench run measured; ``crowds`` by rising number of copies, the first of one."""

    machine: MachineRates
    crowds: tuple[Crowd, ...]

    def share(self, crowd: Crowd, stage: str | None = None) -> float:
        """Processor time of a crowd's stage, or of all, over that of as many single clips.

        Below 1, one clip of n people is cheaper than n clips of one.
        """
        taken, alone = (_core_ms(times, stage) for times in (crowd.times, self.crowds[0].times))
        return taken / (crowd.copies * alone)


def bench_people(
    clip: Path, config: ConvertConfig, copies: tuple[int, ...], frames: int, tell: Callable[[str], None]
) -> PeopleBench:
    """Measure the conversion of ``clip``, looped or cut to ``frames`` frames, with each number of copies side by side.

    One copy is always measured, because the others are compared with it.
    """
    machine = machine_rates()
    crowds = []
    with tempfile.TemporaryDirectory(prefix="animegen-bench-") as folder:
        for count in sorted({1, *copies}):
            tell(f"timing the stages with {count} side by side")
            film = looped(clip, Path(folder) / f"people-{count}.mp4", frames, count)
            crowds.append(Crowd(count, time_stages(film, Path(folder) / f"people-{count}-out.mp4", config)))
    return PeopleBench(machine, tuple(crowds))


def _core_ms(times: StageTimes, stage: str | None) -> float:
    return sum(time.core_ms for time in times.stages if stage in (None, time.name))
