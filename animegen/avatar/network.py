"""The generator: a pose, an avatar and an expression become shade layers, at every stage from 8 pixels up.

After PSGAN (Hamada et al. 2018): a progressive generator that sees the pose at every scale. What differs: it draws
shade layers (:mod:`animegen.avatar.layers`) in place of colours, so no palette has to be learned; each stage adds to
the upsampled layers of the one below, as StyleGAN2's skip connections do (Karras et al. 2020, section 4.1), so
neighbouring stages agree; and an avatar modulates the features after pixel normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.blocks import SLOPE, Linear, Modulated, UpConv
from animegen.avatar.conditioning import PoseBatch, PoseMaps, resampled
from animegen.avatar.config import EXPRESSION, AvatarConfig
from animegen.avatar.face_patch import FaceFrame, FacePatch, Step, laid
from animegen.avatar.layers import LAYERS


class Grid(nn.Module):
    """The features of one grid: brought up from the grid below, told the pose, refined once, and drawn as layers."""

    def __init__(self, config: AvatarConfig, side: int, maps: PoseMaps) -> None:
        super().__init__()
        self.side, self.map_size = side, config.map_size
        channels = config.channels[side]
        if side == config.grids[0]:
            self.start = nn.Parameter(torch.zeros(1, channels, side, side))
            self.up: UpConv | None = None
        else:
            self.up = UpConv(config.channels[side // 2], channels, side // 2)
        self.points = nn.Conv2d(maps.point_channels, channels, 1)
        self.limbs = nn.Conv2d(maps.limb_channels, channels, 1, bias=False)
        self.face: nn.Conv2d | None = None
        if side in config.faces:
            self.face = nn.Conv2d(config.patch[max(config.patch)], channels, 1, bias=False)
            nn.init.zeros_(self.face.weight)  # so that weights from before there was a patch draw what they drew
        self.refine = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.brought = Modulated(config.width, channels)
        self.refined = Modulated(config.width, channels)
        self.head = nn.Conv2d(channels, 4 * LAYERS, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(
        self, below: Tensor | None, points: Tensor, limbs: Tensor, face: tuple[Tensor, FaceFrame] | None, w: Tensor
    ) -> Tensor:
        """Features [B, C, side, side]. The limb maps are projected first and resampled after: both are linear."""
        if limbs.shape[-1] > self.side:
            pose = self.limbs(resampled(limbs, self.side))
        else:
            pose = resampled(self.limbs(limbs), self.side)
        pose = pose + self.points(points)
        if self.face is not None and face is not None:
            pose = pose + self.face(laid(*face, self.side))
        brought = self.up(below) if self.up is not None and below is not None else self.start
        x = self.brought(brought + pose, w)
        refined: Tensor = x + self.refined(self.refine(x), w)
        return refined

    def draw(self, x: Tensor, below: Tensor | None) -> Tensor:
        """Layers before the sigmoid, [B, 10, 2 side, 2 side]: what this grid adds to the layers of the grid below."""
        added = functional.pixel_shuffle(self.head(x).float(), 2)
        if below is None:
            return added - 2.0
        return added + functional.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)


class Generator(nn.Module):
    """Draws avatars. One set of weights serves every stage up to the configuration's largest."""

    def __init__(self, config: AvatarConfig) -> None:
        super().__init__()
        self.config = config
        self.maps = PoseMaps(config.skeleton, point_sigma=config.point_sigma, limb_sigma=config.limb_sigma)
        self.avatars = nn.Embedding(config.avatars, config.latent)
        self.mapping = nn.Sequential(
            Linear(config.latent + len(EXPRESSION), config.width),
            nn.LeakyReLU(SLOPE),
            Linear(config.width, config.width),
            nn.LeakyReLU(SLOPE),
        )
        self.grids = nn.ModuleList(Grid(config, side, self.maps) for side in config.grids)
        self.face = FacePatch(config.width, config.latent, config.patch) if config.faces else None

    def kernels(self) -> list[nn.Parameter]:
        """The convolution kernels from features to features: most of the weights."""
        refining = [m.refine.weight for m in self.modules() if isinstance(m, (Grid, Step))]
        growing = [m.weight for m in self.modules() if isinstance(m, UpConv)]
        return [kernel for kernel in (*refining, *growing) if isinstance(kernel, nn.Parameter)]

    def prepare(self, dtype: torch.dtype) -> None:
        """Lay kernels out for drawing in ``dtype``, the quickest way there is.

        Later changes of the weights and moves to a device pass unseen: this is for networks that only draw.
        """
        for module in self.modules():
            if isinstance(module, UpConv):
                module.prepare(dtype)

    def eager(self) -> list[nn.Parameter]:
        """All weights of the faces' patches and of how they are laid in: few, and seen by few pixels."""
        laying = [grid.face for grid in self.grids if isinstance(grid, Grid)]
        return [weight for part in (self.face, *laying) if part is not None for weight in part.parameters()]

    def forward(self, pose: PoseBatch, latent: Tensor, expression: Tensor, stages: Sequence[int]) -> dict[int, Tensor]:
        """Layers of each asked stage.

        ``latent`` f32 [B, latent] (rows of ``avatars`` or mixtures of them), ``expression`` f32 [B, 10]; ``stages``
        in any order. Returns f32 [B, 10, s, s] in 0..1 for each stage s.
        """
        w = self.mapping(torch.cat([latent, expression], dim=1))
        largest = max(stages)
        limbs = self.maps.limbs(pose, self.config.limb_side(largest), w.dtype)
        face = self._faces(pose, w, expression) if 2 * min(self.config.faces, default=largest) <= largest else None
        drawn: dict[int, Tensor] = {}
        x: Tensor | None = None
        layers: Tensor | None = None
        for side, grid in zip(self.config.grids_to(largest), self.grids, strict=False):
            assert isinstance(grid, Grid)
            x = grid(x, self.maps.points(pose, side, w.dtype), limbs, face, w)
            layers = grid.draw(x, layers)
            if 2 * side in stages:
                painted = self._painted(latent, expression, face, 2 * side) if side in self.config.faces else 0.0
                drawn[2 * side] = torch.sigmoid(layers + painted)
        return drawn

    def _faces(self, pose: PoseBatch, w: Tensor, expression: Tensor) -> tuple[Tensor, FaceFrame] | None:
        """The faces' patches and where they lie."""
        if self.face is None:
            return None
        frame = FaceFrame.of(pose, self.config.skeleton)
        return self.face(w, expression, frame), frame

    def _painted(
        self, latent: Tensor, expression: Tensor, face: tuple[Tensor, FaceFrame] | None, stage: int
    ) -> Tensor | float:
        """What faces add to the layers of a stage before the sigmoid."""
        if self.face is None or face is None:
            return 0.0
        frame = face[1]
        return laid(self.face.paint(latent, expression, frame), frame, stage)
