"""Heads: cut out where FFHQ would cut, as their seeds say in both looks, the same bytes whenever they are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.cli import check_rendering, vrm
from animegen_vrm.heads import face_camera
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from animegen.face.align import face_square

SIDE = 32
EXACT = 1e-3
"""Pixels: projections are rounded to float32."""
FACE = np.array([(-0.03, 1.5, 0.1), (0.03, 1.5, 0.1), (0, 1.47, 0.12), (-0.02, 1.44, 0.11), (0.02, 1.44, 0.11)])
ALIKE, APART = 0.6, 2.0
"""Correlation of the two looks of one head at least, and mean difference in grey levels at least."""


def heads(*arguments: object) -> Result:
    return CliRunner().invoke(vrm, ["heads", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def looks(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two pictures of one avatar in each look."""
    if not check_rendering()[0]:
        pytest.skip(f"nothing can be rendered here: {check_rendering()[1]}")
    avatar = shared / "avatars" / "korii_churo_credit.vrm"
    folders = {}
    for look in ("soft", "toon"):
        folders[look] = tmp_path_factory.mktemp("heads") / look
        made = heads(avatar, "-o", folders[look], "--count", 2, "--size", SIDE, "--look", look, "--quiet")
        assert made.exit_code == 0, made.output
    return folders


@given(yaw=st.floats(-0.5, 0.5), pitch=st.floats(-0.3, 0.3), roll=st.floats(-0.4, 0.4), distance=st.floats(0.5, 4.0))
def test_the_camera_sees_the_square_and_nothing_else(yaw: float, pitch: float, roll: float, distance: float) -> None:
    turn = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    points = (FACE - FACE.mean(axis=0)) @ turn.T + FACE.mean(axis=0)
    toward = np.array((np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)))
    camera = face_camera(points, toward * distance, SIDE)
    square = face_square(camera.project(points)[0])
    np.testing.assert_allclose(square, [SIDE / 2 - 0.5, SIDE / 2 - 0.5, SIDE / 2, 0], atol=EXACT)


def test_both_looks_show_the_same_head(looks: dict[str, Path]) -> None:
    for name in ("000000.png", "000001.png"):
        soft, toon = (np.asarray(Image.open(looks[look] / name), np.float64) for look in ("soft", "toon"))
        assert soft.shape == (SIDE, SIDE, 3)
        assert np.corrcoef(soft.ravel(), toon.ravel())[0, 1] > ALIKE
        assert np.abs(soft - toon).mean() > APART


def test_a_stopped_run_goes_on_with_the_same_bytes(looks: dict[str, Path], shared: Path) -> None:
    arguments = (shared / "avatars" / "korii_churo_credit.vrm", "-o", looks["toon"], "--look", "toon", "--quiet")
    first, second = ((looks["toon"] / name).read_bytes() for name in ("000000.png", "000001.png"))
    (looks["toon"] / "000001.png").unlink()
    assert heads(*arguments, "--count", 2, "--size", SIDE).exit_code == 0
    assert (looks["toon"] / "000000.png").read_bytes() == first
    assert (looks["toon"] / "000001.png").read_bytes() == second
    told = json.loads((looks["toon"] / "heads.json").read_text())
    assert told["avatars"][0]["authors"] == ["KoriiNee"]
    refused = heads(*arguments, "--count", 2, "--size", 2 * SIDE)
    assert "holds heads that were made otherwise" in str(refused.exception)
