"""A run may be killed, stopped, starved of disk or damaged at any moment: the next one makes the same bytes of it."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from jobs_material import OPTIONS, PEOPLED, REQUEST, SEGMENT, Command, make_job_clip, names_in

import animegen
from animegen.cli import main
from animegen.errors import JobError, OutputError
from animegen.events import Event, Finished, Progress, StageStarted, Warned
from animegen.jobs import JobFolder

INTERRUPTED, MISMATCH = 130, 2

BLOCK = 512
"""Bytes in which a POSIX shell counts the size of files."""

LONGEST_WAIT = 0.05
"""Seconds at most from what a run tells to its end: several times as long as joining takes."""

AGAIN = """
from animegen.hookspecs import hookimpl
from animegen.protocols import TrackerSpec

@hookimpl
def animegen_trackers():
    return [TrackerSpec("again", "the built-in one under another name", "animegen.tracking.oks:make_tracker")]
"""

TINY_DISK = 64 * 2**20
"""Bytes of the disk that is filled: several times what the job takes."""


@pytest.fixture(scope="session")
def clip(blazepose_weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    del blazepose_weights  # fetched by now
    return make_job_clip(tmp_path_factory.mktemp("job-clip") / "clip.mp4")


@pytest.fixture(scope="session")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> animegen.Result:
    """What a run makes that nothing disturbs, with everything kept."""
    return animegen.convert(clip, tmp_path_factory.mktemp("whole") / "out.mp4", replace(REQUEST, keep=True))


@pytest.fixture
def kept(whole: animegen.Result, tmp_path: Path) -> Path:
    """A place for an output, with the finished job beside it but the output gone."""
    output = tmp_path / "out.mp4"
    shutil.copytree(whole.job, JobFolder.beside(output).root)
    return output


def _same(output: Path, whole: animegen.Result) -> None:
    """The output and its job are what the undisturbed run left, and nothing else lies there."""
    assert output.read_bytes() == whole.output.read_bytes()
    assert names_in(JobFolder.beside(output).root) == names_in(whole.job)
    assert sorted(path.name for path in output.parent.iterdir()) == ["out.mp4", "out.mp4.job"]
    seals, wanted = JobFolder.beside(output).seals(), JobFolder(whole.job).seals()
    assert {name: seal["sha256"] for name, seal in seals.items()} == {n: s["sha256"] for n, s in wanted.items()}


PASSES = ("analyse", "render", "join", "cast")
"""What is killed, in turn: a run that was killed in one pass goes on to the next."""


def _killed_and_gone_on(clip: Path, output: Path, whole: animegen.Result, times: int, seed: int) -> None:
    """Kill runs at random moments of every pass in turn, then let one go on to the end."""
    chance, killed = random.Random(seed), 0
    for number in range(times):
        stage = PASSES[number % len(PASSES)]
        command = Command(clip, output, "--keep")
        if command.until(stage, chance.randrange(PEOPLED) if stage in {"analyse", "render"} else 0):
            time.sleep(chance.random() * LONGEST_WAIT)
        killed += command.send(signal.SIGKILL) == -signal.SIGKILL
        assert not output.exists() or output.read_bytes() == whole.output.read_bytes()
    assert killed >= 2, "the runs were over before they were killed"
    animegen.convert(clip, output, replace(REQUEST, keep=True))
    _same(output, whole)


def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(
    clip: Path, whole: animegen.Result, tmp_path: Path
) -> None:
    _killed_and_gone_on(clip, tmp_path / "out.mp4", whole, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 15))
def test_killed_twenty_times_it_goes_on_to_the_same_bytes(
    clip: Path, whole: animegen.Result, tmp_path: Path, seed: int
) -> None:
    _killed_and_gone_on(clip, tmp_path / "out.mp4", whole, 4, seed)


def test_stopped_by_signals_it_tidies_up_and_goes_on_to_the_same_bytes(
    clip: Path, whole: animegen.Result, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    for number, stage in ((signal.SIGTERM, "analyse"), (signal.SIGINT, "render")):
        command = Command(clip, output, "--keep")
        assert command.until(stage, SEGMENT + 1)
        assert command.send(number) == INTERRUPTED
        assert f"{number.name}: stopping" in command.said
        assert "run the same command again to go on" in command.said
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.job"]
        assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("lock"))
    animegen.convert(clip, output, replace(REQUEST, keep=True))
    _same(output, whole)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that a test may fill."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={TINY_DISK}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(options, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here: that takes root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_disk_full_at_a_random_write_is_told_and_gone_on_from(
    clip: Path, whole: animegen.Result, tiny_disk: Path, seed: int
) -> None:
    output, ballast = tiny_disk / "out.mp4", tiny_disk / "ballast"
    needed = sum(path.stat().st_size for path in [*whole.job.rglob("*"), whole.output] if path.is_file())
    left = random.Random(seed).randrange(needed * 3 // 4)

    def fill(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "analyse":
            free = shutil.disk_usage(tiny_disk).free
            ballast.write_bytes(bytes(max(0, free - left)))

    with pytest.raises(OutputError, match=r"No space left on device") as caught:
        animegen.convert(clip, output, replace(REQUEST, keep=True), fill)
    assert "free some disk space and run the same command again" in caught.value.hint
    assert not output.exists()
    ballast.unlink()
    animegen.convert(clip, output, replace(REQUEST, keep=True))
    _same(output, whole)


def test_a_file_that_may_not_grow_is_told_and_gone_on_from(clip: Path, whole: animegen.Result, tmp_path: Path) -> None:
    most = 9 * whole.output.stat().st_size // 10  # the film itself is too large
    output = tmp_path / "out.mp4"
    limit = ["sh", "-c", f'ulimit -f {most // BLOCK}; exec "$0" "$@"']
    command = Command(clip, output, "--keep", through=limit)
    assert command.end() == 1
    assert "error: cannot write" in command.said and "free some disk space" in command.said
    assert not output.exists() and not list(tmp_path.rglob("*.part"))
    animegen.convert(clip, output, replace(REQUEST, keep=True))
    _same(output, whole)


def test_damaged_artefacts_are_found_and_made_anew(clip: Path, whole: animegen.Result, kept: Path) -> None:
    job = JobFolder.beside(kept)
    (prepared, *_), (film, *_) = sorted((job.root / "prepared").iterdir()), sorted((job.root / "video").iterdir())
    damaged = [job.segment("poses", 1), job.segment("crops", 3), job.plates / "frames.npz", prepared, film]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    events: list[Event] = []
    animegen.convert(clip, kept, replace(REQUEST, keep=True), events.append)
    told = {e.message for e in events if isinstance(e, Warned)}
    assert told == {f"{p if p.parent != job.plates else job.plates} is damaged: it is made anew" for p in damaged}
    _same(kept, whole)


def test_a_damaged_output_is_made_anew_and_a_finished_one_left_alone(
    clip: Path, whole: animegen.Result, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    shutil.copytree(whole.job, JobFolder.beside(output).root)
    shutil.copy(whole.output, output)
    events: list[Event] = []
    result = animegen.convert(clip, output, replace(REQUEST, keep=True), events.append)
    assert events == [Finished(str(output))]
    assert (result.people, result.frames) == (whole.people, whole.frames)
    output.write_bytes(output.read_bytes()[:-1])
    animegen.convert(clip, output, replace(REQUEST, keep=True))
    _same(output, whole)


def test_a_job_of_another_version_is_refused_and_told(clip: Path, tmp_path: Path) -> None:
    """What it holds would not go on: artefacts of another version hold other things."""
    output = tmp_path / "out.mkv"
    job = output.with_name("out.mkv.job")
    job.mkdir()
    (job / "job.toml").write_text("format = 3\n")
    with pytest.raises(JobError, match="made by another version of animegen, whose jobs are of format 3") as caught:
        animegen.convert(clip, output, REQUEST)
    assert "--restart" in caught.value.hint
    animegen.convert(clip, output, replace(REQUEST, restart=True))
    assert output.exists()


def test_another_input_is_refused_and_told(clip: Path, kept: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes() + b"\0\0\0\10free")
    with pytest.raises(JobError, match=r"belongs to another request: input\.sha256 was '[0-9a-f]+', is '[0-9a-f]+'$"):
        animegen.convert(other, kept, REQUEST)
    with pytest.raises(JobError, match=r"analysis\.segment_frames was 6, is 7$"):
        animegen.convert(clip, kept, replace(REQUEST, segment_frames=7))


def test_the_second_of_two_runs_is_told_who_has_the_job(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    first = Command(clip, output)
    assert first.until("analyse", 1)
    assert main(["convert", str(clip), "-o", str(output), *OPTIONS, "--quiet"]) == MISMATCH
    assert f"out.mp4.job is in use by process {first.process.pid} on " in capfd.readouterr().err
    assert main(["jobs", "list", str(tmp_path)]) == 0
    assert f"running: process {first.process.pid} on " in capfd.readouterr().out
    assert main(["jobs", "clean", str(JobFolder.beside(output).root)]) == MISMATCH
    assert first.send(signal.SIGKILL) == -signal.SIGKILL
    with JobFolder.beside(output).held():
        pass  # a dead process holds nothing


def _segments(job: JobFolder) -> dict[str, int]:
    """The encoded segments by name, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted((job.root / "video").iterdir())}


