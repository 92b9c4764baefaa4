"""A job goes on from any folder: files that its request names are found wherever one stands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import animegen
from animegen.config import ConvertConfig
from animegen.errors import Cancelled
from animegen.events import Event, Progress
from animegen.identity import read_cast, write_cast
from animegen.jobs import JobFolder
from animegen.pipeline.convert import render_job
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.video import open_video
from animegen.video.drawing import write_film

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from animegen.hookspecs import hookimpl
from animegen.protocols import PoseBackendSpec
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.testing.synthetic import synthetic_pose

@dataclass(frozen=True)
class Options:
    place: Path
    more: tuple[Path, ...] = ()

@hookimpl
def animegen_pose_backends():
    return [PoseBackendSpec("read", "a figure where files say", "read_plugin:Backend", Options)]

class Backend:
    skeleton = BLAZEPOSE33

    def __init__(self, options, context):
        self.x = sum(float(path.read_text()) for path in (options.place, *options.more))

    def estimate(self, frames):
        for frame in frames:
            yield [synthetic_pose(feet=(self.x, 220.0))]
"""

WALL = (200, 60, 40)
ENCODED = 6
"""Levels by which encoding changes one colour."""


def test_a_stopped_job_goes_on_elsewhere(
    install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("read-plugin", "1.0", {"read": "read_plugin"}, {"read_plugin": PLUGIN})
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    figure = (synthetic_pose(feet=(150.0, 220.0)), synthetic_identity(2))
    write_film(Path("clip.mp4"), (synthetic_frame([figure], index=i, rate=10) for i in range(8)), 10)
    Image.new("RGB", (320, 240), WALL).save("wall.png")
    for name, x in (("left.txt", 100), ("more.txt", 30), ("most.txt", 20)):
        Path(name).write_text(str(x))
    settings = {"pose.place": "left.txt", "more": "more.txt, most.txt"}
    config = ConvertConfig(style="skeleton", pose="read", background="wall.png", settings=settings)
    first = animegen.convert(Path("clip.mp4"), Path("first.mp4"), config)
    cast = read_cast(JobFolder(first.job).cast)
    write_cast(Path("cast.toml"), replace(cast, members=(replace(cast.members[0], name="Anna", skip=True),)))

    _stopped_in_analysis(replace(config, cast=Path("cast.toml")))
    assert not JobFolder.beside(Path("out.mp4")).cast.exists()
    monkeypatch.chdir(elsewhere)
    result = render_job(here / "out.mp4.job")
    assert [member.name for member in read_cast(JobFolder(result.job).cast).members] == ["Anna"]
    with open_video(here / "clip.mp4") as source, open_video(result.output) as output:
        frames = [next(video.frames(0, 1)).image.astype(int) for video in (source, output)]
    assert np.abs(frames[1][:40, :40] - WALL).max() <= ENCODED, "the wall stands behind"
    assert np.abs(frames[1][80:100, 145:155] - frames[0][80:100, 145:155]).mean() <= ENCODED, "Anna is skipped"


def _stopped_in_analysis(config: ConvertConfig) -> None:
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "analyse":
            cancel.set()

    with pytest.raises(Cancelled):
        animegen.convert(Path("clip.mp4"), Path("out.mp4"), config, stop, cancel)


def test_a_job_follows_its_own_cast_once_it_has_one(
    install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("read-plugin", "1.0", {"read": "read_plugin"}, {"read_plugin": PLUGIN})
    monkeypatch.chdir(tmp_path)
    write_film(Path("clip.mp4"), (synthetic_frame(index=i, rate=10) for i in range(8)), 10)
    Path("place.txt").write_text("150")
    config = ConvertConfig(style="skeleton", pose="read", settings={"place": "place.txt"})
    job = JobFolder(animegen.convert(Path("clip.mp4"), Path("out.mp4"), config).job)
    cast = read_cast(job.cast)
    write_cast(Path("cast.toml"), cast)
    animegen.convert(Path("clip.mp4"), Path("out.mp4"), replace(config, cast=Path("cast.toml"), overwrite=True))
    write_cast(job.cast, replace(cast, members=(replace(cast.members[0], name="Berta"),)))
    render_job(job.root, overwrite=True)
    assert [member.name for member in read_cast(job.cast).members] == ["Berta"]

    write_cast(Path("cast.toml"), replace(cast, members=(replace(cast.members[0], name="Clara"),)))
    _stopped_in_analysis(replace(config, cast=Path("cast.toml"), overwrite=True))
    render_job(job.root, overwrite=True)
    assert [member.name for member in read_cast(job.cast).members] == ["Clara"], "it was asked for later"
