"""The main job through its public face: real people in, drawn people out, everything else untouched."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from media import make_clip

import animegen
from animegen.composite import PlateSet
from animegen.config import ConvertConfig, EncodeConfig
from animegen.errors import Cancelled, InputError, JobError, OutputError, PluginError, UsageError
from animegen.events import Event, Finished, Progress, StageFinished, StageStarted, Warned
from animegen.jobs import JobFolder
from animegen.pipeline.convert import analyse_only, render_job
from animegen.pipeline.demo import RATE, backdrop, demo_frames
from animegen.pipeline.preview import preview
from animegen.pipeline.stages import resolve
from animegen.pose.files import load_poses
from animegen.types import Frame
from animegen.video import open_video, verify
from animegen.video.drawing import write_film

SKELETON = ConvertConfig(style="skeleton")

CLEAN_PSNR = 40.0
"""dB, default quality: what a frame without people keeps."""

OFF_WALL = 40
"""Levels by which a pixel must differ to be no part of the wall: lattice lines out of place stay below it."""

LATEST_ENTRY = 12
"""Frame by which the second person, who walks in from the edge, is found: half a second."""

MOST_LEFT = 0.01
"""Share of the picture that may still show something of the removed people."""

SEAM = 1.5
"""How much more the picture may change at the seam of two segments than anywhere in a run without one."""

STEP = 3
"""Every third frame of the demo's clip: 32 frames with the whole of its movement."""


def _decoded(path: Path) -> np.ndarray:
    with open_video(path) as video:
        return np.stack([frame.image for frame in video.frames()])


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


