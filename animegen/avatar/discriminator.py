"""The discriminator: is this coloured avatar a render, given the pose and whose it is?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.conditioning import PoseBatch, PoseMaps, resampled
from animegen.avatar.config import AvatarConfig
from animegen.avatar.layers import ALPHA, FIXED, SHADE_LIMIT, SHADES

_SLOPE = 0.2
_CHANNELS = {512: 16, 256: 24, 128: 40, 64: 64, 32: 96, 16: 128, 8: 128}
_CELL = 8
_FEWEST_CELLS = 8
_MAPS = 32


class Discriminator(nn.Module):
    """Judges patches: a logit for every 8x8 pixels, which sees 40x40 of them, so that it looks at texture and edges.
    Small pictures have 8x8 logits.

    Patches as large as a trunk forgive what is drawn twice beside each other. Sees premultiplied RGBA and the pose's
    maps at 32 px; the avatar enters as a projection (Miyato and Koyama 2018, arXiv 1802.05637).
    """

    def __init__(self, config: AvatarConfig, stage: int) -> None:
        super().__init__()
        self.maps = PoseMaps(config.skeleton, point_sigma=config.point_sigma, limb_sigma=config.limb_sigma)
        self.cells = max(_FEWEST_CELLS, stage // _CELL)
        self.limb_size = min(stage, max(_MAPS, self.cells))
        self.enter = nn.Conv2d(4, _CHANNELS[stage], 3, padding=1)
        self.pose = nn.Conv2d(self.maps.limb_channels, _CHANNELS[self.limb_size], 1)
        self.down = nn.ModuleDict()
        side = stage
        while side > self.cells:
            block = nn.Conv2d(_CHANNELS[side], _CHANNELS[side // 2], 4, stride=2, padding=1)
            self.down[str(side)] = block
            side //= 2
        self.last = nn.Conv2d(_CHANNELS[self.cells], _CHANNELS[self.cells], 3, padding=1)
        self.logit = nn.Conv2d(_CHANNELS[self.cells], 1, 1)
        self.avatars = nn.Embedding(config.avatars, _CHANNELS[self.cells])
        nn.init.zeros_(self.avatars.weight)

    def forward(self, rgba: Tensor, pose: PoseBatch, avatar: Tensor) -> Tensor:
        """``rgba`` f32 [B, 4, s, s] premultiplied 0..1; ``avatar`` i64 [B]. Returns logits [B, 1, cells, cells]."""
        return self.logits(self.features(rgba, pose)[-1], avatar)

    def features(self, rgba: Tensor, pose: PoseBatch) -> list[Tensor]:
        """What it sees in a picture, from the finest grid to that of the cells: [B, C, side, side] each."""
        x = functional.leaky_relu(self.enter(rgba * 2 - 1), _SLOPE)
        side = rgba.shape[-1]
        maps = self.maps.limbs(pose, self.limb_size).to(rgba.dtype)
        seen = []
        while True:
            if side == self.limb_size:
                x = x + self.pose(resampled(maps, side))
            seen.append(x)
            if side == self.cells:
                break
            x = functional.leaky_relu(self.down[str(side)](x), _SLOPE)
            side //= 2
        return [*seen, functional.leaky_relu(self.last(x), _SLOPE)]

    def logits(self, seen: Tensor, avatar: Tensor) -> Tensor:
        """The verdict on the last of the features: [B, 1, cells, cells]."""
        projected = (seen * self.avatars(avatar)[:, :, None, None]).sum(dim=1, keepdim=True)
        logits: Tensor = self.logit(seen) + projected
        return logits


def coloured(layers: Tensor, palette: Tensor) -> Tensor:
    """Layers f32 [B, 10, s, s] in 0..1 under palettes f32 [B, 6, 3] (sRGB): premultiplied RGBA [B, 4, s, s]."""
    rgb = torch.einsum("bphw,bpc->bchw", layers[:, SHADES], palette * SHADE_LIMIT) + layers[:, FIXED]
    return torch.cat([rgb.clamp(0, 1), layers[:, ALPHA : ALPHA + 1]], dim=1)
