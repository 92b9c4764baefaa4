"""Cuts and dissolves: found between real films and painted ones, and not where something else changes the picture."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from composed import scene

from animegen.pipeline.shots import SegmentShots, ShotWatch, joined_shots
from animegen.types import Frame, Uint8Array
from animegen.video import is_cut, marked_shots, open_video
from animegen.video.shots import dissolves, small_picture, tiny_picture

FILMS = (
    "intel_asl_book.mkv", "intel_asl_help.mkv", "intel_one_by_one_person.mp4", "sam2_bedroom_2kids.mp4",
    "sam2_juggle_man.mp4",
)  # fmt: skip


def frames_of(images: Sequence[Uint8Array]) -> list[Frame]:
    return [Frame(i, Fraction(i, 25), image) for i, image in enumerate(images)]


def cuts(images: Sequence[Uint8Array]) -> list[int]:
    return [frame.index for frame, _, begins in marked_shots(frames_of(images)) if begins]


def painted(number: int, count: int) -> list[Uint8Array]:
    return [np.asarray(scene(number), np.uint8)] * count


def test_every_frame_comes_out_once_and_in_order() -> None:
    frames = frames_of(painted(1, 5) + painted(2, 1))
    assert [frame.index for frame, _, _ in marked_shots(frames)] == list(range(6))
    assert list(marked_shots([])) == []


def test_a_cut_between_two_scenes_is_found_at_its_frame() -> None:
    assert cuts(painted(1, 6) + painted(2, 5) + painted(3, 4)) == [6, 11]


def test_a_shot_of_two_frames_is_found() -> None:
    assert cuts(painted(1, 5) + painted(2, 2) + painted(3, 5)) == [5, 7]


def test_a_flash_is_no_cut() -> None:
    white = [np.full_like(painted(1, 1)[0], 250)]
    assert cuts(painted(1, 6) + white + painted(1, 6)) == []


def test_a_light_that_is_switched_off_is_no_cut() -> None:
    room = painted(1, 6)
    assert cuts(room + [(image * 0.55).astype(np.uint8) for image in room]) == []


def test_a_fast_pan_is_no_cut() -> None:
    wide = np.hstack([scene(number) for number in (1, 2, 3)])
    assert cuts([np.ascontiguousarray(wide[:, 60 * i : 60 * i + 640]) for i in range(20)]) == []


def test_no_cut_is_found_in_films_without_one_and_each_between_two(shared: Path) -> None:
    ends = {}
    for name in FILMS:
        with open_video(shared / "video" / name) as video:
            small = [small_picture(frame.image) for frame in video.frames(0, 24)]
        assert not any(is_cut(small[:i], small[i:]) for i in range(1, len(small))), name
        ends[name] = small[:5], small[-5:]
    for a, b in permutations(FILMS, 2):
        assert is_cut(ends[a][1], ends[b][0]), (a, b)


def tiny(images: Sequence[Uint8Array]) -> Uint8Array:
    return np.array([tiny_picture(small_picture(image)) for image in images])


def dissolved(before: Sequence[Uint8Array], after: Sequence[Uint8Array], length: int) -> list[Uint8Array]:
    """Two films of which the last ``length`` frames of one and the first of the other are mixed."""
    shares = [(i + 1) / (length + 1) for i in range(length)]
    mixed = [
        np.rint((1 - share) * a + share * b.astype(np.float64)).astype(np.uint8)
        for share, a, b in zip(shares, before[-length:], after[:length], strict=True)
    ]
    return [*before[:-length], *mixed, *after[length:]]


NEAR = 5
"""Frames by which the middle of a dissolve may be missed."""


@pytest.fixture(scope="module")
def films(shared: Path) -> dict[str, list[Uint8Array]]:
    """The beginnings of real films, small."""
    found = {}
    for name in FILMS:
        with open_video(shared / "video" / name) as video:
            found[name] = [frame.image[::4, ::4] for frame in video.frames(0, 40)]
    return found


@pytest.mark.parametrize("length", [8, 15, 25, 30])
def test_a_dissolve_between_two_films_is_found_about_in_its_middle(
    films: dict[str, list[Uint8Array]], length: int
) -> None:
    for a, b in permutations([name for name in FILMS if name != "intel_asl_book.mkv"], 2):
        (found,) = dissolves(tiny(dissolved(films[a], [_sized(image, films[a][0]) for image in films[b]], length)))
        assert abs(found - (40 - length / 2)) <= NEAR, (a, b)


def _sized(image: Uint8Array, like: Uint8Array) -> Uint8Array:
    rows, columns = (np.arange(n) * m // n for n, m in zip(like.shape[:2], image.shape[:2], strict=True))
    return image[rows][:, columns]


def test_nothing_that_moves_is_a_dissolve(films: dict[str, list[Uint8Array]], shared: Path) -> None:
    for name in FILMS:
        assert dissolves(tiny(films[name])) == [], name
    with open_video(shared / "video" / "sam2_bedroom_2kids.mp4") as video:
        assert dissolves(tiny([frame.image for frame in video.frames(110, 170)])) == [], "the camera moves fast"
    wide = np.hstack([scene(number) for number in (1, 2, 3)])
    for speed in (10, 30, 60):
        pan = [np.ascontiguousarray(wide[:, speed * i : speed * i + 640]) for i in range(1200 // speed)]
        assert dissolves(tiny(pan)) == []
    assert dissolves(tiny(painted(1, 20) + painted(2, 20))) == [], "a cut is none"
    room = painted(1, 1)[0]
    assert dissolves(tiny([(room * (1 - i / 40)).astype(np.uint8) for i in range(20)])) == [], (
        "nor is a light that dims"
    )


@pytest.mark.parametrize("length", [7, 20])
def test_a_dissolve_parts_shots_across_segments(length: int, tmp_path: Path) -> None:
    frames = frames_of(dissolved(painted(1, 20), painted(2, 20), 10) + painted(3, 10))
    parts = []
    for start in range(0, len(frames), length):
        watch = ShotWatch(start)
        assert sum(1 for shot in watch.shots(frames[start : start + length]) for _ in shot)
        watch.found().save(tmp_path / "shots.npz")
        parts.append(SegmentShots.load(tmp_path / "shots.npz"))
    first, second, third = joined_shots(parts, len(frames))
    assert (first.start, second.stop, third) == (0, 30, range(30, 40))
    assert abs(first.stop - 15) <= 1


@pytest.mark.parametrize("length", [3, 5, 6, 7])
def test_segments_change_nothing_about_the_shots(length: int, tmp_path: Path) -> None:
    frames = frames_of(painted(1, 6) + painted(2, 6) + painted(3, 3))
    parts = []
    for start in range(0, len(frames), length):
        watch = ShotWatch(start)
        taken = [frame.index for shot in watch.shots(frames[start : start + length]) for frame in shot]
        assert taken == list(range(start, min(start + length, len(frames))))
        watch.found().save(tmp_path / "shots.npz")
        parts.append(SegmentShots.load(tmp_path / "shots.npz"))
    assert joined_shots(parts, len(frames)) == [range(6), range(6, 12), range(12, 15)]
