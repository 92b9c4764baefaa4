"""What a job follows and what it keeps: options of single people, files that options name, casts that were edited."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import animegen
from animegen.cli import main
from animegen.config import ConvertConfig
from animegen.errors import JobError, OutputError, UsageError
from animegen.events import Event, Finished, Warned
from animegen.identity import Member, read_cast, write_cast
from animegen.jobs import JobFolder
from animegen.pipeline.casting import make_cast
from animegen.pipeline.convert import render_job
from animegen.pipeline.report_page import write_job_report
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.types import Uint8Array
from animegen.video import open_video
from animegen.video.drawing import write_film

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from animegen.hookspecs import hookimpl
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.protocols import PoseBackendSpec, StyleSpec
from animegen.testing.synthetic import synthetic_pose
from animegen.types import Sprite

@dataclass(frozen=True)
class Options:
    colour: Path
    share: float = 1.0

@hookimpl
def animegen_pose_backends():
    return [PoseBackendSpec("couple", "two figures whose places are known", "couple_plugin:Backend")]

@hookimpl
def animegen_styles():
    return [StyleSpec("tile", "a tile of the colour in a file", "couple_plugin:Tile", Options)]

class Backend:
    skeleton = BLAZEPOSE33

    def __init__(self, options, context):
        pass

    def estimate(self, frames):
        for frame in frames:
            yield [synthetic_pose(feet=(x, 220.0)) for x in (80.0, 240.0)]

class Tile:
    def __init__(self, options, context):
        self.colour = [int(level) for level in options.colour.read_text().split()]
        self.share = options.share

    def prepare(self, identity, track, crops):
        return {}

    def render(self, requests):
        return [self.draw(request) for request in requests]

    def draw(self, request):
        left, top, right, bottom = request.pose.bbox.astype(np.float64)
        rgba = np.full((8, 8, 4), 255, np.uint8)
        rgba[..., :3] = self.colour
        to_frame = np.array([[(right - left) / 8, 0, left], [0, self.share * (bottom - top) / 8, top]])
        return Sprite(rgba, to_frame, request.order)
"""

SLAB = """
import numpy as np
from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec
from animegen.types import Sprite

@hookimpl
def animegen_styles():
    return [StyleSpec("slab", "a tile of one colour", "slab_plugin:Slab")]

class Slab:
    def __init__(self, options, context):
        pass

    def prepare(self, identity, track, crops):
        return {{"colour": np.array({colour}, np.uint8)}}

    def render(self, requests):
        return [self.draw(request) for request in requests]

    def draw(self, request):
        left, top, right, bottom = request.pose.bbox.astype(np.float64)
        rgba = np.full((8, 8, 4), 255, np.uint8)
        rgba[..., :3] = request.prepared["colour"]
        return Sprite(rgba, np.array([[(right - left) / 8, 0, left], [0, (bottom - top) / 8, top]]), request.order)
"""

RATE, FRAMES = 10, 8
LEFT, RIGHT = (slice(90, 120), slice(70, 90)), (slice(90, 120), slice(230, 250))
"""Where the middles of the two figures are."""

WALL, OTHER_WALL = (200, 60, 40), (30, 90, 180)
TILE, OTHER_TILE = (20, 200, 80), (180, 30, 160)

ENCODED = 8
"""Levels by which encoding changes one colour."""

CONFIG = ConvertConfig(style="skeleton", pose="couple", background="keep")


@pytest.fixture
def clip(install: Callable[..., Path], tmp_path: Path) -> Path:
    """Two figures who stand side by side, in a folder of their own."""
    install("couple-plugin", "1.0", {"couple": "couple_plugin"}, {"couple_plugin": PLUGIN})
    people = [(synthetic_pose(feet=(x, 220.0)), synthetic_identity(k)) for k, x in enumerate((80.0, 240.0))]
    path = tmp_path / "films" / "clip.mp4"
    path.parent.mkdir()
    write_film(path, (synthetic_frame(people, index=index, rate=RATE) for index in range(FRAMES)), RATE)
    return path


