"""People who keep their identities, and a cast file that is followed: real people in clips with a known truth."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from composed import ANOTHER_DAY, CROSSING, RATE, Box, Truth, compose, cut_outs, film
from PIL import Image

import animegen
from animegen.cli import cli
from animegen.colour import lab_to_rgb
from animegen.config import ConvertConfig
from animegen.errors import OutputError, UsageError
from animegen.events import Event, Warned
from animegen.identity import read_cast, write_cast
from animegen.jobs import JobFolder
from animegen.measure.identities import identity_score, overlap
from animegen.pipeline.analyse import analyse
from animegen.pipeline.cast import find_who
from animegen.pipeline.casting import CastFiles, make_cast
from animegen.pipeline.prepare import prepared
from animegen.pipeline.stages import resolve
from animegen.pipeline.who import Known
from animegen.types import PARTS, Frame, PartColour
from animegen.video import open_video

CONFIG = ConvertConfig(style="skeleton")

LEAST_IDF1 = 0.95

LIME = (85.0, -70.0, 70.0)
"""CIELAB of a colour that nobody wears."""

LAST_ENTRY = 14
"""Frame of the second clip by which everybody is in it."""

ENCODED = 3.0
"""Levels by which encoding changes a pixel, in the mean."""

UNIFORM = 6.0
"""Deviation, in levels, within a surface of one colour: the encoder carries colours over from its edges."""

SHADED = 40
"""Levels by which a drawn colour may differ from the one asked for: figures are shaded."""

BLOCK_STYLE = """
import numpy as np
from animegen.colour import lab_to_rgb
from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec
from animegen.types import Sprite


@hookimpl
def animegen_styles():
    return [StyleSpec("block", "a block", "block_style:make")]


def make(options, context):
    return Block()


class Block:
    def prepare(self, identity, track, crops):
        return {}

    def render(self, requests):
        return [self.draw(request) for request in requests]

    def draw(self, request):
        left, top, right, bottom = request.pose.bbox.astype(np.float64)
        rgba = np.full((8, 8, 4), 255, np.uint8)
        rgba[..., :3] = lab_to_rgb(request.identity.palette.upper.lab)
        return Sprite(rgba, np.array([[(right - left) / 8, 0, left], [0, (bottom - top) / 8, top]]), request.order)
"""


@dataclass(frozen=True)
class Clip:
    """A composed clip, where everybody is in it, and the cast that was made of it."""

    film: Path
    truth: Truth
    files: CastFiles

    @property
    def output(self) -> Path:
        """The output whose job holds the analysis."""
        return self.film.with_name("out.mp4")

    @property
    def job(self) -> Path:
        """The folder with the analysis."""
        return JobFolder.beside(self.output).root


@pytest.fixture(scope="session")
def days(shared: Path, blazepose_weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Two people who cross, leave, come back and are cut away from; and the same two on another day, with a third."""
    del blazepose_weights  # fetched by now
    backend = resolve(CONFIG, print, kinds=("pose",)).pose_backend()
    people = cut_outs(shared / "video", backend)
    clips: list[Clip] = []
    for name, shots in (("crossing", CROSSING), ("another day", ANOTHER_DAY)):
        folder = tmp_path_factory.mktemp(name)
        frames, truth = compose(people, shots)
        clip = film(folder / "film.mp4", frames)
        known = clips[0].files.cast if clips else None
        config = replace(CONFIG, cast=known)
        files = make_cast(clip, folder / "cast.toml", config, target=folder / "out.mp4")
        clips.append(Clip(clip, truth, files))
    return clips


def opened(clip: Clip, cast: Path | None, look: Callable[..., object]) -> object:
    """What ``look`` says of the run that goes on from a clip's analysis."""
    config = replace(CONFIG, cast=cast, overwrite=True)
    with open_video(clip.film) as video, prepared(video, clip.output, config) as run:
        analyse(run)
        return look(run)


def known_of(clip: Clip, cast: Path | None) -> list[Known]:
    known = opened(clip, cast, find_who)
    assert isinstance(known, list)
    return known


def boxes_of(people: Sequence[Known], count: int) -> list[dict[str, Box]]:
    """By frame the boxes of everyone found, by key."""
    found: list[dict[str, Box]] = [{} for _ in range(count)]
    for person in people:
        for index, pose in zip(person.track.frame_indices, person.track.poses, strict=True):
            left, top, right, bottom = (float(value) for value in pose.bbox)
            found[index][person.identity.key] = (left, top, right, bottom)
    return found


