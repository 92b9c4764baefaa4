"""Conditioning maps: a pose as pictures that a network sees at every scale (PSGAN, Hamada et al. 2018, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.ops.pose_maps import LIMB_CHANNELS, limb_maps, point_maps
from animegen.types import Skeleton


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

    edges: Tensor

    def __init__(self, skeleton: Skeleton, *, point_sigma: float, limb_sigma: float) -> None:
        super().__init__()
        self.point_sigma, self.limb_sigma = point_sigma, limb_sigma
        self.register_buffer("edges", torch.tensor(skeleton.edges, dtype=torch.long), persistent=False)
        self.point_channels = len(skeleton)
        self.limb_channels = LIMB_CHANNELS * len(skeleton.edges)

    def points(self, pose: PoseBatch, side: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """One map a point: [B, K, side, side], channels last, its Gaussian times its score. Known points only.

        A Gaussian is never narrower than 0.7 cells, so that a point between two cells is seen by both.
        """
        sigma = max(self.point_sigma, 0.7 / side)
        return point_maps(pose.xy, pose.score, side=side, sigma=sigma, dtype=dtype, layout=torch.channels_last)

    def limbs(self, pose: PoseBatch, side: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Four maps a limb: [B, 4 E, side, side], channels last (:func:`animegen.ops.pose_maps.limb_maps`)."""
        sigma, layout = max(self.limb_sigma, 0.7 / side), torch.channels_last
        return limb_maps(pose.xy, pose.score, pose.z, self.edges, side=side, sigma=sigma, dtype=dtype, layout=layout)


def resampled(maps: Tensor, side: int) -> Tensor:
    """Maps of one grid on another: averaged to a coarser one, interpolated to a finer one."""
    if maps.shape[-1] > side:
        return functional.avg_pool2d(maps, maps.shape[-1] // side)
    if maps.shape[-1] < side:
        return functional.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    return maps
