"""The command line: one line and a hint for everything that cannot work, and events a program can read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from media import make_clip

from animegen.cli import main

FAILED, USAGE, INTERRUPTED = 1, 2, 130


@pytest.fixture
def clip(blazepose_weights: dict[str, Path], tmp_path: Path) -> Path:
    """Half a second of a test pattern with sound, in a folder of its own."""
    del blazepose_weights
    folder = tmp_path / "clips"
    folder.mkdir()
    return make_clip(folder / "clip.mp4", frames=12, size=(160, 96), audio=True)


def _refused(capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, *words: str) -> None:
    """The command ends with ``code`` and says why in one error line, with the words in it, and one hint."""
    assert main(arguments) == code
    said = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(("INFO", "warning:"))]
    assert [line.split(":")[0] for line in said] == ["error", "hint"], said
    for word in words:
        assert word in said[0]


def _convert(source: Path, output: Path, *more: str) -> list[str]:
    return ["convert", str(source), "-o", str(output), "--style", "skeleton", "--quiet", *more]


def _untouched(folder: Path, *names: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_missing_empty_text_and_folder(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = clip.parent
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all\n" * 50)
    (folder / "deep").mkdir()
    for name in ("nowhere.mp4", "empty.mp4", "text.mp4", "deep"):
        _refused(capfd, _convert(folder / name, folder / "out.mp4"), FAILED, name)
    _untouched(folder, "clip.mp4", "empty.mp4", "text.mp4", "deep")


def test_what_is_no_file_at_all(clip: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    os.mkfifo("pipe.mp4")
    _refused(capfd, ["convert", "http://films.example/a.mp4"], FAILED, "http://films.example/a.mp4", "address")
    _refused(capfd, ["convert", "pipe.mp4"], FAILED, "pipe.mp4", "pipe or a device")
    for command in ("convert", "cast", "plan", "analyse"):
        _refused(capfd, [command, ""], USAGE, "a name is empty")
        _refused(capfd, [command, "-"], USAGE, "standard input")
    for output in ("-", "", ".", "..", "/", ".mp4", f"{'long' * 62}.mp4", "pipe.mp4"):
        _refused(capfd, [*_convert(clip, Path(output)), "-o", output, "--overwrite"], FAILED)
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    _refused(capfd, _convert(clip, Path("notes")), FAILED, "notes is a folder with something in it")
    _refused(capfd, [*_convert(clip, Path("o.mp4")), "--cast", "no.toml"], FAILED, "no.toml does not exist")
    _refused(capfd, [*_convert(clip, Path("o.mp4")), "--background", "no.png"], USAGE, "there is no file no.png")
    Path("o.mp4.job").touch()
    _refused(capfd, _convert(clip, Path("o.mp4")), USAGE, "o.mp4.job exists and is not a job folder")
    name = os.fsdecode(b"caf\xe9.mp4")
    clip.rename(name)
    _refused(capfd, _convert(Path(name), Path("p.mp4")), USAGE, "not UTF-8")
    assert len(list(Path().iterdir())) == 4


def test_sound_without_a_picture(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import av

    sound = clip.with_name("sound.mka")
    with av.open(str(clip)) as source, av.open(str(sound), "w", format="matroska") as target:
        copy = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    _refused(capfd, _convert(sound, clip.with_name("out.mp4")), FAILED, "sound.mka")
    _untouched(clip.parent, "clip.mp4", "sound.mka")


def test_a_truncated_film_is_refused_and_salvaged(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = make_clip(
        clip.with_name("whole.mp4"), frames=48, size=(160, 96), container_options={"movflags": "+faststart"}
    )
    cut, output = clip.with_name("cut.mp4"), clip.with_name("out.mp4")
    cut.write_bytes(whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
    _refused(capfd, _convert(cut, output), FAILED, "cut.mp4")
    assert not output.exists()
    assert main(_convert(cut, output, "--salvage")) == 0
    assert output.stat().st_size > 0


def test_an_output_that_stands_or_cannot_stand(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = clip.with_name("mine.mp4")
    mine.write_text("precious")
    _refused(capfd, _convert(clip, mine), FAILED, "mine.mp4")
    assert mine.read_text() == "precious"
    _refused(capfd, _convert(clip, mine / "below.mp4"), FAILED, "no folder")
    _refused(capfd, _convert(clip, clip, "--overwrite"), FAILED, "clip.mp4")
    _refused(capfd, _convert(clip, clip.with_name("out.xyz")), FAILED, ".xyz")
    _untouched(clip.parent, "clip.mp4", "mine.mp4")
    assert main(_convert(clip, mine, "--overwrite")) == 0
    assert mine.read_bytes()[4:8] == b"ftyp"


def test_a_cast_says_how_to_go_on_from_its_job(
    clip: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    options = ["--style", "skeleton", "--set", "pose.face=false", "--end", "0.2"]
    assert main(["cast", "clip.mp4", *options]) == 0
    *_, kept, command = capfd.readouterr().err.splitlines()
    assert "the analysis stays in clip-anime.mp4.job" in kept
    assert command == "animegen convert clip.mp4 --cast clip-cast.toml"
    assert main([*command.split()[1:], *options, "--json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [e["done"] for e in events if e["event"] == "Progress" and e["stage"] == "analyse"] == [6]
    assert main(["jobs", "clean", "clip-anime.mp4.job"]) == 0
    made = ("clip-anime.mp4", "clip-cast.html", "clip-cast.png", "clip-cast.toml", "clip-cast-pictures")
    _untouched(clip.parent, "clip.mp4", *made)


def test_a_job_whose_source_has_gone_and_one_of_pictures(
    clip: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    assert main(_convert(clip, Path("shots"))) == 0
    assert main(_convert(clip, Path("shot_%02d.png"))) == 0
    capfd.readouterr()
    for output in ("shots", "shot_%02d.png"):
        _refused(capfd, ["report", f"{output}.job", "--quiet"], USAGE, f"{output} is a sequence of pictures")
    clip.rename("moved.mp4")
    _refused(capfd, ["render", "shots.job", "--quiet"], FAILED, "clip.mp4 does not exist any more")
    assert main(_convert(Path("moved.mp4"), Path("shots"))) == 0, "the way out that it names"


def test_an_end_before_the_start(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _refused(capfd, _convert(clip, clip.parent / "out.mp4", "--start", "0.4", "--end", "0.2"), USAGE, "0.2 s", "0.4 s")
    _untouched(clip.parent, "clip.mp4")


def test_names_and_options_that_do_not_exist(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = clip.with_name("out.mp4")
    _refused(capfd, [*_convert(clip, output), "--style", "skelton"], USAGE, "skelton")
    _refused(capfd, [*_convert(clip, output), "--set", "colour=red"], USAGE, "colour")
    _refused(capfd, [*_convert(clip, output), "--set", "colour"], USAGE, "colour")
    _refused(capfd, [*_convert(clip, output), "--start", "soon"], USAGE, "soon")
    _untouched(clip.parent, "clip.mp4")


def test_weights_that_are_corrupt_or_out_of_reach(
    clip: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = clip.with_name("out.mp4")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "pose_detection.tflite").write_bytes(b"no model")
    monkeypatch.setenv("ANIMEGEN_WEIGHTS", str(broken))
    _refused(capfd, _convert(clip, output), FAILED, "pose_detection.tflite")
    monkeypatch.delenv("ANIMEGEN_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", "")
    _refused(capfd, _convert(clip, output), FAILED, "blazepose")
    _untouched(clip.parent, "clip.mp4")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(clip: Path, small_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = make_clip(clip.with_name("noise.mp4"), frames=30, size=(640, 360))
    _refused(capfd, _convert(noise, small_disk / "out.mp4"), FAILED, "102 kB free, and this job needs about")
    assert list(small_disk.iterdir()) == []


def test_events_as_json_lines(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = clip.with_name("out.mp4")
    assert main(["convert", str(clip), "-o", str(output), "--style", "skeleton", "--json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[-1] == {"event": "Finished", "output": str(output)}
    assert {"event": "Progress", "stage": "render", "done": 12, "total": 12} in events


def test_ctrl_c_keeps_the_job_and_leaves_no_broken_output(blazepose_weights: dict[str, Path], tmp_path: Path) -> None:
    del blazepose_weights
    source = make_clip(tmp_path / "long.mp4", frames=1500, size=(160, 96))
    output = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "animegen", *_convert(source, output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out.mp4.job/poses/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert not output.exists()
    assert list(tmp_path.glob("out.mp4.job/poses/*.npz"))
    assert not list(tmp_path.rglob("*.part"))
