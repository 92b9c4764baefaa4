"""Every kind of source, written again unchanged, passes `animegen verify`; what was changed does not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import CliRunner
from media import index_of, make_clip
from PIL import Image
from rewrite import rewrite

from animegen.cli.verify import command
from animegen.config import EncodeConfig
from animegen.video import open_video, verify

FINE = Fraction(1, 30_000)
IRREGULAR = [0, 1000, 1500, 4000, 4100, 9000, 9100, 12000, 20000, 20040]
CHAPTERS = [(Fraction(0), Fraction(1, 2), "one"), (Fraction(1, 2), Fraction(4, 5), "two")]

CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "ntsc": ("mp4", {}),
    "everything": ("mp4", {"audio": True, "subtitles": True, "chapters": CHAPTERS}),
    "matroska": ("mkv", {"audio": True, "subtitles": True, "chapters": CHAPTERS}),
    "webm": ("webm", {"audio": True, "subtitles": True, "frames": 12}),
    "irregular": ("mp4", {"pts": IRREGULAR, "time_base": FINE, "audio": True}),
    "rotated": ("mp4", {"rotation": 90, "size": (96, 160)}),
    "ten-bit": ("mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=error"}}),
    "odd": ("mkv", {"codec": "ffv1", "size": (161, 97), "pix_fmt": "yuv444p", "frames": 8}),
    "one-frame": ("mp4", {"frames": 1, "audio": True}),
    "late-picture": ("mp4", {"pts": [2400 + 1001 * i for i in range(12)], "time_base": FINE, "audio": True}),
    "transport-stream": ("ts", {"audio": "aac"}),
    "fast": ("mp4", {"rate": Fraction(240), "frames": 30}),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {name: make_clip(folder / f"{name}.{suffix}", **how) for name, (suffix, how) in CLIPS.items()}


def _suffixes(name: str) -> tuple[str, ...]:
    """The containers that carry the clip's subtitles as they are."""
    if "subtitles" in CLIPS[name][1]:
        return (".mp4", ".mov") if name == "everything" else (".mkv",)
    return (".mp4", ".mov", ".mkv")


@pytest.mark.parametrize(("name", "suffix"), [(name, suffix) for name in CLIPS for suffix in _suffixes(name)])
def test_a_clip_written_again_passes(name: str, suffix: str, clips: dict[str, Path], tmp_path: Path) -> None:
    plan = rewrite(clips[name], tmp_path / f"out{suffix}")
    report = verify(clips[name], plan.output)
    assert report.ok, report.checks


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1", "prores"])
def test_every_codec_keeps_irregular_times(codec: str, clips: dict[str, Path], tmp_path: Path) -> None:
    for suffix in (".mov", ".mkv") if codec == "prores" else (".mp4", ".mkv"):
        plan = rewrite(clips["irregular"], tmp_path / f"out{suffix}", EncodeConfig(codec=codec))
        report = verify(clips["irregular"], plan.output)
        assert report.ok, report.checks


def test_mp4_states_irregular_times_to_the_tick(clips: dict[str, Path], tmp_path: Path) -> None:
    plan = rewrite(clips["irregular"], tmp_path / "out.mp4")
    with open_video(plan.output) as video:
        assert video.timeline.time_base == FINE
        assert video.timeline.pts.tolist() == IRREGULAR


def test_frames_keep_their_order_and_stand_upright(clips: dict[str, Path], tmp_path: Path) -> None:
    plan = rewrite(clips["rotated"], tmp_path / "out.mp4")
    with open_video(clips["rotated"]) as before, open_video(plan.output) as after:
        assert after.info.rotation == 0
        assert (after.info.width, after.info.height) == (before.info.width, before.info.height) == (96, 160)
    straight = make_clip(tmp_path / "straight.mp4")
    plan = rewrite(straight, tmp_path / "again.mp4")
    with open_video(plan.output) as after:
        assert [index_of(frame.image) for frame in after.frames()] == list(range(24))


def test_a_gif_keeps_its_delays(tmp_path: Path) -> None:
    delays = [100, 50, 200, 80, 30, 100]
    pictures = [Image.new("RGB", (40, 30), (40 * i, 90, 200 - 30 * i)) for i in range(len(delays))]
    source = tmp_path / "source.gif"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=delays, loop=0)
    for name in ("out.gif", "out.mp4"):
        report = verify(source, rewrite(source, tmp_path / name).output)
        assert report.ok, report.checks


def test_a_faster_film_does_not_drift_in_a_gif(clips: dict[str, Path], tmp_path: Path) -> None:
    report = verify(clips["ntsc"], rewrite(clips["ntsc"], tmp_path / "out.gif").output)
    assert report.ok, report.checks


def test_what_was_left_out_is_told(clips: dict[str, Path], tmp_path: Path) -> None:
    short = rewrite(clips["ntsc"], tmp_path / "short.mp4", stop=20)
    silent = rewrite(clips["everything"], tmp_path / "silent.webm", EncodeConfig(drop_streams=True))
    for source, plan, names in (("ntsc", short, {"frames"}), ("everything", silent, {"audio", "subtitle"})):
        report = verify(clips[source], plan.output)
        assert not report.ok
        assert names <= {check.name for check in report.checks if not check.ok}


def test_a_changed_sound_is_told(clips: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    with av.open(str(clips["everything"])) as source, av.open(str(other), "w") as out:
        wanted = list(source.streams)[:2]
        streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in wanted}
        for packet in source.demux(wanted):
            if packet.size and not (packet.stream_index == 1 and (packet.pts or 0) > 20_000):
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    checks = {check.name: check for check in verify(clips["everything"], other).checks}
    assert not checks["audio 1"].ok
    assert "differ" in checks["audio 1"].text


def test_the_command_prints_checks_and_exits_accordingly(clips: dict[str, Path], tmp_path: Path) -> None:
    output = rewrite(clips["ntsc"], tmp_path / "out.mp4").output
    good = CliRunner().invoke(command, [str(clips["ntsc"]), str(output)])
    assert good.exit_code == 0
    assert good.output.startswith("✓ frames: 24 frames\n")
    bad = CliRunner().invoke(command, [str(clips["irregular"]), str(output), "--json"])
    assert bad.exit_code == 1
    told = json.loads(bad.output)
    assert not told["ok"]
    assert told["checks"][0] == {"name": "frames", "ok": False, "text": "24 frames instead of 10"}
