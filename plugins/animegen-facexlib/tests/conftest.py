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
    states = {name: network.state_dict() for name, network in made.items()}
    # the published detector is in torch's older format, with the prefix that several graphics cards leave
    several = {f"module.{name}": tensor for name, tensor in states[DETECTOR].items()}
    torch.save(several, folder / f"{DETECTOR}.pth", _use_new_zipfile_serialization=False)
    torch.save(states[PARSER], folder / f"{PARSER}.pth")
    return {name: folder / f"{name}.pth" for name in made}


@pytest.fixture
def context(files: dict[str, Path]) -> PluginContext:
    """What a factory gets."""
    return PluginContext(weights=files)