def names(truth: Truth, found: Sequence[dict[str, Box]], frames: Sequence[int]) -> dict[str, str]:
    """The key of each true person in some frames, where it is one throughout."""
    keys: dict[str, set[str]] = {}
    for index in frames:
        for who, box in truth[index].items():
            for key, seen in found[index].items():
                if overlap(box, seen) >= 0.7:
                    keys.setdefault(who, set()).add(key)
    assert all(len(found) == 1 for found in keys.values()), keys
    return {who: next(iter(found)) for who, found in keys.items()}


def test_who_crosses_leaves_and_comes_back_stays_the_same(days: list[Clip]) -> None:
    first, second = days
    for clip in (first, second):
        people = known_of(clip, clip.files.cast)
        score = identity_score(clip.truth, boxes_of(people, len(clip.truth)))
        sys.stdout.write(f"IDF1 {score.idf1:.4f}, {score.switches} switches\n")  # pytest -rP shows them
        assert score.switches == 0
        assert score.idf1 >= LEAST_IDF1, score


def test_the_same_person_has_the_same_key_after_a_cut_and_in_another_video(days: list[Clip]) -> None:
    first, second = days
    found = boxes_of(known_of(first, first.files.cast), len(first.truth))
    before, after = names(first.truth, found, range(12, 20)), names(first.truth, found, range(CROSSING[0].frames, 88))
    assert before == after
    assert set(before) == {"orange", "skull"}
    found = boxes_of(known_of(second, second.files.cast), len(second.truth))
    another_day = names(second.truth, found, range(len(second.truth)))
    assert {who: another_day[who] for who in before} == before
    assert another_day["player"] not in before.values()


SCENES = (("intel_asl_walk.mkv", 10, 40), ("intel_asl_help.mkv", 10, 36), ("intel_asl_book.mkv", 20, 50),
          ("intel_asl_help.mkv", 36, 56))  # fmt: skip
"""Films and frames of them: a woman, a man, the woman on another occasion, the man again, all in one room."""


def test_real_films_cut_together_show_two_people(
    shared: Path, blazepose_weights: dict[str, Path], tmp_path: Path
) -> None:
    del blazepose_weights  # fetched by now
    frames: list[Frame] = []
    for name, start, stop in SCENES:
        with open_video(shared / "video" / name) as video:
            frames += [
                Frame(len(frames) + i, (len(frames) + i) / RATE, f.image)
                for i, f in enumerate(video.frames(start, stop))
            ]
    clip = film(tmp_path / "film.mp4", frames)
    files = make_cast(clip, tmp_path / "cast.toml", CONFIG, target=tmp_path / "out.mp4")
    config = replace(CONFIG, cast=files.cast, overwrite=True)
    with open_video(clip) as video, prepared(video, tmp_path / "out.mp4", config) as run:
        people = find_who(run)
    assert [p.track.frame_indices for p in people] == [
        (*range(30), *range(56, 86)),
        (*range(30, 56), *range(86, 106)),
    ]


def test_a_cast_is_a_file_a_sheet_a_page_and_pictures(days: list[Clip]) -> None:
    for clip in days:
        cast = read_cast(clip.files.cast)
        assert [member.key for member in cast.members if member.seen] == sorted(clip.files.people)
        page = clip.files.page.read_text(encoding="utf-8")
        assert 'src="data:image/' in page
        assert "http" not in page
        with Image.open(clip.files.sheet) as sheet:
            assert sheet.height > 150 * len(clip.files.people)
        for member in cast.members:
            assert member.key in page
            assert member.seen is not None
            assert (clip.files.cast.parent / member.seen.pictures).is_file()
            assert member.embedding is not None
            assert member.seed is not None


def test_what_a_user_wrote_of_a_person_holds_for_the_next_video(days: list[Clip], tmp_path: Path) -> None:
    first, second = days
    found = boxes_of(known_of(first, first.files.cast), len(first.truth))
    orange = names(first.truth, found, range(12, 20))["orange"]
    cast = read_cast(first.files.cast)
    members = (replace(m, name="Anna", seed=77) if m.key == orange else m for m in cast.members)
    write_cast(tmp_path / "cast.toml", replace(cast, members=tuple(members)))
    known = {person.identity.key: person for person in known_of(second, tmp_path / "cast.toml")}
    assert known[orange].member.name == "Anna"
    assert known[orange].identity.seed == 77


