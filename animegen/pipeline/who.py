"""Who is who: matches the tracks of a clip with the people of its cast file, and enters those who are new.

A step of the second pass, after tracking and before people are prepared by their styles; also the whole of what
``animegen cast`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

from animegen.config import ConvertConfig
from animegen.errors import UsageError
from animegen.events import Warned
from animegen.identity import (
    CastFile,
    Drawing,
    Member,
    Seen,
    free_keys,
    person_key,
    read_cast,
    recognise,
    split_keys,
    write_cast,
)
from animegen.jobs import JobFolder, digest
from animegen.pipeline.pictures import crops_of
from animegen.pipeline.run import Run
from animegen.protocols import CastingStyle, IdentityPreserver, Style
from animegen.types import PARTS, Crop, Identity, Pose, Track

_SAID = ("name", "options", "skip", "blur", "same_as", "split_at")
"""Fields of a cast file's entry that only the user can set: they are kept as they were written."""

_PART_IDS = 10**6

_Place: TypeAlias = tuple[int, tuple[int, ...]]
Slots: TypeAlias = Mapping[int, int]
"""Maps the frames of a track to the position of its pose among all poses that the first pass found in the frame."""

Origin: TypeAlias = Mapping[str, tuple[int, ...]]
"""Maps keys to the numbers of the tracks that are this person; several keys where ``same_as`` makes people one."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """One person of the clip: the entry of the cast, the identity it amounts to, the raw track, and pictures of it."""

    member: Member
    identity: Identity
    track: Track
    slots: Slots
    crops: tuple[Crop, ...]
    origin: Origin

    @property
    def drawing(self) -> Drawing:
        """In what style the person is drawn, and with what options."""
        return self.member.drawing(self.identity.style)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A person of the clip on the way to a :class:`Known`."""

    key: str
    track: Track
    slots: Slots
    origin: Origin = field(default_factory=dict)

    @property
    def place(self) -> _Place:
        """What of the clip is this person."""
        return self.track.id, self.track.frame_indices


def known_cast(config: ConvertConfig, job: JobFolder) -> CastFile:
    """The cast that a run follows: that of ``--cast``, or the job's own, or an empty one."""
    if config.cast is not None:
        return read_cast(config.cast).styled(config.style)
    if job.cast.exists() and not config.restart:
        return read_cast(job.cast).styled(config.style)
    return CastFile(style=config.style)


def who_is_who(run: Run, tracks: Sequence[Track], slots: Mapping[int, Slots]) -> list[Known]:
    """Everyone of the clip as the run's cast has them, by first appearance; writes the job's ``cast.toml``.

    In the clip for which the cast was written its keys hold, with its splits and merges. In any other, people are
    recognised by their looks, and who is not in the cast is entered under a new key.
    """
    cast = run.known
    found = [_Found(person_key(track), track, slots[track.id]) for track in tracks]
    measured = _Measured(run)
    same_clip = cast.clip == clip_name(run)
    if same_clip:
        found = _numbered(found, cast)
    elif cast.members:
        measured.look(found)
        found = _recognised(run, found, cast, measured)
    found = [replace(person, origin={person.key: (person.track.id + 1,)}) for person in found]
    if same_clip:
        found = [part for whole in found for part in _parts(run, whole, cast.member(whole.key))]
    found = _merged(found, cast)
    measured.look(found)
    known = _all_known(run, found, cast, measured)
    if run.config.cast is not None or not run.job.cast.exists():
        with run.job.artefact(run.job.cast) as part:
            write_cast(part, cast_of(run, known))
        # as the file says it: the next run knows everyone from there, and has to draw the same
        known = _all_known(run, found, read_cast(run.job.cast).styled(run.config.style), measured)
    return known


