"""Odd files through the command line: every kind of input converts and verifies, every kind of output is as named."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import pytest
from media import index_of, make_clip, numbered
from PIL import Image
from rewrite import rewrite
from skimage.data import astronaut

from animegen.cli import main
from animegen.config import EncodeConfig
from animegen.types import Colour
from animegen.video import open_video, plan_output, verify

Run: TypeAlias = Callable[..., tuple[int, str, str]]

UNCHANGED_DB = 40.0
"""PSNR over a clip with nobody in it, at default quality: what users are promised."""

TONE_MAPPED_DB = 30.0
"""PSNR of a tone-mapped test pattern: saturated colours side by side lose more to chroma at half resolution."""

SYNC = 0.025
"""Seconds by which cut sound may begin before or after the picture: one AAC packet lasts 21 ms."""

PRIMING = 0.05
"""Seconds by which sound encoded again may be longer: the priming and padding of two codecs."""

NOBODY = "warning: nobody was found in this clip: the picture is left as it is"
MILLI = Fraction(1, 1000)
FINE = Fraction(1, 30_000)
CHAPTERS = [(Fraction(0), Fraction(1, 8), "one"), (Fraction(1, 8), Fraction(1, 4), "two")]
IRREGULAR = [0, 1000, 1500, 4000, 4100, 9000, 9100, 12000]
TEN_BIT = {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=error:bframes=0"}}

CLIPS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "variable rate": ("a.mp4", "mp4", {"pts": IRREGULAR, "time_base": FINE, "audio": True}),
    "variable rate in Matroska": ("a.mkv", "mkv", {"pts": [0, 33, 50, 133, 140, 303], "time_base": MILLI}),
    "29.97": ("a.mp4", "mp4", {}),
    "turned by 90": ("a.mp4", "mp4", {"rotation": 90, "size": (96, 160)}),
    "turned by 270": ("a.mov", "mov", {"rotation": 270, "size": (96, 160)}),
    "upside down and mirrored": ("a.mp4", "mp4", {"rotation": 180, "mirrored": True}),
    "ten bits": ("a.mkv", "mkv", TEN_BIT),
    "odd": ("a.mkv", "mkv", {"codec": "libvpx-vp9", "size": (161, 97)}),
    "aac, mov_text, chapters": ("a.mp4", "mp4", {"audio": "aac", "subtitles": "mov_text", "chapters": CHAPTERS}),
    "srt, chapters": ("a.mkv", "mkv", {"subtitles": "subrip", "audio": True, "chapters": CHAPTERS}),
    "ass": ("a.mkv", "mkv", {"subtitles": "ass"}),
    "opus in Matroska": ("a.mkv", "mkv", {"audio": "libopus"}),
    "opus in webm": ("a.webm", "mp4", {"audio": "libopus"}),
    "mp3": ("a.mp4", "mp4", {"audio": "libmp3lame"}),
    "pcm in QuickTime": ("a.mov", "mov", {"audio": "pcm_s16le"}),
    "pcm in Matroska": ("a.mkv", "mkv", {"audio": "pcm_s16le"}),
    "ac3": ("a.mkv", "mkv", {"audio": "ac3"}),
    "one frame": ("a.mp4", "mp4", {"frames": 1, "audio": True}),
    "late start": ("a.mp4", "mp4", {"start_offset": 12, "audio": True}),
    "late start in Matroska": ("a.mkv", "mkv", {"start_offset": 12, "audio": True}),
    "avi": ("a.avi", "mp4", {"audio": True}),
    "avi with pcm": ("a.avi", "mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "audio": "pcm_s16le"}),
    "transport stream": ("a.ts", "mp4", {"audio": "aac"}),
    "transport stream with mp2": ("a.ts", "mp4", {"audio": "mp2"}),
    "gif": ("a.gif", "gif", {"pix_fmt": "rgb8", "rate": Fraction(10)}),
}


@pytest.fixture
def run(
    blazepose_weights: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command in ``tmp_path``: (exit code, standard output, standard error without the note on nobody)."""
    del blazepose_weights  # fetched by now
    monkeypatch.chdir(tmp_path)

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        more = ("--style", "skeleton", "--quiet") if command == "convert" else ()
        code = main([command, *more, *arguments])
        out, err = capfd.readouterr()
        return code, out.rstrip("\n"), "\n".join(line for line in err.splitlines() if line != NOBODY)

    return run