def _frame(path: Path) -> Uint8Array:
    with open_video(path) as video:
        return next(video.frames(FRAMES // 2, FRAMES // 2 + 1)).image


def _shows(image: Uint8Array, window: tuple[slice, slice], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(image[window].astype(int) - colour).max() <= ENCODED)


@pytest.fixture
def made(clip: Path) -> JobFolder:
    """The finished job of ``out.mp4``."""
    return JobFolder(animegen.convert(clip, clip.with_name("out.mp4"), CONFIG).job)


def _with_style(path: Path, job: JobFolder, options: str) -> Path:
    """The cast of a job in which the second person is drawn as a tile with options."""
    cast = read_cast(job.cast)
    tiled = tuple(
        replace(member, style="tile" if member.key == "person-2" else "", avatar="") for member in cast.members
    )
    write_cast(path, replace(cast, members=tiled))
    text = path.read_text(encoding="utf-8")
    head, tail = text.rsplit("[person.colours]", 1)
    path.write_text(f"{head}[person.options]\n{options}\n[person.colours]{tail}", encoding="utf-8")
    return path


def test_a_person_has_a_style_with_options_of_its_own(made: JobFolder, clip: Path, tmp_path: Path) -> None:
    casts = tmp_path / "casts"
    casts.mkdir()
    (casts / "tile.txt").write_text(" ".join(map(str, TILE)))
    cast = _with_style(casts / "cast.toml", made, 'colour = "tile.txt"\nshare = 0.5')
    config = replace(CONFIG, cast=cast, overwrite=True, keep=True)
    animegen.convert(clip, made.output, config)
    shown = _frame(made.output)
    assert _shows(shown, (slice(60, 80), RIGHT[1]), TILE), "the path is one from the cast's folder on"
    assert not _shows(shown, (slice(170, 200), RIGHT[1]), TILE), "half as high"
    assert not _shows(shown, LEFT, TILE)
    member = read_cast(made.cast).member("person-2")
    assert member is not None
    assert member.options == {"colour": str(casts / "tile.txt"), "share": "0.5"}

    events: list[Event] = []
    animegen.convert(clip, made.output, replace(config, overwrite=False), events.append)
    assert events == [Finished(str(made.output))], "nothing is to do"
    (casts / "tile.txt").write_text(" ".join(map(str, OTHER_TILE)))
    with pytest.raises(OutputError, match="stands already"):
        animegen.convert(clip, made.output, replace(config, overwrite=False))
    render_job(made.root, overwrite=True)
    assert _shows(_frame(made.output), (slice(60, 80), RIGHT[1]), OTHER_TILE), "what is in the file counts"


def test_a_style_whose_package_changes_is_prepared_and_drawn_anew(clip: Path, install: Callable[..., Path]) -> None:
    config = replace(CONFIG, style="slab")
    output = clip.with_name("slab.mp4")

    def converted(version: str, colour: tuple[int, int, int], **how: bool) -> list[Event]:
        site = install("slab-plugin", version, {"slab": "slab_plugin"}, {"slab_plugin": SLAB.format(colour=colour)})
        for former in site.glob("*.dist-info"):
            if version not in former.name:
                shutil.rmtree(former)
        events: list[Event] = []
        animegen.convert(clip, output, replace(config, **how), events.append)
        assert _shows(_frame(output), LEFT, colour)
        return events

    converted("1.0", TILE)
    assert converted("1.0", TILE) == [Finished(str(output))], "nothing is to do"
    converted("1.0", OTHER_TILE, overwrite=True)
    converted("1.1", OTHER_TILE, overwrite=True)
    assert len(list(JobFolder.beside(output).root.glob("prepared/*"))) == 6, "of two people, each time"


def test_options_stand_in_the_place_of_those_of_the_run(made: JobFolder, clip: Path) -> None:
    thin = replace(CONFIG, settings={"thickness": "0.5", "face": "false"}, overwrite=True)
    animegen.convert(clip, made.output, thin)
    before = _frame(made.output).astype(int)
    cast = read_cast(made.cast)
    members = tuple(replace(m, options={"thickness": "2"} if m.key == "person-2" else {}) for m in cast.members)
    write_cast(made.cast, replace(cast, members=members))
    animegen.convert(clip, made.output, thin)
    change = np.abs(_frame(made.output).astype(int) - before).max(axis=-1) > 4 * ENCODED
    assert not change[:, :160].any()
    assert change[:, 160:].sum() > 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("colours = 3", "there is no option 'style.colours'"),
        ('colour = "tile.txt"\nshare = "much"', "style.share must be a number, got 'much'"),
        ("share = 1", "style 'tile' needs a value for style.colour"),
    ],
)
def test_an_option_that_does_not_fit_is_told_with_the_person(
    made: JobFolder, clip: Path, tmp_path: Path, options: str, said: str
) -> None:
    cast = _with_style(tmp_path / "cast.toml", made, options)
    with pytest.raises(UsageError, match=f"person-2 of the cast: {said}"):
        animegen.convert(clip, made.output, replace(CONFIG, cast=cast, overwrite=True))


