"""The cast file: what it keeps, what a user may write, and what is said about a mistake."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.errors import InputError
from animegen.identity import CastFile, Member, Seen, free_keys, read_cast, split_keys, write_cast
from animegen.testing import synthetic_identity
from animegen.types import PARTS, Identity, Trait, Traits

ORANGE = (68.66, 38.84, 74.98)
"""CIELAB (D65) of sRGB #ff8800."""

HALF = 2e-3
"""Of an embedding's values: what 16-bit floats lose between 0 and 1."""


def people() -> list[Identity]:
    traits = Traits(Trait(0.5, 0.9), Trait(0.4, 1.0), Trait(0.0, 0.25), Trait(0.15, 0.0))
    embedding = np.random.default_rng(0).random(40).astype(np.float32)
    return [
        replace(synthetic_identity(n), key=f"person-{n + 1}", style="anime", traits=traits, embedding=embedding * n)
        for n in range(2)
    ]


def whole() -> CastFile:
    members = [Member.measured(who, Seen(3, 40, 1.25, "pictures/x.png")) for who in people()]
    return CastFile(tuple(members), clip="abc", style="anime", preserver="appearance")


def write(path: Path, cast: CastFile | None = None) -> str:
    write_cast(path, cast or whole())
    return path.read_text(encoding="utf-8")


def edited(path: Path, old: str, new: str, number: int = 1) -> CastFile:
    """The cast after somebody replaced the ``number``-th occurrence of a text."""
    parts = write(path).split(old)
    assert len(parts) > number
    path.write_text(old.join(parts[:number]) + new + old.join(parts[number:]), encoding="utf-8")
    return read_cast(path)


def test_a_cast_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    text = write(path)
    back = read_cast(path)
    assert (back.clip, back.style, back.preserver) == ("abc", "anime", "appearance")
    for who, member in zip(people(), back.members, strict=True):
        assert (who.key, who.style, who.seed) == (member.key, member.style, member.seed)
        assert {part: who.palette.part(part).confidence for part in PARTS} == {
            part: member.colours[part].confidence for part in PARTS
        }
        assert member.identity().traits == who.traits
        assert member.embedding is not None
        assert who.embedding is not None
        assert np.allclose(member.embedding, who.embedding, atol=HALF)
        assert member.seen is not None
        assert (member.seen.first_frame, member.seen.last_frame, member.seen.seconds) == (3, 40, 1.25)
    assert write(path, back) == text, "reading and writing again changes nothing"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    name=NAMES,
    style=NAMES,
    avatar=NAMES,
    seed=st.integers(0, 2**63 - 1),
    treatment=st.sampled_from(["draw", "skip", "blur"]),
    options=st.dictionaries(NAMES, NAMES, max_size=2),
    times=st.lists(st.integers(1, 99999), max_size=3, unique=True).map(sorted),
)
def test_whatever_a_user_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    name: str,
    style: str,
    avatar: str,
    seed: int,
    treatment: str,
    options: dict[str, str],
    times: list[int],
) -> None:
    member = Member(
        "person-1",
        name=name,
        style=style,
        avatar=avatar,
        seed=seed,
        options=options,
        skip=treatment == "skip",
        blur=treatment == "blur",
        split_at=tuple(Fraction(time, 10) for time in times),
    )
    path = tmp_path_factory.mktemp("cast") / "cast.toml"
    write(path, CastFile((member, Member("person-2", same_as="person-1"))))
    first, second = read_cast(path).members
    for field in ("name", "style", "avatar", "seed", "treatment", "options", "split_at"):
        assert getattr(first, field) == getattr(member, field)
    assert second.same_as == "person-1"


