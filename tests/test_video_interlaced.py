"""Interlaced film is read without combs, frame by frame, and alike from wherever reading begins."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from media import make_clip
from numpy.typing import NDArray

from animegen.types import VideoInfo
from animegen.video import open_video
from animegen.video.colour import RgbConverter

FRAMES = 16
SIZE = (160, 96)

TOP_FIRST = {"flags": "+ilme+ildct", "top": "1", "g": "6", "bf": "2"}
CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": {"x264-params": "tff=1:interlaced=1:keyint=6:bframes=2"}},
    "h264.ts": {"options": {"x264-params": "bff=1:interlaced=1:keyint=6:bframes=2:open-gop=1"}},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": TOP_FIRST},
    "mpeg2.ts": {"codec": "mpeg2video", "options": TOP_FIRST},
    "dv.mov": {"codec": "dvvideo", "size": (720, 576), "rate": Fraction(25)},
    "packed.mov": {"codec": "rawvideo", "pix_fmt": "uyvy422", "options": {"field_order": "tt"}},
}

COMBED, SMOOTH = 2.0, 1.2
"""Mean distance of a line from the mean of its neighbours: woven fields of the moving square, and one field of it."""

NEARER = 0.7
"""Distance from the right moment, as a share of that from the other, of which most is coded colour."""


def moment(time: int, width: int, height: int) -> NDArray[np.uint8]:
    """A bright square on grey that moves by four pixels from field to field."""
    image = np.full((height, width, 3), 90, np.uint8)
    left = time * width // 40 % (width * 3 // 4)
    image[height // 4 : height * 3 // 4, left : left + width // 5] = (250, 220, 30)
    return image


def woven(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Two moments on every other line, the earlier on top."""
    image = moment(2 * index, width, height)
    image[1::2] = moment(2 * index + 1, width, height)[1::2]
    return image


def combs(image: NDArray[np.uint8]) -> float:
    lines = image.mean(axis=2)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


def stored(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def converted(frames: list[av.VideoFrame], info: VideoInfo) -> list[NDArray[np.uint8]]:
    convert = RgbConverter(info.colour, 100)
    return [convert(frame) for frame in frames]


def parts_equal_the_whole(path: Path) -> list[NDArray[np.uint8]]:
    """All pictures, after every way of reading some of them: anew, and on from another place."""
    with open_video(path) as video:
        whole = [frame.image for frame in video.frames()]
        for start, stop in combinations(range(0, FRAMES + 1, 3), 2):
            found = [frame.image for frame in video.frames(start, stop)]
            assert all(np.array_equal(a, b) for a, b in zip(found, whole[start:stop], strict=True)), (start, stop)
    for start in (1, 6, 7, FRAMES - 1):
        with open_video(path) as video:
            assert np.array_equal(next(iter(video.frames(start, start + 1))).image, whole[start]), start
    return whole


@pytest.mark.parametrize("name", CLIPS)
def test_fields_are_taken_apart(name: str, tmp_path: Path) -> None:
    path = make_clip(tmp_path / name, **{"frames": FRAMES, "size": SIZE, "picture": woven, **CLIPS[name]})
    before = stored(path)
    assert all(frame.interlaced_frame for frame in before)
    with open_video(path) as video:
        assert video.info.interlaced
        assert [video.timeline.time(i) for i in range(FRAMES)] == [frame.pts * frame.time_base for frame in before]
        info = video.info
    pictures = parts_equal_the_whole(path)
    assert len(pictures) == FRAMES
    assert min(combs(image) for image in converted(before, info)) > COMBED
    assert max(combs(image) for image in pictures) < SMOOTH


def test_a_long_reading_is_what_the_filter_makes_of_the_film(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=FRAMES, size=SIZE, picture=woven, **CLIPS["h264.mp4"])
    graph, made = Graph(), []
    first = stored(path)[0]
    source = graph.add_buffer(width=SIZE[0], height=SIZE[1], format=first.format, time_base=first.time_base)
    graph.link_nodes(source, graph.add("bwdif", mode="send_frame"), graph.add("buffersink")).configure()
    for frame in [*stored(path), None]:
        graph.push(frame)
        with suppress(av.BlockingIOError):
            made.append(graph.vpull())
    with open_video(path) as video:
        for ours, theirs in zip(video.frames(), converted(made, video.info), strict=True):
            assert np.array_equal(ours.image, theirs)


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.ts", "mpeg2video")])
def test_the_earlier_field_makes_the_picture(name: str, codec: str, order: str, tmp_path: Path) -> None:
    def picture(index: int, width: int, height: int) -> av.VideoFrame:
        image = moment(2 * index, width, height)
        late = slice(1, None, 2) if order == "tff" else slice(0, None, 2)
        image[late] = moment(2 * index + 1, width, height)[late]
        frame = av.VideoFrame.from_ndarray(image).reformat(format="yuv420p")
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=frame.format, time_base=Fraction(1, 25))
        graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
        graph.push(frame)
        return graph.vpull()

    options = {"flags": "+ilme+ildct", "g": "6"}
    path = make_clip(tmp_path / name, frames=8, size=SIZE, codec=codec, options=options, picture=picture)
    with open_video(path) as video:
        for frame in video.frames():
            apart = [np.abs(frame.image.astype(int) - moment(2 * frame.index + i, *SIZE)).mean() for i in (0, 1)]
            assert apart[0] < NEARER * apart[1], frame.index


