"""Perceptual path length: how far a generator's pictures move with their latents."""

from __future__ import annotations

import numpy as np
import torch

from animegen.stylegan2.distance import Multiscale, Perceptual
from animegen.stylegan2.model import StyleGan2

_STEP = 1e-4
_KEPT = (1, 99)
"""Percentiles of the lengths between which the mean is taken, as the public code does."""


@torch.inference_mode()
def perceptual_path_length(model: StyleGan2, perceptual: Perceptual | None, samples: int, *, seed: int = 0) -> float:
    """The mean distance of pictures that lie a step of 1e-4 apart on the line between two latents w, by its square.

    The distance is LPIPS, or without it the multi-scale one of colours and slopes, whose lengths are others. Source:
    Karras et al. 2019, arXiv 1812.04948, equation 3, over whole lines; both pictures have the stored noise. The samples
    of a conditional generator take turns with its classes.
    """
    draw, lengths = np.random.RandomState(seed), []
    distance = perceptual or Multiscale()
    apart = perceptual.lpips if perceptual else distance.between
    config = model.config
    for sample in range(samples):
        z = torch.from_numpy(draw.randn(2, config.z_dim).astype(np.float32)).to(model.device)
        labels = model.labels(sample % config.c_dim) if config.c_dim else None
        first, last = model.generator.mapping(z, labels if labels is None else labels.expand(2, -1)).double()
        places = draw.rand() + torch.tensor([[0.0], [_STEP]], dtype=torch.float64, device=model.device)
        ws = first.lerp(last, places)[:, None].float().expand(-1, config.num_ws, -1)
        one, other = (model.generator.synthesis(w[None]) for w in ws)
        lengths.append(apart(one, distance.describe(other)).item() / _STEP**2)
    least, most = np.percentile(lengths, _KEPT, method="nearest")
    return float(np.mean([length for length in lengths if least <= length <= most]))
