"""Several inputs in one call, and the commands that look after what conversions leave."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from jobs_material import REQUEST
from media import make_clip

import animegen
from animegen.cli import main
from animegen.errors import Cancelled, InputError, UsageError
from animegen.events import ClipFailed, ClipStarted, Event, Progress
from animegen.jobs import JobFolder
from animegen.pipeline.batch import clips_of, convert_all
from animegen.pipeline.convert import convert
from animegen.pipeline.jobs import find_jobs, report
from animegen.pipeline.plan import plan

FAILED, USAGE = 1, 2

QUICK = replace(REQUEST, background="keep")

ROUGHLY = 0.25
"""How far a forecast of the disk may lie from the truth, as a share of it."""


@pytest.fixture
def clips(blazepose_weights: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with two clips, a third below, a broken one, and things that are no videos."""
    del blazepose_weights  # fetched by now
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.mp4", "a.mkv", "deep/a.mp4"):
        make_clip(folder / name, frames=6)
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("notes")
    (folder / ".hidden.mp4").write_text("hidden")
    return folder


def test_what_stands_beside_two_outputs_of_one_name(
    blazepose_weights: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del blazepose_weights
    monkeypatch.chdir(tmp_path)
    make_clip(Path("k.gif"), frames=4, pix_fmt="rgb8", rate=Fraction(10))
    make_clip(Path("k.mkv"), frames=4)
    asked = ["--style", "skeleton", "--quiet"]
    assert main(["convert", "k.gif", *asked, "--preview", "2"]) == 0
    assert main(["convert", "k.mkv", *asked, "--preview", "2"]) == 0
    assert main(["convert", "k.gif", "k.mkv", *asked, "--report"]) == 0
    assert capsys.readouterr().out.split() == [
        "k-anime-preview", "k-anime.mkv-preview", "k-anime.gif", "k-anime.mkv", "k-anime.gif-report",
        "k-anime.mkv-report",
    ]  # fmt: skip
    for kind in ("gif", "mkv"):
        assert f"k-anime.{kind} from k.{kind}" in Path(f"k-anime.{kind}-report/report.html").read_text()


def test_a_folder_is_converted_in_order_and_one_failure_stops_nothing(clips: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    outcomes = convert_all([clips], tmp_path / "out", QUICK, events.append)
    assert [o.source.relative_to(clips).as_posix() for o in outcomes] == ["a.mkv", "b.mp4", "broken.mp4", "deep/a.mp4"]
    assert [None if o.result is None else o.result.output.relative_to(tmp_path).as_posix() for o in outcomes] == [
        "out/a-anime.mkv", "out/b-anime.mp4", None, "out/deep/a-anime.mp4",
    ]  # fmt: skip
    assert isinstance(outcomes[2].error, InputError)
    assert [e.number for e in events if isinstance(e, ClipStarted)] == [1, 2, 3, 4]
    assert [e.source for e in events if isinstance(e, ClipFailed)] == [str(clips / "broken.mp4")]
    events.clear()
    again = convert_all([clips], tmp_path / "out", QUICK, events.append)
    assert [o.result for o in again] == [o.result for o in outcomes]
    assert not [e for e in events if isinstance(e, Progress)]  # all of it was there


def test_outputs_beside_their_sources_are_not_taken_for_sources(clips: Path) -> None:
    (clips / "broken.mp4").unlink()
    outcomes = convert_all([clips, clips / "b.mp4"], None, QUICK)
    assert [o.result and o.result.output.name for o in outcomes] == ["a-anime.mkv", "b-anime.mp4", "a-anime.mp4"]
    convert(clips / "b.mp4", clips / "called so.mp4", QUICK)
    assert [clip.source.name for clip in clips_of([clips])] == ["a.mkv", "b.mp4", "a.mp4"]


def test_two_inputs_for_one_output_are_told_apart(clips: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "b.mp4", frames=4)
    first, second = convert_all([clips / "b.mp4", tmp_path / "b.mp4"], tmp_path / "out", QUICK)
    assert first.result is not None
    assert second.error is not None and "stands already" in str(second.error)


def test_a_user_who_stops_stops_all_of_them(clips: Path, tmp_path: Path) -> None:
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, ClipStarted) and event.number == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        convert_all([clips], tmp_path / "out", QUICK, stop, cancel)
    assert (tmp_path / "out" / "a-anime.mkv").exists()
    assert not (tmp_path / "out" / "deep").exists()


def test_what_is_no_folder_and_an_empty_one_are_refused(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no video"):
        convert_all([tmp_path / "empty"], None, QUICK)
    with pytest.raises(UsageError, match=r"b\.mp4 is a file"):
        convert_all([clips], clips / "b.mp4", QUICK)


def test_the_command_tells_what_became_of_each(clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--style", "skeleton", "--background", "keep"]
    assert main(["convert", str(clips / "b.mp4"), str(clips / "broken.mp4"), *options]) == FAILED
    told = capfd.readouterr()
    assert told.out.split() == [str(clips / "b-anime.mp4")]
    assert f"error: {clips / 'broken.mp4'}: " in told.err and "1 converted, 1 failed" in told.err
    assert main(["convert", str(clips), "--preview", "2"]) == USAGE
    assert "--preview is made of one video" in capfd.readouterr().err


def test_jobs_are_listed_shown_resumed_and_removed(
    clips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stopped, finished = tmp_path / "stopped.mp4", tmp_path / "finished.mp4"
    kept = animegen.convert(clips / "a.mkv", finished, replace(QUICK, keep=True)).job / "video"
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "render":
            cancel.set()

    with pytest.raises(Cancelled):
        animegen.convert(clips / "b.mp4", stopped, QUICK, stop, cancel)
    folder = JobFolder.beside(stopped).root
    assert find_jobs([tmp_path]) == [JobFolder.beside(finished).root, folder]
    job = report(folder)
    assert (job.state, job.frames, job.analysed, job.rendered) == ("stopped", 6, 6, 0)
    assert main(["jobs", "list", str(tmp_path), "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert [(entry["state"], entry["analysed"]) for entry in listed] == [("finished", 6), ("stopped", 6)]
    assert main(["jobs", "show", str(folder)]) == 0
    shown = capfd.readouterr().out
    assert f"source\t{(clips / 'b.mp4').resolve()}" in shown and "request.style\tskeleton" in shown
    assert main(["jobs", "resume", str(tmp_path), "--quiet"]) == 0
    assert stopped.exists() and report(folder).state == "finished"
    assert kept.exists(), "finished jobs are left as they are"
    capfd.readouterr()
    assert main(["jobs", "clean", str(tmp_path)]) == 0
    assert find_jobs([tmp_path]) == [] and stopped.exists() and finished.exists()
    assert " freed" in capfd.readouterr().err


def test_cleaning_leaves_what_can_be_gone_on_with(clips: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    animegen.convert(clips / "b.mp4", output, QUICK)
    output.unlink()
    folder = JobFolder.beside(output).root
    assert report(folder).state == "stopped"
    assert main(["jobs", "clean", str(tmp_path)]) == 0
    assert folder.exists()
    assert main(["jobs", "clean", str(folder)]) == 0
    assert not folder.exists()
    assert main(["jobs", "show", str(folder)]) == USAGE


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "out.mp4.job"
    folder.mkdir()
    (folder / "job.toml").write_bytes(b"\xff\0")
    job = report(folder)
    assert job.state == "damaged" and job.source is None


def test_a_job_that_is_not_kept_goes_with_its_end(clips: Path, tmp_path: Path) -> None:
    animegen.convert(clips / "b.mp4", tmp_path / "out.mp4", replace(QUICK, discard_job=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "out.mp4"]


def test_the_plan_of_a_run_comes_true(clips: Path, tmp_path: Path) -> None:
    source, output = make_clip(clips / "long.mp4", frames=60, audio=True), tmp_path / "out.mp4"
    found = plan(source, output, QUICK, trial_frames=30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips"]
    assert (found.frames, set(found.passes)) == (60, {"analyse", "cast", "render", "join"})
    assert found.seconds >= sum(found.passes.values()) > 0
    job = animegen.convert(source, output, replace(QUICK, keep=True)).job
    held = sum(path.stat().st_size for path in job.rglob("*") if path.is_file())
    assert abs(found.output / output.stat().st_size - 1) < ROUGHLY
    assert abs(found.disk / (held + output.stat().st_size) - 1) < ROUGHLY
    assert found.kept < found.disk < found.free


def test_a_plan_covers_what_is_asked_for(clips: Path) -> None:
    source = make_clip(clips / "short.mp4", frames=20, rate=Fraction(10))
    assert plan(source, None, replace(QUICK, start=Fraction(1, 2), end=Fraction(1))).frames == 5


@pytest.mark.slow
def test_a_long_run_is_measured_beside_its_plan(clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "long", str(clips / "b.mp4"), "--frames", "30", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["forecast"]["frames"], told["short_frames"]) == (30, 3)
    assert abs(told["forecast"]["disk"] / told["disk"] - 1) < ROUGHLY
    assert 0 < told["folder_share"] < 1 and told["resume_seconds"] < told["seconds"]