def test_another_style_for_all_drops_options_of_the_former() -> None:
    member = Member("person-1", style="tile", options={"share": "0.5"})
    cast = animegen.identity.CastFile((member, replace(member, key="person-2", style="block")), style="tile")
    assert [who.options for who in cast.styled("skeleton").members] == [{}, {"share": "0.5"}]


def test_another_picture_under_the_same_name_is_another_background(clip: Path) -> None:
    wall, output = clip.with_name("wall.png"), clip.with_name("out.mp4")
    config = replace(CONFIG, background=str(wall), keep=True)
    Image.new("RGB", (320, 240), WALL).save(wall)
    job = JobFolder(animegen.convert(clip, output, config).job)
    corner = slice(0, 40), slice(0, 40)
    assert _shows(_frame(output), corner, WALL)
    poses = job.segment("poses", 0).stat().st_mtime_ns
    Image.new("RGB", (320, 240), OTHER_WALL).save(wall)
    with pytest.raises(OutputError, match="stands already"):
        animegen.convert(clip, output, config)
    animegen.convert(clip, output, replace(config, overwrite=True))
    assert _shows(_frame(output), corner, OTHER_WALL)
    assert job.segment("poses", 0).stat().st_mtime_ns == poses


def _edit(job: JobFolder, name: str) -> None:
    """What a user may write into a job's cast by hand."""
    text = job.cast.read_text(encoding="utf-8")
    job.cast.write_text(re.sub('(?m)^name = ".*"$', f'name = "{name}"', text, count=1), encoding="utf-8")


def test_a_report_leaves_the_job_and_its_cast_as_they_are(made: JobFolder, clip: Path, tmp_path: Path) -> None:
    shutil.copy(made.cast, tmp_path / "cast.toml")
    config = replace(CONFIG, cast=tmp_path / "cast.toml", overwrite=True)
    animegen.convert(clip, made.output, config)
    record, cast = ((made.root / name).read_bytes() for name in ("job.toml", "cast.toml"))
    write_job_report(made.root, tmp_path / "report", samples=1)
    assert ((made.root / "job.toml").read_bytes(), made.cast.read_bytes()) == (record, cast)
    for go_on in (
        lambda tell: animegen.convert(clip, made.output, replace(config, overwrite=False), tell),
        lambda tell: render_job(made.root, tell),
    ):
        events: list[Event] = []
        go_on(events.append)
        assert events == [Finished(str(made.output))], "nothing is to do"
        assert made.cast.read_bytes() == cast


