"""Plugin sources and sinks: frames that FFmpeg knows nothing of, converted like any film."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import animegen
from animegen.cli import main
from animegen.config import ConvertConfig
from animegen.errors import Cancelled, UsageError
from animegen.pipeline.analyse import extract_poses
from animegen.pipeline.batch import convert_all
from animegen.pipeline.casting import make_cast
from animegen.pipeline.convert import analyse_only, render_job
from animegen.pipeline.plan import plan
from animegen.pipeline.preview import preview
from animegen.pipeline.report_page import write_job_report
from animegen.types import Frame
from animegen.video import open_video
from animegen.video.drawing import write_film

PLUGIN = """
import os
from fractions import Fraction
import numpy as np
from animegen.hookspecs import hookimpl
from animegen.protocols import VideoSinkSpec, VideoSourceSpec
from animegen.types import Frame

@hookimpl
def animegen_video_sources():
    return [VideoSourceSpec("ramp", "a ramp of greys", "ramp_plugin:make_source", suffixes=(".ramp",))]

@hookimpl
def animegen_video_sinks():
    return [VideoSinkSpec("raw", "bare samples", "ramp_plugin:make_sink", suffixes=(".rgb",))]

def make_source(options, context):
    return frames

def make_sink(options, context):
    return write

def frames(location):
    if os.path.exists("opened.txt"):
        with open("opened.txt", "a") as file:
            file.write(location + "\\n")
    for i in range(int(location.removeprefix("ramp:").removesuffix(".ramp").split("/")[-1])):
        yield Frame(i, Fraction(i, 10), np.full((48, 64, 3), 60 + 20 * i, np.uint8))

def write(path, frames):
    with open(path, "wb") as file:
        for frame in frames:
            file.write(frame.image.tobytes())
"""

GREY_ERROR = 1
"""Levels: what ten-bit ProRes may change of a flat grey."""


def test_a_plugin_source_goes_to_a_plugin_sink(
    blazepose_weights: dict[str, Path], install: Callable[..., Path], tmp_path: Path
) -> None:
    del blazepose_weights
    install("ramp-plugin", "1.0", {"ramp": "ramp_plugin"}, {"ramp_plugin": PLUGIN})
    output = tmp_path / "out.rgb"
    config = ConvertConfig(style="skeleton")
    with pytest.raises(UsageError, match="ramp:4"):
        animegen.convert(Path("ramp:4"), None, config)
    result = animegen.convert(Path("ramp:4"), output, config)
    assert result.output == output
    samples = np.frombuffer(output.read_bytes(), np.uint8).reshape(4, 48, 64, 3).astype(int)
    assert abs(samples - np.array([60, 80, 100, 120])[:, None, None, None]).max() <= GREY_ERROR
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.rgb", "out.rgb.film.mov.job", "site"]


def test_the_film_of_a_stopped_run_serves_no_other_source(
    blazepose_weights: dict[str, Path], install: Callable[..., Path], tmp_path: Path
) -> None:
    del blazepose_weights
    install("ramp-plugin", "1.0", {"ramp": "ramp_plugin"}, {"ramp_plugin": PLUGIN})
    output, config, stop = tmp_path / "out.mp4", ConvertConfig(style="skeleton", restart=True), threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        animegen.convert(Path("ramp:4"), output, config, cancel=stop)
    assert animegen.convert(Path("ramp:6"), output, config).frames == 6


def test_a_job_of_a_plugin_source_is_reported_and_resumed(
    blazepose_weights: dict[str, Path], install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del blazepose_weights
    install("ramp-plugin", "1.0", {"ramp": "ramp_plugin"}, {"ramp_plugin": PLUGIN})
    (tmp_path / "films").mkdir()
    monkeypatch.chdir(tmp_path / "films")
    Path("4.ramp").touch()
    config, stop = ConvertConfig(style="skeleton"), threading.Event()
    result = animegen.convert(Path("4.ramp"), Path("out.mp4"), config)
    result = replace(result, job=result.job.absolute())
    stop.set()
    with pytest.raises(Cancelled):
        animegen.convert(Path("ramp:4"), Path("out.rgb"), config, cancel=stop)
    monkeypatch.chdir(tmp_path)
    assert write_job_report(result.job, tmp_path / "report").figures["frames"] == 4
    assert render_job(result.job).frames == 4
    sunk = render_job(tmp_path / "films" / "out.rgb.film.mov.job")
    assert sunk.output == tmp_path / "films" / "out.rgb"
    assert sunk.output.stat().st_size == 4 * 48 * 64 * 3
    assert {path.name for path in sunk.output.parent.iterdir()} == {
        "4.ramp", "out.mp4", "out.mp4.job", "out.rgb", "out.rgb.film.mov.job"
    }  # fmt: skip


@pytest.fixture
def ramps(
    blazepose_weights: dict[str, Path], install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder to stand in, where the plugin writes into opened.txt what it was asked for."""
    del blazepose_weights
    install("ramp-plugin", "1.0", {"ramp": "ramp_plugin"}, {"ramp_plugin": PLUGIN})
    folder = tmp_path / "ramps"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("opened.txt").touch()
    return folder


