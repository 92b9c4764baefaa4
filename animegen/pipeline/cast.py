"""The second pass: from poses to people. Tracks are joined and smoothed, and everyone gets an identity.

It sees the whole clip but decodes nothing: it reads the artefacts of the first pass one segment at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from animegen.composite import PlateSet, build_plates
from animegen.events import PoseLost, Warned
from animegen.identity import Drawing, Treatment
from animegen.jobs import artefact_folder, digest_of, load_arrays, reading, save_arrays
from animegen.memory import give_back_memory
from animegen.pipeline.pictures import ClipCrops, appearance
from animegen.pipeline.presence import Present, present, unseen, within
from animegen.pipeline.run import Run
from animegen.pipeline.shots import shots_of
from animegen.pipeline.who import Known, who_is_who
from animegen.pose.files import PackedMask, open_npz
from animegen.pose.lost import LostSpan, fill_gaps
from animegen.tracking import keep_longest, track_clip
from animegen.types import Identity, Pose, Prepared, Track

HIDE_SECONDS = 3
"""A person who is to be hidden stays covered, on the straight way, while not found for no longer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of the clip: identity, whole track, and for each of its poses how it is drawn.

    ``treatment`` says whether an avatar is drawn at all, or the source left or hidden under a mosaic instead;
    ``drawing`` in what style and with what options.
    ``order`` is the depth order, ``opacity`` 0..1 that of the avatar, ``shown`` whether the source shows the person,
    ``slots`` the position of the raw pose among its frame's poses, or None where there was none. The track is without
    masks: ``masks`` has, by the place in it, those of poses where there was no raw one. ``lost`` are the frames in
    which the pose failed.
    """

    identity: Identity
    treatment: Treatment
    drawing: Drawing
    prepared: Prepared
    track: Track
    order: tuple[float, ...]
    opacity: tuple[float, ...]
    shown: tuple[bool, ...]
    slots: tuple[int | None, ...]
    masks: Mapping[int, PackedMask]
    lost: tuple[LostSpan, ...]

    def masked(self, place: int, raw: Sequence[Pose]) -> Pose:
        """The pose at a place of the track with its mask, which is among the ``raw`` poses of its frame."""
        slot, packed = self.slots[place], self.masks.get(place)
        mask = raw[slot].mask if slot is not None else packed.unpacked() if packed is not None else None
        return replace(self.track.poses[place], mask=mask)


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Everyone in the clip, and the plates behind them where the background needs them."""

    people: tuple[Person, ...]
    plates: PlateSet | None


def cast(run: Run) -> Cast:
    """Find the people of the clip, write ``cast.toml`` where there is none, and build the plates.

    One after the other, though the plates need nothing of the people but the raw tracks: both take much memory, and
    that of the raw tracks, which grows with the clip, is free again before the plates begin.
    """
    give_back_memory()
    with run.stage("cast") as advance:
        people, missed = _found(run, shots_of(run))
        if not people:
            run.on_event(Warned("nobody was found in this clip: the picture is left as it is"))
        advance(1)
        give_back_memory()
        plates = _plates(run, missed) if run.needs_clean and people else None
        run.check()
        advance(1)
    return Cast(people, plates)


def _found(run: Run, shots: Sequence[range]) -> tuple[tuple[Person, ...], dict[int, list[Pose]]]:
    """Everyone who is wanted, and by frame the poses of people who were there and were not found."""
    tracks, slots = _tracks(run, shots)
    run.check()
    people = _people(run, _wanted(run, who_is_who(run, tracks, slots)), shots)
    return people, unseen(run, tracks, shots)


def find_who(run: Run) -> list[Known]:
    """Everyone of the clip, tracked and known by name."""
    tracks, slots = _tracks(run, shots_of(run))
    run.check()
    return who_is_who(run, tracks, slots)


def _people(run: Run, known: Sequence[Known], shots: Sequence[range]) -> tuple[Person, ...]:
    """Everyone of the clip: whole in every frame, and prepared by the style."""
    run.check()
    raw = [_bridged(run, who.track, shots) if who.member.treatment == "blur" else who.track for who in known]
    seen = present(run, raw, {person.track.id: person.slots for person in known}, shots)
    lost = [tuple(_as_treated(s, who.member.treatment) for s in p.spans) for who, p in zip(known, seen, strict=True)]
    for who, spans in zip(known, lost, strict=True):
        for span in spans:
            run.on_event(PoseLost(who.identity.key, span.first, span.last, span.why, span.done))
    prepared = _prepare(run, known, [person.track for person in seen])
    return tuple(
        Person(
            identity=who.identity,
            treatment=who.member.treatment,
            drawing=who.drawing,
            prepared=ready,
            track=replace(person.track, poses=tuple(replace(pose, mask=None) for pose in person.track.poses)),
            order=person.order,
            opacity=person.opacity,
            shown=_shown(run, who, person),
            slots=_places(person.track, who.slots),
            masks=_own_masks(person.track, who.slots),
            lost=spans,
        )
        for who, ready, person, spans in zip(known, prepared, seen, lost, strict=True)
    )


