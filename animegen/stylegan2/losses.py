"""The losses of StyleGAN2's training.

Non-saturating logistic loss (Goodfellow et al. 2014, arXiv 1406.2661), R1 (Mescheder et al. 2018, arXiv 1801.04406,
equation 9) and path length regularisation (Karras et al. 2020, arXiv 1912.04958, section 3.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def generator_loss(fake: Tensor) -> Tensor:
    """What the generator makes small: scores f32 [B, 1] of its pictures -> the mean."""
    return functional.softplus(-fake).mean()


def discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """What the discriminator makes small: scores f32 [B, 1] of generated and real pictures -> the mean."""
    return functional.softplus(fake).mean() + functional.softplus(-real).mean()


def r1_penalty(scores: Tensor, pictures: Tensor) -> Tensor:
    """Squared length of the gradient of each real picture's score with respect to it: f32 [B], differentiable.

    ``pictures`` [B, C, H, W] are leaves that need gradients, ``scores`` what the discriminator says of them.
    """
    (slope,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3))


def path_lengths(pictures: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """How far pictures move with their latents: f32 [B], differentiable.

    The length of J^T y, averaged over the layers: J the Jacobian of ``pictures`` [B, C, H, W] with respect to ``ws``
    [B, num_ws, w_dim], y the ``directions`` [B, C, H, W], which are normal and are divided by the root of the pixels.
    """
    y = directions / math.sqrt(pictures.shape[2] * pictures.shape[3])
    (slope,) = torch.autograd.grad((pictures * y).sum(), ws, create_graph=True)
    return slope.square().sum(dim=2).mean(dim=1).sqrt()
