"""`animegen bench`: the figures are those of what was asked for. How fast this machine is, no test says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from animegen.cli import cli

STAGES = ["decode", "pose", "observe", "cast", "encode", "draw", "compose"]


@pytest.mark.usefixtures("blazepose_weights")
def test_people_are_found_as_often_as_they_stand_side_by_side(shared: Path) -> None:
    clip = shared / "video" / "sam2_juggle_man.mp4"
    done = CliRunner().invoke(cli, ["bench", "people", str(clip), "--copies", "2", "--frames", "12", "--json"])
    assert done.exit_code == 0, done.output
    crowds = json.loads(done.stdout)["crowds"]
    assert [crowd["copies"] for crowd in crowds] == [1, 2]
    assert [crowd["times"]["people"] for crowd in crowds] == [1, 2]
    assert sorted(stage["name"] for stage in crowds[1]["times"]["stages"]) == sorted(STAGES)
    assert all(stage["core_ms"] > 0 for crowd in crowds for stage in crowd["times"]["stages"])


@pytest.mark.parametrize("copies", ["two", "0,1", ""])
def test_numbers_of_copies_that_are_none_are_refused(copies: str) -> None:
    done = CliRunner().invoke(cli, ["bench", "people", "clip.mp4", "--copies", copies])
    assert done.exit_code == 2
    assert "--copies" in done.output
