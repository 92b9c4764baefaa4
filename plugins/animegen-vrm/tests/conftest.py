"""Material shared by the plugin's tests: real avatars where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# No test fails for a slow machine, and each run sees the same examples.
settings.register_profile("animegen-vrm", deadline=None, derandomize=True)
settings.load_profile("animegen-vrm")

SHARED = Path(__file__).resolve().parents[4] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real avatars, motion and footage that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"real avatars are not at hand: {SHARED.name}/ does not lie beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def avatar_paths(shared: Path) -> dict[str, Path]:
    """Real avatars by name: ``eliza_*`` are VRM 1.0 made with VRoid, the others VRM 0.x made by hand."""
    return {path.stem: path for path in sorted((shared / "avatars").glob("*.vrm"))}
