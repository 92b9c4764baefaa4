"""Conditioning maps: a pose as pictures that a network sees at every scale (PSGAN, Hamada et al. 2018, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.types import Skeleton

LIMB_CHANNELS = 4
"""Of each limb: where it is, how far along it, how far to its side, and its depth."""

_REACH = 3.0
"""Sideways distance, in limb sigmas, that counts as 1 in a limb's side map."""

_DEPTH_GAIN = 4.0
"""Depths lie within about a quarter of the canvas around the hips; this brings them to about 1."""


@dataclass(frozen=True, slots=True)
class PoseBatch:
    """Poses in canvas units: ``xy`` f32 [B, K, 2] with 0..1 inside the picture, ``z`` f32 [B, K] in the same unit,
    smaller is nearer, 0 at the hips; ``score`` f32 [B, K], 0 for a point that is not known.
    """

    xy: Tensor
    z: Tensor
    score: Tensor

    def __len__(self) -> int:
        return self.xy.shape[0]


class PoseMaps(nn.Module):
    """Draws the points and limbs of poses as Gaussian maps. Nothing is learned here."""

    first: Tensor
    second: Tensor

    def __init__(self, skeleton: Skeleton, *, point_sigma: float, limb_sigma: float) -> None:
        super().__init__()
        self.point_sigma, self.limb_sigma = point_sigma, limb_sigma
        ends = torch.tensor(skeleton.edges, dtype=torch.long)
        self.register_buffer("first", ends[:, 0].clone(), persistent=False)
        self.register_buffer("second", ends[:, 1].clone(), persistent=False)
        self.point_channels = len(skeleton)
        self.limb_channels = LIMB_CHANNELS * len(skeleton.edges)

    def points(self, pose: PoseBatch, side: int) -> Tensor:
        """One map a point: f32 [B, K, side, side], its Gaussian times its score. Known points only.

        A Gaussian is never narrower than 0.7 cells, so that a point between two cells is seen by both.
        """
        columns, rows = gaussians(pose.xy, side, max(self.point_sigma, 0.7 / side))
        return (rows * pose.score[..., None])[..., :, None] * columns[..., None, :]

    def limbs(self, pose: PoseBatch, side: int) -> Tensor:
        """Four maps a limb: f32 [B, 4 E, side, side].

        Around the segment between a limb's ends: its Gaussian g, and g times the place along it (-1..1), the signed
        distance to its side (-1..1) and its depth. A limb counts as much as its less certain end.
        """
        start, end = pose.xy[:, self.first], pose.xy[:, self.second]
        axis = end - start
        length = axis.norm(dim=-1).clamp_min(1e-4)
        unit = (axis / length[..., None])[..., None, None, :]
        centres = _centres(side, pose.xy)
        dx = centres[None, :] - start[..., 0, None, None]
        dy = centres[:, None] - start[..., 1, None, None]
        along = dx * unit[..., 0] + dy * unit[..., 1]
        across = dy * unit[..., 0] - dx * unit[..., 1]
        length = length[..., None, None]
        beyond = along - along.clamp_min(0).minimum(length)
        sigma = max(self.limb_sigma, 0.7 / side)
        weight = torch.minimum(pose.score[:, self.first], pose.score[:, self.second])[..., None, None]
        near = torch.exp(-(across**2 + beyond**2) / (2 * sigma**2)) * weight
        place = (along / length).clamp(0, 1)
        z_start, z_end = pose.z[:, self.first, None, None], pose.z[:, self.second, None, None]
        depth = z_start + (z_end - z_start) * place
        aside = (across / (_REACH * sigma)).clamp(-1, 1)
        maps = torch.stack([near, near * (2 * place - 1), near * aside, near * depth * _DEPTH_GAIN], dim=2)
        return maps.flatten(1, 2)


def gaussians(xy: Tensor, side: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Of points f32 [..., 2] in canvas units, the Gaussian over the columns and that over the rows of a grid.

    f32 [..., side] each, 1 at the point; their outer product is the Gaussian over the grid.
    """
    centres = _centres(side, xy)
    columns, rows = (torch.exp(-((centres - xy[..., i : i + 1]) ** 2) / (2 * sigma**2)) for i in (0, 1))
    return columns, rows


def _centres(side: int, like: Tensor) -> Tensor:
    """Centres of a row of cells in canvas units, f32 [side]."""
    return (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side


def resampled(maps: Tensor, side: int) -> Tensor:
    """Maps of one grid on another: averaged to a coarser one, interpolated to a finer one."""
    if maps.shape[-1] > side:
        return functional.avg_pool2d(maps, maps.shape[-1] // side)
    if maps.shape[-1] < side:
        return functional.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    return maps
