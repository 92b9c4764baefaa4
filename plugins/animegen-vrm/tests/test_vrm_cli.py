"""``animegen vrm`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from animegen_vrm.cli import check_rendering, vrm
from click.testing import CliRunner, Result
from PIL import Image

from animegen.avatar.data import Dataset
from animegen.errors import InputError, OutputError
from animegen.video import open_video


@pytest.fixture
def avatar(avatar_paths: dict[str, Path]) -> Path:
    return avatar_paths["godette_ccby"]


@pytest.fixture
def motion(shared: Path, tmp_path: Path) -> Path:
    """The beginning of a motion: ten of its frames."""
    if not check_rendering()[0]:
        pytest.skip(f"nothing can be rendered here: {check_rendering()[1]}")
    lines = (shared / "motion" / "cmu1_jumping_jacks.bvh").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frames:"))
    short = tmp_path / "jump.bvh"
    short.write_text(
        "\n".join([*lines[:start], "Frames: 10", lines[start + 1], *lines[start + 32 : start + 42]]) + "\n"
    )
    return short


def run(*arguments: Any) -> Result:
    result = CliRunner().invoke(vrm, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def test_info_tells_what_a_file_holds(avatar: Path) -> None:
    told = json.loads(run("info", avatar, "--json").stdout)
    assert (told["name"], told["version"], told["credit"]) == ("godette_ccby", "0.x", "required")
    assert told["authors"] == ["SirRichard94"]
    assert told["triangles"] > 3000
    assert {material["part"] for material in told["materials"]} >= {"hair", "skin", "upper"}
    text = run("info", avatar).stdout
    assert "licence: CC_BY" in text
    assert "  head_to_height: " in text


def test_a_film_has_the_motions_length(avatar: Path, motion: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    run("render", avatar, motion, "-o", output, "--size", 64, "--rate", 30, "--quiet")
    with open_video(output) as video:
        assert (video.info.width, video.info.height, len(video.timeline)) == (64, 64, 10)
        frames = [frame.image.astype(int) for frame in video.frames()]
    assert np.abs(frames[0][0, 0] - (0xE8, 0xE6, 0xEF)).max() <= 3  # the ground, as 4:2:0 keeps it
    assert np.abs(frames[0] - frames[-1]).max() > 60  # it moves
    with pytest.raises(OutputError, match="stands already"):
        run("render", avatar, motion, "-o", output, "--quiet")


def test_a_transparent_folder_in_another_palette(avatar: Path, motion: Path, tmp_path: Path) -> None:
    colours = "hair=#ff0000,skin=#00ff00,eyes=#0000ff,upper=#ff0000,lower=#ff0000,shoes=#ff0000"
    arguments = ("render", avatar, motion, "--size", 64, "--rate", 5, "--transparent", "--quiet", "--camera", "still")
    run(*arguments, "-o", tmp_path / "own")
    run(*arguments, "-o", tmp_path / "other", "--palette", colours)
    own, other = (np.array(Image.open(tmp_path / name / "000000.png")) for name in ("own", "other"))
    assert own.shape == (64, 64, 4)
    assert own[0, 0, 3] == 0
    assert own[..., 3].max() == 255
    red = (other[..., 0] > 120) & (other[..., 1] < 60) & (other[..., 3] == 255)
    assert red.sum() > 0.2 * (own[..., 3] == 255).sum()


def test_mp4_cannot_be_transparent(avatar: Path, motion: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="mp4 cannot be transparent"):
        run("render", avatar, motion, "-o", tmp_path / "out.mp4", "--transparent", "--quiet")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("palette", ["nose=#ffffff", "hair=red", "hair"])
def test_palettes_that_mean_nothing_are_refused(avatar: Path, tmp_path: Path, palette: str) -> None:
    result = CliRunner().invoke(vrm, ["render", str(avatar), "x.bvh", "-o", str(tmp_path), "--palette", palette])
    assert result.exit_code == 2
    assert palette.rsplit("=", maxsplit=1)[-1] in result.stderr


def test_a_small_dataset(avatar: Path, shared: Path, motion: Path, tmp_path: Path) -> None:
    motions = tmp_path / "motions"
    motions.mkdir()
    for name in ("a", "b", "c", "d"):
        (motions / f"{name}.bvh").write_bytes(motion.read_bytes())
    data = tmp_path / "data"
    arguments = ("--count", 4, "--test-count", 2, "--size", "64", "--processes", 1, "--hold-out", "d", "--quiet")
    said = run("dataset", avatar, motions, "-o", data, *arguments).stdout
    assert "4 samples to train and validate on, 2 to test on" in said
    assert (len(Dataset(data)), len(Dataset(data, "test"))) == (6, 2)


def test_bench_tells_the_rate_and_on_what(avatar_paths: dict[str, Path]) -> None:
    path = str(avatar_paths["korii_churo_credit"])
    result = CliRunner().invoke(vrm, ["bench", path, "--size", "64", "--rounds", "1", "--processes", "2"])
    assert result.exit_code == 0, result.output
    assert "64 px, processes: 2;" in result.output
    assert "korii_churo_credit:" in result.output
    assert "images/s" in result.output


def test_bench_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.vrm"
    broken.write_bytes(b"glTF")
    result = CliRunner().invoke(vrm, ["bench", str(broken), "--processes", "1"])
    assert isinstance(result.exception, InputError)
    assert "broken.vrm" in str(result.exception)
