"""Faces, drawn on a patch where eyes and mouth always have the same place, and laid into the picture by the pose.

A face is small, and what moves in it smaller still: a network that has to find it anew in every picture learns it last.
On the patch a mouth that opens or an eye that looks aside is the same change every time. The patch is brought to where
the pose has eyes and mouth by an affine map (after spatial transformers, Jaderberg et al. 2015, arXiv 1506.02025); what
it holds depends on the avatar, the expression and how the head is turned, so it need not be flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.blocks import SLOPE, Linear, Modulated, UpConv
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION, FACE
from animegen.avatar.layers import LAYERS
from animegen.types import Skeleton

_HALF_WIDTH, _HALF_HEIGHT = 2.2, 1.3
"""What a patch shows: to each side, in halves of the eyes' distance, and up and down from the middle of the face, in
distances from eyes to mouth: from brows to chin."""

_AWAY, _TOWARD = 0.08, 0.23
"""How openly a face is seen : the area between eyes and mouth in squares of its sides. A front has about 0.45."""

_BLUR = 0.16
"""Variance of the blur before a patch is made smaller, in squares of the patch's cells for each of the picture's."""

_FALL = 8
"""A patch fades out towards its border, with this power of the place."""

_TURN = 6
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """Where a face lies in the picture, in canvas sides.

    ``middle`` f32 [B, 2] between eyes and mouth; ``across`` f32 [B, 2] half the way from the right eye to the left one,
    ``down`` f32 [B, 2] from the eyes to the mouth; ``shown`` f32 [B] 1 for a face that is seen, falling to 0 towards
    the profile, 0 where a point of it is not known; ``turn`` f32 [B, 6] how the head is turned, and how large it is.
    """

    middle: Tensor
    across: Tensor
    down: Tensor
    shown: Tensor
    turn: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, pose: PoseBatch, skeleton: Skeleton) -> FaceFrame:
        """The faces of poses."""
        indices = [skeleton.index(name) for name in FACE]
        left, right, mouth_left, mouth_right, nose = pose.xy[:, indices].unbind(1)
        eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
        across, down, middle = (left - right) / 2, mouth - eyes, (eyes + mouth) / 2
        size = (across.square() + down.square()).sum(dim=1).clamp_min(_LEAST**2)
        openness = _cross(across, down) / size
        known = pose.score[:, indices]
        shown = known[:, :4].amin(dim=1) * ((openness - _AWAY) / (_TOWARD - _AWAY)).clamp(0, 1)
        slant = (across * down).sum(dim=1) / size
        width, height = (axis.norm(dim=1).clamp_min(_LEAST) for axis in (across, down))
        tip = _on_patch((nose - middle)[:, None, None], across, down, shown)[:, 0, 0] * known[:, 4:]
        turn = [tip, torch.stack([2 * openness, 2 * slant, (width / height).log(), size.log() / 4 + 1.5], dim=1)]
        return cls(middle, across, down, shown, torch.cat(turn, dim=1).clamp(-2, 2))

    def grid(self, side: int) -> Tensor:
        """Where on the patch the cells of a picture lie, f32 [B, side, side, 2], -1 to 1 on it."""
        centres = (torch.arange(side, device=self.middle.device, dtype=self.middle.dtype) + 0.5) / side
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        away = torch.stack([columns, rows], dim=-1) - self.middle[:, None, None]
        return _on_patch(away, self.across, self.down, self.shown)

    def cells(self, patch: int, side: int) -> tuple[Tensor, Tensor]:
        """How many cells of a patch lie in one of a picture, across and down: f32 [B] each."""
        width, height = (axis.norm(dim=1).clamp_min(_LEAST) for axis in (self.across, self.down))
        return patch / (2 * _HALF_WIDTH * width * side), patch / (2 * _HALF_HEIGHT * height * side)


def _on_patch(away: Tensor, across: Tensor, down: Tensor, shown: Tensor) -> Tensor:
    """Where on the patch points f32 [B, H, W, 2] lie, given from a face's middle; 0 where no face is shown."""
    across, down = across[:, None, None], down[:, None, None]
    place = torch.stack([_cross(away, down) / _HALF_WIDTH, _cross(across, away) / _HALF_HEIGHT], dim=-1)
    return place / torch.where(shown[:, None, None] > 0, _cross(across, down), torch.inf)[..., None]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


