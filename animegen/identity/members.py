"""What a cast file says of the people of a clip; ``cast`` reads and writes the file itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Literal, TypeAlias

from animegen.types import PARTS, Float32Array, Identity, Palette, Part, PartColour, Trait, Traits

Treatment: TypeAlias = Literal["draw", "skip", "blur"]
"""What becomes of a person: replaced by an avatar, left as in the source, or covered by a mosaic."""

Drawing: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A way of drawing people: the name of a style, and its options as (name, text), sorted by name."""

TRAITS = tuple(trait.name for trait in fields(Traits))
"""The names of a person's traits."""

_UNKNOWN = PartColour((50.0, 0.0, 0.0), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """When a person is in a clip: first and last frame, the time on screen in seconds, and the file of pictures."""

    first_frame: int
    last_frame: int
    seconds: float
    pictures: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One person of a cast file. What an entry leaves open (empty, None, absent) is measured or chosen for each clip.

    ``key`` identifies the person, ``name`` is the user's. ``style``, ``avatar``, ``options`` of the style (as texts)
    and ``seed`` say how they are drawn; ``skip`` leaves them as in the source, and ``blur`` hides them. ``same_as`` is
    the key of another entry that is this same person. ``split_at`` are rising times of the source in seconds, from each
    of which on the entry's tracks show somebody else: see :func:`split_keys`. ``colours``, ``traits`` and ``embedding``
    are what was measured, the last one being what the identity preserver recognises the person by. ``seen`` says when
    the person is in the clip, and ``tracks``, counted from 1, are the tracks of the clip that are this person.
    """

    key: str
    name: str = ""
    style: str = ""
    avatar: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    skip: bool = False
    blur: bool = False
    same_as: str = ""
    split_at: tuple[Fraction, ...] = ()
    colours: Mapping[Part, PartColour] = field(default_factory=dict)
    traits: Mapping[str, Trait] = field(default_factory=dict)
    embedding: Float32Array | None = None
    seen: Seen | None = None
    tracks: tuple[int, ...] = ()

    @property
    def treatment(self) -> Treatment:
        """What becomes of the person."""
        return "skip" if self.skip else "blur" if self.blur else "draw"

    def drawing(self, style: str) -> Drawing:
        """How the person is drawn; ``style`` is taken if the entry names none."""
        return self.style or style, tuple(sorted(self.options.items()))

    def identity(self, measured: Identity | None = None) -> Identity:
        """The person's identity: what this entry says, and for all else what was ``measured``."""
        palette = {part: measured.palette.part(part) if measured is not None else _UNKNOWN for part in PARTS}
        seed = self.seed if self.seed is not None else measured.seed if measured is not None else 0
        return Identity(
            key=self.key,
            palette=Palette(**{**palette, **self.colours}),
            traits=replace(measured.traits if measured is not None else Traits(), **self.traits),
            style=self.style or (measured.style if measured is not None else ""),
            seed=seed,
            embedding=self.embedding if self.embedding is not None or measured is None else measured.embedding,
            avatar=self.avatar or (measured.avatar if measured is not None else ""),
        )

    @classmethod
    def measured(cls, who: Identity, seen: Seen, tracks: tuple[int, ...] = ()) -> Member:
        """A new entry for a person, from what was measured."""
        traits = {name: getattr(who.traits, name) for name in TRAITS}
        return cls(
            key=who.key,
            style=who.style,
            avatar=who.avatar,
            seed=who.seed,
            colours={part: who.palette.part(part) for part in PARTS},
            traits=traits,
            embedding=who.embedding,
            seen=seen,
            tracks=tracks,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CastFile:
    """A whole cast file.

    ``members`` are its people. ``clip`` is the digest of the clip for which it was written, where its keys, times and
    tracks hold; in any other its people are recognised by their looks. ``style`` draws everyone who has no other, and
    ``preserver`` is the identity preserver that made the embeddings.
    """

    members: tuple[Member, ...] = ()
    clip: str = ""
    style: str = ""
    preserver: str = ""

    def styled(self, style: str) -> CastFile:
        """The same cast with another ``style`` for everyone who has none of their own.

        Their avatars and options were those of the style before, and are left out.
        """
        if style == self.style:
            return self
        members = (
            replace(member, style=style, avatar="", options={}) if member.style in ("", self.style) else member
            for member in self.members
        )
        return replace(self, members=tuple(members), style=style)

    @property
    def drawings(self) -> dict[Drawing, str]:
        """All ways in which people of the cast are drawn, each with the key of one of them."""
        return {member.drawing(self.style): member.key for member in self.members if member.treatment == "draw"}

    def member(self, key: str) -> Member | None:
        """The entry with a key, or None."""
        return next((member for member in self.members if member.key == key), None)

    def principal(self, key: str) -> str:
        """The key under which a person is drawn: that at the end of its chain of ``same_as``, or ``key`` itself."""
        member = self.member(key)
        while member is not None and member.same_as:
            key = member.same_as
            member = self.member(key)
        return key


def split_keys(member: Member) -> tuple[str, ...]:
    """The keys of the people into whom ``split_at`` splits an entry: its own, then ``KEY@SECONDS`` for each time."""
    return (member.key, *(f"{member.key}@{float(time):g}" for time in member.split_at))


def free_keys(taken: Sequence[str], count: int) -> list[str]:
    """``count`` keys ``person-N`` that are not taken, from the smallest number on."""
    found: list[str] = []
    number = 1
    while len(found) < count:
        if f"person-{number}" not in taken:
            found.append(f"person-{number}")
        number += 1
    return found
