"""The cast file: everyone of a clip in a TOML file that people can read and edit."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from animegen.colour import lab_to_rgb, rgb_to_lab
from animegen.errors import InputError
from animegen.identity.members import TRAITS, CastFile, Member, Seen
from animegen.types import PARTS, Float32Array, PartColour, Trait

_TOLD = ("first_frame", "last_frame", "seconds", "pictures")
"""What the file says of a person for the reader alone."""
_FIELDS = (
    "key", "name", *_TOLD, "tracks", "style", "seed", "avatar", "skip", "blur", "same_as", "split_at",
    "options", "colours", "traits",
)  # fmt: skip
_TABLES = ("person", "recognition", "clip", "style")
_HEADER = """\
# Who is in the clip and how everyone is drawn. Edit it; `animegen convert VIDEO --cast FILE` follows it, for this video
# and for others of the same people. The key names the person in the file and stays as it is. You may set:
#   name = "Anna"          a name of your own, told beside the key
#   style, avatar, seed    how the person is drawn; see `animegen styles`. Who has the style of the whole file, which
#                          stands at the top, is drawn as --style says
#   options                of the person's style, under [person.options]: what --set would say, such as thickness = 2.
#                          Paths are those from this file's folder on
#   colours, traits        ["#rrggbb", confidence] and [value, confidence]; a bare "#rrggbb" is what you say it is, and
#                          confidence 0 was not seen but drawn from the seed. A line that you remove is measured anew.
#                          hair_length, sleeves, trousers: 0 none .. 1 long; skirt: 0 trousers or shorts .. 1 skirt
#   skip = true            the person is not replaced, but stays in the picture as in the source
#   blur = true            the person is not shown: neither as in the source nor as an avatar, but under a coarse mosaic
#   same_as = "person-1"   this is person-1 again: both are one person, drawn as person-1
#   split_at = [12.5]      from 12.5 s of this video on it is somebody else, "person-2@12.5"; write an entry with that
#                          key (style, same_as ...) or leave it out, then that person is measured
"""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"\w[\w.@-]*")


def write_cast(path: Path, cast: CastFile) -> None:
    """Write a cast; what its members leave open is left out. The same cast gives the same bytes.

    Colours are kept to 8 bits of sRGB and embeddings as 16-bit floats. Latents are not kept.
    """
    people = [_person(member) for member in cast.members]
    head = (
        f"clip = {_text(cast.clip)}  # the video of which all frames, times and tracks are told\n"
        f"style = {_text(cast.style)}\n"
    )
    path.write_text("\n".join([_HEADER, head, *people, *_recognition(cast)]), encoding="utf-8", newline="\n")


def _person(member: Member) -> str:
    lines = ["[[person]]", f"key = {_text(member.key)}", f"name = {_text(member.name)}"]
    if member.seen is not None:
        lines += [f"first_frame = {member.seen.first_frame}", f"last_frame = {member.seen.last_frame}"]
        lines.append(f"seconds = {member.seen.seconds:.2f}")
        lines += [f"pictures = {_text(member.seen.pictures)}"] if member.seen.pictures else []
    lines += [f"tracks = {list(member.tracks)}"] if member.tracks else []
    lines += [f"{field} = {_text(getattr(member, field))}" for field in ("style", "avatar") if getattr(member, field)]
    lines += [f"seed = {member.seed}"] if member.seed is not None else []
    lines += [f"{field} = true" for field in ("skip", "blur") if getattr(member, field)]
    lines += [f"same_as = {_text(member.same_as)}"] if member.same_as else []
    if member.split_at:
        lines.append(f"split_at = [{', '.join(f'{float(time):g}' for time in member.split_at)}]")
    if member.options:
        lines += ["[person.options]", *(f"{_name(k)} = {_text(v)}" for k, v in sorted(member.options.items()))]
    if member.colours:
        colours = {part: member.colours[part] for part in PARTS if part in member.colours}
        lines += ["[person.colours]", *(f'{part} = ["{_hex(c)}", {c.confidence:.3f}]' for part, c in colours.items())]
    if member.traits:
        traits = {name: member.traits[name] for name in TRAITS if name in member.traits}
        lines += ["[person.traits]", *(f"{name} = [{t.value:.3f}, {t.confidence:.3f}]" for name, t in traits.items())]
    return "\n".join(lines) + "\n"


def _recognition(cast: CastFile) -> list[str]:
    known = {member.key: member.embedding for member in cast.members if member.embedding is not None}
    if not known:
        return []
    lines = ["# By what the people are recognised in other videos; not to be edited.", "[recognition]"]
    lines += [f"preserver = {_text(cast.preserver)}", "[recognition.embeddings]"]
    return ["\n".join([*lines, *(f"{_text(key)} = {_text(_packed(values))}" for key, values in known.items())]) + "\n"]


def _packed(embedding: Float32Array) -> str:
    return base64.b64encode(zlib.compress(embedding.astype("<f2").tobytes(), 9)).decode()


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _hex(colour: PartColour) -> str:
    red, green, blue = (int(value) for value in lab_to_rgb(colour.lab))
    return f"#{red:02x}{green:02x}{blue:02x}"


def read_cast(path: Path) -> CastFile:
    """What a cast file says; raises InputError naming the file, the line, the key and the value that does not fit."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", "`animegen cast VIDEO` writes a cast file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}", "correct the line, or delete the file") from None
    file = _Reader(path, tuple(text.splitlines()))
    for name in data:
        if name not in _TABLES:
            raise file.wrong(None, "", name, data[name], _known(name, _TABLES))
    people = data.get("person", [])
    if not isinstance(people, list):
        raise file.wrong(None, "", "person", people, "people stand under [[person]]")
    recognition = data.get("recognition", {})
    if not isinstance(recognition, Mapping):
        raise file.wrong(None, "", "recognition", recognition, "leave [recognition] as it was written")
    embeddings = _embeddings(file, recognition)
    cast = CastFile(
        tuple(_member(file, number, entry, embeddings) for number, entry in enumerate(people, 1)),
        str(data.get("clip", "")),
        str(data.get("style", "")),
        str(recognition.get("preserver", "")),
    )
    _check_together(file, cast)
    return cast


