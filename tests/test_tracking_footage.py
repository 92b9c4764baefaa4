"""Tracking of real people with the real pose backend, judged by what is seen in the footage."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from animegen.protocols import PluginContext
from animegen.tracking import track_clip
from animegen.tracking.oks import make_tracker
from animegen.types import Pose, Track


def tracks_of(path: Path, weights: dict[str, Path], start: int, stop: int) -> list[Track]:
    from animegen.pose.blazepose import BlazePoseOptions, make_blazepose
    from animegen.video import open_video

    backend = make_blazepose(BlazePoseOptions(), PluginContext(threads=2, weights=weights))
    with open_video(path) as video:
        indices: list[int] = []

        def frames():
            for frame in video.frames(start, stop):
                indices.append(frame.index)
                yield frame

        poses = list(backend.estimate(frames()))
        width = video.info.width
    return track_clip(zip(indices, poses, strict=True), partial(make_tracker, None, PluginContext()), width=width)


def middle(pose: Pose) -> float:
    return float(pose.bbox[0] + pose.bbox[2]) / 2


def test_two_children_of_whom_one_hides_behind_the_other(shared: Path, blazepose_weights: dict[str, Path]) -> None:
    """The girl jumps on the bed all the time; the boy kneels, goes behind her and stands at the left from 150 on."""
    tracks = tracks_of(shared / "video" / "sam2_bedroom_2kids.mp4", blazepose_weights, 0, 200)
    assert len(tracks) == 2
    girl, boy = tracks
    assert len(girl.poses) >= 195
    assert len(boy.poses) >= 60
    places = [dict(zip(track.frame_indices, map(middle, track.poses), strict=True)) for track in tracks]
    both = sorted(set(places[0]) & set(places[1]))
    assert both[0] < 10
    assert both[-1] > 190
    for index in [i for i in both if i < 10 or i > 150]:
        assert places[1][index] < places[0][index], f"frame {index}: the boy is left of the girl"


@pytest.mark.parametrize(("name", "stop"), [("sam2_juggle_man.mp4", 80), ("intel_asl_book.mkv", 60)])
def test_one_person_is_one_track(name: str, stop: int, shared: Path, blazepose_weights: dict[str, Path]) -> None:
    (track,) = tracks_of(shared / "video" / name, blazepose_weights, 0, stop)
    assert len(track.poses) >= 0.97 * stop


def test_people_who_come_one_by_one_are_not_joined(shared: Path, blazepose_weights: dict[str, Path]) -> None:
    """One leaves by the right side around frame 193; the next comes in from below at 230."""
    first, second = tracks_of(shared / "video" / "intel_one_by_one_person.mp4", blazepose_weights, 150, 260)
    assert first.frame_indices[-1] < 200
    assert second.frame_indices[0] > 225
    for track in (first, second):
        assert np.diff(track.frame_indices).max() <= 5, "nobody is lost for long"
