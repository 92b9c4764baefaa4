"""Keypoints and limbs drawn as Gaussian maps at a scale (PSGAN, Hamada et al. 2018, arXiv 1809.01890, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from animegen.ops.checks import shaped

LIMB_CHANNELS = 4
"""Of each limb: where it is, how far along it, how far to its side, and its depth."""

_REACH = 3.0
"""Sideways distance, in sigmas, that counts as 1 in a limb's side map."""

_DEPTH_GAIN = 4.0
"""Depths lie within about a quarter of the canvas around the hips; this brings them to about 1."""

_SHORTEST = 1e-4
"""Limbs shorter than this, in canvas sides, have no direction."""


def point_maps(xy: Tensor, score: Tensor, *, side: int, sigma: float) -> Tensor:
    """One map a point: [B, K, side, side], its Gaussian times its score.

    ``xy`` [B, K, 2] in canvas sides, 0..1 inside; ``score`` [B, K]; ``sigma`` in canvas sides. Cell (i, j) of a map
    has its centre at ((j + 1/2) / side, (i + 1/2) / side). Differentiable. Raises InvalidValue for other shapes.
    """
    _check(xy, score=score)
    return point_maps_reference(xy, score, side=side, sigma=sigma)


def limb_maps(xy: Tensor, score: Tensor, z: Tensor, edges: Tensor, *, side: int, sigma: float) -> Tensor:
    """Four maps a limb: [B, 4 E, side, side].

    Around the segment between two points (``edges``, int64 [E, 2]): its Gaussian g, and g times the place along it
    (-1..1), the signed distance to its side (-1..1, at 3 sigmas) and its depth (times 4). A limb counts as much as its
    less certain end. ``z`` [B, K] in canvas sides; the rest as in :func:`point_maps`.
    """
    _check(xy, z=z, score=score)
    return limb_maps_reference(xy, score, z, edges, side=side, sigma=sigma)


def point_maps_reference(xy: Tensor, score: Tensor, *, side: int, sigma: float) -> Tensor:
    """:func:`point_maps` in PyTorch."""
    columns, rows = gaussians(xy, side, sigma)
    return (rows * score[..., None])[..., :, None] * columns[..., None, :]


def limb_maps_reference(xy: Tensor, score: Tensor, z: Tensor, edges: Tensor, *, side: int, sigma: float) -> Tensor:
    """:func:`limb_maps` in PyTorch."""
    first, second = edges.unbind(1)
    start, end = xy[:, first], xy[:, second]
    axis = end - start
    length = axis.norm(dim=-1).clamp_min(_SHORTEST)
    unit = (axis / length[..., None])[..., None, None, :]
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


def gaussians(xy: Tensor, side: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Of points [..., 2] in canvas sides, the Gaussian over the columns and that over the rows of a grid.

    [..., side] each, 1 at the point; their outer product is the Gaussian over the grid.
    """
    centres = _centres(side, xy)
    columns, rows = (torch.exp(-((centres - xy[..., i : i + 1]) ** 2) / (2 * sigma**2)) for i in (0, 1))
    return columns, rows


def _centres(side: int, like: Tensor) -> Tensor:
    """Centres of a row of cells in canvas sides, [side]."""
    return (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side


def _check(xy: Tensor, **others: Tensor) -> None:
    shaped("xy", xy, *xy.shape[:2], 2)
    for name, other in others.items():
        shaped(name, other, *xy.shape[:2])
