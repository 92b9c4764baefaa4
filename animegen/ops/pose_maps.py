"""Keypoints and limbs drawn as Gaussian maps at a scale (PSGAN, Hamada et al. 2018, arXiv 1809.01890, section 3)."""

from __future__ import annotations

import struct
from typing import Any

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.checks import computing, matched, shaped
from animegen.ops.registration import differentiates, is_native, launch, register

LIMB_CHANNELS = 4
"""Of each limb: where it is, how far along it, how far to its side, and its depth."""

_REACH = 3.0
"""Sideways distance, in sigmas, that counts as 1 in a limb's side map."""

_DEPTH_GAIN = 4.0
"""Depths lie within about a quarter of the canvas around the hips; this brings them to about 1."""

_SHORTEST = 1e-4
"""Limbs shorter than this, in canvas sides, have no direction of their own: they are drawn as lying along x."""


def point_maps(
    xy: Tensor,
    score: Tensor,
    *,
    side: int,
    sigma: float,
    dtype: torch.dtype | None = None,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """One map a point: [B, K, side, side], its Gaussian times its score.

    ``xy`` [B, K, 2] in canvas sides, 0..1 inside, and ``score`` [B, K], float32 or float64; ``sigma`` in canvas sides.
    Cell (i, j) of a map has its centre at ((j + 1/2) / side, (i + 1/2) / side). ``dtype`` (that of ``xy`` unless given)
    and ``layout`` are those of the result. Differentiable. Raises InvalidValue naming what does not fit.

    A Gaussian is the product of one over the rows and one over the columns, of which PyTorch's is as good as any: there
    is no other kernel.
    """
    _check(xy, side, sigma, score=score)
    columns, rows = gaussians(xy, side, sigma)
    rows = rows * score[..., None]
    if layout == torch.channels_last:
        maps = (rows.mT[:, :, None, :] * columns.mT[:, None, :, :]).permute(0, 3, 1, 2)
    else:
        maps = rows[..., :, None] * columns[..., None, :]
    return maps.to(dtype or xy.dtype)


def limb_maps(
    xy: Tensor,
    score: Tensor,
    z: Tensor,
    edges: Tensor,
    *,
    side: int,
    sigma: float,
    dtype: torch.dtype | None = None,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Four maps a limb: [B, 4 E, side, side].

    Around the segment between two points (``edges``, int64 [E, 2]): its Gaussian g, and g times the place along it
    (-1..1), the signed distance to its side (-1..1, at 3 sigmas) and its depth (times 4). A limb counts as much as its
    less certain end. ``z`` [B, K] in canvas sides; the rest as in :func:`point_maps`. Natively a Gaussian below
    exp(-25) is 0. Where a gradient is asked for, the reference computes.
    """
    _check(xy, side, sigma, score=score, z=z)
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype != torch.int64:
        raise InvalidValue(f"edges must be int64 [E, 2], got {edges.dtype} {tuple(edges.shape)}")
    if is_native(xy) and not differentiates(xy, score, z):
        wanted = dtype or xy.dtype
        if computing(wanted) == xy.dtype and not (wanted == torch.float16 and xy.device.type == "cpu"):
            return _limb_maps(xy, score, z, edges, side, sigma, wanted, layout == torch.channels_last)
    maps = limb_maps_reference(xy, score, z, edges, side=side, sigma=sigma)
    return maps.to(dtype or xy.dtype).contiguous(memory_format=layout)


def limb_maps_reference(xy: Tensor, score: Tensor, z: Tensor, edges: Tensor, *, side: int, sigma: float) -> Tensor:
    """:func:`limb_maps` in PyTorch, in the dtype of ``xy``."""
    first, second = edges.unbind(1)
    start, end = xy[:, first], xy[:, second]
    axis = end - start
    length = axis.norm(dim=-1)
    along_x = torch.tensor([1.0, 0.0], dtype=xy.dtype, device=xy.device)
    short, length = length < _SHORTEST, length.clamp_min(_SHORTEST)
    unit = torch.where(short[..., None], along_x, axis / length[..., None])[..., None, None, :]
    centres = _centres(side, xy)
    dx = centres[None, :] - start[..., 0, None, None]
    dy = centres[:, None] - start[..., 1, None, None]
    along = dx * unit[..., 0] + dy * unit[..., 1]
    across = dy * unit[..., 0] - dx * unit[..., 1]
    length = length[..., None, None]
    beyond = along - along.clamp_min(0).minimum(length)
    weight = torch.minimum(score[:, first], score[:, second])[..., None, None]
    near = torch.exp(-(across**2 + beyond**2) / (2 * sigma**2)) * weight
    place = (along / length).clamp(0, 1)
    z_start, z_end = z[:, first, None, None], z[:, second, None, None]
    depth = z_start + (z_end - z_start) * place
    aside = (across / (_REACH * sigma)).clamp(-1, 1)
    maps = torch.stack([near, near * (2 * place - 1), near * aside, near * depth * _DEPTH_GAIN], dim=2)
    return maps.flatten(1, 2)


def gaussians(xy: Tensor, side: int, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    """Of points [..., 2] in canvas sides, the Gaussian over the columns and that over the rows of a grid.

    [..., side] each, 1 at the point; their outer product is the Gaussian over the grid. ``sigma`` in canvas sides: one,
    or [..., 1].
    """
    centres = _centres(side, xy)
    columns, rows = (torch.exp(-((centres - xy[..., i : i + 1]) ** 2) / (2 * sigma**2)) for i in (0, 1))
    return columns, rows


def _centres(side: int, like: Tensor) -> Tensor:
    """Centres of a row of cells in canvas sides, [side]."""
    return (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side


def _check(xy: Tensor, side: int, sigma: float, **others: Tensor) -> None:
    if xy.ndim != 3 or xy.shape[2] != 2 or xy.dtype not in {torch.float32, torch.float64}:
        raise InvalidValue(f"xy must be float32 or float64 [B, K, 2], got {xy.dtype} {tuple(xy.shape)}")
    for name, other in others.items():
        matched(name, shaped(name, other, *xy.shape[:2]), xy, xy.dtype)
    if side < 1 or not sigma > 0:
        raise InvalidValue(f"side must be at least 1 and sigma above 0, got {side} and {sigma}")


_OPTIONS = struct.Struct("@4d")


def _shape(xy: Tensor, score: Tensor, z: Tensor, edges: Tensor, *rest: Any) -> Tensor:  # noqa: ARG001
    side, _, dtype, inside = rest
    layout = torch.channels_last if inside else torch.contiguous_format
    size = (xy.shape[0], LIMB_CHANNELS * edges.shape[0], side, side)
    return torch.empty(size, dtype=dtype, device=xy.device, memory_format=layout)


def _compute(xy: Tensor, score: Tensor, z: Tensor, edges: Tensor, *rest: Any) -> Tensor:
    options = _OPTIONS.pack(rest[1], _REACH, _DEPTH_GAIN, _SHORTEST)
    return launch("limb_maps", _shape(xy, score, z, edges, *rest), (xy, score, z, edges), options)


_limb_maps = register(
    "limb_maps(Tensor xy, Tensor score, Tensor z, Tensor edges, int side, float sigma, ScalarType dtype, "
    "bool channels_last) -> Tensor",
    _compute,
    _shape,
)