def test_a_changed_cast_costs_the_segments_that_show_it(clip: Path, kept: Path) -> None:
    job = JobFolder.beside(kept)
    before = _segments(job)
    text = job.cast.read_text(encoding="utf-8")
    assert text.count('\nkey = "person-') == 2
    job.cast.write_text(text.replace('\nkey = "person-1"\n', '\nkey = "person-1"\nskip = true\n'), encoding="utf-8")
    events: list[Event] = []
    animegen.convert(clip, kept, replace(REQUEST, keep=True), events.append)
    after = _segments(job)
    assert len(after) == len(before) == 4, "what was replaced is gone"
    assert {name[:5] for name in after if before.get(name) == after[name]} == {"00000"}  # person-1 comes later
    assert len([e for e in events if isinstance(e, Progress) and e.stage == "analyse"]) == 1


def test_another_background_keeps_the_analysis(clip: Path, kept: Path) -> None:
    job = JobFolder.beside(kept)
    poses = [job.segment("poses", index).stat().st_mtime_ns for index in range(4)]
    before = _segments(job)
    animegen.convert(clip, kept, replace(REQUEST, keep=True, background="color:#204060"))
    assert [job.segment("poses", index).stat().st_mtime_ns for index in range(4)] == poses
    assert not before.keys() & _segments(job).keys()
    with pytest.raises(OutputError, match="stands already"):
        animegen.convert(clip, kept, replace(REQUEST, keep=True))


