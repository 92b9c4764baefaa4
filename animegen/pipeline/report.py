"""How good a conversion became: everyone's steadiness, pose, colours, lost frames and identity, from its job folder.

The output is looked at as it stands in the file. Whatever is measured of it is measured of the source in the same way,
so that a figure stands beside the best that could be had.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from animegen.composite import one_thread_per_call, person_matte
from animegen.errors import InputError, JobError, UsageError
from animegen.events import Listener
from animegen.identity import describe, distance, take_crop
from animegen.identity.options import PaletteOptions
from animegen.identity.palette import PalettePreserver
from animegen.jobs import JobFolder, beside
from animegen.measure.fidelity import PoseError, colour_errors, flicker, pose_error, switches
from animegen.measure.pictures import summary
from animegen.pipeline.analyse import estimate
from animegen.pipeline.cast import Person
from animegen.pipeline.convert import find_people
from animegen.pipeline.pictures import crops_of
from animegen.pipeline.prepare import begun, finished, request_of
from animegen.pipeline.run import Run
from animegen.pose.convert import to_coco17
from animegen.pose.files import open_npz
from animegen.protocols import PoseBackend
from animegen.types import Crop, Float32Array, Frame, Palette, Pose, Track
from animegen.video import VideoFile, open_video

SAMPLES = 24
"""Frames of each person that are looked at, spread evenly over the clip."""

LOOK_CROPS = 4
"""Pictures by which a person is told from the others: those of two seconds."""

_OWN = 0.2
"""Similarity from which a pose found in a picture is this person's: an avatar has other proportions."""
_KNOWN = 0.3
"""Score from which a point of the asked pose is one that was asked for."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure that ``--fail-under`` can name: what it is, and which way is better."""

    title: str
    higher_is_better: bool


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "score": Limit("0 to 100", True),
        "pose": Limit("similarity of the output's pose over the source's own, 0 to 1", True),
        "colour": Limit("mean CIEDE2000 to the palette", False),
        "flicker": Limit("change that motion does not explain, over the source's own", False),
        "lost": Limit("share of frames whose pose was not found", False),
        "switches": Limit("times a person was taken for another", False),
    }
)

FAR_COLOUR = 50.0
"""CIEDE2000 at which a colour is worth nothing in the score: another colour altogether."""

SCORE = (
    "The score is 100 times the mean of five parts, each 1 at best; what was not measured is left out. Pose: as it "
    f"stands here, at most 1. Colour: 1 less the mean CIEDE2000 over {FAR_COLOUR:g}. Flicker: one over it, at most 1. "
    "Lost: 1 less the share. Switches: one over one more than there were."
)


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame shows of one person; NaN where it could not be measured."""

    frame: int
    output: PoseError
    source: PoseError
    output_flicker: float
    source_flicker: float


@dataclass(slots=True, eq=False)
class _Seen:
    """What was measured of one person so far."""

    looks: list[Look] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The figures as plain JSON values; the palettes that were asked for and found, and the looks, by person's key."""

    figures: dict[str, Any]
    palettes: Mapping[str, tuple[Palette, Palette | None]]
    looks: Mapping[str, tuple[Look, ...]]

    def worse_than(self, limits: Mapping[str, float]) -> list[str]:
        """One line for each limit and person that does not keep it. A figure that was not measured keeps none."""
        lines = [] if self.figures["people"] or not limits else ["nobody was drawn, so nothing was measured"]
        for name, limit in limits.items():
            higher = LIMITS[name].higher_is_better
            for person in self.figures["people"]:
                value = person["limits"][name]
                if value is None:
                    lines.append(f"{name} of {person['key']} was not measured, {limit:g} was asked for")
                elif value < limit if higher else value > limit:
                    asked = f"{limit:g} at {'least' if higher else 'most'} was asked for"
                    lines.append(f"{name} of {person['key']} is {value:.4g}, {asked}")
        return lines


