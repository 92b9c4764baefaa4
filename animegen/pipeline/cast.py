"""The second pass: from poses to people. Tracks are joined and smoothed, and everyone gets an identity.

It sees the whole clip but decodes nothing: it reads the artefacts of the first pass one segment at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animegen.composite import PlateSet, build_plates
from animegen.errors import UsageError
from animegen.events import PoseLost, Warned
from animegen.identity import describe, distance, load_crops, person_key, read_cast, write_cast
from animegen.jobs import artefact, artefact_folder, digest, load_arrays, reading, save_arrays
from animegen.pipeline.analyse import crop_interval
from animegen.pipeline.memory import give_back_memory
from animegen.pipeline.presence import present
from animegen.pipeline.run import Run
from animegen.pose.clip import PoseClip
from animegen.pose.files import load_npz
from animegen.pose.lost import LostSpan
from animegen.protocols import CastingStyle, Style
from animegen.tracking import keep_longest, track_clip
from animegen.types import Crop, Float32Array, Identity, Pose, Prepared, Track

CROPS_PER_TRACK = 48
"""Most pictures of one person from which the identity is measured, spread evenly over the clip."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of the clip: identity, whole track, and for each of its poses how it is drawn.

    ``order`` is the depth order, ``opacity`` 0..1 that of the avatar, ``shown`` whether the source shows the person,
    ``slots`` the position of the raw pose among its frame's poses, or None where there was none; such a pose brings its
    mask itself. ``lost`` are the frames in which the pose failed.
    """

    identity: Identity
    prepared: Prepared
    track: Track
    order: tuple[float, ...]
    opacity: tuple[float, ...]
    shown: tuple[bool, ...]
    slots: tuple[int | None, ...]
    lost: tuple[LostSpan, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Everyone in the clip, and the plates behind them where the background needs them."""

    people: tuple[Person, ...]
    plates: PlateSet | None


def cast(run: Run) -> Cast:
    """Find the people of the clip, write ``cast.toml`` where there is none, and build the plates.

    The plates need nothing of the people but the raw masks, so they are built at the same time.
    """
    give_back_memory()
    with run.stage("cast") as advance, ThreadPoolExecutor(1, "animegen-plates") as beside:
        plates = beside.submit(_plates, run) if run.needs_clean else None
        people = _people(run)
        if not people:
            run.on_event(Warned("nobody was found in this clip: the picture is left as it is"))
        advance(1)
        built = plates.result() if plates is not None else None
        run.check()
        advance(1)
    return Cast(people, built if people else None)


def _people(run: Run) -> tuple[Person, ...]:
    """Everyone of the clip: tracked, measured, smoothed, and prepared by the style."""
    tracks, slots = _tracks(run)
    run.check()
    crops = _crops_of(run, tracks, slots)
    style = run.stages.style()
    identities = _identities(run, style, tracks, crops)
    run.check()
    seen = present(run, tracks, slots, [range(run.segments[0].start, run.segments[-1].stop)])
    for identity, person in zip(identities, seen, strict=True):
        for span in person.spans:
            run.on_event(PoseLost(identity.key, span.first, span.last, span.why, span.done))
    whole = [person.track for person in seen]
    prepared = _prepare(run, style, identities, whole, [crops[track.id] for track in tracks])
    return tuple(
        Person(
            identity,
            ready,
            person.track,
            person.order,
            person.opacity,
            person.shown,
            _places(person.track, slots[track.id]),
            person.spans,
        )
        for identity, ready, person, track in zip(identities, prepared, seen, tracks, strict=True)
    )


def _without_masks(clip: PoseClip) -> Iterator[tuple[int, list[Pose]]]:
    for index, poses in zip(clip.frame_indices, clip.poses, strict=True):
        yield index, [replace(pose, mask=None) for pose in poses]


def _tracks(run: Run) -> tuple[list[Track], dict[int, dict[int, int]]]:
    """The raw tracks, and for each by frame index the position of its pose among the frame's poses."""
    slot_of: dict[int, tuple[int, int]] = {}

    def frames() -> Iterator[tuple[int, list[Pose]]]:
        for segment in run.segments:
            for index, poses in _without_masks(load_npz(run.job.segment("poses", segment.index))):
                slot_of.update({id(pose): (index, slot) for slot, pose in enumerate(poses)})
                kept.extend(poses)
                yield index, poses

    kept: list[Pose] = []  # holds every pose, so that no id is given twice
    tracks = track_clip(frames(), run.stages.tracker(), width=run.size[0], appearance=_appearance(run, slot_of))
    if run.config.max_people is not None:
        tracks = keep_longest(tracks, run.config.max_people)
    slots = {track.id: dict(slot_of[id(pose)] for pose in track.poses) for track in tracks}
    return tracks, slots


