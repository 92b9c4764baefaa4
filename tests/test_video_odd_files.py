"""Files that are whole but out of the ordinary: cut by other tools, oddly named, odd containers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import index_of, make_clip, numbered
from PIL import Image, features

from animegen.errors import InputError
from animegen.video import open_video
from animegen.video.timeline import make_timeline


def numbers(path: Path, start: int = 0) -> list[int]:
    with open_video(path) as video:
        return [index_of(frame.image) for frame in video.frames(start)]


def test_edit_list_that_starts_inside_a_group(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "edited.mp4", rate=Fraction(25), start_offset=-5, options={"g": "12", "bf": "2"})
    assert numbers(path) == list(range(5, 24))
    assert numbers(path, 3) == list(range(8, 24))
    assert numbers(path, 12) == list(range(17, 24))
    with open_video(path) as video:
        assert [video.timeline.time(i) for i in range(19)] == [Fraction(i, 25) for i in range(19)]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "libx265"])
def test_transport_stream_that_starts_inside_a_group(tmp_path: Path, codec: str) -> None:
    options = {"x265-params": "log-level=none:keyint=10:min-keyint=10"} if codec == "libx265" else {"g": "10"}
    whole = make_clip(tmp_path / "a.ts", frames=40, codec=codec, options=options).read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[188 * (len(whole) // 188 // 4) :])
    found = numbers(tmp_path / "cut.ts")
    assert found == list(range(found[0], 40))
    assert found[0] in {10, 20}


def test_stream_without_timestamps(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.h264", rate=Fraction(25))) as video:
        assert [index_of(frame.image) for frame in video.frames()] == list(range(24))
        assert [index_of(frame.image) for frame in video.frames(9, 12)] == [9, 10, 11]
        assert (np.diff(video.timeline.pts) > 0).all()
        assert video.timeline.duration == pytest.approx(Fraction(24, 25), rel=0.1)


def test_time_that_jumps_back() -> None:
    with pytest.raises(InputError, match=r"from 2\.000 s to 0\.000 s at frame 2") as caught:
        make_timeline(Fraction(1, 10), [0, 20, 0, 20], [0], 1, 1)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a:b.mp4", "50%d of it.mp4", "größe #1 漢字.mkv", "-dash.mp4", "http:.mp4"])
def test_file_names_are_only_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "plain.mkv", frames=2).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert numbers(Path(name)) == [0, 1]


def test_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=48000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1, pix_fmt="yuvj420p", width=64, height=64)
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        out.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(1, 64, 64)).reformat(format="yuvj420p")))
        out.mux([*cover.encode(None), *sound.encode(frame), *sound.encode(None)])
    with pytest.raises(InputError, match="no pictures, only a cover picture and audio"):
        open_video(path)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_photo(tmp_path: Path) -> None:
    Image.fromarray(numbered(7, 160, 96)).save(tmp_path / "a.avif", quality=90)
    assert numbers(tmp_path / "a.avif") == [7]


@pytest.mark.parametrize(("name", "pix_fmt"), [("a.mp4", "yuv420p"), ("a.mkv", "yuv420p10le"), ("a.mov", "argb")])
def test_pictures_may_be_drawn_on(tmp_path: Path, name: str, pix_fmt: str) -> None:
    codec = "qtrle" if pix_fmt == "argb" else "libx264"
    with open_video(make_clip(tmp_path / name, frames=2, codec=codec, pix_fmt=pix_fmt)) as video:
        for frame in video.frames():
            frame.image[:] = 0
            assert frame.image.flags.c_contiguous
