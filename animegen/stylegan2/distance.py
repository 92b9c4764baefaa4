"""How far two batches of pictures are apart, one number a picture: what inversion makes small.

A distance describes its targets once, since they stay while the pictures change. :class:`Multiscale` needs no weights:
squared differences of colours and of their slopes, over a pyramid of halved pictures. :class:`Perceptual` compares
features of VGG16 as LPIPS does (Zhang et al. 2018, arXiv 1801.03924, equation 1), with weights from a local file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from animegen.errors import WeightsError
from animegen.stylegan2.tensor_files import read_tensors

Description: TypeAlias = tuple[Tensor, ...]
"""What a distance keeps of target pictures; the first dimension of every tensor is the batch."""


class Distance(Protocol):
    """A distance between pictures f32 [B, C, H, W] of -1..1."""

    def describe(self, targets: Tensor) -> Description:
        """What is compared of the targets, to be computed once."""
        ...

    def between(self, pictures: Tensor, described: Description) -> Tensor:
        """The distance f32 [B] of every picture from its target, differentiable in the pictures."""
        ...


_SMALLEST = 8
_SLOPES = 4.0
"""Weight of slopes beside colours: neighbouring pixels differ far less than pictures do."""

_LARGEST = 256
"""VGG16 was trained at 224 px; larger pictures are reduced to this side."""

_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Numbers of VGG16's convolutions in torchvision's ``features``, up to each of the five layers that are compared."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10
_NEAR = 2**18
"""Numbers that are compared at once on a CPU, so that they stay in its cache."""

_HINT = "give torchvision's vgg16 (.pth or .safetensors), with LPIPS's lin layers in it or without"


class Multiscale:
    """Mean over scales, from full size to 8 px, of the mean squared differences of colours and, fourfold, of slopes."""

    def describe(self, targets: Tensor) -> Description:
        """The targets themselves."""
        return (targets,)

    def between(self, pictures: Tensor, described: Description) -> Tensor:
        """The distance of every picture from its target."""
        difference = pictures - described[0]
        total, scales = difference.new_zeros(len(difference)), 0
        while True:
            across, down = (difference.diff(dim=axis).square().mean(dim=(1, 2, 3)) for axis in (3, 2))
            total = total + difference.square().mean(dim=(1, 2, 3)) + _SLOPES * (across + down)
            scales += 1
            if difference.shape[-1] < 2 * _SMALLEST:
                return total / scales
            difference = functional.avg_pool2d(difference, 2)


class Perceptual:
    """LPIPS on VGG16 plus the mean squared difference; RGBA is compared with its first three channels.

    The network computes in ``half`` where given: bfloat16 takes half the time where the processor multiplies in it, and
    blurs distances by some thousandths. What follows it is float32.
    """

    def __init__(self, tensors: Mapping[str, Tensor], half: torch.dtype | None = None) -> None:
        self.dtype = dtype = half or torch.float32
        try:
            self.weights = [[_laid_out(tensors[f"features.{n}.weight"].to(dtype)) for n in s] for s in _STAGES]
            self.biases = [[tensors[f"features.{n}.bias"].to(dtype) for n in stage] for stage in _STAGES]
        except KeyError as error:
            raise WeightsError(f"the tensors are not VGG16's: {error} is missing", _HINT) from error
        lins = [tensors.get(f"lin{n}.model.1.weight", tensors.get(f"lins.{n}.model.1.weight")) for n in range(5)]
        self.roots = [None if lin is None else lin.float().clamp(min=0).sqrt().flatten() for lin in lins]

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu", half: torch.dtype | None = None) -> Perceptual:
        """The distance of a file of weights, which is read as plain data. Raises WeightsError."""
        return cls({name: tensor.to(device) for name, tensor in read_tensors(path, _HINT).items()}, half)

    @torch.no_grad()
    def describe(self, targets: Tensor) -> Description:
        """The targets and their features."""
        layers = zip(self._layers(targets), self.roots, strict=True)
        return (targets, *(_weighted(_rows(layer).float(), root)[0] for layer, root in layers))

    def between(self, pictures: Tensor, described: Description) -> Tensor:
        """The distance of every picture from its target."""
        return (pictures - described[0]).square().mean(dim=(1, 2, 3)) + self.lpips(pictures, described)

    def lpips(self, pictures: Tensor, described: Description) -> Tensor:
        """The distance of the features alone: f32 [B]."""
        _, *features = described
        total = pictures.new_zeros(len(pictures))
        for one, other, root in zip(self._layers(pictures), features, self.roots, strict=True):
            total = total + _Apart.apply(one, other, root)  # type: ignore[no-untyped-call]
        return total

    def _layers(self, pictures: Tensor) -> list[Tensor]:
        """The five layers' outputs [B, C, H, W] in the network's dtype."""
        x = functional.adaptive_avg_pool2d(pictures, _LARGEST) if pictures.shape[-1] > _LARGEST else pictures
        x = x[:, :3].expand(-1, 3, -1, -1)
        shift, scale = (x.new_tensor(values).reshape(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        x, layers = _laid_out(((x - shift) / scale).to(self.dtype)), []
        for stage, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = functional.max_pool2d(x, 2) if stage else x
            for weight, bias in zip(weights, biases, strict=True):
                x = functional.relu(functional.conv2d(x, weight, bias, padding=1), inplace=True)
            layers.append(x)
        return layers


class _Apart(torch.autograd.Function):
    """The mean squared differences [B] of features [B, C, H, W] from described ones, pixels in rows [B, H * W, C].

    The gradient is found on the way, while the numbers are near: with u = x / |x| and r the difference times the root
    of the weights, it is 2 (r - u (u . r)) / |x|.
    """

    @staticmethod
    def forward(ctx: Any, layer: Tensor, described: Tensor, root: Tensor | None) -> Tensor:
        rows, wanted = _rows(layer), ctx.needs_input_grad[0]
        gradient = torch.empty_like(rows) if wanted else None
        most = max(1, _NEAR // rows.shape[2]) if layer.device.type == "cpu" else rows.shape[1]
        totals = []
        for person, (own, other) in enumerate(zip(rows, described, strict=True)):
            total = other.new_zeros(())
            for start in range(0, len(own), most):
                part = slice(start, start + most)
                weighted, unit, length = _weighted(own[part].float(), root)
                difference = weighted.sub_(other[part])
                total += torch.linalg.vector_norm(difference).square()
                if gradient is not None:
                    pull = difference if root is None else difference.mul_(root)
                    along = (unit * pull).sum(dim=1, keepdim=True)
                    gradient[person, part] = pull.sub_(unit.mul_(along)).mul_(2 / rows.shape[1] / length)
            totals.append(total / rows.shape[1])
        ctx.save_for_backward(gradient)
        ctx.shape = layer.shape
        return torch.stack(totals)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        scaled = gradient * dy.to(gradient.dtype)[:, None, None]
        return scaled.view(batch, height, width, channels).permute(0, 3, 1, 2), None, None


def _rows(layer: Tensor) -> Tensor:
    """A layer [B, C, H, W] as rows of channels [B, H * W, C]."""
    return layer.permute(0, 2, 3, 1).flatten(1, 2)


def _weighted(rows: Tensor, root: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rows f32 [..., C] of unit length times the roots of their weights, without these, and their lengths before."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True) + _EPSILON
    unit = rows / length
    return unit.clone() if root is None else unit * root, unit, length


def _laid_out(x: Tensor) -> Tensor:
    """A tensor with its channels side by side on a CPU, whose convolutions are fastest so."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x
