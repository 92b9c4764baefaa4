"""Lost poses in whole conversions, seen in the pixels, and the report of a conversion with its limits."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import animegen
from animegen.cli import main
from animegen.config import ConvertConfig, OnLost
from animegen.errors import InputError, OutputError, UsageError
from animegen.events import PoseLost
from animegen.identity import read_cast, write_cast
from animegen.jobs import JobFolder
from animegen.pipeline.convert import find_people
from animegen.pipeline.prepare import prepared
from animegen.pipeline.report import Report, report_job, report_run
from animegen.pipeline.report_page import write_job_report
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.types import Frame, Uint8Array
from animegen.video import open_video
from animegen.video.drawing import write_film

PLUGIN = """
from animegen.hookspecs import hookimpl
from animegen.protocols import PoseBackendSpec
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.testing.synthetic import synthetic_pose

LOST = {*range(12, 15), *range(24, 36)}

@hookimpl
def animegen_pose_backends():
    return [
        PoseBackendSpec("puppet", "a figure whose place is known", "puppet_plugin:make_backend"),
        PoseBackendSpec("pair", "two figures whose places are known", "puppet_plugin:make_pair"),
        PoseBackendSpec("couple", "two figures side by side", "puppet_plugin:make_couple"),
    ]

def make_backend(options, context):
    return Backend()

def make_pair(options, context):
    return Pair(80.0, 240.0)

def make_couple(options, context):
    return Pair(110.0, 190.0)

class Pair:
    skeleton = BLAZEPOSE33

    def __init__(self, left, right):
        self.left, self.right = left, right

    def estimate(self, frames):
        for frame in frames:
            places = (self.left + frame.index / 4, self.right - frame.index / 4)
            yield [synthetic_pose(feet=(x, 220.0)) for x in places]

class Backend:
    skeleton = BLAZEPOSE33

    def estimate(self, frames):
        for frame in frames:
            yield [] if frame.index in LOST else [synthetic_pose(feet=(150.0 + frame.index, 220.0))]
"""

RATE, FRAMES = 10, 46
SHORT, LONG = 13, 30
"""Frames in the middle of a gap of 3 and of one of 12 frames."""

SLOW, SLOW_FRAMES = 4, 56
"""A clip of a few frames that is long enough to tell people from each other again and again."""

SAME = 12.0
"""Levels, mean over the trunk: what encoding twice changes."""

STRIPES = np.tile(np.repeat(np.array([(255, 0, 255), (0, 255, 0)], np.uint8), 8, axis=0), (2, 1))
"""Magenta and green: under a mosaic they are grey."""

CONFIG = {"style": "skeleton", "pose": "puppet"}


def _source(index: int) -> Frame:
    pose = synthetic_pose(feet=(150.0 + index, 220.0))
    return synthetic_frame([(pose, synthetic_identity(2))], index=index, rate=RATE)


@pytest.fixture
def clip(install: Callable[..., Path], tmp_path: Path) -> Path:
    """A figure that walks slowly to the right and is not found in two gaps."""
    install("puppet-plugin", "1.0", {"puppet": "puppet_plugin"}, {"puppet_plugin": PLUGIN})
    write_film(tmp_path / "clip.mp4", (_source(index) for index in range(FRAMES)), RATE)
    return tmp_path / "clip.mp4"


def _trunk(image: Uint8Array, index: int) -> np.ndarray:
    """The middle of the figure's trunk and what stands around it."""
    return image[70:110, 140 + index : 160 + index].astype(np.float64)


def _frame(path: Path, index: int) -> Uint8Array:
    with open_video(path) as video:
        return next(video.frames(index, index + 1)).image


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(abs(a - b).mean())


@pytest.mark.parametrize(
    ("on_lost", "short", "long"),
    [
        ("interpolate", "avatar", "nobody"),
        ("hold", "avatar", "avatar"),
        ("fade", "", "nobody"),
        ("source", "", "person"),
    ],
)
def test_what_is_seen_where_the_pose_is_lost(clip: Path, on_lost: OnLost, short: str, long: str) -> None:
    events: list[animegen.events.Event] = []
    config = ConvertConfig(**CONFIG, on_lost=on_lost, background="keep" if on_lost == "source" else "clean")
    output = animegen.convert(clip, clip.with_name("out.mp4"), config, events.append).output
    wall = synthetic_frame().image
    for index, wanted in ((SHORT, short), (LONG, long)):
        shown, person = (_trunk(image, index) for image in (_frame(output, index), _frame(clip, index)))
        is_person, is_wall = _apart(shown, person) < SAME, _apart(shown, _trunk(wall, index)) < SAME
        assert {"person": is_person, "nobody": is_wall, "avatar": not is_person and not is_wall, "": True}[wanted]
    lost = [event for event in events if isinstance(event, PoseLost)]
    told = {index for event in lost for index in range(event.first, event.last + 1)}
    assert told == {*range(12, 15), *range(24, 36)}
    log = [json.loads(line) for line in (output.parent / "out.mp4.job" / "log.jsonl").read_text().splitlines()]
    assert sum(entry["event"] == "PoseLost" for entry in log) == len(lost)