def cast_of(run: Run, known: Sequence[Known]) -> CastFile:
    """The cast of a clip as it can be written: those of the run's cast, seen or not, then everyone who is new."""
    seen = {person.member.key: person for person in known}
    tracks: dict[str, set[int]] = {}
    for person in known:
        for key, numbers in person.origin.items():
            tracks.setdefault(key, set()).update(numbers)
    rate = run.video.info.rate
    members = []
    for key in dict.fromkeys([*(member.key for member in run.known.members), *seen]):
        member, own_tracks = run.known.member(key), tuple(sorted(tracks.get(key, ())))
        if key not in seen:
            members.append(replace(member or Member(key), seen=None, tracks=own_tracks))
            continue
        person = seen[key]
        indices = person.track.frame_indices
        there = Seen(indices[0], indices[-1], float(len(indices) / rate))
        whole = Member.measured(person.identity, there, own_tracks)
        if member is not None:
            whole = replace(whole, **{name: getattr(member, name) for name in _SAID})
        members.append(whole)
    return CastFile(tuple(members), clip_name(run), run.config.style, run.stages.specs["identity"].name)


def clip_name(run: Run) -> str:
    """A short name of everything on which the keys of a clip's people depend."""
    span = f"{run.segments[0].start}-{run.segments[-1].stop}"
    return digest(run.video.fingerprint, span, *(run.stages.specs[kind].name for kind in ("pose", "tracker")))


class _Measured:
    """Identities as they are measured on pictures of the clip, each once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._preserver = run.stages.identity_preserver()
        self._crops: dict[_Place, tuple[Crop, ...]] = {}
        self._done: dict[_Place, Identity] = {}

    @property
    def preserver(self) -> IdentityPreserver:
        """What measures and recognises them."""
        return self._preserver

    def look(self, people: Sequence[_Found]) -> None:
        """Fetch the pictures of people all at once."""
        new = [person for person in people if person.place not in self._crops]
        found = crops_of(self._run, [p.track for p in new], {p.track.id: p.slots for p in new})
        self._crops.update({person.place: tuple(found[person.track.id]) for person in new})

    def crops(self, person: _Found) -> tuple[Crop, ...]:
        """Pictures of a person who was looked at."""
        return self._crops[person.place]

    def identity(self, person: _Found) -> Identity:
        """Who a person is who was looked at, under the key by which they are known so far."""
        if person.place not in self._done:
            self._done[person.place] = self._preserver.enroll(person.track, self._crops[person.place])
        return replace(self._done[person.place], key=person.key)


def _numbered(people: Sequence[_Found], cast: CastFile) -> list[_Found]:
    """The people of the cast's own clip with the keys under which their tracks are entered, or new ones."""
    key_of = {number: member.key for member in cast.members for number in member.tracks}
    taken = [member.key for member in cast.members]
    new = iter(free_keys([*taken, *(p.key for p in people)], len(people)))
    keys = [key_of.get(p.track.id + 1) or (p.key if p.key not in taken else next(new)) for p in people]
    return [replace(person, key=key) for person, key in zip(people, keys, strict=True)]


def _parts(run: Run, whole: _Found, member: Member | None) -> Iterator[_Found]:
    """A person cut at the times at which their entry is split; parts without a frame are left out."""
    if member is None or not member.split_at:
        yield whole
        return
    track, time = whole.track, run.video.timeline.time
    cuts = [sum(time(index) < at for index in track.frame_indices) for at in member.split_at]
    for number, (key, (first, last)) in enumerate(
        zip(split_keys(member), pairwise([0, *cuts, len(track.frame_indices)]), strict=True)
    ):
        if first < last:
            # parts have ids of their own, far from those of the clip's tracks
            part = Track(track.id + number * _PART_IDS, track.frame_indices[first:last], track.poses[first:last])
            yield _Found(key, part, whole.slots, whole.origin)