@pytest.mark.parametrize("other", [{"tracker": "again"}, {"settings": {"tracker.max_lost": "30"}}])
def test_another_tracker_keeps_the_poses_and_not_the_plates(
    clip: Path, kept: Path, install: Callable[..., Path], other: dict[str, Any]
) -> None:
    install("again", "1.0", {"again": "again_plugin"}, {"again_plugin": AGAIN})
    job = JobFolder.beside(kept)
    before, poses, plates = _segments(job), _made(job.segment("poses", 3)), _made(job.plates)
    animegen.convert(clip, kept, replace(REQUEST, keep=True, **other))
    assert _made(job.segment("poses", 3)) == poses
    assert _made(job.plates) != plates
    assert not before.keys() & _segments(job).keys(), "what stands behind the people may differ anywhere"


def _made(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_a_job_without_room_is_refused_with_the_figure(clip: Path, tmp_path: Path, tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(bytes(TINY_DISK - 2**16))
    with pytest.raises(OutputError, match=r"has [\d.]+ kB free, and this job needs about [\d.]+ [kM]B"):
        animegen.convert(clip, tiny_disk / "out.mp4", replace(REQUEST, end=Fraction(1)))
    assert [path.name for path in tiny_disk.iterdir()] == ["ballast"]


def test_a_refused_write_says_what_to_do() -> None:
    from animegen.jobs.artefacts import write_hint

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert "free some disk space" in write_hint(OSError(number, "full"))
    assert "free" not in write_hint(OSError(errno.EACCES, "denied"))
