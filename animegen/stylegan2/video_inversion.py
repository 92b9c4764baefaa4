"""Inversion of a clip of one person: one latent for the clip and small offsets that change smoothly with time.

A latent found for every frame by itself jumps with the noise of the footage and of the search, and the drawn face
flickers. Here the offsets are cubic B-splines over time with one knot every few frames, so they cannot jump, and all
frames share everything that does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.stylegan2.distance import Distance, Multiscale
from animegen.stylegan2.inversion import InversionOptions, check_targets, psnr, w_statistics
from animegen.stylegan2.model import StyleGan2
from animegen.types import Float32Array, Latent

RATE = 0.01
"""The usual learning rate: a step sees a few frames of many, and at a picture's rate latents wander off. Of 150 frames
that the demo generator drew, with noise on them, 0.1 found what comes within 18 dB, 0.01 within 34."""

_DEGREE = 3


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How a clip is inverted.

    ``search`` as for pictures, but slower, in W+ (its early stopping and its noise pictures have no use here). Offsets
    join the search after ``shared`` of the steps; ``knot_frames`` between two knots; ``offset_weight`` holds them
    small, in units of the spread of w; ``mean_weight`` holds all latents near the mean, in the same units: what no
    latent there draws is left out then. ``batch`` frames a step, spread over the clip.
    """

    search: InversionOptions = field(default_factory=partial(InversionOptions, learning_rate=RATE))
    shared: float = 0.4
    knot_frames: int = 4
    offset_weight: float = 0.01
    mean_weight: float = 0.0
    batch: int = 8

    def __post_init__(self) -> None:
        if self.search.space != "w+" or self.search.optimise_noise:
            raise InvalidValue("a clip is inverted in w+ and with the stored noise")
        if min(self.knot_frames, self.batch) < 1:
            raise InvalidValue(f"knot_frames and batch must be at least 1, got {self.knot_frames} and {self.batch}")


@dataclass(frozen=True, slots=True, eq=False)
class VideoInversion:
    """What was found for a clip: ``base`` in W+, ``offsets`` f32 [T, num_ws, w_dim], mean ``psnr`` in dB."""

    base: Latent
    offsets: Float32Array
    psnr: float

    @property
    def ws(self) -> Float32Array:
        """The latents of all frames, f32 [T, num_ws, w_dim]."""
        latents: Float32Array = self.base.values[None] + self.offsets
        return latents


def invert_video(
    model: StyleGan2,
    frames: Float32Array,
    options: VideoOptions | None = None,
    *,
    distance: Distance | None = None,
    label: int | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> VideoInversion:
    """Find the latents of the aligned frames f32 [T, channels, r, r] of one person, at the generator's own size.

    Raises InvalidValue where the frames do not fit, or there is none.
    """
    options = options or VideoOptions()
    check_targets(model, frames)
    if not len(frames):
        raise InvalidValue("the clip has no frame")
    search, measure = options.search, distance or Multiscale()
    model.generator.synthesis.prepare(search.half)
    mean, spread = w_statistics(model, label)
    base = mean.repeat(model.config.num_ws, 1).requires_grad_()
    basis = spline_basis(len(frames), options.knot_frames).to(model.device)
    knots = torch.zeros(basis.shape[1], *base.shape, device=model.device, requires_grad=True)
    optimiser = torch.optim.Adam([base, knots], lr=search.learning_rate)
    draw = np.random.RandomState(search.seed)
    for step in range(search.steps):
        chosen = _chosen(step, len(frames), options.batch)
        for group in optimiser.param_groups:
            group["lr"] = search.rate(step)
        offsets = (
            torch.einsum("tk,kld->tld", basis[chosen], knots)
            if step >= options.shared * search.steps
            else 0 * knots[:1]
        )
        wandering = torch.from_numpy(draw.randn(*base.shape).astype(np.float32)) * (search.wander(step) * spread)
        ws = (base + wandering.to(model.device) + offsets).expand(len(chosen), -1, -1)
        pictures = model.generator.synthesis(ws, half=search.half)
        targets = measure.describe(torch.from_numpy(frames[chosen]).to(model.device))
        apart = measure.between(pictures, targets).mean()
        loss = apart + options.offset_weight * (offsets / spread).square().sum(dim=2).mean()
        if options.mean_weight:
            far = (base + offsets - mean) / spread
            loss = loss + options.mean_weight * far.square().sum(dim=2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if on_step:
            on_step(step, float(apart.detach()))
    return _result(model, frames, base.detach(), torch.einsum("tk,kld->tld", basis, knots.detach()))


def spline_basis(frames: int, knot_frames: int) -> Tensor:
    """The values of cubic B-splines with a knot every ``knot_frames`` at every frame: f32 [T, K]; rows sum to one."""
    pieces = max(1, -(-(frames - 1) // knot_frames))
    knots = np.arange(-_DEGREE, pieces + _DEGREE + 1, dtype=np.float64)
    places = np.minimum(np.arange(frames) / knot_frames, pieces)
    return torch.from_numpy(BSpline.design_matrix(places, knots, _DEGREE).toarray().astype(np.float32))


def _chosen(step: int, frames: int, batch: int) -> list[int]:
    """The frames of a step: spread over the clip, others in every step until all had their turn."""
    stride = -(-frames // batch)
    return list(range(step % stride, frames, stride))


def _result(model: StyleGan2, frames: Float32Array, base: Tensor, offsets: Tensor) -> VideoInversion:
    values, moves = base.cpu().numpy(), offsets.cpu().numpy()
    found = [psnr(model.draw(values[None] + move[None])[0], frame) for move, frame in zip(moves, frames, strict=True)]
    return VideoInversion(Latent("w+", values, model.sha256), moves, float(np.mean(found)))
