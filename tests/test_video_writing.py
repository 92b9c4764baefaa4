"""Encoding and joining: pictures, transparency, sequences, ranges, flags, refusals, and the same bytes twice."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media import index_of, make_clip
from PIL import Image
from rewrite import rewrite

from animegen.config import EncodeConfig
from animegen.errors import InvalidValue, OutputError
from animegen.types import Colour, Frame
from animegen.video import SegmentWriter, open_video, plan_output, verify, write_output
from animegen.video.segments import SegmentOrder, scan

UNCHANGED_DB = 40.0
"""PSNR of real footage written at the default quality, mean over the frames: what users are promised."""

ALPHA_STEPS = 3
"""Code values by which alpha may differ after VP9 or ProRes: both are lossy."""

CHAPTERS = [(Fraction(0), Fraction(1, 2), "one"), (Fraction(1, 2), Fraction(4, 5), "two")]


def test_real_frames_come_out_unchanged(shared: Path, tmp_path: Path) -> None:
    source = shared / "video" / "sam2_juggle_man.mp4"
    plan = rewrite(source, tmp_path / "out.mp4", stop=16, segment_frames=16)
    with open_video(source) as before, open_video(plan.output) as after:
        pairs = zip(before.frames(0, 16), after.frames(), strict=True)
        errors = [np.square(a.image.astype(np.float32) - b.image).mean() for a, b in pairs]
        assert after.info.colour == Colour()
    assert np.mean(10 * np.log10(255**2 / np.array(errors))) >= UNCHANGED_DB


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif"])
def test_the_same_request_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=16, audio=True, subtitles=True, chapters=CHAPTERS)
    encode = EncodeConfig(reencode_audio=True, convert_subtitles=True)
    first, second = (rewrite(source, tmp_path / name, encode, overwrite=True).output.read_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("codec", ["hevc", "av1", "vp9", "prores"])
def test_every_codec_gives_the_same_bytes(codec: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=10)
    output = tmp_path / "out.mkv"
    first, second = (
        rewrite(source, output, EncodeConfig(codec=codec), overwrite=True).output.read_bytes() for _ in range(2)
    )
    assert first == second


def test_one_frame_segments_join(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=6)
    plan = rewrite(source, tmp_path / "out.mp4", segment_frames=1)
    assert verify(source, plan.output).ok
    with open_video(plan.output) as video:
        assert [index_of(frame.image) for frame in video.frames()] == list(range(6))


class _Counted(tuple[int, ...]):
    """The frames of one segment, counting how often they are gone through or counted."""

    times = 0

    def __iter__(self) -> Iterator[int]:
        _Counted.times += 1
        return super().__iter__()

    def __len__(self) -> int:
        _Counted.times += 1
        return super().__len__()


def test_every_segment_is_read_as_often_however_many_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=12, size=(64, 48))
    opened: list[str] = []

    def counted(*arguments: Any) -> list[SegmentOrder]:
        return [SegmentOrder(_Counted(order.shown), order.header) for order in scan(*arguments)]

    def counting(name: str, *arguments: Any, **options: Any) -> Any:
        opened.append(name)
        return av_open(name, *arguments, **options)

    def reads(frames: int) -> tuple[int, int]:
        opened.clear()
        _Counted.times = 0
        rewrite(source, tmp_path / "out.mp4", segment_frames=frames, overwrite=True)
        return _Counted.times, sum("/segments/" in name for name in opened)

    av_open = av.open
    monkeypatch.setattr("animegen.video.joining.scan", counted)
    monkeypatch.setattr(av, "open", counting)
    for one, two, four in zip(reads(12), reads(6), reads(3), strict=True):
        assert four - two == 2 * (two - one) > 0


def test_a_range_starts_at_zero_with_its_own_sound_text_and_chapters(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", audio=True, subtitles=True, chapters=CHAPTERS)
    plan = rewrite(source, tmp_path / "out.mp4", start=6, stop=18)
    with open_video(plan.output) as video:
        assert video.timeline.pts.tolist() == [1001 * i for i in range(12)]
        assert [index_of(frame.image) for frame in video.frames()] == list(range(6, 18))
        assert [chapter.title for chapter in video.chapters] == ["one", "two"]
        assert video.chapters[0].start == 0
        length = video.timeline.duration
    with av.open(str(plan.output)) as out:
        times = [p.pts * p.time_base for p in out.demux(audio=0) if p.pts is not None]
    assert 0 <= times[0] < Fraction(1, 20)
    assert times[-1] < length


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_truncated_source_gives_what_was_read_of_it(suffix: str, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / f"whole{suffix}", frames=40, audio=True)
    source = tmp_path / f"cut{suffix}"
    data = whole.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    plan = rewrite(source, tmp_path / "out.mkv", salvage=True)
    with open_video(plan.output) as video:
        assert len(video.timeline) == plan.frame_count < 40
        assert video.info.has_audio


def test_lines_shown_at_once_stay_at_their_time(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mkv", subtitles="ass")
    source = tmp_path / "source.mkv"
    with av.open(str(plain)) as media, av.open(str(source), "w") as out:
        streams = [out.add_stream_from_template(s, opaque=True) for s in media.streams]
        for packet in media.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                if packet.stream.type == "subtitle":
                    packet.pts = packet.dts = 100
                out.mux(packet)
    with av.open(str(rewrite(source, tmp_path / "out.mkv").output)) as out:
        assert [p.pts for p in out.demux(subtitles=0) if p.size] == [100, 100]


def test_metadata_and_dispositions_are_kept(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mkv", audio=True, subtitles=True)
    source = tmp_path / "source.mkv"
    with av.open(str(plain)) as media, av.open(str(source), "w") as out:
        out.metadata.update(title="A film", creation_time="2020-01-01T00:00:00Z")
        streams = [out.add_stream_from_template(s, opaque=True) for s in media.streams]
        streams[1].metadata.update(language="jpn", title="Comments")
        streams[1].disposition = av.stream.Disposition.comment
        out.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        for packet in media.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    plan = rewrite(source, tmp_path / "out.mkv")
    with av.open(str(plan.output)) as out:
        assert out.metadata["title"] == "A film"
        assert "creation_time" not in out.metadata
        sound = out.streams.audio[0]
        assert (sound.language, sound.metadata["title"]) == ("jpn", "Comments")
        assert sound.disposition == av.stream.Disposition.comment
        assert [s.data for s in out.streams if s.type == "attachment"] == [b"not really a font"]


def test_colour_tags_say_how_the_picture_was_made(tmp_path: Path) -> None:
    for colour, matrix in (("bt601", "smpte170m"), ("bt709", "bt709"), ("pq", "bt709")):
        source = make_clip(tmp_path / f"{colour}.mkv", frames=2, colour=colour)
        with open_video(rewrite(source, tmp_path / f"{colour}-out.mp4").output) as video:
            assert video.info.colour.matrix == matrix
            assert not video.info.colour.is_hdr
            assert video.info.colour.range == "tv"


def _premultiplied(width: int, height: int) -> np.ndarray:
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[:, width // 3 :] = (200, 100, 50, 255)
    rgba[:, 2 * width // 3 :] = (100, 50, 25, 128)
    return rgba


@pytest.mark.parametrize("name", ["a.mov", "a.webm", "a.mkv", "folder"])
def test_avatars_alone_are_transparent(name: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=3, size=(96, 64), audio=True)
    with open_video(source) as video:
        plan = plan_output(video, tmp_path / name, EncodeConfig(alpha=True))
    assert "sound" in plan.warnings[0]
    with SegmentWriter(plan, tmp_path / "segment") as writer:
        for _ in range(3):
            writer.write_rgba(_premultiplied(96, 64))
    write_output(plan, [tmp_path / "segment"])
    if name == "folder":
        rgba = np.asarray(Image.open(sorted(plan.output.iterdir())[1]))
    else:
        with av.open(str(plan.output)) as out:
            decoder = av.CodecContext.create("libvpx-vp9" if name != "a.mov" else "prores", "r")
            packets = [p for p in out.demux(video=0) if p.size]
            frames = [f for p in [*packets, None] for f in decoder.decode(p)]
        assert len(frames) == 3
        rgba = frames[1].to_ndarray(format="rgba")
    for x, want in ((16, 0), (48, 255), (84, 128)):
        assert abs(int(rgba[32, x, 3]) - want) <= ALPHA_STEPS
    assert np.abs(rgba[32, 84, :3].astype(int) - (200, 100, 50)).max() <= 12  # straight again, chroma at half size


def test_pictures_are_numbered_files(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=5)
    folder = rewrite(source, tmp_path / "pictures").output
    assert [p.name for p in sorted(folder.iterdir())] == [f"{i:06d}.png" for i in range(5)]
    rewrite(source, tmp_path / "shot_%03d.png", segment_frames=2)
    with open_video(source) as video:
        for frame in video.frames():
            assert np.array_equal(np.asarray(Image.open(tmp_path / f"shot_{frame.index:03d}.png")), frame.image)


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.mp4", None])
def test_a_still_becomes_a_still_or_a_film_of_one_frame(name: str | None, tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    image = np.full((48, 64, 3), (180, 120, 60), np.uint8)
    Image.fromarray(image).save(source)
    plan = rewrite(source, None if name is None else tmp_path / name)
    assert plan.output.name == (name or "photo-anime.png")
    with open_video(plan.output) as video:
        (frame,) = video.frames()
    assert np.abs(frame.image.astype(int) - image).max() <= 4  # JPEG and H.264 round colours


def test_flags_let_streams_into_a_container_that_cannot_carry_them(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mkv", audio=True, subtitles=True)
    encode = EncodeConfig(reencode_audio=True, convert_subtitles=True)
    plan = rewrite(source, tmp_path / "out.webm", encode)
    assert [(s.action, s.encoder) for s in plan.streams] == [("reencode", "libopus"), ("convert", "webvtt")]
    with av.open(str(plan.output)) as out:
        text = [bytes(p) for p in out.demux(subtitles=0) if p.size]
        assert text == [b"line 1", b"line 2"]
    with av.open(str(source)) as before, av.open(str(plan.output)) as after:
        lengths = [sum(f.samples for f in media.decode(audio=0)) / 48000 for media in (before, after)]
    assert abs(lengths[0] - lengths[1]) < 0.05  # the priming and padding of two codecs


def test_the_default_output_stands_beside_the_input_in_its_container(tmp_path: Path) -> None:
    for name, want in (("a.mp4", "a-anime.mp4"), ("a.mov", "a-anime.mov"), ("a.mkv", "a-anime.mkv")):
        with open_video(make_clip(tmp_path / name, frames=2)) as video:
            assert plan_output(video, None, EncodeConfig()).output == tmp_path / want
    with open_video(make_clip(tmp_path / "b.webm", frames=2)) as video:
        assert plan_output(video, None, EncodeConfig()).output == tmp_path / "b-anime.mp4"
        assert plan_output(video, None, EncodeConfig(codec="vp9")).output == tmp_path / "b-anime.webm"
        assert plan_output(video, None, EncodeConfig(alpha=True)).output == tmp_path / "b-anime.mov"
    with open_video(make_clip(tmp_path / "c.webm", frames=2, subtitles=True)) as video:
        assert plan_output(video, None, EncodeConfig()).output == tmp_path / "c-anime.mkv"


REFUSALS: dict[str, tuple[str, EncodeConfig, str]] = {
    "unknown suffix": ("out.xyz", EncodeConfig(), r"'\.xyz'"),
    "aac in webm": ("out.webm", EncodeConfig(drop_streams=False), r"webm cannot carry audio stream 1 \(aac\)"),
    "h264 in webm": ("out.webm", EncodeConfig(codec="h264", drop_streams=True), "webm cannot carry h264"),
    "unknown codec": ("out.mp4", EncodeConfig(codec="theora"), "unknown codec 'theora'"),
    "transparent mp4": ("out.mp4", EncodeConfig(alpha=True), "mp4 cannot be transparent"),
    "transparent gif": ("out.gif", EncodeConfig(alpha=True), "gif cannot be transparent"),
    "transparent h264": ("out.mov", EncodeConfig(alpha=True, codec="h264"), "h264 cannot be transparent"),
    "crf of prores": ("out.mov", EncodeConfig(codec="prores", crf=18), "does not fit prores"),
    "crf too large": ("out.mp4", EncodeConfig(crf=60), "does not fit h264"),
    "unknown preset": ("out.mp4", EncodeConfig(preset="warp"), "unknown preset 'warp'"),
    "no such folder": ("missing/out.mp4", EncodeConfig(), "there is no folder"),
    "one name for many pictures": ("out.png", EncodeConfig(), "2 pictures do not fit"),
    "a pattern without a number": ("out_%s_%d.png", EncodeConfig(), "does not number"),
    "taken": ("taken.mp4", EncodeConfig(), "stands already"),
    "the source": ("source.mp4", EncodeConfig(), "the source itself"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_written_is_refused_before_any_work(case: str, tmp_path: Path) -> None:
    name, encode, message = REFUSALS[case]
    source = make_clip(tmp_path / "source.mp4", frames=2, audio=True)
    (tmp_path / "taken.mp4").write_bytes(b"mine")
    before = sorted(tmp_path.iterdir())
    with open_video(source) as video, pytest.raises(OutputError, match=message) as refusal:
        plan_output(video, tmp_path / name, encode)
    assert refusal.value.hint
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "taken.mp4").read_bytes() == b"mine"


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """Writing fails beyond ``size`` bytes of a file; what is stale under a ``.part`` name is removed first."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("place", ["segment", "output"])
def test_a_full_disk_leaves_nothing_behind(place: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=4)
    output, segment = tmp_path / "out.mp4", tmp_path / "segment"
    with open_video(source) as video:
        plan = plan_output(video, output, EncodeConfig())

        def encode() -> None:
            with SegmentWriter(plan, segment) as writer:
                for frame in video.frames():
                    writer.write(frame)

        def joined() -> None:
            with _files_no_larger_than(segment.stat().st_size // 2):
                write_output(plan, [segment])

        steps: dict[str, Callable[[], None]] = {"segment": encode, "output": joined}
        if place == "output":
            encode()
        else:
            (tmp_path / "segment.part").symlink_to("/dev/full")
        with pytest.raises(OutputError, match=r"No space left|File too large") as failure:
            steps[place]()
    assert "disk space" in failure.value.hint
    assert not output.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == (
        ["segment", "source.mp4"] if place == "output" else ["source.mp4"]
    )


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "source.mp4", frames=2)) as video:
        plan = plan_output(video, tmp_path / "out.mp4", EncodeConfig())
    with pytest.raises(InvalidValue, match=r"\(96, 160\)"), SegmentWriter(plan, tmp_path / "segment") as writer:
        writer.write(Frame(0, Fraction(0), np.zeros((90, 160, 3), np.uint8)))
    assert not list(tmp_path.glob("segment*"))


def test_missing_frames_are_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", frames=4)
    with open_video(source) as video:
        plan = plan_output(video, tmp_path / "out.mp4", EncodeConfig())
        with SegmentWriter(plan, tmp_path / "segment") as writer:
            for frame in video.frames(0, 3):
                writer.write(frame)
    with pytest.raises(OutputError, match="3 frames, but 4"):
        write_output(plan, [tmp_path / "segment"])
    assert not plan.output.exists()


def test_the_fingerprint_is_plain_and_follows_what_changes_the_bytes(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "source.mp4", frames=4)) as video:
        prints = [
            plan_output(video, tmp_path / "out.mp4", encode, stop=stop).fingerprint()
            for encode, stop in (
                (EncodeConfig(), None),
                (EncodeConfig(), None),
                (EncodeConfig(crf=30), None),
                (EncodeConfig(), 3),
            )
        ]
    assert prints[0] == prints[1]
    assert prints[0] != prints[2] != prints[3] != prints[0]