def report_folder(job: Path) -> Path:
    """Where the report of a job goes unless another place is named: ``OUT-report`` beside the output."""
    return beside(job.with_suffix(""), "report")


@contextmanager
def report_job(
    folder: Path, *, samples: int = SAMPLES, on_event: Listener | None = None
) -> Iterator[tuple[Report, Pictures]]:
    """Measure the finished conversion of a job folder; yields the report and where its frames are meanwhile.

    Raises UsageError where the folder is no job's, or its output is a sequence of pictures, InputError where its output
    is missing, and JobError where that was made from another cast or request than the job's is by now.
    """
    if folder.suffix != ".job":
        raise UsageError(f"{folder} is not a job folder", "name the folder OUTPUT.job that `animegen convert` made")
    job, output = JobFolder(folder), folder.with_suffix("")
    config = replace(request_of(job), overwrite=True)
    source = job.section("source")["path"]
    if output.is_dir() or "%" in output.name:
        raise UsageError(
            f"{output} is a sequence of pictures, and only a film is measured", "convert to a file with -o"
        )
    if not output.exists():
        raise InputError(f"{output} does not exist", f"`animegen render {folder}` makes it")
    with begun(source, output, config, on_event, record=False) as run:
        if finished(run) is None:
            raise JobError(
                f"{output} is not what its job makes: the cast, the request or the file was changed since",
                f"`animegen render --overwrite {folder}` makes it anew",
            )
        yield report_run(run, find_people(run).people, samples=samples)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the frames of a report are: ``start`` is the source's frame that the output begins with.

    ``hidden`` has by frame index the poses of those who must not be seen there.
    """

    source: Path
    output: Path
    start: int
    tracks: Mapping[str, Track]
    hidden: Mapping[int, Sequence[Pose]]


@one_thread_per_call()
def report_run(run: Run, people: Sequence[Person], *, samples: int = SAMPLES) -> tuple[Report, Pictures]:
    """Measure the finished output of a run whose people are known."""
    drawn = [person for person in people if person.treatment == "draw"]
    wanted = [_sampled(person, samples) for person in drawn]
    frames = sorted({index for indices in wanted for index in indices})
    seen = [_Seen() for _ in drawn]
    backend = run.stages.body_backend()
    with run.stage("report", len(frames)) as advance, open_video(run.plan.output) as output:
        for index in frames:
            run.check()
            source, shown = _pair(run.video, index), _pair(output, index - run.plan.start)
            poses = [_poses_in(backend, pictures[0]) for pictures in (source, shown)]
            for person, indices, gathered in zip(drawn, wanted, seen, strict=True):
                if index in indices:
                    _measure_frame(person, index, (source, shown), poses, gathered)
            advance(1)
    swaps = _switches(run, drawn)
    found = [_palette(person, gathered.crops, run.config.seed) for person, gathered in zip(drawn, seen, strict=True)]
    figures = [
        _figures(run, person, gathered.looks, palette, count)
        for person, gathered, palette, count in zip(drawn, seen, found, swaps, strict=True)
    ]
    keys = [person.identity.key for person in drawn]
    report = Report(
        {
            "source": run.video.path.name,
            "output": run.plan.output.name,
            "frames": run.frame_count,
            "pose": run.config.pose,
            "on_lost": run.config.on_lost,
            "score": _mean([person["score"] for person in figures]),
            "people": figures,
        },
        {key: (person.identity.palette, one) for key, person, one in zip(keys, drawn, found, strict=True)},
        {key: tuple(gathered.looks) for key, gathered in zip(keys, seen, strict=True)},
    )
    tracks = {key: person.track for key, person in zip(keys, drawn, strict=True)}
    return report, Pictures(run.video.path, run.plan.output, run.plan.start, tracks, _hidden(run, people, frames))


def _hidden(run: Run, people: Sequence[Person], frames: Sequence[int]) -> dict[int, list[Pose]]:
    """The poses, with masks, of those whom the cast hides, by frame index."""
    hidden = [person for person in people if person.treatment == "blur"]
    found: dict[int, list[Pose]] = {index: [] for index in frames} if hidden else {}
    for segment in run.segments:
        here = found.keys() & range(segment.start, segment.stop)
        raw = open_npz(run.job.segment("poses", segment.index)) if here else {}
        for person in hidden:
            for place, index in enumerate(person.track.frame_indices):
                if index in here:
                    found[index].append(person.masked(place, raw[index]))
    return found


def _sampled(person: Person, count: int) -> tuple[int, ...]:
    """Frames in which the person was found and is drawn, and in the next one too, spread evenly."""
    failed = {index for span in person.lost for index in range(span.first, span.last + 1)}
    there = [index for index in person.track.frame_indices if index not in failed]
    pairs = [a for a, b in pairwise(there) if b == a + 1]
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return tuple(pairs[place] for place in places)


def _pair(video: VideoFile, index: int) -> list[Frame]:
    return list(islice(video.frames(index, index + 2), 2))


def _poses_in(backend: PoseBackend, frame: Frame) -> list[Pose]:
    """Everyone's poses in a single frame, found without the frames around it."""
    return next(poses for _, poses in estimate(backend, iter([frame])))