def _pictures(path: Path) -> np.ndarray:
    with open_video(path) as video:
        return np.stack([frame.image for frame in video.frames()])


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def _codecs(path: Path) -> list[str]:
    with open_video(path) as video:
        return [stream.codec for stream in video.streams if stream.type != "data"]


@pytest.mark.parametrize("case", CLIPS)
def test_a_clip_keeps_its_pictures_times_and_streams(case: str, run: Run) -> None:
    name, kind, how = CLIPS[case]
    source = make_clip(Path(name), **{"frames": len(how.get("pts", range(8))), **how})
    code, output, said = run("convert", name)
    assert (code, output) == (0, f"a-anime.{kind}"), said
    assert ("odd" in said) == (case == "odd")
    code, report, said = run("verify", name, output)
    assert code == 0, report + said
    assert _psnr(_pictures(source), _pictures(Path(output))) >= UNCHANGED_DB


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_is_tone_mapped_and_said(transfer: str, run: Run) -> None:
    make_clip(Path("a.mkv"), frames=3, colour=transfer, pix_fmt="yuv420p10le")
    code, output, said = run("convert", "a.mkv")
    assert code == 0
    assert said.startswith("warning: a.mkv is HDR")
    with open_video(Path(output)) as video:
        assert video.info.colour == Colour()
    assert run("verify", "a.mkv", output)[0] == 0
    assert _psnr(_pictures(Path("a.mkv")), _pictures(Path(output))) >= TONE_MAPPED_DB


def test_interlaced_film_is_told(run: Run) -> None:
    make_clip(Path("a.mp4"), frames=3, size=(96, 64), audio=True, options={"x264-params": "tff=1:interlaced=1"})
    code, output, said = run("convert", "a.mp4")
    assert code == 0
    assert said.startswith("warning: a.mp4 is interlaced: its frames are deinterlaced")
    assert run("verify", "a.mp4", output)[0] == 0
    with open_video(Path(output)) as video:
        assert not video.info.interlaced


def test_transparency_that_is_not_read_is_told(run: Run) -> None:
    make_clip(Path("a.webm"), frames=2, size=(96, 64), pix_fmt="yuva420p", options={"auto-alt-ref": "0"})
    code, output, said = run("convert", "a.webm")
    assert (code, output) == (0, "a-anime.mp4")
    assert said.startswith("warning: the transparency of its vp9 video is not read")


def test_a_person_in_a_portrait_clip_is_drawn(run: Run) -> None:
    image = np.asarray(Image.fromarray(astronaut()).resize((192, 192)))[:, 16:176]
    source = make_clip(Path("a.mp4"), frames=4, size=(160, 192), rotation=90, picture=lambda *_: image)
    code, output, said = run("convert", "a.mp4", "--background", "keep")
    assert (code, said) == (0, "")
    assert verify(source, Path(output)).ok
    before, after = _pictures(source), _pictures(Path(output))
    changed = (np.abs(before.astype(int) - after).max(axis=-1) > 60).mean()
    assert 0.005 < changed < 0.5


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.JPEG", "p.webp"])
def test_a_still_becomes_a_picture_of_its_kind(name: str, run: Run) -> None:
    Image.fromarray(numbered(3, 160, 96)).save(name, quality=95)
    code, output, said = run("convert", name)
    assert (code, said) == (0, "")
    assert output == name.replace("p.", "p-anime.").replace(".webp", ".png")
    assert run("verify", name, output)[0] == 0
    assert _psnr(_pictures(Path(name)), _pictures(Path(output))) >= UNCHANGED_DB


def test_pictures_come_out_numbered(run: Run) -> None:
    source = make_clip(Path("a.mp4"), frames=4)
    assert run("convert", "a.mp4", "-o", "shot_%03d.png")[0] == 0
    assert run("convert", "a.mp4", "-o", "shots")[0] == 0
    for paths in (sorted(Path().glob("shot_*.png")), sorted(Path("shots").iterdir())):
        shots = np.stack([np.asarray(Image.open(path)) for path in paths])
        assert np.array_equal(shots, _pictures(source))


