"""The case of the bench that draws discs: about as many, as large and as deep as an avatar's that faces the camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from animegen.measure.ops_bench import Case, Variant
from animegen.ops.library import choice
from animegen.ops.splat import splat, splat_reference
from animegen.ops.tensors import native_for

_PICTURES: Mapping[str, int] = MappingProxyType({"cpu": 1, "cuda": 16})
_SIDE, _SCALE, _LAYERS = 256, 3, 10
_DISCS = 1 << 15
_RADII = (0.8, 4.0)
"""In samples."""

_Scene = tuple[Tensor, Tensor]
_Drawn = tuple[Tensor, Tensor]


def splat_cases(device: str) -> Iterator[Case]:
    """Discs over a third of a picture of 256 pixels. Their error is how far they are from the reference, in levels."""
    pictures, library = _PICTURES[device], native_for(torch.empty(0, device=device))
    drawing: Mapping[str, Variant] = {
        "native": str(choice("cuda" if device == "cuda" else "cpu")) if library is None else _drawing(splat),
        "reference": _drawing(splat_reference),
    }
    traffic = pictures * (_SIDE**2 * (_LAYERS + 8 * _SCALE**2) + _DISCS * (13 * 4 + _LAYERS))
    yield Case(f"splat {_SIDE}", traffic, lambda rng: _scene(rng, pictures, device), drawing, _error)


def _scene(rng: np.random.Generator, pictures: int, device: str) -> _Scene:
    size, samples = (pictures, _DISCS), _SIDE * _SCALE
    x, y = (rng.uniform(low * samples, high * samples, size) for low, high in ((1 / 3, 2 / 3), (0, 1)))
    radius, narrow, turn = rng.uniform(*_RADII, size), rng.uniform(0.3, 1, size), rng.uniform(0, np.pi, size)
    c, s, long, short = np.cos(turn), np.sin(turn), radius**-2.0, (radius * narrow) ** -2.0
    slopes, cuts = rng.normal(0, 1e-3, (2, *size)), rng.normal(0, 0.1, (4, *size))
    ellipse = (c * c * long + s * s * short, c * s * (long - short), s * s * long + c * c * short)
    fields = np.stack([x, y, rng.uniform(1, 1.1, size), *slopes, *ellipse, np.full(size, 1e-3), *cuts], axis=2)
    values = rng.integers(0, 256, (*size, _LAYERS), np.uint8)
    return torch.from_numpy(fields.astype(np.float32)).to(device), torch.from_numpy(values).to(device)


def _drawing(operation: Callable[..., _Drawn]) -> Callable[[_Scene], _Drawn]:
    return lambda scene: operation(*scene, side=_SIDE, scale=_SCALE)


def _error(scene: _Scene, drawn: _Drawn) -> float:
    wanted, _ = splat_reference(*(tensor.cpu() for tensor in scene), side=_SIDE, scale=_SCALE)
    return float((drawn[0].cpu().int() - wanted.int()).abs().max())