@pytest.mark.parametrize("frames", [1, 2])
def test_a_film_of_few_frames(frames: int, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=frames, size=SIZE, picture=woven, **CLIPS["h264.mp4"])
    with open_video(path) as video:
        assert [combs(frame.image) < SMOOTH for frame in video.frames()] == [True] * frames


def test_only_frames_with_two_fields_are_touched(tmp_path: Path) -> None:
    """A broadcast: film, then television, then film, in one stream."""
    kinds: list[dict[str, str]] = [{"g": "6"}, TOP_FIRST, {"g": "6"}]
    with av.open(str(tmp_path / "mixed.ts"), "w") as out:
        stream = None
        for number, options in enumerate(kinds):
            part = make_clip(
                tmp_path / f"{number}.ts", frames=8, size=SIZE, picture=woven, codec="mpeg2video",
                rate=Fraction(25), options=options,
            )  # fmt: skip
            with av.open(str(part)) as film:
                stream = stream or out.add_stream_from_template(film.streams.video[0])
                for packet in film.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts = (tick + number * 8 * 3600 for tick in (packet.pts, packet.dts))
                        packet.stream = stream
                        out.mux(packet)
    before = stored(tmp_path / "mixed.ts")
    fields = [frame.interlaced_frame for frame in before]
    assert fields == [False] * 8 + [True] * 8 + [False] * 8
    with open_video(tmp_path / "mixed.ts") as video:
        assert video.info.interlaced
        plain = converted(before, video.info)
        whole = [frame.image for frame in video.frames()]
        for index, image in enumerate(whole):
            assert np.array_equal(image, plain[index]) != fields[index], index
            assert np.array_equal(next(iter(video.frames(index, index + 1))).image, image), index
    for start in (8, 15, 16):
        with open_video(tmp_path / "mixed.ts") as video:
            for frame in video.frames(start):
                assert np.array_equal(frame.image, whole[frame.index]), (start, frame.index)


def test_a_picture_that_was_drawn_on_is_read_as_it_was(tmp_path: Path) -> None:
    """The last frames stay at hand: where a picture is the frame's own memory, what is drawn on it must not."""
    with open_video(make_clip(tmp_path / "a.mov", frames=2, codec="rawvideo", pix_fmt="rgb24")) as video:
        first = next(iter(video.frames(0, 1))).image
        kept = first.copy()
        first[:] = 0
        assert np.array_equal(next(iter(video.frames(0, 1))).image, kept)