def _measure_frame(
    person: Person, index: int, pairs: Sequence[Sequence[Frame]], poses: Sequence[Sequence[Pose]], seen: _Seen
) -> None:
    """Measure one person in one frame of source and output."""
    asked = person.track.poses[person.track.frame_indices.index(index)]
    errors = [_nearest(asked, found) for found in poses]
    if (own := errors[1][1]) is not None:
        seen.crops.append(take_crop(pairs[1][0], own))
    source, output = (_flicker_of(pair, asked) for pair in pairs)
    seen.looks.append(Look(index, errors[1][0], errors[0][0], output, source))


def _nearest(asked: Pose, found: Sequence[Pose]) -> tuple[PoseError, Pose | None]:
    """Of the poses found in a frame the one most similar to the asked one, with its error; without any, None."""
    wanted = to_coco17(asked)
    known, height = wanted.score >= _KNOWN, float(np.ptp(asked.bbox[1::2]))
    best, own = PoseError(0.0, math.nan), None
    for pose in found:
        error = pose_error(wanted.xy.astype(np.float64), known, height, to_coco17(pose).xy.astype(np.float64))
        if error is not None and error.oks >= max(_OWN, best.oks):
            best, own = error, pose
    return best, own


def _flicker_of(pair: Sequence[Frame], pose: Pose) -> float:
    """Flicker inside a person's matte."""
    matte = person_matte(replace(pose, mask=None), pair[0].size)
    if len(pair) < 2 or not matte.alpha.size:
        return math.nan
    return flicker(pair[0].image[matte.window], pair[1].image[matte.window], matte.alpha > 127)


def _palette(person: Person, crops: Sequence[Crop], seed: int) -> Palette | None:
    """The colours that the output shows of a person, measured as those of the source are; None where it shows none."""
    if not crops:
        return None
    track = Track(person.track.id, tuple(c.frame_index for c in crops), tuple(c.pose for c in crops))
    return PalettePreserver(PaletteOptions(), seed).enroll(track, crops).palette


def _switches(run: Run, people: Sequence[Person]) -> list[int]:
    """How often each person's track passes over to somebody else, by the crops of the source.

    The first crops of a track show its person; where later ones look more like the first of another, it was swapped.
    """
    looks = [_looks(run, person) for person in people]
    first = [look[0] if look else None for look in looks]
    counts = []
    for i, own in enumerate(looks):
        others = [look for k, look in enumerate(first) if k != i and look is not None]
        mine = first[i]
        if mine is None:
            counts.append(0)
            continue
        apart = np.array([[distance(look, other) for other in others] for look in own]).reshape(len(own), len(others))
        counts.append(switches(np.array([distance(look, mine) for look in own]), apart))
    return counts