@pytest.fixture(scope="session")
def two_people(blazepose_weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's clip, thinned out: two astronauts, one walking by in front of the other."""
    del blazepose_weights  # fetched by now
    backend = resolve(SKELETON, print, kinds=("pose",)).pose_backend()
    path = tmp_path_factory.mktemp("clip") / "two.mp4"
    frames = (Frame(i, i / RATE, f.image) for i, f in enumerate(islice(demo_frames(backend), 0, None, STEP)))
    write_film(path, frames, RATE)
    return path


@pytest.fixture(scope="session")
def converted(two_people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[animegen.Result, list[Event]]:
    events: list[Event] = []
    output = tmp_path_factory.mktemp("out") / "out.mp4"
    return animegen.convert(two_people, output, SKELETON, events.append), events


def test_two_people_are_found_and_every_frame_keeps_its_time(
    two_people: Path, converted: tuple[animegen.Result, list[Event]]
) -> None:
    result, _ = converted
    assert len(result.people) == 2
    report = verify(two_people, result.output)
    assert report.ok, report.checks


def test_the_people_are_gone_and_the_wall_is_back(
    two_people: Path, converted: tuple[animegen.Result, list[Event]]
) -> None:
    job = converted[0].job
    (clip,) = (load_poses(path) for path in sorted((job / "poses").glob("*.npz")))
    plates, wall = PlateSet.load(job / "plates"), np.asarray(backdrop(), np.int16)
    both = next(i for i, poses in enumerate(clip.poses) if len(poses) == 2)
    assert both <= LATEST_ENTRY
    left = []
    with open_video(two_people) as video:
        for frame, poses in islice(zip(video.frames(), clip.poses, strict=True), both, None):
            assert (abs(frame.image - wall).max(axis=-1) > OFF_WALL).mean() > 0.15
            left.append((abs(plates.clean(frame, poses) - wall).max(axis=-1) > OFF_WALL).mean())
    assert np.mean(left) < MOST_LEFT
    assert max(left) < 4 * MOST_LEFT  # somebody coming forth at the edge or from behind the other


def test_the_event_stream_tells_the_whole_story(converted: tuple[animegen.Result, list[Event]]) -> None:
    result, events = converted
    started = [e.stage for e in events if isinstance(e, StageStarted)]
    assert [stage for stage in started if stage in {"analyse", "cast", "render", "join"}] == [
        "analyse", "cast", "render", "join",
    ]  # fmt: skip
    assert {e.stage for e in events if isinstance(e, StageFinished)} == set(started)
    rendered = [e.done for e in events if isinstance(e, Progress) and e.stage == "render"]
    assert rendered == list(range(1, result.frames + 1))
    assert events[-1] == Finished(str(result.output))


def test_the_same_request_twice_gives_the_same_bytes(
    two_people: Path, converted: tuple[animegen.Result, list[Event]], tmp_path: Path
) -> None:
    again = animegen.convert(two_people, tmp_path / "again.mp4", SKELETON)
    assert again.output.read_bytes() == converted[0].output.read_bytes()


def test_a_stopped_run_goes_on_to_the_same_bytes(
    two_people: Path,
    converted: tuple[animegen.Result, list[Event]],
    tmp_path: Path,
) -> None:
    output = tmp_path / "stopped.mp4"
    for stage in ("analyse", "render"):
        cancel = threading.Event()

        def stop(event: Event, stage: str = stage, cancel: threading.Event = cancel) -> None:
            if isinstance(event, Progress) and event.stage == stage and event.done == 20:
                cancel.set()

        with pytest.raises(Cancelled):
            animegen.convert(two_people, output, SKELETON, stop, cancel)
        assert not output.exists()
        assert not list(tmp_path.rglob("*.part"))
    result = animegen.convert(two_people, output, SKELETON)
    assert result.output.read_bytes() == converted[0].output.read_bytes()


@pytest.mark.parametrize("gone", ["poses", "crops", "plates", "prepared"])
def test_what_is_removed_from_a_job_is_made_anew(
    two_people: Path, converted: tuple[animegen.Result, list[Event]], tmp_path: Path, gone: str
) -> None:
    output = tmp_path / "out.mp4"
    shutil.copytree(converted[0].job, JobFolder.beside(output).root)
    JobFolder.beside(output).drop(gone)
    animegen.convert(two_people, output, SKELETON)
    assert output.read_bytes() == converted[0].output.read_bytes()


def test_analyse_then_render_follows_an_edited_cast(two_people: Path, tmp_path: Path) -> None:
    job = analyse_only(two_people, tmp_path / "edited.mp4", replace(SKELETON, background="color:#000000"))
    cast = job.cast.read_text(encoding="utf-8")
    assert "person-1" in cast
    assert "person-2" in cast
    result = render_job(job.root)
    assert result.output == tmp_path / "edited.mp4"
    assert len(_decoded(result.output)) == result.frames


def test_several_segments_join_without_a_seam(
    two_people: Path, converted: tuple[animegen.Result, list[Event]], tmp_path: Path
) -> None:
    result = animegen.convert(two_people, tmp_path / "segments.mp4", replace(SKELETON, segment_frames=11))
    assert verify(two_people, result.output).ok
    assert len(result.people) == 2
    whole, cut = _changes(_decoded(converted[0].output)), _changes(_decoded(result.output))
    # detection starts anew in each segment, so limbs may lie a little differently; nothing may jump
    assert cut.max() < SEAM * whole.max()


def _changes(frames: np.ndarray) -> np.ndarray:
    """Mean change from each frame to the next, in levels."""
    changes: np.ndarray = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    return changes


def test_nobody_in_the_clip_leaves_the_picture_as_it_is(blazepose_weights: dict[str, Path], tmp_path: Path) -> None:
    del blazepose_weights
    source = make_clip(tmp_path / "empty.mp4", frames=20, size=(320, 180), audio=True)
    events: list[Event] = []
    result = animegen.convert(source, tmp_path / "out.mp4", SKELETON, events.append)
    assert result.people == ()
    assert any(isinstance(e, Warned) and "nobody" in e.message for e in events)
    assert verify(source, result.output).ok
    assert _psnr(_decoded(source), _decoded(result.output)) >= CLEAN_PSNR


def test_a_part_of_a_clip(two_people: Path, tmp_path: Path) -> None:
    config = replace(SKELETON, start=Fraction(1, 4), end=Fraction(3, 4), background="keep", max_people=1)
    result = animegen.convert(two_people, tmp_path / "part.mp4", config)
    assert result.frames == 12
    assert len(result.people) == 1
    assert len(_decoded(result.output)) == 12


def test_transparent_output_holds_the_avatars_alone(two_people: Path, tmp_path: Path) -> None:
    import av

    config = replace(SKELETON, encode=EncodeConfig(alpha=True), end=Fraction(1, 3))
    result = animegen.convert(two_people, tmp_path / "avatars.mov", config)
    with av.open(str(result.output)) as container:
        alpha = next(container.decode(video=0)).to_ndarray(format="rgba")[..., 3]
    assert alpha[0, 0] == 0
    assert alpha.max() == 255
    assert 0.005 < (alpha > 0).mean() < 0.5


def test_a_preview_is_a_few_pictures_and_the_run_goes_on_from_it(two_people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = preview(two_people, output, replace(SKELETON, background="keep"), 4)
    assert len(list(folder.glob("frame_*.png"))) == 4
    assert (folder / "contact.png").is_file()
    assert not output.exists()
    events: list[Event] = []
    animegen.convert(two_people, output, replace(SKELETON, background="keep"), events.append)
    analysed = [e for e in events if isinstance(e, Progress) and e.stage == "analyse"]
    assert len(analysed) == 1  # every segment was there already
    made = output.read_bytes()
    blurred = replace(SKELETON, background="blur")
    with pytest.raises(OutputError, match="out-preview exists already"):
        preview(two_people, output, blurred, 1)
    shutil.rmtree(folder)
    preview(two_people, output, blurred, 1)
    assert output.read_bytes() == made


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"style": "skelton"}, PluginError, "skelton"),
        ({"pose": "none"}, PluginError, "none"),
        ({"settings": {"colour": "red"}}, UsageError, "colour"),
        ({"background": "color:#zzz"}, UsageError, "#zzz"),
        ({"background": "nowhere.png"}, PluginError, "nowhere.png"),
        ({"start": Fraction(99)}, UsageError, "99"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    two_people: Path, tmp_path: Path, change: dict[str, object], error: type[Exception], word: str
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(error, match=word) as caught:
        animegen.convert(two_people, output, replace(SKELETON, **change))  # type: ignore[arg-type]
    assert isinstance(caught.value, animegen.errors.AnimegenError)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_users_is_overwritten(two_people: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.mp4"
    output.write_text("precious")
    with pytest.raises(OutputError, match=r"mine\.mp4"):
        animegen.convert(two_people, output, SKELETON)
    assert output.read_text() == "precious"


def test_another_request_for_the_same_output_is_told_what_differs(two_people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    short = replace(SKELETON, end=Fraction(1, 4), background="keep")
    animegen.convert(two_people, output, short)
    with pytest.raises(JobError, match=r"input\.frames was \[0, 6\], is \[0, 12\]"):
        animegen.convert(two_people, output, replace(short, end=Fraction(1, 2), overwrite=True))


def test_a_corrupt_file_is_an_input_error(tmp_path: Path) -> None:
    source = tmp_path / "text.mp4"
    source.write_text("this is no video")
    with pytest.raises(InputError, match=r"text\.mp4"):
        animegen.convert(source, tmp_path / "out.mp4", SKELETON)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.mp4"]
