"""Where things lie: what travels with the package, the user's own weights folder, and the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

from animegen.errors import WeightsError

WEIGHTS_VARIABLE = "ANIMEGEN_WEIGHTS"
_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(folder: Literal["weights", "ops"]) -> Path:
    """A folder that travels with animegen: inside the installed package, or at the top of a checkout."""
    installed = _PACKAGE / "_shipped" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder


def user_weights() -> Path | None:
    """The folder that ``ANIMEGEN_WEIGHTS`` names, or None where it is not set.

    Raises WeightsError when it names something that is not a folder.
    """
    value = os.environ.get(WEIGHTS_VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"{WEIGHTS_VARIABLE} is not a folder: {folder}", "unset it, or name the folder of your weights"
        )
    return folder


def cache() -> Path:
    """The user's cache folder for downloaded weights; it need not exist yet."""
    return user_cache_path("animegen", appauthor=False) / "weights"