@pytest.mark.parametrize("name", ["a.mov", "a.webm", "a"])
def test_avatars_alone_are_transparent_where_nobody_is(name: str, run: Run) -> None:
    make_clip(Path("a.mp4"), frames=3, size=(96, 64))
    assert run("convert", "a.mp4", "-o", name, "--alpha")[0] == 0
    if name == "a":
        alpha = np.asarray(Image.open("a/000002.png"))[..., 3]
    else:
        with av.open(name) as film:
            packets = [packet for packet in film.demux(video=0) if packet.size]
        decoder = av.CodecContext.create("libvpx-vp9" if name == "a.webm" else "prores", "r")
        frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
        assert len(frames) == 3
        alpha = frames[-1].to_ndarray(format="rgba")[..., 3]
    assert alpha.max() <= 3  # both codecs are lossy


def test_what_webm_cannot_carry_is_encoded_again_or_left_out(run: Run) -> None:
    make_clip(Path("a.mkv"), frames=8, audio="ac3", subtitles="subrip")
    code, _, said = run("convert", "a.mkv", "-o", "a.webm")
    assert code == 1
    assert said == (
        "error: webm cannot carry audio stream 1 (ac3)\n"
        "hint: write .mkv, which carries every stream, --reencode-audio, or --drop-streams"
    )
    code, _, said = run("convert", "a.mkv", "-o", "a.webm", "--reencode-audio")
    assert code == 1
    assert "subtitle stream 2 (subrip)" in said
    assert "--convert-subtitles" in said
    assert not list(Path().glob("a.webm*"))
    assert run("convert", "a.mkv", "-o", "a.webm", "--reencode-audio", "--convert-subtitles")[0] == 0
    assert _codecs(Path("a.webm")) == ["vp9", "opus", "webvtt"]
    assert run("convert", "a.mkv", "-o", "b.webm", "--drop-streams")[0] == 0
    assert _codecs(Path("b.webm")) == ["vp9"]
    with av.open("a.mkv") as before, av.open("a.webm") as after:
        lengths = [sum(f.samples for f in film.decode(audio=0)) / 48000 for film in (before, after)]
        assert abs(lengths[0] - lengths[1]) < PRIMING
    with av.open("a.mkv") as before, av.open("a.webm") as after:
        lines = [[(p.pts, bytes(p)) for p in film.demux(subtitles=0) if p.size] for film in (before, after)]
    assert lines[0] == lines[1]
    code, report, _ = run("verify", "a.mkv", "a.webm")
    assert code == 1
    assert "✗ audio 1: encoded again, from ac3 to opus" in report


def test_nothing_is_overwritten_and_the_source_is_never_the_output(run: Run) -> None:
    source = make_clip(Path("a.mp4"), frames=3)
    content = source.read_bytes()
    assert run("convert", "a.mp4")[0] == 0
    stamp = Path("a-anime.mp4").stat().st_mtime_ns
    assert run("convert", "a.mp4")[0] == 0  # its job tells that it is finished, and it is left as it is
    assert Path("a-anime.mp4").stat().st_mtime_ns == stamp
    shutil.rmtree("a-anime.mp4.job")
    code, _, said = run("convert", "a.mp4")
    assert code == 1
    assert said == "error: a-anime.mp4 stands already\nhint: choose another name with -o; --overwrite replaces it"
    assert Path("a-anime.mp4").stat().st_mtime_ns == stamp
    assert run("convert", "a.mp4", "--overwrite")[0] == 0
    Path("link.mp4").symlink_to("a.mp4")
    for name in ("a.mp4", "./a.mp4", "link.mp4"):
        code, _, said = run("convert", "a.mp4", "-o", name, "--overwrite")
        assert code == 1
        assert "the output is the source itself" in said
    assert source.read_bytes() == content


