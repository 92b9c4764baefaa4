"""Features of the Inception network by which FID is told everywhere: read from its weights, computed here.

Szegedy et al. 2016, arXiv 1512.00567, as Heusel et al. 2017, arXiv 1706.08500, used it: its poolings leave out the
border, the last one takes the largest, and pictures are stretched to 299 px. The file is the network's state
dictionary with torchvision's names, such as ``pt_inception-2015-12-05-6726825d.pth`` of pytorch-fid.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import WeightsError
from animegen.stylegan2.tensor_files import read_tensors
from animegen.types import Float64Array, Uint8Array
from animegen.weights import sha256_of

_SIDE = 299
_EPSILON = 1e-3
_HINT = "give the state dictionary of FID's Inception, such as pytorch-fid's pt_inception-2015-12-05-6726825d.pth"


class Inception:
    """FID's Inception of a file of weights (``.pth``, ``.safetensors``), which is read as plain data.

    Raises WeightsError for a file that is damaged or holds something else.
    """

    output = "pool3"

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._tensors = {name: tensor.to(self._device).float() for name, tensor in read_tensors(path, _HINT).items()}
        self.name, self.sha256 = path.name, sha256_of(path)
        try:
            self._features(torch.zeros(1, 3, _SIDE, _SIDE, device=self._device))
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"{path} is not FID's Inception: {error}", _HINT) from error

    def __call__(self, pictures: Iterable[Uint8Array]) -> Float64Array:
        """Features f64 [N, 2048] of uint8 [H, W, 3] RGB pictures."""
        found = []
        for picture in pictures:
            x = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1
            x = functional.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
            found.append(self._features(x)[0].double().cpu().numpy())
        return np.stack(found)

    @torch.inference_mode()
    def _features(self, x: Tensor) -> Tensor:
        """Features [B, 2048] of pictures [B, 3, 299, 299] of -1..1."""
        x = self._conv(x, "Conv2d_1a_3x3", stride=2)
        x = self._conv(x, "Conv2d_2a_3x3")
        x = self._conv(x, "Conv2d_2b_3x3", pad=True)
        x = functional.max_pool2d(x, 3, 2)
        x = self._conv(self._conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3")
        x = functional.max_pool2d(x, 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            branches = (("branch1x1",), _steps("branch5x5", 2), _steps("branch3x3dbl", 3))
            x = torch.cat([*self._branches(x, name, branches), self._pooled(x, name)], dim=1)
        x = self._reduced(x, "Mixed_6a", (("branch3x3",), _steps("branch3x3dbl", 3)))
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            branches = (("branch1x1",), _steps("branch7x7", 3), _steps("branch7x7dbl", 5))
            x = torch.cat([*self._branches(x, name, branches), self._pooled(x, name)], dim=1)
        x = self._reduced(x, "Mixed_7a", (_steps("branch3x3", 2), _steps("branch7x7x3", 4)))
        x = self._wide(x, "Mixed_7b", self._pooled(x, "Mixed_7b"))
        largest = functional.max_pool2d(x, 3, 1, 1)
        x = self._wide(x, "Mixed_7c", self._conv(largest, "Mixed_7c.branch_pool"))
        return x.mean(dim=(2, 3))

    def _branches(self, x: Tensor, name: str, branches: Iterable[tuple[str, ...]]) -> list[Tensor]:
        """Chains of convolutions side by side, that keep the size."""
        found = []
        for steps in branches:
            y = x
            for step in steps:
                y = self._conv(y, f"{name}.{step}", pad=True)
            found.append(y)
        return found

    def _reduced(self, x: Tensor, name: str, branches: Iterable[tuple[str, ...]]) -> Tensor:
        """Chains whose last convolution halves the size, and a pooling."""
        found = []
        for *steps, last in branches:
            (y,) = self._branches(x, name, [tuple(steps)])
            found.append(self._conv(y, f"{name}.{last}", stride=2))
        return torch.cat([*found, functional.max_pool2d(x, 3, 2)], dim=1)

    def _wide(self, x: Tensor, name: str, pooled: Tensor) -> Tensor:
        """A block whose 3x3 convolutions end in a row and a column side by side."""
        ends = []
        for branch, steps in (("branch3x3", ("branch3x3_1",)), ("branch3x3dbl", _steps("branch3x3dbl", 2))):
            (y,) = self._branches(x, name, [steps])
            number = len(steps) + 1
            ends += self._branches(y, name, [(f"{branch}_{number}{part}",) for part in "ab"])
        return torch.cat([self._conv(x, f"{name}.branch1x1"), *ends, pooled], dim=1)

    def _pooled(self, x: Tensor, name: str) -> Tensor:
        mean = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self._conv(mean, f"{name}.branch_pool")

    def _conv(self, x: Tensor, name: str, *, stride: int = 1, pad: bool = False) -> Tensor:
        """A convolution, normalisation by what was learned, and ReLU; ``pad``: to the same size."""
        weight = self._tensors[f"{name}.conv.weight"]
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if pad else 0
        y = functional.conv2d(x, weight, stride=stride, padding=padding)
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (self._tensors[f"{name}.bn.{part}"] for part in names)
        return functional.relu(functional.batch_norm(y, mean, variance, scale, shift, eps=_EPSILON))


def _steps(branch: str, count: int) -> tuple[str, ...]:
    """The names of a chain of convolutions."""
    return tuple(f"{branch}_{number}" for number in range(1, count + 1))
