"""``animegen jobs``: finds job folders, tells how far each came, and removes those that are finished."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from animegen.errors import JobError, UsageError
from animegen.jobs import Holder, JobFolder, read_lines, size_of
from animegen.pipeline.adapters import film_of
from animegen.pipeline.run import segments_of

JobState = Literal["running", "finished", "stopped", "damaged"]
"""``running``: worked on at this moment. ``finished``: its output is there. ``stopped``: a run can go on with it.
``damaged``: its record cannot be read."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job at a glance.

    ``analysed`` and ``rendered`` count frames of whole segments, out of ``frames``; ``size`` is in bytes; ``holder`` is
    who works on it; ``warnings`` are what its runs warned of, each once.
    """

    folder: Path
    output: Path
    source: str | None
    state: JobState
    frames: int
    analysed: int
    rendered: int
    size: int
    holder: Holder | None
    warnings: tuple[str, ...]
    fingerprint: dict[str, Any]


def find_jobs(places: Sequence[Path]) -> list[Path]:
    """The job folders that are named or lie somewhere in the folders that are. Raises UsageError for no folder."""
    found: dict[Path, None] = {}
    for place in places:
        if not place.is_dir():
            raise UsageError(f"{place} is no folder", "name a job folder, OUTPUT.job, or a folder with jobs in it")
        inside = [place] if place.suffix == ".job" else sorted(place.rglob("*.job"))
        found.update(dict.fromkeys(path for path in inside if (path / "job.toml").is_file()))
    return list(found)


def report(folder: Path) -> JobReport:
    """The state of a job, from its records alone: no large file is read."""
    job = JobFolder(folder)
    holder = job.holder
    warnings = dict.fromkeys(
        line["message"] for line in read_lines(job.log) if isinstance(line, dict) and line.get("event") == "Warned"
    )
    try:
        fingerprint = job.fingerprint()
        start, stop = fingerprint["input.frames"]
        segments = segments_of(start, stop, fingerprint["analysis.segment_frames"])
    except (JobError, KeyError, TypeError, ValueError):
        return JobReport(
            folder, job.output, None, "damaged", 0, 0, 0, size_of(folder), holder, tuple(warnings), {}
        )  # fmt: skip
    done = _is_finished(job)
    counts = {
        kind: sum(len(segment) for segment in segments if done or segment.index in _sealed(job, kind))
        for kind in ("poses", "video")
    }
    return JobReport(
        folder=folder,
        output=job.output,
        source=str(fingerprint["source.path"]),
        state="running" if holder is not None else "finished" if done else "stopped",
        frames=stop - start,
        analysed=counts["poses"],
        rendered=counts["video"],
        size=size_of(folder),
        holder=holder,
        warnings=tuple(warnings),
        fingerprint=fingerprint,
    )


def clean(folder: Path) -> tuple[int, list[Path]]:
    """Remove a job and return how many bytes that freed, and what was kept because it is the user's.

    Raises JobError where a run works on it.
    """
    job, source = JobFolder(folder), report(folder).source
    film = None if source is None else film_of(job.output, source)
    size = size_of(folder)
    with job.held():
        kept = job.clear()
    if film is not None and film in folder.parent.iterdir():
        size += size_of(film)
        film.unlink()
    return size - sum(size_of(path) for path in kept), kept


def _is_finished(job: JobFolder) -> bool:
    """Whether all outputs of the job are there; they are compared by size, not read."""
    told = next(read_lines(job.result), None)
    if not isinstance(told, dict) or not told.get("outputs"):
        return False
    seals = job.seals()
    return all(name in seals and size_of(job.root / name) == seals[name]["bytes"] for name in told["outputs"])


def _sealed(job: JobFolder, kind: str) -> set[int]:
    """The segments whose artefact of a kind is there and recorded as whole."""
    names = (re.match(rf"{kind}/(\d+)", name) for name in job.seals() if (job.root / name).exists())
    return {int(name[1]) for name in names if name is not None}