def test_a_cast_a_preview_and_the_conversion_work_from_one_film(ramps: Path) -> None:
    config, output = ConvertConfig(style="skeleton"), Path("out.mp4")
    with pytest.raises(UsageError, match="ramp:4") as refused:
        make_cast(Path("ramp:4"), None, config)
    assert "--for OUT" in refused.value.hint
    cast = make_cast(Path("ramp:4"), None, config, target=output)
    assert cast.cast == Path("out-cast.toml")
    (film,) = ramps.glob("*.source.mp4")
    assert preview(Path("ramp:4"), output, config, 2) == Path("out-preview")
    assert plan(Path("ramp:4"), output, config, trial_frames=3).frames == 4
    assert film.exists(), "the conversion goes on from it"
    assert animegen.convert(Path("ramp:4"), output, replace(config, cast=cast.cast)).frames == 4
    assert Path("opened.txt").read_text().split() == ["ramp:4"]
    assert not film.exists()


def test_an_address_reaches_the_plugin_as_it_was_given(ramps: Path) -> None:
    assert main(["analyse", "ramp://host//4", "-o", "out.mp4", "--style", "skeleton", "--quiet"]) == 0
    assert main(["jobs", "resume", "out.mp4.job", "--quiet"]) == 0
    assert Path("opened.txt").read_text().split() == ["ramp://host//4"]
    assert {path.name for path in ramps.iterdir()} == {"opened.txt", "out.mp4", "out.mp4.job"}


def test_a_plan_of_a_plugin_source_leaves_nothing(ramps: Path) -> None:
    assert plan(Path("ramp:4"), Path("out.mp4"), ConvertConfig(style="skeleton"), trial_frames=3).frames == 4
    assert [path.name for path in ramps.iterdir()] == ["opened.txt"]


def test_poses_of_a_plugin_source_leave_nothing_else(ramps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pose", "extract", "ramp:4", "-o", "poses.npz"]) == 0
    assert capsys.readouterr().out == "poses.npz: 4 frames, 0 people\n"
    Path("3.ramp").touch()
    assert len(extract_poses(Path("3.ramp"))) == 3
    assert {path.name for path in ramps.iterdir()} == {"opened.txt", "3.ramp", "poses.npz"}
    assert main(["pose", "extract", "https://host/a.mp4", "-o", "b.npz"]) == 1
    assert "is an address" in capsys.readouterr().err


def test_the_film_goes_with_its_job(ramps: Path) -> None:
    analyse_only(Path("ramp:4"), Path("out.rgb"), ConvertConfig(style="skeleton"))
    (film,) = ramps.glob("*.source.mp4")
    assert {path.name for path in ramps.iterdir()} == {"opened.txt", film.name, "out.rgb.film.mov.job"}
    assert main(["jobs", "clean", "out.rgb.film.mov.job"]) == 0
    assert [path.name for path in ramps.iterdir()] == ["opened.txt"]


def test_files_that_a_plugin_reads_have_their_output_beside_them_or_in_a_folder(ramps: Path) -> None:
    Path("4.ramp").touch()
    config = ConvertConfig(style="skeleton")
    assert animegen.convert(Path("4.ramp"), None, config).output == Path("4-anime.mp4")
    outcomes = convert_all([ramps], ramps / "made", config)
    assert [outcome.result and outcome.result.output for outcome in outcomes] == [ramps / "made" / "4-anime.mp4"]


def test_a_lossless_film_keeps_every_sample_and_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = [Fraction(0), Fraction(1, 25), Fraction(1, 10)]
    frames = [Frame(i, t, rng.integers(0, 256, (33, 47, 3), np.uint8)) for i, t in enumerate(times)]
    write_film(tmp_path / "film.mp4", frames, Fraction(25), lossless=True)
    with open_video(tmp_path / "film.mp4") as video:
        back = list(video.frames())
    assert [f.pts for f in back] == times
    for frame, again in zip(frames, back, strict=True):
        assert np.array_equal(frame.image, again.image)
