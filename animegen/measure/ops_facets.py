"""The cases of the bench that draw rigged avatars: about as many vertices, and as many, large and deep facets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.measure.ops_bench import Case, Variant
from animegen.ops.facets import KIND, VERTEX, facets, facets_reference
from animegen.ops.library import choice
from animegen.ops.skin import Surface, View, skin, skin_reference
from animegen.ops.tensors import native_for

_PICTURES: Mapping[str, int] = MappingProxyType({"cpu": 1, "cuda": 16})
_SIDE, _SCALE, _LAYERS = 256, 3, 10
_FACETS = 1 << 15
_RADII = (0.8, 6.0)
"""In samples."""

_VERTICES, _BONES = 1 << 15, 64
_VIEW = View((0.36, -0.48, -0.8), _SIDE * _SCALE, 0.05, 1.0)

_Drawn = tuple[Tensor, Tensor]
_Mesh = tuple[Tensor, Tensor, Tensor]
_Posed = tuple[Surface, Tensor, Tensor, Tensor]


def facets_cases(device: str) -> Iterator[Case]:
    """Facets over a third of a picture of 256 pixels. Their error is how far they are from the reference, in levels."""
    pictures, library = _PICTURES[device], native_for(torch.empty(0, device=device))
    drawing: Mapping[str, Variant] = {
        "native": str(choice("cuda" if device == "cuda" else "cpu")) if library is None else _drawing(facets),
        "reference": _drawing(facets_reference),
    }
    of_facets = _FACETS * (3 * 8 + len(KIND) * 4)
    traffic = of_facets + pictures * (_SIDE**2 * (_LAYERS + 8 * _SCALE**2) + _FACETS * 3 * len(VERTEX) * 4)

    def make(rng: np.random.Generator) -> _Mesh:
        vertices, corners, kinds = (tensor.to(device) for tensor in _mesh(rng, pictures))
        return vertices, corners, kinds

    yield Case(f"facets {_SIDE}", traffic, make, drawing, _error)


def skin_cases(device: str) -> Iterator[Case]:
    """The vertices of those pictures, on bones. Their error is how many numbers differ from the reference's."""
    pictures, library = _PICTURES[device], native_for(torch.empty(0, device=device))
    posing: Mapping[str, Variant] = {
        "native": str(choice("cuda" if device == "cuda" else "cpu")) if library is None else _posing(skin),
        "reference": _posing(skin_reference),
    }
    of_vertex = 4 * (3 + 3 + 2 * 4 + 1) + 8 * 3
    traffic = _VERTICES * of_vertex + pictures * _VERTICES * 4 * (3 + 2 * len(VERTEX))
    yield Case(f"skin {_VERTICES}", traffic, lambda rng: _rig(rng, pictures, device), posing, _differing)


def _rig(rng: np.random.Generator, pictures: int, device: str) -> _Posed:
    def tensor(values: NDArray[np.floating[Any]]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device)

    def numbers(*size: int) -> Tensor:
        return tensor(rng.uniform(0, 1, size))

    bones = torch.from_numpy(rng.integers(0, _BONES, (_VERTICES, 3))).to(device)
    normals = rng.normal(size=(_VERTICES, 3))
    weights = rng.dirichlet((1.0, 1.0, 1.0), _VERTICES)
    surface = Surface(
        tensor(normals), bones, tensor(weights), 255 * numbers(2, _VERTICES, 4), 0.01 * numbers(_VERTICES)
    )
    matrices = np.concatenate(
        [rng.normal(size=(pictures, _BONES, 3, 3)), np.full((pictures, _BONES, 3, 1), 2.0)], axis=3
    )
    return surface, numbers(pictures, _VERTICES, 3), tensor(matrices), 1 + numbers(pictures)


def _posing(operation: Callable[..., Tensor]) -> Callable[[_Posed], Tensor]:
    return lambda posed: operation(*posed, _VIEW)


def _differing(posed: _Posed, found: Tensor) -> float:
    surface, positions, matrices, focal = posed
    of_cpu = Surface(*(getattr(surface, field.name).cpu() for field in fields(Surface)))
    wanted = skin_reference(of_cpu, positions.cpu(), matrices.cpu(), focal.cpu(), _VIEW)
    return float((found.cpu().view(torch.int32) != wanted.view(torch.int32)).sum())


def _mesh(rng: np.random.Generator, pictures: int) -> _Mesh:
    size, samples = (pictures, _FACETS, 1), _SIDE * _SCALE
    middle = np.stack([rng.uniform(samples / 3, samples * 2 / 3, size), rng.uniform(0, samples, size)], axis=-1)
    turn = rng.uniform(0, 2 * np.pi, size) + np.arange(3) * (2 * np.pi / 3) + rng.uniform(-0.8, 0.8, (*size[:2], 3))
    places = middle + rng.uniform(*_RADII, (*size, 1)) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    depth, light = rng.uniform(1, 1.1, (*size, 1)), rng.uniform(-1, 2, (*size, 1))
    same = np.broadcast_to(np.concatenate([depth, light], axis=-1), (*size[:2], 3, 2))
    vertices = np.concatenate([places, same, rng.uniform(0, 255, (*size[:2], 3, 4))], axis=-1)
    part, dark, plain = rng.integers(0, 7, _FACETS), rng.uniform(0.5, 1, _FACETS), np.ones(_FACETS)
    kinds = np.column_stack([part, dark, plain, 0 * plain, 0 * plain])
    return (
        torch.from_numpy(vertices.reshape(pictures, 3 * _FACETS, len(VERTEX)).astype(np.float32)),
        torch.arange(3 * _FACETS).view(_FACETS, 3),
        torch.from_numpy(kinds.astype(np.float32)),
    )


def _drawing(operation: Callable[..., _Drawn]) -> Callable[[_Mesh], _Drawn]:
    return lambda mesh: operation(*mesh, side=_SIDE, scale=_SCALE)


def _error(mesh: _Mesh, drawn: _Drawn) -> float:
    wanted, _ = facets_reference(*(tensor.cpu() for tensor in mesh), side=_SIDE, scale=_SCALE)
    return float((drawn[0].cpu().int() - wanted.int()).abs().max())
