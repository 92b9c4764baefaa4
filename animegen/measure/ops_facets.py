"""The case of the bench that draws facets: about as many, as large and as deep as an avatar's that faces the camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from animegen.measure.ops_bench import Case, Variant
from animegen.ops.facets import FIELDS, facets, facets_reference
from animegen.ops.library import choice
from animegen.ops.tensors import native_for

_PICTURES: Mapping[str, int] = MappingProxyType({"cpu": 1, "cuda": 16})
_SIDE, _SCALE, _LAYERS = 256, 3, 10
_FACETS = 1 << 15
_RADII = (0.8, 6.0)
"""In samples."""

_Drawn = tuple[Tensor, Tensor]


def facets_cases(device: str) -> Iterator[Case]:
    """Facets over a third of a picture of 256 pixels. Their error is how far they are from the reference, in levels."""
    pictures, library = _PICTURES[device], native_for(torch.empty(0, device=device))
    drawing: Mapping[str, Variant] = {
        "native": str(choice("cuda" if device == "cuda" else "cpu")) if library is None else _drawing(facets),
        "reference": _drawing(facets_reference),
    }
    traffic = pictures * (_SIDE**2 * (_LAYERS + 8 * _SCALE**2) + _FACETS * FIELDS * 4)
    yield Case(f"facets {_SIDE}", traffic, lambda rng: _fields(rng, pictures).to(device), drawing, _error)


def _fields(rng: np.random.Generator, pictures: int) -> Tensor:
    size, samples = (pictures, _FACETS), _SIDE * _SCALE
    x, y = (rng.uniform(low * samples, high * samples, size) for low, high in ((1 / 3, 2 / 3), (0, 1)))
    turn = rng.uniform(0, 2 * np.pi, (*size, 1)) + np.arange(3) * (2 * np.pi / 3) + rng.uniform(-0.8, 0.8, (*size, 3))
    corners = rng.uniform(*_RADII, (*size, 1, 1)) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    edges = np.roll(corners, -1, axis=2) - corners
    area = edges[..., 0, 0] * edges[..., 1, 1] - edges[..., 0, 1] * edges[..., 1, 0]
    lines = np.stack([edges[..., 1], -edges[..., 0]], axis=-1) * (3 / area)[..., None, None]
    depth, light, dark = rng.uniform(1, 1.1, size), rng.uniform(-1, 2, size), rng.uniform(0.5, 1, size)
    colours, changes, part = rng.uniform(0, 255, (4, *size)), rng.normal(0, 1e-3, (12, *size)), rng.integers(0, 7, size)
    columns = (x, y, *np.moveaxis(lines.reshape(*size, 6), -1, 0), depth, light, *colours, *changes, dark, part)
    return torch.from_numpy(np.stack(columns, axis=2).astype(np.float32))


def _drawing(operation: Callable[..., _Drawn]) -> Callable[[Tensor], _Drawn]:
    return lambda fields: operation(fields, side=_SIDE, scale=_SCALE)


def _error(fields: Tensor, drawn: _Drawn) -> float:
    wanted, _ = facets_reference(fields.cpu(), side=_SIDE, scale=_SCALE)
    return float((drawn[0].cpu().int() - wanted.int()).abs().max())
