"""Hard cuts: found between real films and in painted ones, and not where something else changes the picture."""

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
from animegen.video.shots import small_picture

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