def _appearance(run: Run, slot_of: Mapping[int, tuple[int, int]]) -> Callable[[Track, Track], float | None]:
    """How different two tracks look, from the crops of the first pass; each track is described once."""
    descriptors: dict[tuple[tuple[int, ...], int], Float32Array | None] = {}

    def descriptor(track: Track) -> Float32Array | None:
        key = (track.frame_indices, id(track.poses[0]))  # two people may be seen in the same frames
        if key not in descriptors:
            places = {track.id: dict(slot_of[id(pose)] for pose in track.poses)}
            crops = _crops_of(run, [track], places)[track.id]
            descriptors[key] = describe(crops) if crops else None
        return descriptors[key]

    def between(a: Track, b: Track) -> float | None:
        first, second = descriptor(a), descriptor(b)
        return None if first is None or second is None else distance(first, second)

    return between


def _crops_of(run: Run, tracks: Sequence[Track], slots: Mapping[int, Mapping[int, int]]) -> dict[int, list[Crop]]:
    """Pictures of each track by its id, at most :data:`CROPS_PER_TRACK` of them, spread evenly."""
    every = crop_interval(run.video.info.rate)
    wanted = {track.id: _spread([i for i in track.frame_indices if i % every == 0]) for track in tracks}
    found: dict[int, list[Crop]] = {track.id: [] for track in tracks}
    for segment in run.segments:
        here = range(segment.start, segment.stop)
        if not any(index in here for indices in wanted.values() for index in indices):
            continue
        by_frame: dict[int, list[Crop]] = defaultdict(list)
        for crop in load_crops(run.job.segment("crops", segment.index)):
            by_frame[crop.frame_index].append(crop)
        for track in tracks:
            found[track.id] += [by_frame[i][slots[track.id][i]] for i in wanted[track.id] if i in here]
    return found


def _spread(indices: Sequence[int]) -> tuple[int, ...]:
    if len(indices) <= CROPS_PER_TRACK:
        return tuple(indices)
    return tuple(indices[i] for i in np.linspace(0, len(indices) - 1, CROPS_PER_TRACK).round().astype(int))


def _identities(run: Run, style: Style, tracks: Sequence[Track], crops: Mapping[int, Sequence[Crop]]) -> list[Identity]:
    """Everyone's identity as ``cast.toml`` has it; the file is written first where there is none."""
    if not run.job.cast.exists():
        preserver = run.stages.identity_preserver()
        measured = [preserver.enroll(track, crops[track.id]) for track in tracks]
        styled = [replace(identity, style=run.config.style) for identity in measured]
        with artefact(run.job.cast) as part:
            write_cast(part, _with_avatars(style, styled, tracks), tracks, run.video.info.rate)
    known = {identity.key: identity for identity in read_cast(run.job.cast)}
    missing = [key for key in map(person_key, tracks) if key not in known]
    if missing:
        raise UsageError(f"{run.job.cast} lacks {', '.join(missing)}", "put the entry back, or remove the file")
    cast = [known[person_key(track)] for track in tracks]
    for identity in cast:
        if identity.style != run.config.style:
            raise UsageError(
                f"{run.job.cast} gives {identity.key} the style '{identity.style}', not '{run.config.style}'",
                f"use --style {identity.style}, or set it to '{run.config.style}' in that file",
            )
    return _with_avatars(style, cast, tracks)


def _with_avatars(style: Style, people: Sequence[Identity], tracks: Sequence[Track]) -> list[Identity]:
    """The same people with the avatars that the style gives them, who is longest on the screen choosing first."""
    if not isinstance(style, CastingStyle):
        return list(people)
    order = sorted(range(len(people)), key=lambda i: -len(tracks[i].frame_indices))
    names = dict(zip(order, style.cast([people[i] for i in order]), strict=True))
    return [replace(person, avatar=names[i]) for i, person in enumerate(people)]


def _prepare(
    run: Run,
    style: Style,
    identities: Sequence[Identity],
    tracks: Sequence[Track],
    crops: Sequence[Sequence[Crop]],
) -> list[Prepared]:
    """What the style computes once for each person, read back where an earlier run has done it."""
    made = digest(repr(run.stages.fingerprint()), run.job.cast.read_text(encoding="utf-8"))
    for identity, track, pictures in zip(identities, tracks, crops, strict=True):
        path = run.job.prepared(identity.key, made)
        if not path.exists():
            arrays = style.prepare(identity, track, pictures)
            with artefact(path) as part:
                save_arrays(part, arrays, deflated=arrays.keys())
    return [_load_arrays(run.job.prepared(identity.key, made)) for identity in identities]


def _load_arrays(path: Path) -> Prepared:
    with reading(path, "remove it; the next run makes it anew"):
        return load_arrays(path)


def _places(track: Track, slots: Mapping[int, int]) -> tuple[int | None, ...]:
    return tuple(slots.get(index) for index in track.frame_indices)


def _plates(run: Run) -> PlateSet:
    """The plates of the clip, built once from what the first pass observed."""
    if not run.job.plates.exists():
        with artefact_folder(run.job.plates) as part:
            build_plates((run.job.segment("scene", segment.index) for segment in run.segments), run.size, part)
    return PlateSet.load(run.job.plates)