def test_a_user_may_write_a_colour_alone(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    lines = [("hair = '#FF8800'" if line.startswith("hair = ") else line) for line in write(path).splitlines()]
    path.write_text("\n".join(lines), encoding="utf-8")
    hair = read_cast(path).members[0].colours["hair"]
    assert hair.confidence == 1
    assert np.allclose(hair.lab, ORANGE, atol=0.1)


def test_what_is_left_out_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    path.write_text('[[person]]\nkey = "person-1"\n[person.colours]\nhair = "#ff8800"\n', encoding="utf-8")
    measured = people()[0]
    who = read_cast(path).members[0].identity(measured)
    assert np.allclose(who.palette.hair.lab, ORANGE, atol=0.1)
    assert who.palette.skin == measured.palette.skin
    assert (who.seed, who.style, who.traits) == (measured.seed, measured.style, measured.traits)


def test_skip_blur_merge_and_split_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    assert edited(path, 'name = ""', "skip = true").members[0].treatment == "skip"
    assert edited(path, 'name = ""', "blur = true", 2).members[1].treatment == "blur"
    merged = edited(path, 'name = ""', 'same_as = "person-1"', 2)
    assert merged.principal("person-2") == "person-1"
    split = edited(path, 'name = ""', "split_at = [1.5, 20]").members[0]
    assert split.split_at == (Fraction(3, 2), Fraction(20))
    assert split_keys(split) == ("person-1", "person-1@1.5", "person-1@20")


def test_another_style_for_all_leaves_who_was_given_one_of_their_own(tmp_path: Path) -> None:
    cast = edited(tmp_path / "cast.toml", 'style = "anime"', 'style = "vrm"', 2)
    assert [member.style for member in cast.styled("skeleton").members] == ["vrm", "skeleton"]
    assert cast.styled("anime") is cast


def test_new_keys_are_those_not_taken() -> None:
    assert free_keys(["person-2", "anna"], 3) == ["person-1", "person-3", "person-4"]


@pytest.mark.parametrize(
    ("old", "new", "number", "line", "message", "hint"),
    [
        ('key = "person-2"', 'key = "person-1"', 1, True, "person-1.key = 'person-1'", "key of their own"),
        ('key = "person-2"', "key = 7", 1, True, "person 2.key = 7", "person-1"),
        ('key = "person-2"', 'key = "../x"', 1, True, "person 2.key = '../x'", "person-1"),
        ('style = "anime"', "style = 3", 2, True, "person-1.style = 3", "style"),
        ("seed = 1", "seed = -1", 1, True, "person-2.seed = -1", "0 or more"),
        ("hair = [", "hare = [", 1, True, "person-1.colours.hare", "did you mean hair?"),
        ("upper = [", "upper = ['#12345', 1]  # ", 2, True, "person-2.colours.upper = ['#12345', 1]", "#e07020"),
        ("skirt = [", "skirt = 2 # ", 1, True, "person-1.traits.skirt = 2", "0..1"),
        ('name = ""', "skipp = true", 1, True, "person-1.skipp = True", "did you mean skip?"),
        ('name = ""', "skip = 1", 2, True, "person-2.skip = 1", "true or false"),
        ('name = ""', "skip = true\nblur = true", 1, True, "person-1.blur = True", "remove one"),
        ('name = ""', 'same_as = "person-3"', 1, True, "person-1.same_as = 'person-3'", "did you mean person-2?"),
        ('name = ""', 'same_as = "person-1"', 1, True, "person-1.same_as = 'person-1'", "person-1 is person-1"),
        ('name = ""', "split_at = 3", 1, True, "person-1.split_at = 3", "rising"),
        ('name = ""', "split_at = [3, 2]", 1, True, "person-1.split_at = [3, 2]", "rising"),
        ('name = ""', "options = 2", 1, True, "person-1.options = 2", "thickness = 2"),
        ("[person.colours]", "options.x = {}\n[person.colours]", 1, True, "person-1.options.x = {}", "a number"),
        ("[[person]]", "[[person", 1, False, "line 20", "correct the line"),
        ("[[person]]", "persons = 1\n[[person]]", 1, True, "persons = 1", "did you mean person?"),
        ("[recognition.embeddings]", '[recognition.embeddings]\nx = "?"', 1, True, "embeddings.x", "put the line back"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_the_way_out(
    tmp_path: Path, *, old: str, new: str, number: int, line: bool, message: str, hint: str
) -> None:
    path = tmp_path / "cast.toml"
    with pytest.raises(InputError) as caught:
        edited(path, old, new, number)
    told = str(caught.value)
    assert message in told
    assert "cast.toml" in told
    assert hint in caught.value.hint
    if line:
        lines = path.read_text(encoding="utf-8").splitlines()
        where = int(told.split("line ")[1].split(":", maxsplit=1)[0])
        assert any(written.split(" = ")[0] in lines[where - 1] for written in new.splitlines())


def test_two_people_who_are_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    members = (Member("a", same_as="b"), Member("b", same_as="a"))
    write_cast(path, CastFile(members))
    with pytest.raises(InputError, match="same_as") as caught:
        read_cast(path)
    assert "a is b is a" in caught.value.hint


def test_a_cast_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml"):
        read_cast(tmp_path / "none.toml")