def _looks(run: Run, person: Person) -> list[Float32Array]:
    """The looks of a person through the clip, each of :data:`LOOK_CROPS` consecutive crops."""
    raw = {i: s for i, s in zip(person.track.frame_indices, person.slots, strict=True) if s is not None}
    poses = dict(zip(person.track.frame_indices, person.track.poses, strict=True))
    track = Track(person.track.id, tuple(raw), tuple(poses[index] for index in raw))
    crops = crops_of(run, [track], {track.id: raw})[track.id]
    return [describe(crops[start : start + LOOK_CROPS]) for start in range(0, len(crops), LOOK_CROPS)]


def _figures(run: Run, person: Person, looks: Sequence[Look], found: Palette | None, swaps: int) -> dict[str, Any]:
    """Everything about one person as plain values."""
    colours = dict(colour_errors(person.identity.palette, found)) if found is not None else {}
    pose = _pose_figures(looks)
    flickers = {
        "output": summary(np.array([look.output_flicker for look in looks]), higher_is_better=False),
        "source": summary(np.array([look.source_flicker for look in looks]), higher_is_better=False),
    }
    lost = Counter(dict.fromkeys(("interpolated", "held", "faded", "source"), 0))
    for span in person.lost:
        lost[span.done] += span.last - span.first + 1
    failed = sum(lost[done] for done in ("interpolated", "held", "faded", "source"))
    limits = {
        "pose": _ratio(pose["output"]["oks"]["mean"], pose["source"]["oks"]["mean"]),
        "colour": _mean(list(colours.values())),
        "flicker": _ratio(flickers["output"]["mean"], flickers["source"]["mean"]),
        "lost": failed / len(person.track.frame_indices),
        "switches": swaps,
    }
    score = _score(limits)
    return {
        "key": person.identity.key,
        "style": person.identity.style,
        "avatar": person.identity.avatar,
        "first_frame": person.track.frame_indices[0],
        "last_frame": person.track.frame_indices[-1],
        "frames": len(person.track.frame_indices),
        "seconds": float(len(person.track.frame_indices) / run.video.info.rate),
        "samples": len(looks),
        "score": score,
        "limits": {"score": score, **limits},
        "pose": pose,
        "colour": {"parts": colours, "mean": limits["colour"], "worst": max(colours.values(), default=None)},
        "flicker": flickers,
        "lost": {
            "frames": failed,
            "share": limits["lost"],
            "done": dict(lost),
            "spans": [
                {"first": span.first, "last": span.last, "why": span.why, "done": span.done} for span in person.lost
            ],
        },
        "switches": swaps,
    }


def _pose_figures(looks: Sequence[Look]) -> dict[str, Any]:
    """Pose errors of output and source: similarity, angle, and in what share of the frames the person was found."""
    sides = {"output": [look.output for look in looks], "source": [look.source for look in looks]}
    return {
        name: {
            "oks": summary(np.array([error.oks for error in errors]), higher_is_better=True),
            "degrees": summary(np.array([error.degrees for error in errors]), higher_is_better=False),
            "found": _mean([float(error.oks > 0) for error in errors]),
        }
        for name, errors in sides.items()
    }


def _score(limits: Mapping[str, float | None]) -> float | None:
    """What :data:`SCORE` says."""
    parts = list(_score_parts(limits))
    return 100.0 * sum(parts) / len(parts) if parts else None


def _score_parts(limits: Mapping[str, float | None]) -> Iterator[float]:
    pose, colour, flicker_ratio, lost, swaps = (
        limits[name] for name in ("pose", "colour", "flicker", "lost", "switches")
    )
    if pose is not None:
        yield min(1.0, pose)
    if colour is not None:
        yield max(0.0, 1.0 - colour / FAR_COLOUR)
    if flicker_ratio is not None:
        yield 1.0 / max(1.0, flicker_ratio)
    if lost is not None:
        yield 1.0 - lost
    if swaps is not None:
        yield 1.0 / (1.0 + swaps)


def _ratio(a: float | int | None, b: float | int | None) -> float | None:
    return float(a) / float(b) if a is not None and b else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
