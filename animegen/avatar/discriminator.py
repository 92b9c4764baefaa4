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
_PATCH = 8


class Discriminator(nn.Module):
    """Judges patches: one logit for each cell of an 8x8 grid, so that it looks at texture and edges.

    Sees premultiplied RGBA and the pose's maps at 32 px; the avatar enters as a projection (Miyato and Koyama 2018,
    arXiv 1802.05637).
    """

    def __init__(self, config: AvatarConfig, stage: int) -> None:
        super().__init__()
        self.maps = PoseMaps(config.skeleton, point_sigma=config.point_sigma, limb_sigma=config.limb_sigma)
        self.limb_size = min(32, stage)
        self.enter = nn.Conv2d(4, _CHANNELS[stage], 3, padding=1)
        self.pose = nn.Conv2d(self.maps.limb_channels, _CHANNELS[self.limb_size], 1)
        self.down = nn.ModuleDict()
        side = stage
        while side > _PATCH:
            block = nn.Conv2d(_CHANNELS[side], _CHANNELS[side // 2], 4, stride=2, padding=1)
            self.down[str(side)] = block
            side //= 2
        self.last = nn.Conv2d(_CHANNELS[_PATCH], _CHANNELS[_PATCH], 3, padding=1)
        self.logit = nn.Conv2d(_CHANNELS[_PATCH], 1, 1)
        self.avatars = nn.Embedding(config.avatars, _CHANNELS[_PATCH])
        nn.init.zeros_(self.avatars.weight)

    def forward(self, rgba: Tensor, pose: PoseBatch, avatar: Tensor) -> Tensor:
        """``rgba`` f32 [B, 4, s, s] premultiplied 0..1; ``avatar`` i64 [B]. Returns logits [B, 1, 8, 8]."""
        x = functional.leaky_relu(self.enter(rgba * 2 - 1), _SLOPE)
        side = rgba.shape[-1]
        maps = self.maps.limbs(pose, self.limb_size).to(rgba.dtype)
        while True:
            if side == self.limb_size:
                x = x + self.pose(resampled(maps, side))
            if side == _PATCH:
                break
            x = functional.leaky_relu(self.down[str(side)](x), _SLOPE)
            side //= 2
        x = functional.leaky_relu(self.last(x), _SLOPE)
        projected = (x * self.avatars(avatar)[:, :, None, None]).sum(dim=1, keepdim=True)
        logits: Tensor = self.logit(x) + projected
        return logits


def coloured(layers: Tensor, palette: Tensor) -> Tensor:
    """Layers f32 [B, 10, s, s] in 0..1 under palettes f32 [B, 6, 3] (sRGB): premultiplied RGBA [B, 4, s, s]."""
    rgb = torch.einsum("bphw,bpc->bchw", layers[:, SHADES], palette * SHADE_LIMIT) + layers[:, FIXED]
    return torch.cat([rgb.clamp(0, 1), layers[:, ALPHA : ALPHA + 1]], dim=1)