def _own_masks(track: Track, slots: Mapping[int, int]) -> dict[int, PackedMask]:
    """The masks of poses where there was no raw one, by their place: one that was carried on is packed once."""
    packed: dict[int, PackedMask] = {}
    masks: dict[int, PackedMask] = {}
    for place, (index, pose) in enumerate(zip(track.frame_indices, track.poses, strict=True)):
        if index not in slots and pose.mask is not None:
            key = id(pose.mask.alpha)
            if key not in packed:
                packed[key] = PackedMask.of(pose.mask)
            masks[place] = replace(packed[key], affine=pose.mask.affine)
    return masks


def _shown(run: Run, who: Known, seen: Present) -> tuple[bool, ...]:
    """Where the source shows a person: in every frame if the style draws over it."""
    over_source = run.stages.of(who.drawing).specs["style"].over_source
    return (True,) * len(seen.shown) if over_source else seen.shown


def _as_treated(span: LostSpan, treatment: Treatment) -> LostSpan:
    """What was done in frames where the pose failed, of somebody of whom no avatar is drawn."""
    if treatment == "draw" or span.done == "absent":
        return span
    return replace(span, done="source" if treatment == "skip" else "covered")


def _bridged(run: Run, track: Track, shots: Sequence[range]) -> Track:
    """The track of somebody who must not be seen, with poses wherever they are missing for a while within a shot."""
    most = round(run.video.info.rate * HIDE_SECONDS)
    parts = (fill_gaps(part, most, "interpolate") for part in (within(track, shot) for shot in shots) if part.poses)
    whole = [pair for part in parts for pair in zip(part.frame_indices, part.poses, strict=True)]
    return Track(track.id, tuple(index for index, _ in whole), tuple(pose for _, pose in whole))


def _tracks(run: Run, shots: Sequence[range]) -> tuple[list[Track], dict[int, dict[int, int]]]:
    """The raw tracks, and for each by frame index the position of its pose among the frame's poses."""
    slot_of: dict[int, tuple[int, int]] = {}

    def frames() -> Iterator[tuple[int, Sequence[Pose]]]:
        for segment in run.segments:
            clip = open_npz(run.job.segment("poses", segment.index)).clip
            for index, poses in zip(clip.frame_indices, clip.poses, strict=True):
                slot_of.update({id(pose): (index, slot) for slot, pose in enumerate(poses)})
                kept.extend(poses)
                yield index, poses

    kept: list[Pose] = []  # holds every pose, so that no id is given twice
    look = appearance(run, slot_of)
    tracks = track_clip(frames(), run.stages.tracker, shots=shots, width=run.size[0], appearance=look)
    slots = {track.id: dict(slot_of[id(pose)] for pose in track.poses) for track in tracks}
    return tracks, slots


def _wanted(run: Run, known: Sequence[Known]) -> Sequence[Known]:
    """As many of those who are drawn as were asked for, the longest seen; whoever is to be hidden is, in any case."""
    if run.config.max_people is None:
        return known
    drawn = keep_longest([who.track for who in known if who.member.treatment == "draw"], run.config.max_people)
    longest = {track.id for track in drawn}
    return [who for who in known if who.member.treatment != "draw" or who.track.id in longest]


def _prepare(run: Run, people: Sequence[Known], tracks: Sequence[Track]) -> list[Prepared]:
    """What the styles compute once for each person, read back where an earlier run has done it."""
    prepared: list[Prepared] = []
    for person, track in zip(people, tracks, strict=True):
        if person.member.treatment != "draw":
            prepared.append({})
            continue
        stages = run.stages.of(person.drawing)
        made_from = digest_of(stages.fingerprint("style"), person.identity, track)
        path = run.job.prepared(person.identity.key, made_from)
        if not run.stands(path):
            side = stages.specs["style"].clip_side
            crops = ClipCrops(run.video, track, side) if side else person.crops
            style = stages.style(run.check, run.on_event, float(run.video.info.rate))
            arrays = style.prepare(person.identity, track, crops)
            with run.job.artefact(path) as part:
                save_arrays(part, arrays, deflated=arrays.keys())
        prepared.append(_load_arrays(path))
    return prepared


def _load_arrays(path: Path) -> Prepared:
    with reading(path, "remove it; the next run makes it anew"):
        return load_arrays(path)


def _places(track: Track, slots: Mapping[int, int]) -> tuple[int | None, ...]:
    return tuple(slots.get(index) for index in track.frame_indices)


def _plates(run: Run, missed: Mapping[int, Sequence[Pose]]) -> PlateSet:
    """The plates of the clip, built once from what the first pass observed; ``missed`` are poses of the unseen."""
    if not run.stands(run.job.plates):
        observed = [run.job.segment("scene", segment.index) for segment in run.segments]
        with artefact_folder(run.job.plates) as part:
            build_plates(observed, run.size, part, missed)
        run.job.seal(run.job.plates)
    return PlateSet.load(run.job.plates)
