"""How far drawn layers are from rendered ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import FACE
from animegen.avatar.face_patch import FaceFrame
from animegen.ops.pose_maps import gaussians
from animegen.types import Skeleton

_SQUARED = 2.0
_EDGES = 1.0
_LOWER_STAGE = 0.3
_FOCUS = 3.0
_FOCUS_SIGMA = 0.035

_FOCUS_POINTS = ("nose", "left_eye", "right_eye", "mouth_left", "mouth_right", "left_index", "right_index")
"""Faces and hands are small and are what people look at."""

_EYES, _MOUTH = 6.0, 20.0
_FEATURES = {
    "left_eye": (_EYES, 0.5), "right_eye": (_EYES, 0.5), "mouth_left": (_MOUTH, 0.35), "mouth_right": (_MOUTH, 0.35),
}  # fmt: skip
"""What moves in a face, smaller still: how much more it counts, and how far it reaches in halves of the eyes' distance
as it is seen. Mouths are the smallest, and differ the least from what is around them."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """The sum to descend, and its terms for the log."""

    total: Tensor
    terms: Mapping[str, Tensor]


def reconstruction_loss(
    drawn: Mapping[int, Tensor], truth: Tensor, pose: PoseBatch, skeleton: Skeleton
) -> Reconstruction:
    """Absolute and squared differences of layers and absolute differences of their edges, faces and hands weighted.

    ``drawn`` maps stages to f32 [B, 10, s, s] in 0..1, ``truth`` f32 [B, 10, S, S] has the largest stage's side; the
    smaller stages are compared with its averages.
    """
    largest = max(drawn)
    total = truth.new_zeros(())
    terms: dict[str, Tensor] = {}
    for stage, layers in drawn.items():
        target = functional.avg_pool2d(truth, largest // stage) if stage < largest else truth
        weight = _focus(pose, skeleton, stage)
        error = layers - target
        plain = (weight * (error.abs() + _SQUARED * error.square())).mean()
        edges = (weight[..., 1:] * error.diff(dim=-1).abs()).mean() + (
            weight[..., 1:, :] * error.diff(dim=-2).abs()
        ).mean()
        share = 1.0 if stage == largest else _LOWER_STAGE
        total = total + share * (plain + _EDGES * edges)
        terms |= {f"plain{stage}": plain.detach(), f"edges{stage}": edges.detach()}
    return Reconstruction(total, terms)


def _focus(pose: PoseBatch, skeleton: Skeleton, side: int) -> Tensor:
    """How much each pixel counts, f32 [B, 1, side, side]: 1, more around faces and hands, most on eyes and mouths."""
    indices = [skeleton.index(name) for name in _FOCUS_POINTS if name in skeleton.points]
    weight = 1 + _bright(pose.xy[:, indices], side, _FOCUS_SIGMA, _FOCUS)
    if set(FACE) <= set(skeleton.points):
        frame = FaceFrame.of(pose, skeleton)
        half = frame.across.norm(dim=1)[:, None, None]
        features = pose.xy[:, [skeleton.index(name) for name in _FEATURES]]
        gains, reaches = torch.tensor([*_FEATURES.values()], device=half.device).T[:, None, :, None]
        seen = (frame.shown > 0)[:, None, None]
        weight = weight + _bright(features, side, (reaches * half).clamp_min(0.5 / side), gains * seen)
    return weight


def _bright(xy: Tensor, side: int, sigma: float | Tensor, gain: float | Tensor) -> Tensor:
    """Gaussians around points [B, K, 2], the brightest at each pixel: f32 [B, 1, side, side]."""
    columns, rows = gaussians(xy, side, sigma)
    rows = rows * gain
    return (rows[..., :, None] * columns[..., None, :]).amax(dim=1, keepdim=True)