def test_who_was_swapped_is_an_identity_switch(clip: Path) -> None:
    def frame(index: int) -> Frame:
        places = (80.0 + index / 4, 240.0 - index / 4)
        people = [(synthetic_pose(feet=(x, 220.0)), synthetic_identity(k)) for k, x in enumerate(places)]
        return synthetic_frame(people, index=index, rate=SLOW)

    write_film(clip, (frame(index) for index in range(SLOW_FRAMES)), SLOW)
    output, config = clip.with_name("out.mp4"), ConvertConfig(style="skeleton", pose="pair")
    animegen.convert(clip, output, config)
    with open_video(clip) as video, prepared(video, output, replace(config, overwrite=True)) as run:
        first, second = people = find_people(run).people
        half = SLOW_FRAMES // 2
        swapped = (
            replace(first, slots=first.slots[:half] + second.slots[half:]),
            replace(second, slots=second.slots[:half] + first.slots[half:]),
        )
        for crew, wanted in ((people, 0), (swapped, 1)):
            report, _ = report_run(run, crew, samples=1)
            assert [person["switches"] for person in report.figures["people"]] == [wanted, wanted]


@pytest.fixture
def reported(clip: Path) -> tuple[Path, Report]:
    result = animegen.convert(clip, clip.with_name("out.mp4"), ConvertConfig(**CONFIG))
    return result.job, write_job_report(result.job, clip.with_name("report"), samples=6)


def test_a_report_tells_of_everyone(reported: tuple[Path, Report]) -> None:
    job, report = reported
    (person,) = report.figures["people"]
    assert person["key"] == "person-1"
    assert person["pose"]["source"]["oks"]["mean"] == pytest.approx(1.0, abs=0.02)  # the backend is told the truth
    assert person["limits"]["pose"] == pytest.approx(1.0, abs=0.02)
    assert person["lost"]["done"]["interpolated"] == 3
    assert person["lost"]["done"]["faded"] > 0
    assert person["switches"] == 0
    assert person["colour"]["parts"]
    assert 0 < report.figures["score"] <= 100
    folder = job.with_name("report")
    assert json.loads((folder / "report.json").read_text())["people"][0]["key"] == "person-1"
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 6
    assert "http" not in page
    with report_job(job, samples=6) as (again, _):
        assert again.figures == report.figures


def test_who_is_hidden_is_hidden_in_the_report(clip: Path) -> None:
    def frame(index: int) -> Frame:
        poses = [synthetic_pose(feet=(x, 220.0)) for x in (110.0 + index / 4, 190.0 - index / 4)]
        image = synthetic_frame([(pose, synthetic_identity(2)) for pose in poses], index=index, rate=SLOW).image.copy()
        image[70:110, 174 - index // 4 : 206 - index // 4] = STRIPES
        return Frame(index, Fraction(index, SLOW), image)

    write_film(clip, (frame(index) for index in range(2 * SLOW)), SLOW)
    config = ConvertConfig(style="skeleton", pose="couple", background="keep")
    job = JobFolder(animegen.convert(clip, clip.with_name("out.mp4"), config).job)
    magenta = []
    for hidden in (False, True):
        cast = read_cast(job.cast)
        write_cast(job.cast, replace(cast, members=(cast.members[0], replace(cast.members[1], blur=hidden))))
        animegen.convert(clip, clip.with_name("out.mp4"), replace(config, overwrite=True))
        write_job_report(job.root, clip.with_name("report"), samples=2)
        page = clip.with_name("report").joinpath("report.html").read_text()
        assert ("mosaic" in page) == hidden
        first = page.split("<h2>")[1]
        magenta.append(sum(_magenta(picture) for picture in re.findall(r"base64,([^\"]+)", first)))
    assert magenta[0] > 1000
    assert magenta[1] == 0


def _magenta(jpeg: str) -> int:
    """How many pixels of a picture are of the colour that only the second person wears."""
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg)))).astype(int), -1, 0)
    return int(((red > green + 80) & (blue > green + 80)).sum())


def test_limits_say_who_does_not_keep_them(reported: tuple[Path, Report]) -> None:
    _, report = reported
    assert report.worse_than({"score": 1.0, "switches": 0, "pose": 0.5}) == []
    (line,) = report.worse_than({"lost": 0.001})
    assert line.startswith("lost of person-1 is 0.")


def test_the_command_writes_refuses_and_fails(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = clip.with_name("out.mp4")
    style = ["--style", "skeleton", "--pose", "puppet"]
    assert main(["convert", str(clip), "-o", str(output), *style, "--report", "--quiet"]) == 0
    job, folder = f"{output}.job", clip.with_name("out-report")
    assert (folder / "report.html").exists()
    assert main(["report", job, "--quiet"]) == OutputError.exit_code
    assert "--overwrite" in capsys.readouterr().err
    assert main(["report", job, "--quiet", "--overwrite", "--samples", "2", "--fail-under", "101"]) == 1
    assert "101 at least was asked for" in capsys.readouterr().err
    assert main(["report", job, "--fail-under", "beauty=1"]) == 2
    assert "there is no metric 'beauty'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="not a job folder"):
        write_job_report(output, folder)
    output.unlink()
    with pytest.raises(InputError, match="does not exist"):
        write_job_report(Path(job), folder)
