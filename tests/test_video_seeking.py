"""Any part of any clip equals the same part of a full reading: the timeline's properties, found by search."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media import index_of, make_clip

from animegen.video import VideoFile, open_video
from animegen.video.timeline import make_timeline

CODINGS = [
    ("h264.mp4", None, {"g": "250"}),
    ("gop.mp4", None, {"g": "7", "bf": "3"}),
    ("open.mp4", None, {"x264-params": "open-gop=1:keyint=6:bframes=3:b-adapt=0"}),
    ("open.mkv", None, {"x264-params": "open-gop=1:keyint=6:bframes=3:b-adapt=0"}),
    ("open.ts", None, {"x264-params": "open-gop=1:keyint=6:bframes=3:b-adapt=0"}),
    ("refresh.mkv", None, {"x264-params": "intra-refresh=1:keyint=8"}),
    ("hevc.mp4", "libx265", {"x265-params": "log-level=none:open-gop=1:keyint=6:min-keyint=6:bframes=3"}),
    ("vp9.webm", "libvpx-vp9", {"g": "6", "deadline": "realtime"}),
    ("mpeg4.mkv", "mpeg4", {"g": "6", "bf": "2"}),
    ("mpeg2.ts", "mpeg2video", {"g": "6", "bf": "2"}),
]

slices = st.tuples(st.integers(0, 29), st.integers(0, 29)).map(lambda pair: (min(pair), max(pair) + 1))
gaps = st.lists(st.integers(1, 400), min_size=29, max_size=29)
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def same_as_full(video: VideoFile, parts: list[tuple[int, int]]) -> None:
    full = list(video.frames())
    assert [index_of(frame.image) for frame in full] == list(range(len(full)))
    for start, stop in parts:
        part = list(video.frames(start, stop))
        assert [(frame.index, frame.pts) for frame in part] == [(frame.index, frame.pts) for frame in full[start:stop]]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(part, full[start:stop], strict=True))


@few
@given(
    coding=st.sampled_from(CODINGS),
    gaps=gaps,
    offset=st.sampled_from([0, 1, 1234]),
    parts=st.lists(slices, min_size=1, max_size=6),
)
def test_every_slice_equals_the_full_reading(
    coding: tuple[str, str | None, dict[str, str]], gaps: list[int], offset: int, parts: list[tuple[int, int]]
) -> None:
    name, codec, options = coding
    # Formats with a frame rate of their own take no free timestamps.
    pts = None if codec in {"mpeg4", "mpeg2video"} else list(accumulate(gaps, initial=0))
    rate, base = Fraction(25), None if pts is None else Fraction(1, 1000)
    with tempfile.TemporaryDirectory() as folder:
        path = make_clip(
            Path(folder) / name, frames=30, pts=pts, rate=rate, time_base=base, codec=codec, options=options,
            start_offset=offset if pts else 0,
        )  # fmt: skip
        with open_video(path) as video:
            assert len(video.timeline) == 30
            times = [video.timeline.time(i) for i in range(30)]
            if pts is not None:
                # A transport stream is moved as a whole so that no decoding time is negative.
                first = times[0] if name.endswith(".ts") else Fraction(offset, 1000)
                assert times == [first + Fraction(tick, 1000) for tick in pts]
            same_as_full(video, parts)


def test_a_film_that_is_refreshed_bit_by_bit(tmp_path: Path) -> None:
    """After such a keyframe a decoder shows pictures that are nearly what they were."""
    with open_video(
        make_clip(tmp_path / "a.mkv", frames=30, options={"x264-params": "intra-refresh=1:keyint=8"})
    ) as film:
        assert len(film.timeline.keyframes) > 1
        same_as_full(film, [(2, 9), (29, 30), (0, 4), (26, 30)])


ticks = st.lists(st.one_of(st.none(), st.integers(-50, 600)), min_size=1, max_size=30)


@given(shown=ticks, step=st.integers(1, 12), last=st.integers(0, 40))
def test_a_timeline_always_rises(shown: list[int | None], step: int, last: int) -> None:
    timeline = make_timeline(Fraction(1, 1000), shown, [tick for tick in shown[::5] if tick is not None], last, step)
    assert (np.diff(timeline.pts) > 0).all()
    assert (timeline.durations > 0).all()
    assert np.array_equal(timeline.pts[:-1] + timeline.durations[:-1], timeline.pts[1:])
    assert len(timeline) == len(shown)


@given(gaps=gaps, start=st.fractions(0, 4), length=st.fractions(Fraction(1, 2), 8))
def test_an_index_range_holds_the_frames_of_its_time(gaps: list[int], start: Fraction, length: Fraction) -> None:
    pts = list(accumulate(gaps, initial=700))
    timeline = make_timeline(Fraction(1, 100), pts, [], 1, 1)
    i0, i1 = timeline.index_range(Fraction(0), None)
    assert (i0, i1) == (0, 30)
    inside = [i for i in range(30) if start <= timeline.time(i) - 7 < start + length]
    if inside:
        assert timeline.index_range(start, start + length) == (inside[0], inside[-1] + 1)