def test_a_report_is_not_made_of_an_output_that_is_out_of_date(made: JobFolder, tmp_path: Path) -> None:
    text = made.cast.read_text(encoding="utf-8")
    made.cast.write_text(text.replace('name = ""', "skip = true", 1), encoding="utf-8")
    with pytest.raises(JobError, match="is not what its job makes") as caught:
        write_job_report(made.root, tmp_path / "report", samples=1)
    assert "animegen render --overwrite" in caught.value.hint
    render_job(made.root, overwrite=True)
    assert len(write_job_report(made.root, tmp_path / "report", samples=1).figures["people"]) == 1


def test_a_cast_leaves_a_finished_job_what_it_was_asked_for(made: JobFolder, clip: Path, tmp_path: Path) -> None:
    _edit(made, "Anna")
    asked, cast = (made.root / "job.toml").read_bytes(), made.cast.read_bytes()
    otherwise = replace(CONFIG, settings={"identity.max_distance": "0.2"}, seed=3, background="blur")
    found = make_cast(clip, tmp_path / "cast.toml", otherwise, target=made.output)
    assert found.people == ("person-1", "person-2")
    assert {member.name for member in read_cast(found.cast).members} == {""}, "who is there is found anew"
    assert ((made.root / "job.toml").read_bytes(), made.cast.read_bytes()) == (asked, cast)


def test_an_edited_cast_gives_way_to_another_but_is_not_lost(made: JobFolder, clip: Path, tmp_path: Path) -> None:
    text = made.cast.read_text(encoding="utf-8")
    (tmp_path / "cast.toml").write_text(text.replace('name = ""', 'name = "Clara"', 1), encoding="utf-8")
    for number, name in (("", "Anna"), ("2", "Berta")):
        _edit(made, name)
        events: list[Event] = []
        config = replace(CONFIG, cast=tmp_path / "cast.toml", overwrite=True, restart=name == "Berta")
        animegen.convert(clip, made.output, config, events.append)
        kept = made.output.with_name(f"out.mp4.cast{number}.toml")
        assert f'name = "{name}"' in kept.read_text(encoding="utf-8")
        assert f"{kept} is yours and is kept" in [e.message for e in events if isinstance(e, Warned)]
        assert 'name = "Clara"' in made.cast.read_text(encoding="utf-8")


def test_who_people_are_is_found_anew_where_it_is_found_otherwise(made: JobFolder, clip: Path) -> None:
    otherwise, before = {"identity.max_distance": "0.2"}, made.cast.stat().st_mtime_ns
    animegen.convert(clip, made.output, replace(CONFIG, settings=otherwise, overwrite=True))
    assert made.cast.stat().st_mtime_ns != before
    _edit(made, "Anna")
    animegen.convert(clip, made.output, replace(CONFIG, overwrite=True))
    assert 'name = "Anna"' in made.cast.read_text(encoding="utf-8"), "what a user wrote stays"


def test_the_jobs_own_cast_may_be_named(made: JobFolder, clip: Path) -> None:
    _edit(made, "Anna")
    text = made.cast.read_bytes()
    animegen.convert(clip, made.output, replace(CONFIG, cast=made.cast, overwrite=True))
    animegen.convert(clip, made.output, replace(CONFIG, max_people=1, overwrite=True))
    assert made.cast.read_bytes() == text, "it is the user's own"


def test_clean_removes_what_the_job_made_and_nothing_else(
    made: JobFolder, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(made, "Anna")
    for name in ("notes.txt", "letter.part"):
        (made.root / name).write_text("mine")
    assert main(["jobs", "clean", str(clip.parent)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(made.root)]
    for name in (made.root / "letter.part", made.root / "notes.txt", clip.with_name("out.mp4.cast.toml")):
        assert f"{name} is yours and is kept" in said.err
    assert sorted(path.name for path in made.root.iterdir()) == ["letter.part", "notes.txt"]
    assert {path.name for path in clip.parent.iterdir()} == {"clip.mp4", "out.mp4", "out.mp4.job", "out.mp4.cast.toml"}
