"""Material shared by the plugin's tests: small networks with the inputs and outputs of the real ones."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from animegen_insightface.options import DETECTOR, EMBEDDER
from stand_ins import write_detector, write_embedder

from animegen.protocols import PluginContext


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of both networks by the names of their weights."""
    folder = tmp_path_factory.mktemp("models")
    return {
        DETECTOR: write_detector(folder / "detector.onnx"),
        EMBEDDER: write_embedder(folder / "embedder.onnx"),
    }


@pytest.fixture
def context(models: dict[str, Path]) -> PluginContext:
    """What a factory gets."""
    return PluginContext(weights=models)
