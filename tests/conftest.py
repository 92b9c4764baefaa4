"""Material shared by the tests: real footage where it is at hand, and the pose model."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real footage and ground truth that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"real footage is not at hand: {SHARED.name}/ does not lie beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def blazepose_weights() -> dict[str, Path]:
    """The two BlazePose model files by name, fetched once and cached."""
    from animegen.errors import WeightsError
    from animegen.weights import fetch

    try:
        return {name: fetch(name) for name in ("blazepose-detector", "blazepose-landmark-full")}
    except WeightsError as error:
        pytest.skip(f"the BlazePose weights cannot be had here: {error}")
