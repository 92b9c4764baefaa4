"""``cast.toml``: everyone of a clip in a file that people can read and edit."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from animegen.colour import lab_to_rgb, rgb_to_lab
from animegen.errors import InputError
from animegen.types import PARTS, Identity, Palette, PartColour, Track, Trait, Traits

_TRAITS = ("hair_length", "sleeves", "skirt", "head_to_height")
_HEADER = """\
# Who is in the clip and how they are drawn. Edit colours, traits, avatar or seed, and run the same command again.
# Each colour is ["#rrggbb", confidence] and each trait [value, confidence]; confidence 0 means that it was not seen
# but drawn from the seed. hair_length and sleeves: 0 none .. 1 long; skirt: 0 trousers .. 1 skirt.
"""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def write_cast(path: Path, identities: Sequence[Identity], tracks: Sequence[Track], rate: Fraction) -> None:
    """Write the people of a clip with the tracks they were measured on, aligned; ``rate`` in frames a second.

    Colours are kept to 8 bits of sRGB. Embeddings and latents are not kept. The same people give the same bytes.
    """
    people = [_person(who, track, rate) for who, track in zip(identities, tracks, strict=True)]
    path.write_text("\n".join([_HEADER, *people]), encoding="utf-8", newline="\n")


def read_cast(path: Path) -> list[Identity]:
    """The people of a cast file; raises InputError naming the file, the key and the value that does not fit."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}", "correct the line, or delete the file") from None
    people = data.get("person", [])
    if not isinstance(people, list):
        raise _wrong(path, "person", people, "people stand under [[person]]")
    cast = [_identity(path, n, entry) for n, entry in enumerate(people, 1)]
    keys = [identity.key for identity in cast]
    for key in keys:
        if keys.count(key) > 1:
            raise _wrong(path, "key", key, "each person needs a key of their own")
    return cast


def _person(who: Identity, track: Track, rate: Fraction) -> str:
    lines = [
        "[[person]]",
        f"key = {json.dumps(who.key)}",
        f"first_frame = {track.frame_indices[0]}",
        f"last_frame = {track.frame_indices[-1]}",
        f"seconds = {float(len(track.frame_indices) / rate):.2f}",
        f"style = {json.dumps(who.style)}",
        f"seed = {who.seed}",
        *([f"avatar = {json.dumps(who.avatar, ensure_ascii=False)}"] if who.avatar else []),
        "[person.colours]",
    ]
    for part in PARTS:
        colour = who.palette.part(part)
        lines.append(f'{part} = ["{_hex(colour)}", {colour.confidence:.3f}]')
    lines.append("[person.traits]")
    for name in _TRAITS:
        trait: Trait = getattr(who.traits, name)
        lines.append(f"{name} = [{trait.value:.3f}, {trait.confidence:.3f}]")
    return "\n".join(lines) + "\n"


def _hex(colour: PartColour) -> str:
    red, green, blue = (int(value) for value in lab_to_rgb(colour.lab))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _identity(path: Path, number: int, entry: Any) -> Identity:
    where = f"person {number}"
    if not isinstance(entry, Mapping):
        raise _wrong(path, where, entry, "people stand under [[person]]")
    key, style, seed = entry.get("key"), entry.get("style", ""), entry.get("seed", 0)
    if not isinstance(key, str) or not key:
        raise _wrong(path, f"{where}.key", key, 'a name such as "person-1"')
    if not isinstance(style, str):
        raise _wrong(path, f"{key}.style", style, 'the name of a style, such as "anime"')
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise _wrong(path, f"{key}.seed", seed, "a whole number, 0 or more")
    avatar = entry.get("avatar", "")
    if not isinstance(avatar, str):
        raise _wrong(path, f"{key}.avatar", avatar, "the name of one of the style's avatars, or nothing")
    colours = _table(path, f"{key}.colours", entry.get("colours"), PARTS)
    traits = _table(path, f"{key}.traits", entry.get("traits", {}), _TRAITS)
    missing = [part for part in PARTS if part not in colours]
    if missing:
        raise _wrong(path, f"{key}.colours", sorted(colours), f"{' and '.join(missing)} must be there too")
    palette = Palette(**{part: _colour(path, f"{key}.colours.{part}", colours[part]) for part in PARTS})
    measured = {name: _trait(path, f"{key}.traits.{name}", value) for name, value in traits.items()}
    return Identity(key, palette, Traits(**measured), style, seed, avatar=avatar)


def _table(path: Path, where: str, value: Any, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path, where, value, f"a table of {', '.join(known)}")
    for name in value:
        if name not in known:
            raise _wrong(path, f"{where}.{name}", value[name], f"known are {', '.join(known)}")
    return value


def _colour(path: Path, where: str, value: Any) -> PartColour:
    """A colour from ``["#rrggbb", confidence]``, or from ``"#rrggbb"`` alone, as a person writes it who is sure."""
    pair: Any = [value, 1.0] if isinstance(value, str) else value
    fits = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and _HEX.fullmatch(pair[0])
    if not fits or not _is_share(pair[1]):
        raise _wrong(path, where, value, 'a colour such as "#e07020" or ["#e07020", 0.9]')
    lightness, a, b = (float(v) for v in rgb_to_lab([int(pair[0][i : i + 2], 16) for i in (1, 3, 5)]))
    return PartColour((lightness, a, b), float(pair[1]))


def _trait(path: Path, where: str, value: Any) -> Trait:
    pair: Any = [value, 1.0] if isinstance(value, int | float) else value
    if not (isinstance(pair, list) and len(pair) == 2 and all(_is_share(number) for number in pair)):
        raise _wrong(path, where, value, "a number 0..1, or [number, confidence]")
    return Trait(float(pair[0]), float(pair[1]))


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _wrong(path: Path, where: str, value: Any, hint: str) -> InputError:
    return InputError(f"{path}: {where} = {value!r} does not fit", hint)