def test_a_cast_in_which_nobody_is_recognised_is_told(days: list[Clip], tmp_path: Path) -> None:
    first, second = days
    cast = read_cast(first.files.cast)
    write_cast(tmp_path / "cast.toml", replace(cast, preserver="faces"))
    events: list[Event] = []
    config = replace(CONFIG, cast=tmp_path / "cast.toml", overwrite=True)
    with open_video(second.film) as video, prepared(video, second.output, config, events.append) as run:
        people = find_who(run)
    told = [event.message for event in events if isinstance(event, Warned)]
    assert all(any(word in text for text in told) for word in ("--identity faces", "nobody of the cast"))
    assert {person.identity.key for person in people}.isdisjoint(member.key for member in cast.members)


def test_two_may_be_told_to_be_one_and_one_to_be_two(days: list[Clip], tmp_path: Path) -> None:
    clip = days[0]
    text = clip.files.cast.read_text(encoding="utf-8")
    cut = CROSSING[0].frames
    seconds = float(cut / RATE)
    split = tmp_path / "split.toml"
    split.write_text(text.replace('name = ""', f"split_at = [{seconds:g}]", 1), encoding="utf-8")
    known = {person.identity.key: person for person in known_of(clip, split)}
    assert set(known) == {"person-1", f"person-1@{seconds:g}", "person-2"}
    assert known["person-1"].track.frame_indices[-1] < cut
    assert known[f"person-1@{seconds:g}"].track.frame_indices[0] >= cut
    merged = f'\n[[person]]\nkey = "person-1@{seconds:g}"\nsame_as = "person-1"\n'
    body, recognition = split.read_text(encoding="utf-8").split("# By what", 1)
    split.write_text(body + merged + "# By what" + recognition, encoding="utf-8")
    assert {person.identity.key for person in known_of(clip, split)} == {"person-1", "person-2"}


def test_two_who_are_seen_together_cannot_be_one(days: list[Clip], tmp_path: Path) -> None:
    clip = days[0]
    text = clip.files.cast.read_text(encoding="utf-8")
    one = tmp_path / "one.toml"
    one.write_text('same_as = "person-1"'.join(text.rsplit('name = ""', 1)), encoding="utf-8")
    with pytest.raises(UsageError, match="person-2 and person-1 cannot be one person: both are in frame") as caught:
        known_of(clip, one)
    assert "split_at" in caught.value.hint


def test_a_style_that_does_not_exist_is_refused_before_any_work(days: list[Clip], tmp_path: Path) -> None:
    text = days[0].files.cast.read_text(encoding="utf-8")
    path = tmp_path / "cast.toml"
    path.write_text('style = "skelton"'.join(text.rsplit('style = "skeleton"', 1)), encoding="utf-8")
    with pytest.raises(animegen.errors.PluginError, match="skelton"):
        animegen.convert(days[0].film, tmp_path / "out.mp4", replace(CONFIG, cast=path))
    assert [p.name for p in tmp_path.iterdir()] == ["cast.toml"]


@dataclass(frozen=True)
class Followed:
    """Frames of a clip and of its conversion, int16, and the true boxes in them."""

    source: np.ndarray
    output: np.ndarray
    truth: Truth

    def inside(self, who: str, share: float = 0.5) -> list[tuple[np.ndarray, np.ndarray]]:
        """What source and output show in the middle of a person's upper body, wherever it is there."""
        found = []
        for index in range(LAST_ENTRY, len(self.truth)):
            left, top, right, bottom = self.truth[index][who]
            x, wide, high = (left + right) / 2, share * (right - left) / 2, share * (bottom - top) / 2
            y = top + 0.45 * (bottom - top)
            window = slice(int(y - high), int(y + high)), slice(int(x - wide), int(x + wide))
            found.append((self.source[index][window], self.output[index][window]))
        return found


