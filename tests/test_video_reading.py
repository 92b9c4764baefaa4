"""Reading video: every container, codec, timing, orientation and still through the public face."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import NTSC, index_of, make_clip, numbered
from PIL import Image

from animegen.errors import UsageError
from animegen.video import open_video

PICTURE_PSNR = 26.0
"""dB between a decoded picture and the one encoded: the encoders' default quality on a tiny, hard-edged picture."""

FORMATS = {
    "h264.mp4": {},
    "h264.mov": {"audio": True},
    "h264.mkv": {"audio": True, "subtitles": True},
    "h264.ts": {"audio": True},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "ten.mp4": {"pix_fmt": "yuv420p10le"},
    "vp9.webm": {"audio": True},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "realtime"}},
    "mpeg4.avi": {"audio": True},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "yuv444p"},
    "odd.mp4": {"size": (161, 97), "pix_fmt": "yuv444p"},
    "odd420.mkv": {"size": (161, 97), "codec": "ffv1"},
    "one.mp4": {"frames": 1, "audio": True},
    "late.mp4": {"start_offset": 30},
    "late.mkv": {"start_offset": 30},
    "opengop.mkv": {"options": {"x264-params": "open-gop=1:keyint=6:bframes=3"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=6"}},
}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b.astype(float)) ** 2))))


@pytest.mark.parametrize("name", FORMATS)
def test_every_frame_of_every_format(tmp_path: Path, name: str) -> None:
    options = FORMATS[name]
    path = make_clip(tmp_path / name, **options)
    count = options.get("frames", 24)
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == options.get("size", (160, 96))
        assert video.info.frame_count == len(video.timeline) == count
        assert video.info.has_audio == ("audio" in options)
        frames = list(video.frames())
        assert [frame.index for frame in frames] == list(range(count))
        assert [index_of(frame.image) for frame in frames] == list(range(count))
        assert [frame.pts for frame in frames] == [video.timeline.time(i) for i in range(count)]
        assert psnr(frames[-1].image, numbered(count - 1, *frames[-1].size)) > PICTURE_PSNR
        half = count // 2
        again = list(video.frames(half, count))
        assert all(np.array_equal(a.image, b.image) for a, b in zip(again, frames[half:], strict=True))


@pytest.mark.parametrize("name", ["h264.mp4", "late.mp4", "prores.mov"])
def test_timestamps_are_exact(tmp_path: Path, name: str) -> None:
    options = FORMATS[name]
    with open_video(make_clip(tmp_path / name, **options)) as video:
        first = options.get("start_offset", 0)
        assert [video.timeline.time(i) for i in range(24)] == [(first + i) / NTSC for i in range(24)]
        assert video.timeline.duration == 24 / NTSC
        assert video.info.rate == NTSC


def test_variable_frame_rate(tmp_path: Path) -> None:
    pts = [0, 100, 150, 300, 1000, 1033, 1034]
    path = make_clip(tmp_path / "vfr.mp4", pts=pts, time_base=Fraction(1, 1000))
    with open_video(path) as video:
        assert [video.timeline.time(i) * 1000 for i in range(len(pts))] == pts
        assert [int(d * video.timeline.time_base * 1000) for d in video.timeline.durations[:-1]] == np.diff(
            pts
        ).tolist()
        assert [index_of(frame.image) for frame in video.frames()] == list(range(len(pts)))


def test_index_range_counts_seconds_from_the_first_frame(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "late.mkv", rate=Fraction(10), start_offset=50)) as video:
        assert video.timeline.index_range() == (0, 24)
        assert video.timeline.index_range(Fraction(1), Fraction(2)) == (10, 20)
        assert video.timeline.index_range(Fraction(101, 100)) == (11, 24)
        with pytest.raises(UsageError, match="no frame lies between"):
            video.timeline.index_range(Fraction(3))


@pytest.mark.parametrize(("suffix", "mirrored"), [(".mp4", False), (".mp4", True), (".mkv", False)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int, mirrored: bool, suffix: str) -> None:
    path = make_clip(tmp_path / f"turned{suffix}", frames=3, rotation=rotation, mirrored=mirrored)
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == (160, 96)
        for frame in video.frames():
            assert psnr(frame.image, numbered(frame.index, 160, 96)) > PICTURE_PSNR
        if not mirrored:
            assert video.info.rotation == rotation


def test_anamorphic_pixels_are_made_square(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "wide.mp4", frames=2, options={"x264-params": "sar=4/3"})
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == (213, 96)
        assert [frame.size for frame in video.frames()] == [(213, 96)] * 2


def test_streams_and_chapters(tmp_path: Path) -> None:
    chapters = [(Fraction(0), Fraction(1, 2), "one"), (Fraction(1, 2), Fraction(4, 5), "two")]
    path = make_clip(tmp_path / "all.mkv", audio=True, subtitles=True, chapters=chapters)
    with open_video(path) as video:
        assert [(stream.index, stream.type, stream.codec) for stream in video.streams] == [
            (0, "video", "h264"),
            (1, "audio", "aac"),
            (2, "subtitle", "subrip"),
        ]
        assert [(chapter.start, chapter.end, chapter.title) for chapter in video.chapters] == chapters


def test_fingerprint_is_the_sha256_of_the_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2)
    with open_video(path) as video:
        assert video.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()


