"""Material shared by the plugin's tests: facexlib's networks with random weights, where facexlib can be used."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from animegen_facexlib.options import DETECTOR, PARSER
from animegen_facexlib.usable import require_facexlib

from animegen.errors import PluginError
from animegen.protocols import PluginContext


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained networks by the names of their weights: RetinaFace with MobileNet, BiSeNet."""
    try:
        require_facexlib()
    except PluginError as error:
        pytest.skip(str(error))
    import torch
    from facexlib.detection.retinaface import RetinaFace
    from facexlib.parsing import BiSeNet

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    made = {DETECTOR: RetinaFace("mobile0.25", device="cpu"), PARSER: BiSeNet(19)}
    for name, network in made.items():
        state = network.state_dict() if name == PARSER else {f"module.{k}": v for k, v in network.state_dict().items()}
        torch.save(state, folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in made}


@pytest.fixture
def context(files: dict[str, Path]) -> PluginContext:
    """What a factory gets."""
    return PluginContext(weights=files)