def _recognised(run: Run, people: Sequence[_Found], cast: CastFile, measured: _Measured) -> list[_Found]:
    """The people of another clip than the cast's with the keys of those whom they look like, or new ones."""
    name = run.stages.specs["identity"].name
    gallery = [replace(member.identity(), key=cast.principal(member.key)) for member in cast.members]
    if cast.preserver not in ("", name):
        run.on_event(Warned(f"the cast knows its people by --identity {cast.preserver}, which tells {name} nothing"))
        gallery = [replace(who, embedding=None) for who in gallery]
    frames = [set(person.track.frame_indices) for person in people]
    places = recognise(
        measured.preserver,
        [measured.identity(person) for person in people],
        gallery,
        lambda i, j: not frames[i].isdisjoint(frames[j]),
    )
    if places and all(place is None for place in places):
        run.on_event(Warned("nobody of the cast is recognised in this clip: everyone is entered anew"))
    new = iter(free_keys([member.key for member in cast.members], places.count(None)))
    return [
        replace(person, key=next(new) if place is None else cast.members[place].key)
        for person, place in zip(people, places, strict=True)
    ]


def _merged(people: Sequence[_Found], cast: CastFile) -> list[_Found]:
    """The people with those joined who are one, by first appearance. Raises UsageError where both are in one frame."""
    groups: dict[str, list[_Found]] = {}
    for person in people:
        groups.setdefault(cast.principal(person.key), []).append(person)
    joined = [_joined(key, group) for key, group in groups.items()]
    return sorted(joined, key=lambda person: (person.track.frame_indices[0], person.track.id))


def _joined(key: str, group: Sequence[_Found]) -> _Found:
    seen: dict[int, tuple[Pose, str]] = {}
    for person in group:
        for index, pose in zip(person.track.frame_indices, person.track.poses, strict=True):
            if index in seen:
                raise UsageError(
                    f"{person.key} and {seen[index][1]} cannot be one person: both are in frame {index}",
                    "remove same_as, or split one of them there with split_at",
                )
            seen[index] = pose, person.key
    indices = tuple(sorted(seen))
    slots = {index: person.slots[index] for person in group for index in person.track.frame_indices}
    numbers: dict[str, tuple[int, ...]] = {}
    for person in group:
        for old, own in person.origin.items():
            numbers[old] = tuple(sorted({*numbers.get(old, ()), *own}))
    track = Track(group[0].track.id, indices, tuple(seen[index][0] for index in indices))
    return _Found(key, track, slots, numbers)


def _all_known(run: Run, found: Sequence[_Found], cast: CastFile, measured: _Measured) -> list[Known]:
    return _with_avatars(run, [_known(run, person, cast.member(person.key), measured) for person in found])


def _known(run: Run, person: _Found, member: Member | None, measured: _Measured) -> Known:
    whole = member is not None and member.seed is not None and len(member.colours) == len(PARTS) and member.traits
    identity = (member or Member(person.key)).identity(None if whole else measured.identity(person))
    identity = replace(identity, key=person.key, style=identity.style or run.config.style)
    crops = measured.crops(person)
    return Known(member or Member(person.key), identity, person.track, person.slots, crops, person.origin)


def chosen_avatars(style: Style, people: Sequence[Identity], tracks: Sequence[Track]) -> list[Identity]:
    """The same people with the avatars that a style gives them, who is longest on the screen choosing first."""
    if not isinstance(style, CastingStyle):
        return list(people)
    order = sorted(range(len(people)), key=lambda i: -len(tracks[i].frame_indices))
    names = dict(zip(order, style.cast([people[i] for i in order]), strict=True))
    return [replace(person, avatar=names[i]) for i, person in enumerate(people)]


def _with_avatars(run: Run, people: Sequence[Known]) -> list[Known]:
    """The same people with the avatars that their styles give those who are drawn."""
    chosen = [person.identity for person in people]
    drawn = [i for i, person in enumerate(people) if person.member.treatment == "draw"]
    for drawing in sorted({people[i].drawing for i in drawn}):
        alike = [i for i in drawn if people[i].drawing == drawing]
        style = run.stages.of(drawing).style()
        avatars = chosen_avatars(style, [chosen[i] for i in alike], [people[i].track for i in alike])
        for i, identity in zip(alike, avatars, strict=True):
            chosen[i] = identity
    return [replace(person, identity=identity) for person, identity in zip(people, chosen, strict=True)]
