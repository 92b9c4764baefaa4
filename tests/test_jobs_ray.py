"""`--engine ray`: the same bytes as a local run, also when a worker is lost on the way."""

from __future__ import annotations

import importlib.util
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_material import REQUEST, Command, make_job_clip, names_in

import animegen
from animegen.config import ConvertConfig
from animegen.errors import InvalidValue, UsageError
from animegen.jobs import JobFolder

HAS_RAY = importlib.util.find_spec("ray") is not None

TASK = b"ray::Worker.work"
"""How Ray calls the process of a worker that works on a segment."""


def _descendants(process: int) -> list[int]:
    """Every process that a process started, and those that these started."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _kill_a_worker(process: int) -> bool:
    """Kill one worker of a run that is working on a segment; False where none is."""
    for child in _descendants(process):
        try:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(TASK):
                os.kill(child, signal.SIGKILL)
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return False


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'animegen[distributed]'")
def test_two_ray_workers_of_which_one_is_lost_make_the_same_bytes_as_a_local_run(
    blazepose_weights: dict[str, Path], tmp_path: Path
) -> None:
    del blazepose_weights  # fetched by now
    clip = make_job_clip(tmp_path / "clip.mp4")
    local = animegen.convert(clip, tmp_path / "local.mp4", replace(REQUEST, threads=1, keep=True))
    output = tmp_path / "ray.mp4"
    command = Command(clip, output, "--engine", "ray", "--workers", "2", "--threads", "1", "--keep")
    lost = False
    for event in command.events():
        if not lost and event.get("stage") in {"analyse", "render"} and event.get("done"):
            lost = _kill_a_worker(command.process.pid)
    assert command.end() == 0, command.said
    assert lost
    assert output.read_bytes() == local.output.read_bytes()
    assert names_in(JobFolder.beside(output).root) == names_in(local.job)


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed here")
def test_without_ray_the_way_to_it_is_told(blazepose_weights: dict[str, Path], tmp_path: Path) -> None:
    from media import make_clip

    del blazepose_weights  # fetched by now
    clip = make_clip(tmp_path / "clip.mp4", frames=2)
    with pytest.raises(UsageError, match="needs the package ray") as caught:
        animegen.convert(clip, tmp_path / "out.mp4", replace(REQUEST, engine="ray"))
    assert "pip install 'animegen[distributed]'" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_workers_without_ray_are_refused() -> None:
    with pytest.raises(InvalidValue, match="engine is 'local'") as caught:
        ConvertConfig(workers=2)
    assert caught.value.hint == "add --engine ray"
