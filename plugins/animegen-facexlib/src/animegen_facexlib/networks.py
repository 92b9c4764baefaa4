"""The networks of facexlib, filled from files that are read without executing what is in them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facexlib.detection.retinaface import RetinaFace
from facexlib.parsing import BiSeNet, ParseNet
from numpy.typing import NDArray

from animegen.errors import WeightsError
from animegen.stylegan2.tensor_files import read_tensors
from animegen.types import Uint8Array

_SIDE = 512
"""Of the pictures that both parsers were trained on."""
_CLASSES = 19
_SAME = 0.4
"""Overlap over union from which two boxes are of one face."""


class Detector:
    """RetinaFace of the kind that a file holds. Raises WeightsError naming a file that holds none."""

    def __init__(self, path: Path, device: torch.device) -> None:
        state = _state(path)
        kind = "mobile0.25" if any(key.startswith("body.stage1.") for key in state) else "resnet50"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # facexlib asks torchvision in words of long ago
            network = RetinaFace(kind, device=device)
        self._network: Any = _filled(network, state, path, "RetinaFace detector", device)

    def __call__(self, picture: Uint8Array, min_score: float) -> NDArray[np.float32]:
        """The faces of a picture uint8 [H, W, 3] RGB, surest first: f32 [N, 15] of box, score and five points.

        Places are in pixels counted from their corners.
        """
        with torch.inference_mode():
            found = self._network.detect_faces(np.ascontiguousarray(picture[..., ::-1]), min_score, _SAME)
        return np.asarray(found, np.float32)


@dataclass(frozen=True)
class _Kind:
    """What is known of a parser: mean and deviation of the colours it takes, and the classes that are the face."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    face: tuple[int, ...]


PARSENET = _Kind((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (*range(1, 8), 10, 11, 12))
"""Skin, nose, glasses, eyes, brows and mouth among the classes of CelebAMask-HQ, in their order there."""
BISENET = _Kind((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (*range(1, 7), 10, 11, 12, 13))
"""The same in an order of its own."""


class Parser:
    """ParseNet or BiSeNet, whichever a file holds. Raises WeightsError naming a file that holds neither."""

    def __init__(self, path: Path, device: torch.device) -> None:
        state = _state(path)
        is_parsenet = any(key.startswith("encoder.") for key in state)
        network = ParseNet(_SIDE, _SIDE, parsing_ch=_CLASSES) if is_parsenet else BiSeNet(_CLASSES)
        self._network: Any = _filled(network, state, path, "parser", device)
        self._kind, self._device = PARSENET if is_parsenet else BISENET, device

    def __call__(self, picture: Uint8Array) -> NDArray[np.bool_]:
        """Where the face is in an aligned picture uint8 [512, 512, 3] RGB, without ears, hair and neck."""
        mean, deviation = np.array([self._kind.mean, self._kind.deviation], np.float32)
        colours = (picture / np.float32(255) - mean) / deviation
        batch = torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1)[None]))
        with torch.inference_mode():
            labels = self._network(batch.to(self._device))[0][0].argmax(dim=0).cpu().numpy()
        return np.isin(labels, self._kind.face)


def _state(path: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a ``.pth`` file by name, without the prefix that several graphics cards leave."""
    found = read_tensors(path, "name a .pth file of facexlib")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def _filled(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, what: str, device: torch.device
) -> torch.nn.Module:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path} is no {what} of facexlib", "name a .pth file of its releases") from error
    return network.to(device).eval()
