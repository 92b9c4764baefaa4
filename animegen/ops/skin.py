"""``skin``: the vertices of a rigged surface as a camera sees them, moved by bones, and those of the hull around it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.facets import NUMBERS
from animegen.ops.registration import is_native
from animegen.ops.tensors import call, native_for

_BONES, _COLOURS = 3, 4
_SHORTEST = 1e-12
"""Of a normal."""
_OPTIONS = struct.Struct("@6f")


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What stays the same of V vertices while they move.

    ``normals`` f32 [V, 3] of length 1; ``bones`` int64 [V, 3] and ``weights`` f32 [V, 3], what each moves with;
    ``colours`` f32 [2, V, 4]: shade, red, green and blue of the surface, and of the hull; ``widths`` f32 [V], how far
    the hull stands off, in the unit of places at rest.
    """

    normals: Tensor
    bones: Tensor
    weights: Tensor
    colours: Tensor
    widths: Tensor


@dataclass(frozen=True, slots=True)
class View:
    """How all pictures of a call show a surface.

    ``light``: where it comes from, of length 1, in the camera's axes (x right, y down, z away); ``samples`` a side of
    the picture; ``nearest``: what is nearer to the camera has a depth of minus infinity; ``least``: how far the hull
    stands off at least, in samples.
    """

    light: tuple[float, float, float]
    samples: int
    nearest: float
    least: float


def skin(surface: Surface, positions: Tensor, matrices: Tensor, focal: Tensor, view: View) -> Tensor:
    """Vertices for :func:`animegen.ops.facets.facets`: f32 [N, 2, V, 8], the surface's and the hull's.

    ``positions`` f32 [N, V, 3] at rest; ``matrices`` f32 [N, B, 3, 4] take a place that one bone moves to the camera's
    axes, the first of them has the size of all; ``focal`` f32 [N], in sides of the picture. A vertex is moved by the
    weighted mean of its bones' matrices (linear blend skinning; Magnenat-Thalmann and others 1988). Light is the cosine
    of its angle with the normal, 0 on the hull. Native and reference give the same bytes. Raises InvalidValue naming
    what does not fit.
    """
    _check(surface, positions, matrices, focal)
    if not is_native(positions):
        return skin_reference(surface, positions, matrices, focal, view)
    out = positions.new_empty((len(positions), 2, positions.shape[1], NUMBERS))
    library = native_for(out)
    assert library is not None
    if out.numel():
        given = (positions, surface.normals, surface.bones, surface.weights, surface.colours, surface.widths)
        tensors = [out, *(tensor.contiguous() for tensor in (*given, matrices, focal))]
        call(library, "skin", tensors, _OPTIONS.pack(*view.light, view.samples, view.nearest, view.least))
    return out


def skin_reference(surface: Surface, positions: Tensor, matrices: Tensor, focal: Tensor, view: View) -> Tensor:
    """What :func:`skin` computes, in PyTorch."""
    flat, shape = matrices.flatten(2), (len(positions), positions.shape[1], -1)
    moved = flat[:, surface.bones[:, 0]] * surface.weights[:, :1]
    for i in range(1, _BONES):
        moved = moved + flat[:, surface.bones[:, i]] * surface.weights[:, i : i + 1]
    x, y, z, shift = moved.view(*shape[:2], 3, 4).unbind(3)
    places = _sum(x, y, z, positions) + shift
    normals = _sum(x, y, z, surface.normals)
    normals = normals / _most(_length(normals), normals.new_tensor(_SHORTEST))[..., None]
    light = normals[..., 0] * view.light[0] + normals[..., 1] * view.light[1] + normals[..., 2] * view.light[2]
    least = (focal * view.samples).reciprocal() * view.least
    width = surface.widths * _length(matrices[:, :1, :, 0])
    hull = places + normals * _most(width, places[..., 2] * least[:, None])[..., None]
    seen = (_seen(spots, focal, view) for spots in (places, hull))
    colours = (own.expand(*shape) for own in surface.colours)
    return torch.stack(
        [
            torch.cat([spots, cosine[..., None], colour], dim=2)
            for spots, cosine, colour in zip(seen, (light, torch.zeros_like(light)), colours, strict=True)
        ],
        dim=1,
    )


def _check(surface: Surface, positions: Tensor, matrices: Tensor, focal: Tensor) -> None:
    if positions.ndim != 3 or matrices.ndim != 4:
        raise InvalidValue(
            "positions must be float32 [N, V, 3] and matrices [N, B, 3, 4], "
            f"got {tuple(positions.shape)} and {tuple(matrices.shape)}"
        )
    pictures, vertices = positions.shape[:2]
    wanted = {
        "positions": (positions, (pictures, vertices, 3)), "matrices": (matrices, (pictures, matrices.shape[1], 3, 4)),
        "focal": (focal, (pictures,)), "normals": (surface.normals, (vertices, 3)),
        "bones": (surface.bones, (vertices, _BONES)), "weights": (surface.weights, (vertices, _BONES)),
        "colours": (surface.colours, (2, vertices, _COLOURS)), "widths": (surface.widths, (vertices,)),
    }  # fmt: skip
    for name, (tensor, shape) in wanted.items():
        dtype = torch.int64 if name == "bones" else torch.float32
        if tensor.shape != shape or tensor.dtype != dtype:
            raise InvalidValue(f"{name} must be {dtype} {shape}, got {tensor.dtype} {tuple(tensor.shape)}")


def _sum(x: Tensor, y: Tensor, z: Tensor, vectors: Tensor) -> Tensor:
    """Vectors f32 [.., V, 3] by the matrices with columns x, y and z, f32 [N, V, 3] each."""
    return x * vectors[..., :1] + y * vectors[..., 1:2] + z * vectors[..., 2:]


def _length(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(-1)
    # In float32 PyTorch's own root may be off by a bit, depending on what computes it.
    return (x * x + y * y + z * z).double().sqrt().float()


def _most(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a < b, b, a)


def _seen(places: Tensor, focal: Tensor, view: View) -> Tensor:
    """x and y in samples and the depth of places f32 [N, V, 3]."""
    depth = places[..., 2:]
    seen = 0.5 + focal[:, None, None] * places[..., :2] / _most(depth, depth.new_tensor(view.nearest))
    behind = torch.where(depth > view.nearest, depth, -torch.inf)
    return torch.cat([seen * view.samples - 0.5, behind], dim=2)