@dataclass(frozen=True, slots=True)
class _Reader:
    """A cast file being read: what is wrong with it is told with the line where it stands."""

    path: Path
    lines: Sequence[str]

    def wrong(self, person: int | None, owner: str, field: str, value: Any, hint: str) -> InputError:
        """The error for a value: ``person`` is the entry's number, ``field`` the key, dotted where it is in a table."""
        line = self._line(person, field)
        place = f"{self.path}, line {line}" if line else str(self.path)
        name = f"{owner}.{field}" if owner else field
        return InputError(f"{place}: {name} = {value!r} does not fit", hint)

    def _line(self, person: int | None, field: str) -> int | None:
        """Where a field is set, or the entry of that number begins; None where neither is found."""
        starts = [i for i, line in enumerate(self.lines) if line.strip().startswith("[[person]]")]
        first, last = 0, len(self.lines)
        if person is not None and person <= len(starts):
            first, last = starts[person - 1], [*starts, last][person]
        table = ""
        for index in range(first, last):
            line = self.lines[index].strip()
            if header := re.match(r"\[+([^\]]*)\]", line):
                table = header[1].removeprefix("person").strip(". ")
            setting = re.match(r"([\w.\"'@-]+)\s*=", line)
            name = ".".join([*([table] if table else []), *([setting[1].strip("\"'")] if setting else [])])
            if name == field and (setting or header):
                return index + 1
        return first + 1 if person is not None and starts else None