def test_links_that_lead_nowhere(run: Run) -> None:
    Path("a.mp4").symlink_to("b.mp4")
    Path("b.mp4").symlink_to("a.mp4")
    for command in (("convert", "a.mp4"), ("plan", "a.mp4"), ("pose", "extract", "a.mp4", "-o", "a.npz")):
        code, _, said = run(*command)
        assert code == 1
        assert said.splitlines()[-2:] == [
            "error: a.mp4 is a symbolic link that leads nowhere", "hint: make it anew, or name the file itself"
        ]  # fmt: skip
    make_clip(Path("c.mp4"), frames=2)
    assert run("convert", "a.mp4", "c.mp4")[0] == 1
    assert Path("c-anime.mp4").exists(), "one that fails does not stop the others"


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_a_part_keeps_sound_and_picture_together(audio: str, run: Run) -> None:
    make_clip(Path("a.mov"), frames=30, rate=Fraction(30), audio=audio, chapters=[(Fraction(0), Fraction(1), "all")])
    assert run("convert", "a.mov", "-o", "part.mov", "--start", "0.3", "--end", "0:00.7")[0] == 0
    with open_video(Path("part.mov")) as video:
        assert [index_of(frame.image) for frame in video.frames()] == list(range(9, 21))
        assert video.timeline.time(0) == 0
        assert [(chapter.start, chapter.end) for chapter in video.chapters] == [(0, Fraction(2, 5))]
    with av.open("a.mov") as film:
        whole = {bytes(p): p.pts * p.time_base for p in film.demux(audio=0) if p.size}
    with av.open("part.mov") as film:
        packets = [(bytes(p), p.pts * p.time_base) for p in film.demux(audio=0) if p.size]
    if audio == "aac":
        shifts = {whole[data] - time for data, time in packets}
        assert {float(abs(shift - Fraction(3, 10))) < 1e-4 for shift in shifts} == {True}
    times = [time for _, time in packets]
    assert 0 <= times[0] < SYNC
    assert abs(times[-1] - Fraction(2, 5)) < 2 * SYNC
    code, report, _ = run("verify", "a.mov", "part.mov")
    assert code == 1
    assert [line for line in report.splitlines() if line.startswith("✗")] == [
        "✗ frames: 12 frames instead of 30; of a part (--start, --end) times and sound are not compared"
    ]


@pytest.mark.parametrize("name", ["a:b.mp4", "http:.mp4", "50%d of it.mkv", "größe #1 漢字.mov", "-dash.mp4"])
def test_file_names_are_only_names(name: str, run: Run) -> None:
    make_clip(Path("plain").with_suffix(Path(name).suffix), frames=3, audio=True).rename(name)
    code, output, said = run("convert", "--", name)
    assert (code, output) == (0, str(Path(name).with_stem(f"{Path(name).stem}-anime"))), said
    assert run("verify", "--", name, output)[0] == 0


def test_an_odd_size_says_how_to_be_played_everywhere(run: Run) -> None:
    make_clip(Path("a.mkv"), codec="ffv1", size=(97, 65), frames=3)
    code, output, said = run("convert", "a.mkv")
    assert code == 0
    assert ".webm" in said
    assert "QuickTime" in said
    assert run("convert", "a.mkv", "-o", "wide.webm") == (0, "wide.webm", "")
    for name in (output, "wide.webm"):
        assert _pictures(Path(name)).shape == (3, 65, 97, 3)