class Step(nn.Module):
    """A patch of twice the side."""

    def __init__(self, width: int, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        self.up = UpConv(inputs, outputs, side)
        self.refine = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.brought = Modulated(width, outputs)
        self.refined = Modulated(width, outputs)

    def forward(self, below: Tensor, w: Tensor) -> Tensor:
        """``below`` [B, inputs, s, s], ``w`` [B, width]. Returns [B, outputs, 2 s, 2 s]."""
        x = self.brought(self.up(below), w)
        refined: Tensor = x + self.refined(self.refine(x), w)
        return refined


class FacePatch(nn.Module):
    """Draws the features of faces. ``channels`` maps the sides of its patches, each twice the one before, to widths."""

    window: Tensor

    def __init__(self, width: int, latent: int, channels: Mapping[int, int]) -> None:
        super().__init__()
        self.side, self.channels = max(channels), channels[max(channels)]
        first = min(channels)
        self.enter = nn.Sequential(
            Linear(width + len(EXPRESSION) + _TURN, width),
            nn.LeakyReLU(SLOPE),
            Linear(width, width),
            nn.LeakyReLU(SLOPE),
        )
        self.start = nn.Parameter(torch.randn(1, channels[first], first, first))
        self.begin = Modulated(width, channels[first])
        sides = pairwise(sorted(channels))
        self.steps = nn.ModuleList(Step(width, channels[below], channels[side], below) for below, side in sides)
        fall = 1 - torch.linspace(-1, 1, self.side).abs() ** _FALL
        self.register_buffer("window", fall[:, None] * fall, persistent=False)
        self.texture = Linear(latent + len(EXPRESSION) + _TURN, LAYERS * self.side**2)
        nn.init.zeros_(self.texture.weight)
        nn.init.zeros_(self.texture.bias)

    def forward(self, w: Tensor, expression: Tensor, frame: FaceFrame) -> Tensor:
        """Features [B, channels, side, side]; none of those who are not shown."""
        own = self.enter(torch.cat([w, expression, frame.turn.to(w.dtype)], dim=1))
        x = self.begin(self.start.expand(len(w), -1, -1, -1), own)
        for step in self.steps:
            x = step(x, own)
        return self._shown(x, frame)

    def paint(self, latent: Tensor, expression: Tensor, frame: FaceFrame) -> Tensor:
        """What the face adds to the layers before their sigmoid, f32 [B, 10, side, side].

        Linear in the avatar, the expression and the turn of the head, as active appearance models are (Cootes et al.
        1998): so it is learned from few pictures, and the network draws what is not linear.
        """
        look = torch.cat([latent, expression, frame.turn], dim=1)
        return self._shown(self.texture(look).float().unflatten(1, (LAYERS, self.side, self.side)), frame)

    def _shown(self, x: Tensor, frame: FaceFrame) -> Tensor:
        shown: Tensor = x * (frame.shown[:, None, None, None] * self.window).to(x.dtype)
        return shown


def laid(patch: Tensor, frame: FaceFrame, side: int) -> Tensor:
    """Patches [B, C, s, s] where they belong in pictures of ``side`` cells, [B, C, side, side]; 0 around them.

    A patch that becomes smaller is blurred first, so that none of its cells is passed over.
    """
    columns, rows = (_blur(cells, patch.shape[-1]).to(patch.dtype) for cells in frame.cells(patch.shape[-1], side))
    smooth = rows[:, None] @ patch @ columns[:, None].mT
    grid = frame.grid(side)
    return functional.grid_sample(smooth.to(grid.dtype), grid, align_corners=False).to(patch.dtype)


def _blur(cells: Tensor, side: int) -> Tensor:
    """Gaussian blurs of a row as matrices, f32 [B, side, side]: none where no more than one cell goes into one."""
    variance = _BLUR * (cells.square() - 1).clamp_min(_LEAST)
    place = torch.arange(side, device=cells.device, dtype=cells.dtype)
    apart = (place[:, None] - place[None]).square()
    return torch.softmax(-apart / (2 * variance)[:, None, None], dim=-1)