def test_readings_side_by_side_and_given_up_half_way(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", options={"g": "8"})) as video:
        first, second = video.frames(3), video.frames(10, 14)
        seen = [index_of(next(first).image), index_of(next(second).image), index_of(next(first).image)]
        assert seen == [3, 10, 4]
        first.close()
        assert [index_of(frame.image) for frame in video.frames(5, 7)] == [5, 6]
        assert [index_of(frame.image) for frame in second] == [11, 12, 13]
        assert [index_of(frame.image) for frame in video.frames(1, 2)] == [1]


def test_a_part_may_be_empty(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", options={"g": "8"})) as video:
        assert list(video.frames(24)) == list(video.frames(24, 24)) == list(video.frames(0, 0)) == []


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 25)])
def test_frames_that_do_not_exist(tmp_path: Path, start: int, stop: int) -> None:
    with open_video(make_clip(tmp_path / "a.mp4")) as video, pytest.raises(IndexError, match="has 24"):
        video.frames(start, stop)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tiff", "a.jpg"])
def test_stills_are_videos_of_one_frame(tmp_path: Path, name: str) -> None:
    picture = numbered(5, 120, 80)
    options = {"lossless": True} if name.endswith("webp") else {"quality": 95}
    Image.fromarray(picture).save(tmp_path / name, **options)
    with open_video(tmp_path / name) as video:
        (frame,) = video.frames()
        assert frame.pts == 0
        assert psnr(frame.image, picture) > PICTURE_PSNR
        assert video.timeline.duration == Fraction(1, 25)
        assert (video.info.rate, video.streams, video.info.has_audio) == (25, (), False)


def test_photo_is_turned_by_its_exif(tmp_path: Path) -> None:
    picture = numbered(9, 120, 80)
    exif = Image.Exif()
    exif[0x0112] = 6  # The stored picture is to be turned 90 degrees clockwise.
    Image.fromarray(np.rot90(picture)).save(tmp_path / "turned.png", exif=exif)
    with open_video(tmp_path / "turned.png") as video:
        assert (video.info.width, video.info.height) == (120, 80)
        assert np.array_equal(next(video.frames()).image, picture)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[:, 3:] = (200, 0, 0, 255)
    picture[0, 0] = (0, 0, 0, 128)
    Image.fromarray(picture).save(tmp_path / "clear.png")
    with open_video(tmp_path / "clear.png") as video:
        image = next(video.frames()).image
    assert image[1, 1].tolist() == [255, 255, 255]
    assert image[1, 4].tolist() == [200, 0, 0]
    assert image[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animated_images_keep_their_delays(tmp_path: Path, name: str) -> None:
    delays = [100, 40, 250, 30]
    pictures = [Image.fromarray(numbered(i, 120, 80)) for i in range(4)]
    options = {"lossless": True} if name.endswith("webp") else {}
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=delays, **options)
    with open_video(tmp_path / name) as video:
        assert [index_of(frame.image) for frame in video.frames()] == [0, 1, 2, 3]
        assert [video.timeline.time(i) * 1000 for i in range(4)] == [0, 100, 140, 390]
        assert video.timeline.duration == Fraction(420, 1000)
        assert [index_of(frame.image) for frame in video.frames(2, 3)] == [2]


def test_real_footage(shared: Path) -> None:
    counts = {"intel_asl_book.mkv": 109, "intel_one_by_one_person.mp4": 1394, "sam2_juggle_man.mp4": 247}
    for path in sorted(path for path in (shared / "video").iterdir() if path.is_file()):  # job folders may lie there
        with open_video(path) as video:
            count = len(video.timeline)
            assert count == counts.get(path.name, count)
            middle = list(video.frames(count // 2, count // 2 + 2))
            assert [frame.size for frame in middle] == [(video.info.width, video.info.height)] * 2
            assert video.info.colour.range == ("pc" if path.name.startswith("intel_asl") else "tv")