def follow(clip: Clip, folder: Path, changes: Mapping[str, Mapping[str, Any]], config: ConvertConfig) -> Followed:
    """Convert a clip by its cast in which fields were changed for people, by their true names."""
    known = boxes_of(known_of(clip, clip.files.cast), len(clip.truth))
    keys = names(clip.truth, known, range(len(clip.truth)))
    changed = {keys[who]: fields for who, fields in changes.items()}
    cast = read_cast(clip.files.cast)
    members = tuple(replace(member, **changed.get(member.key, {})) for member in cast.members)
    write_cast(folder / "cast.toml", replace(cast, members=members))
    output = folder / "out.mp4"
    shutil.copytree(clip.job, JobFolder.beside(output).root)
    animegen.convert(clip.film, output, replace(config, cast=folder / "cast.toml"))
    pictures = []
    for path in (clip.film, output):
        with open_video(path) as video:
            pictures.append(np.stack([frame.image for frame in video.frames()]).astype(np.int16))
    return Followed(pictures[0], pictures[1], clip.truth)


@pytest.fixture(scope="session")
def treated(days: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """One person is left as they are, one hidden, one drawn in colours that were fixed; no more are to be drawn."""
    lime = PartColour(LIME, 1.0)
    changes = {
        "skull": {"skip": True},
        "player": {"blur": True},
        "orange": {"colours": dict.fromkeys(PARTS, lime)},
    }
    return follow(days[1], tmp_path_factory.mktemp("treated"), changes, replace(CONFIG, max_people=1))


def test_who_is_skipped_stays_as_in_the_source(treated: Followed) -> None:
    apart = [np.abs(output - source).mean() for source, output in treated.inside("skull", 0.9)]
    assert max(apart) < ENCODED


def test_who_is_blurred_is_seen_nowhere(treated: Followed) -> None:
    for source, output in treated.inside("player", 0.4):
        assert np.abs(output - source).mean() > 4 * ENCODED
        # blocks of one colour: from pixel to pixel nothing changes but at their edges
        assert np.quantile(np.abs(np.diff(output, axis=1)).max(axis=-1), 0.8) <= ENCODED
        assert np.abs(np.diff(source, axis=1)).mean() > 2 * np.abs(np.diff(output, axis=1)).mean()


def test_fixed_colours_are_drawn(treated: Followed) -> None:
    wanted = lab_to_rgb(LIME).astype(np.int16)
    for source, output in treated.inside("orange", 0.3):
        near = np.abs(output - wanted).max(axis=-1) < SHADED
        assert near.mean() > 0.5
        assert (np.abs(source - wanted).max(axis=-1) < SHADED).mean() < 0.05


def test_a_person_in_another_style(days: list[Clip], tmp_path: Path, install: Callable[..., Path]) -> None:
    """The style of a plugin fills the box of one person; the others are drawn in the style of the run."""
    install("block-style", "1.0", {"block": "block_style"}, {"block_style": BLOCK_STYLE})
    shown = follow(days[1], tmp_path, {"skull": {"style": "block"}}, CONFIG)
    for _, output in shown.inside("skull", 0.8):
        assert output.std(axis=(0, 1)).max() < UNIFORM
    for source, output in shown.inside("orange", 0.5):
        assert output.std(axis=(0, 1)).max() > 2 * UNIFORM
        assert np.abs(output - source).mean() > ENCODED


def test_the_command_writes_a_cast_and_overwrites_nothing_unasked(days: list[Clip], tmp_path: Path) -> None:
    clip = days[1]
    arguments = ["cast", str(clip.film), "-o", str(tmp_path / "cast.toml"), "--for", str(clip.output), "--quiet"]
    told = CliRunner().invoke(cli, [*arguments, "--style", "skeleton"], catch_exceptions=False)
    assert told.exit_code == 0
    assert told.output.split() == [str(tmp_path / f"cast.{kind}") for kind in ("toml", "png", "html")]
    text = (tmp_path / "cast.toml").read_text(encoding="utf-8")
    with pytest.raises(OutputError, match=r"cast\.toml exists"):
        make_cast(clip.film, tmp_path / "cast.toml", CONFIG, target=clip.output)
    (tmp_path / "cast.toml").unlink()
    again = make_cast(clip.film, tmp_path / "cast.toml", replace(CONFIG, overwrite=True), target=clip.output)
    assert again.cast.read_text(encoding="utf-8") == text, "the same clip gives the same file"