def _known(name: str, names: Sequence[str]) -> str:
    """The way out for a name that does not exist: what was meant, and what there is."""
    near = difflib.get_close_matches(name, names, 1)
    return (f"did you mean {near[0]}? " if near else "") + f"known are {', '.join(names)}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One ``[[person]]`` of the file, the ``number``-th."""

    file: _Reader
    number: int
    key: str
    values: Mapping[str, Any]

    def wrong(self, field: str, value: Any, hint: str) -> InputError:
        """The error for a field of this person."""
        return self.file.wrong(self.number, self.key, field, value, hint)

    def get(self, field: str, kind: type, default: Any, hint: str) -> Any:
        """The value of a field, which must be of a kind where it is there."""
        found = self.values.get(field, default)
        if found is not default and (not isinstance(found, kind) or (kind is int and isinstance(found, bool))):
            raise self.wrong(field, found, hint)
        return found

    def table(self, name: str, known: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """The names and values of a table of this person."""
        for field, value in self.get(name, Mapping, {}, f"a table of {', '.join(known)}").items():
            if field not in known:
                raise self.wrong(f"{name}.{field}", value, _known(field, known))
            yield field, value


def _member(file: _Reader, number: int, values: Any, embeddings: Mapping[str, Float32Array]) -> Member:
    if not isinstance(values, Mapping):
        raise file.wrong(None, "", "person", values, "people stand under [[person]]")
    key = values.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise file.wrong(number, f"person {number}", "key", key, 'a name such as "person-1"')
    entry = _Entry(file, number, key, values)
    for field in values:
        if field not in _FIELDS:
            raise entry.wrong(field, values[field], _known(field, _FIELDS))
    seed = entry.get("seed", int, None, "a whole number, 0 or more")
    if seed is not None and seed < 0:
        raise entry.wrong("seed", seed, "a whole number, 0 or more")
    member = Member(
        key=key,
        name=entry.get("name", str, "", "a name in quotes"),
        style=entry.get("style", str, "", 'the name of a style, such as "anime"'),
        avatar=entry.get("avatar", str, "", "the name of one of the style's avatars, or nothing"),
        seed=seed,
        skip=entry.get("skip", bool, False, "true or false"),
        blur=entry.get("blur", bool, False, "true or false"),
        same_as=entry.get("same_as", str, "", "the key of another person of this file"),
        split_at=_times(entry),
        options=dict(_options(entry)),
        colours=dict(_colours(entry)),
        traits=dict(_traits(entry)),
        embedding=embeddings.get(key),
        seen=_seen(values),
        tracks=_tracks(entry),
    )
    if member.skip and member.blur:
        raise entry.wrong("blur", True, "skip shows the person and blur hides them: remove one of the two lines")
    return member


def _seen(values: Mapping[str, Any]) -> Seen | None:
    """When the person is in the clip; None where the file does not say it, or no longer in the form it was written."""
    first, last, seconds, pictures = (values.get(name) for name in _TOLD)
    if isinstance(first, int) and isinstance(last, int) and isinstance(seconds, int | float):
        return Seen(first, last, float(seconds), pictures if isinstance(pictures, str) else "")
    return None


def _check_together(file: _Reader, cast: CastFile) -> None:
    """Raise InputError where two people have one key, or where ``same_as`` leads nowhere or in a circle."""
    keys = [member.key for member in cast.members]
    for number, member in enumerate(cast.members, 1):
        if keys.index(member.key) != number - 1:
            raise file.wrong(number, member.key, "key", member.key, "each person needs a key of their own")
        way = [member.key]
        while (found := cast.member(way[-1])) is not None and found.same_as:
            if found.same_as in way:
                hint = f"{' is '.join([*way, found.same_as])}: remove same_as from one of them"
                raise file.wrong(number, member.key, "same_as", member.same_as, hint)
            way.append(found.same_as)
        if cast.member(way[-1]) is None:
            hint = _known(member.same_as, [k for k in keys if k != member.key])
            raise file.wrong(number, member.key, "same_as", member.same_as, hint)


def _tracks(entry: _Entry) -> tuple[int, ...]:
    hint = "the numbers of tracks, as they were written; remove the line for a person of another video"
    found = entry.get("tracks", list, [], hint)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in found):
        raise entry.wrong("tracks", found, hint)
    return tuple(found)


def _times(entry: _Entry) -> tuple[Fraction, ...]:
    hint = "rising times in seconds, such as [12.5, 20]"
    found = entry.get("split_at", list, [], hint)
    rise = all(_is_number(time) and time > 0 for time in found) and all(a < b for a, b in pairwise(found))
    if not rise:
        raise entry.wrong("split_at", found, hint)
    return tuple(Fraction(str(time)) for time in found)


def _options(entry: _Entry) -> Iterator[tuple[str, str]]:
    """The options of a person's style as texts, as ``--set`` would have them."""
    hint = "options of the person's style, such as thickness = 2; see `animegen styles`"
    for name, value in entry.get("options", Mapping, {}, hint).items():
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float) for one in several):
            raise entry.wrong(f"options.{name}", value, "a text, a number, true or false, or several in brackets")
        yield name, ",".join(str(one).lower() if isinstance(one, bool) else str(one) for one in several)


def _colours(entry: _Entry) -> Iterator[tuple[Any, PartColour]]:
    """Colours from ``["#rrggbb", confidence]``, or from ``"#rrggbb"`` alone, as a person writes it who is sure."""
    for part, colour in entry.table("colours", PARTS):
        pair: Any = [colour, 1.0] if isinstance(colour, str) else colour
        fits = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and _HEX.fullmatch(pair[0])
        if not fits or not _is_share(pair[1]):
            raise entry.wrong(f"colours.{part}", colour, 'a colour such as "#e07020" or ["#e07020", 0.9]')
        lightness, a, b = (float(v) for v in rgb_to_lab([int(pair[0][i : i + 2], 16) for i in (1, 3, 5)]))
        yield part, PartColour((lightness, a, b), float(pair[1]))


def _traits(entry: _Entry) -> Iterator[tuple[str, Trait]]:
    for name, trait in entry.table("traits", TRAITS):
        pair: Any = [trait, 1.0] if _is_number(trait) else trait
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_share(share) for share in pair)):
            raise entry.wrong(f"traits.{name}", trait, "a number 0..1, or [number, confidence]")
        yield name, Trait(float(pair[0]), float(pair[1]))


def _embeddings(file: _Reader, recognition: Mapping[str, Any]) -> dict[str, Float32Array]:
    found = {}
    for key, text in recognition.get("embeddings", {}).items():
        try:
            values = np.frombuffer(zlib.decompress(base64.b64decode(str(text), validate=True)), "<f2")
        except (binascii.Error, zlib.error, ValueError):
            hint = "put the line back as it was written, or remove it: the person is then not recognised elsewhere"
            raise file.wrong(None, "", f"recognition.embeddings.{key}", str(text)[:12] + "...", hint) from None
        found[key] = values.astype(np.float32)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1
