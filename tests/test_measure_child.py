"""Measuring a command: its own memory, not that of the process that asks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from animegen.errors import AnimegenError
from animegen.measure.child import measured

ASKING_MB, SMALL_MB = 300, 100


def test_the_peak_is_the_commands_own() -> None:
    held = np.ones(ASKING_MB * 2**20, np.uint8)
    taken = measured([sys.executable, "-c", "print(sum(range(1000)))"])
    assert held.any()
    assert 1 < taken.peak_mb < SMALL_MB
    assert taken.seconds > 0
    assert taken.core_seconds > 0


def test_a_failing_command_is_told() -> None:
    with pytest.raises(AnimegenError, match="exit code 3"):
        measured([sys.executable, "-c", "raise SystemExit(3)"])