def _with_cover(source: Path, target: Path) -> bytes:
    """Writes ``source`` again with a picture attached, and returns that picture's bytes."""
    cover = io.BytesIO()
    Image.fromarray(numbered(1, 64, 64)).save(cover, "JPEG")
    with av.open(str(source)) as media, av.open(str(target), "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in media.streams]
        attached = out.add_stream("mjpeg", rate=1, pix_fmt="yuvj420p", width=64, height=64)
        attached.disposition = av.stream.Disposition.attached_pic
        for packet in media.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
        picture = av.Packet(cover.getvalue())
        picture.stream, picture.pts, picture.dts = attached, 0, 0
        out.mux(picture)
    return cover.getvalue()


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_cover_art_is_carried_over(name: str, run: Run) -> None:
    cover = _with_cover(make_clip(Path("plain.mp4"), frames=6, audio=True), Path("a.mp4"))
    assert run("convert", "a.mp4", "-o", name) == (0, name, "")
    assert run("convert", name, "-o", "again.mp4") == (0, "again.mp4", "")
    for source, path in (("a.mp4", Path(name)), (name, Path("again.mp4"))):
        with open_video(path) as video:
            (attached,) = [stream for stream in video.streams if stream.is_attached_picture]
        with av.open(str(path)) as film:
            assert bytes(next(film.demux(film.streams[attached.index]))) == cover
        assert run("verify", source, str(path))[0] == 0


@pytest.mark.parametrize("name", ["b.mov", "b.webm"])
def test_cover_art_that_cannot_be_carried_is_said(name: str, run: Run) -> None:
    _with_cover(make_clip(Path("plain.mp4"), frames=2), Path("a.mp4"))
    code, _, said = run("convert", "a.mp4", "-o", name)
    assert code == 0
    assert said == f"warning: video stream 1 (mjpeg) is left out: it is not carried over to {name[2:]}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "warp"), ("unknown preset 'warp'", "medium")),
        (("--preset", "p5", "--codec", "libx264"), ("unknown preset 'p5' for libx264", "medium")),
        (("--crf", "60"), ("--crf 60 does not fit h264", "0..51")),
        (("--codec", "prores", "--crf", "20"), ("does not fit prores", "fixed")),
        (("--codec", "vp9", "--preset", "fast"), ("unknown preset 'fast' for libvpx-vp9", "0, 1")),
    ],
)
def test_quality_options_that_do_not_fit_are_refused(
    options: tuple[str, ...], words: tuple[str, str], run: Run
) -> None:
    make_clip(Path("a.mkv"), frames=2)
    code, _, said = run("convert", "a.mkv", *options)
    assert code == 1
    error, hint = said.splitlines()
    assert words[0] in error
    assert words[1] in hint
    assert [path.name for path in Path().iterdir()] == ["a.mkv"]


@pytest.mark.parametrize("codec", ["h264", None])
def test_nvenc_is_taken_where_it_opens_and_named(
    codec: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animegen.video.plan.opens", lambda *_: True)
    even = make_clip(tmp_path / "a.mp4", frames=2)
    odd = make_clip(tmp_path / "odd.mkv", frames=2, codec="ffv1", size=(97, 65))

    def fingerprint(source: Path, **how: Any) -> dict[str, Any]:
        with open_video(source) as video:
            return dict(plan_output(video, tmp_path / "out.mp4", EncodeConfig(codec=codec, **how)).fingerprint())

    plain = fingerprint(even, crf=25)
    assert (plain["encoder"], plain["options"]["cq"]) == ("h264_nvenc", "25")
    assert fingerprint(even, preset="p2")["options"]["preset"] == "p2"
    assert fingerprint(even, preset="slow")["encoder"] == "libx264"
    assert fingerprint(odd)["encoder"] == "libx264"


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_hevc_segments_of_a_few_frames(frames: int, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=frames)
    for attempt in range(8):  # it went wrong now and then
        output = tmp_path / f"{attempt}.mp4"
        assert verify(source, rewrite(source, output, EncodeConfig(codec="hevc"), segment_frames=2).output).ok


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_the_last_frame_of_an_irregular_film_keeps_its_duration(name: str, run: Run) -> None:
    options = {"bf": "3", "b-pyramid": "normal"}
    for last in (10, 30, 500):
        ticks = [0, 40, 45, 130, 170, 175, 190, 190 + last]
        source = make_clip(Path(f"{last}-{name}"), pts=ticks, time_base=MILLI, options=options)
        code, output, said = run("convert", str(source))
        assert code == 0, said
        code, report, _ = run("verify", str(source), output)
        assert code == 0, report


def test_a_broken_background_is_one_error(run: Run) -> None:
    clip = make_clip(Path("a.mp4"), frames=3).read_bytes()
    Path("broken.mp4").write_bytes(clip[:-200])
    code, _, said = run("convert", "a.mp4", "-o", "out.mp4", "--background", "broken.mp4")
    assert code == 1
    assert [line.partition(":")[0] for line in said.splitlines()] == ["error", "hint"]
    assert "broken.mp4" in said
    assert not Path("out.mp4").exists()


def test_the_command_says_nothing_of_its_libraries(blazepose_weights: dict[str, Path], tmp_path: Path) -> None:
    del blazepose_weights
    make_clip(tmp_path / "a.mp4", frames=2)
    command = [sys.executable, "-m", "animegen", "convert", "a.mp4", "--style", "skeleton"]
    done = subprocess.run([*command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a-anime.mp4\n"
    assert done.stderr == f"{NOBODY}\n"
