"""Inversion: the latents with which a generator draws given pictures.

Source: Karras et al. 2020, arXiv 1912.04958, appendix D.

Latents in W or W+ are optimised from the mean (or a random one), with noise on them that fades. Where wanted, the noise
pictures of the layers are optimised too, and kept white by a penalty on their autocorrelation. White noise can store a
picture all the same, as far as the generator shows it: the sixteen numbers of the 4 px layer act as another style does.
So latents come first: every step draws new noise, and they have to tell all they can with any. Then noise is sought for
latents that stay as they are: they would soon lean on it. In the end so much other noise is mixed into what was
found that little of the picture is lost with any other. All people of a batch are optimised at once and none influences
another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.stylegan2.distance import Distance, Multiscale
from animegen.stylegan2.model import StyleGan2
from animegen.types import Float32Array, Latent

_MEAN_SAMPLES, _MEAN_SEED = 10_000, 123
_SMALLEST_NOISE = 8
_NEAR = 2**24
"""Bytes of the largest layer of the people who are drawn together on a CPU: larger tensors come from the system anew
every time, which clears them first."""

_STRONGER = 1.5
"""The deviation of the noise with which latents are sought, of the usual one's: with the usual one, the worst of ten
others costs 1 to 3 dB, by the 4 and 8 px layers mostly; with stronger noise half of that, and no other costs more."""
_OTHER_SEEDS = range(1000, 1016)
"""Of the noise with which it is seen how much the sought noise tells of a picture: one is nearer than another by
chance."""
_HALVINGS = 6
"""Of the span in which it is sought how much of the noise may be kept."""


@dataclass(frozen=True, slots=True)
class InversionOptions:
    """How latents are sought.

    The learning rate rises over the first ``ramp_up`` of the steps and falls over the last ``ramp_down`` as a cosine,
    for latents and for noise pictures over the steps of each; noise of ``exploration`` times the spread of w fades over
    the first ``exploration_ends`` of all (the source's 0.05 and 0.75 come less near in W+, by some half a decibel to
    one). ``optimise_noise`` seeks noise pictures too, kept white with ``noise_weight``, in the place of latents after a
    share ``noise_begins`` of the steps (at 0 both throughout, as the source does: what is then drawn with other noise
    is less like the target); so much of what was found is kept that the worst of sixteen others costs
    ``noise_gain`` dB at most. ``spread_weight`` holds the layers' latents of W+ near their mean. A person is done early
    when the distance is below ``good_enough``, or has not fallen by a thousandth for ``patience`` steps. ``start_seed``
    begins at the latent of a seed, not at the mean. ``half`` is the dtype in which the generator's ``num_fp16_res``
    largest blocks draw while the search lasts.
    """

    space: Literal["w", "w+"] = "w+"
    steps: int = 500
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    exploration: float = 0.03
    exploration_ends: float = 0.5
    optimise_noise: bool = False
    noise_begins: float = 0.9
    noise_weight: float = 1e5
    noise_gain: float = 0.25
    spread_weight: float = 0.0
    good_enough: float = 0.0
    patience: int = 100
    start_seed: int | None = None
    seed: int = 0
    half: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0:
            raise InvalidValue(f"an inversion needs steps and a learning rate, got {self.steps}, {self.learning_rate}")

    @property
    def turn(self) -> int:
        """The step from which noise pictures are sought, the number of steps where none are."""
        return math.ceil(self.noise_begins * self.steps) if self.optimise_noise else self.steps

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        first, end = (0, self.turn) if step < self.turn else (self.turn, self.steps)
        taken, steps = step - first, end - first
        down = min(1.0, (1 - taken / steps) / self.ramp_down) if self.ramp_down else 1.0
        up = min(1.0, (taken + 1) / steps / self.ramp_up) if self.ramp_up else 1.0
        return self.learning_rate * (0.5 - 0.5 * math.cos(down * math.pi)) * up

    def wander(self, step: int) -> float:
        """The noise on w of a step, in units of the spread of w."""
        left = max(0.0, 1 - step / self.steps / self.exploration_ends) if self.exploration_ends else 0.0
        return self.exploration * left**2

    def seeks_noise(self, step: int) -> bool:
        """Whether noise pictures are sought in a step."""
        return step >= self.turn

    def seeks_latents(self, step: int) -> bool:
        """Whether latents are sought in a step."""
        return step < self.turn or self.turn == 0


@dataclass(frozen=True, slots=True, eq=False)
class Inversion:
    """What was found for one picture.

    ``latent`` in W or W+, ``noise`` f32 [r, r] by layers (empty: the stored noise), ``picture`` f32 [C, H, W] as the
    generator draws it from both, ``psnr`` in dB against the target (peak to peak 2), ``steps`` taken.
    """

    latent: Latent
    noise: Mapping[str, Float32Array]
    picture: Float32Array
    psnr: float
    steps: int


@dataclass(slots=True)
class _Watch:
    """Tells for every person of a batch when there is nothing more to gain."""

    options: InversionOptions
    best: list[float] = field(default_factory=list)
    since: list[int] = field(default_factory=list)

    def finished(self, people: Sequence[int], distances: Sequence[float], step: int) -> list[int]:
        """Those of ``people`` who are done with this step's distances."""
        return [person for person, now in zip(people, distances, strict=True) if self._done(person, now, step)]

    def _done(self, person: int, now: float, step: int) -> bool:
        if now < self.best[person] * 0.999:
            self.best[person], self.since[person] = now, step
        options = self.options
        calm = options.wander(step) == 0 and options.optimise_noise == options.seeks_noise(step)
        settled = calm and step - self.since[person] >= options.patience > 0
        return now < options.good_enough or settled or step == options.steps - 1


def invert(
    model: StyleGan2,
    targets: Float32Array,
    options: InversionOptions | None = None,
    *,
    distance: Distance | None = None,
    label: int | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> list[Inversion]:
    """Find the latents of pictures ``targets`` f32 [B, channels, r, r] of -1..1, at the generator's own size.

    ``distance`` is the multi-scale one where none is given, ``label`` the class of a conditional generator; ``on_step``
    hears every step and its mean distance. What is found for a person does not depend on who else is in the batch, but
    for rounding. Raises InvalidValue where the pictures do not fit.
    """
    options = options or InversionOptions()
    check_targets(model, targets)
    search = _Search(model, torch.from_numpy(targets).to(model.device), options, distance or Multiscale(), label)
    watch = _Watch(options, [math.inf] * len(targets), [0] * len(targets))
    found: dict[int, Inversion] = {}
    people = list(range(len(targets)))
    for step in range(options.steps if people else 0):
        distances = search.step(step, people)
        if on_step:
            on_step(step, sum(distances) / len(distances))
        for person in watch.finished(people, distances, step):
            found[person] = search.result(person, step + 1)
        people = [person for person in people if person not in found]
        if not people:
            break
    return [found[person] for person in sorted(found)]


def check_targets(model: StyleGan2, targets: Float32Array) -> None:
    """Raise InvalidValue where pictures [B, C, H, W] are not of the generator's size and channels."""
    config = model.config
    wanted = (config.channels, config.resolution, config.resolution)
    if targets.ndim != 4 or targets.shape[1:] != wanted or targets.dtype != np.float32:
        raise InvalidValue(
            f"pictures must be float32 (any, {', '.join(map(str, wanted))}), got {targets.dtype} {targets.shape}",
            "align and resize them to the generator's size",
        )


class _Search:
    """The latents and noise pictures of a batch under optimisation."""

    def __init__(
        self, model: StyleGan2, targets: Tensor, options: InversionOptions, distance: Distance, label: int | None
    ) -> None:
        self.model, self.targets, self.options = model, targets, options
        model.generator.synthesis.prepare(options.half)
        self.distance, self.described = distance, distance.describe(targets)
        self.people, self.known = list(range(len(targets))), self.described
        layers = ((side, model.generator.synthesis.dtype_at(side, options.half)) for side in model.config.resolutions)
        largest = max(model.config.width(side) * side**2 * dtype.itemsize for side, dtype in layers)
        self.together = max(1, _NEAR // largest if model.device.type == "cpu" else len(targets))
        mean, self.spread = w_statistics(model, label)
        if options.start_seed is not None:
            mean = torch.from_numpy(model.ws([model.z(options.start_seed)], label=label)[0, 0]).to(model.device)
        rows = model.config.num_ws if options.space == "w+" else 1
        self.w = mean.repeat(len(targets), rows, 1).requires_grad_()
        self.noise = self._noise() if options.optimise_noise else {}
        self.optimiser = torch.optim.Adam([self.w, *self.noise.values()], lr=options.learning_rate, fused=True)
        self.draw = np.random.RandomState(options.seed)
        self.fresh: dict[str, Float32Array] = {}

    def _noise(self) -> dict[str, Tensor]:
        """White noise pictures [B, 1, r, r], the same for everybody."""
        draw, out = np.random.RandomState(self.options.seed), {}
        for name, layer in self.model.generator.synthesis.layers().items():
            noise = torch.from_numpy(draw.randn(1, 1, layer.side, layer.side).astype(np.float32))
            out[name] = noise.to(self.model.device).repeat(len(self.targets), 1, 1, 1).requires_grad_()
        return out

    def _fresh(self, step: int) -> dict[str, Tensor]:
        """White noise pictures [1, 1, r, r] of a step, stronger than usual, for everybody.

        Every second step has those of the one before negated, so that their first order cancels out in the mean that
        the optimiser follows: some half a decibel with other noise.
        """
        for name, pictures in self.noise.items():
            drawn = -self.fresh[name] if step % 2 else _STRONGER * self.draw.randn(1, *pictures.shape[1:])
            self.fresh[name] = drawn.astype(np.float32)
        return {name: torch.from_numpy(drawn).to(self.w.device) for name, drawn in self.fresh.items()}

    def step(self, step: int, people: list[int]) -> list[float]:
        """One step of the optimiser for some of the people; returns their distances before it."""
        options = self.options
        if people != self.people:
            self.people, self.known = people, tuple(known[people] for known in self.described)
        for group in self.optimiser.param_groups:
            group["lr"] = options.rate(step)
        wandering = self.draw.randn(1, *self.w.shape[1:]).astype(np.float32) * (options.wander(step) * self.spread)
        seeking = options.seeks_noise(step)
        self.w.requires_grad_(options.seeks_latents(step))
        fresh = {} if seeking else self._fresh(step)
        self.optimiser.zero_grad(set_to_none=True)
        told: list[float] = []
        for first in range(0, len(people), self.together):
            part = slice(first, first + self.together)
            told += self._pull(part, torch.from_numpy(wandering).to(self.w.device), fresh, seeking=seeking)
        self.optimiser.step()
        with torch.no_grad():
            for pictures in self.noise.values():
                pictures.sub_(pictures.mean(dim=(1, 2, 3), keepdim=True))
                pictures.mul_(pictures.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt())
        return told

    def _pull(self, part: slice, wandering: Tensor, fresh: Mapping[str, Tensor], *, seeking: bool) -> list[float]:
        """Add the gradients of a part of the people of this step; returns their distances."""
        options, people = self.options, self.people[part]
        w = self.w[people]
        noise = {name: pictures[people] for name, pictures in self.noise.items()} if seeking else fresh
        ws = (w + wandering).expand(-1, self.model.config.num_ws, -1)
        pictures = self.model.generator.synthesis(ws, noise or "const", half=options.half)
        distances = self.distance.between(pictures, tuple(known[part] for known in self.known))
        loss = distances.sum()
        if options.space == "w+" and options.spread_weight:
            loss = loss + options.spread_weight * (w - w.mean(dim=1, keepdim=True)).square().mean(dim=(1, 2)).sum()
        if seeking:
            loss = loss + options.noise_weight * whiteness(noise.values()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        told: list[float] = distances.tolist()
        return told

    def result(self, person: int, steps: int) -> Inversion:
        """What stands now for a person, drawn once more as whoever loads it will draw it."""
        values = self.w[person].detach().cpu().numpy().copy()
        latent = Latent(self.options.space, values if self.options.space == "w+" else values[0], self.model.sha256)
        target, ws = self.targets[person].cpu().numpy(), self.model.ws([latent])
        noise = self._kept(person, ws, target) if self.noise else {}
        picture = self.model.draw(ws, noise or "const")[0]
        return Inversion(latent, noise, picture, psnr(picture, target), steps)

    def _kept(self, person: int, ws: Float32Array, target: Float32Array) -> dict[str, Float32Array]:
        """As much of a person's noise as may be kept; the rest of it is noise that the latents have not seen."""
        found = {name: pictures[person, 0].detach().cpu().numpy() for name, pictures in self.noise.items()}

        def near(noise: Mapping[str, Float32Array]) -> float:
            return psnr(self.model.draw(ws, noise)[0], target)

        def mixed(share: float, seed: int) -> dict[str, Float32Array]:
            other = self.model.random_noise(seed)
            return {name: _unit(share * own + (1 - share) * other[name]) for name, own in found.items()}

        # Chance makes 16 numbers stronger or weaker than noise that is brought to a mean square of one: where that is
        # what counts, nothing that was found may be kept, and of such noise the one that costs most is the nearest.
        most = min(near(self.model.random_noise(seed)) for seed in _OTHER_SEEDS) + self.options.noise_gain
        seed = min(_OTHER_SEEDS, key=lambda seed: near(mixed(0.0, seed)))
        if near(found) <= most:
            return mixed(1.0, seed)
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            share = (low + high) / 2
            low, high = (share, high) if near(mixed(share, seed)) <= most else (low, share)
        return mixed(low, seed)


@torch.no_grad()
def w_samples(model: StyleGan2, label: int | None = None) -> Tensor:
    """The latents w f32 [10000, w_dim] of fixed samples of z."""
    z = np.random.RandomState(_MEAN_SEED).randn(_MEAN_SAMPLES, model.config.z_dim).astype(np.float32)
    labels = model.labels(label)
    spread = labels if labels is None else labels.expand(len(z), -1)
    w: Tensor = model.generator.mapping(torch.from_numpy(z).to(model.device), spread)
    return w


def w_statistics(model: StyleGan2, label: int | None = None) -> tuple[Tensor, float]:
    """The mean of w [w_dim], and the root of the mean squared distance from it, over :func:`w_samples`."""
    w = w_samples(model, label)
    mean = w.mean(dim=0)
    return mean, float((w - mean).square().sum(dim=1).mean().sqrt())


def whiteness(noise: Iterable[Tensor]) -> Tensor:
    """The penalty f32 [B] on noise pictures [B, 1, r, r] that are not white.

    The squared mean product of neighbours, across and down, of each picture and of its halvings to 8 px, which are
    doubled to keep unit variance. Source: Karras et al. 2020, arXiv 1912.04958, appendix D.
    """
    levels: dict[int, list[Tensor]] = {}
    for pictures in noise:
        levels.setdefault(pictures.shape[-1], []).append(pictures)
    total = torch.zeros(())
    while levels:  # pictures of one size together
        side = max(levels)
        level = torch.cat(levels.pop(side), dim=1)
        for axis in (2, 3):
            total = total + (level * level.roll(1, dims=axis)).mean(dim=(2, 3)).square().sum(dim=1)
        if side > _SMALLEST_NOISE:
            levels.setdefault(side // 2, []).append(functional.avg_pool2d(level, 2) * 2)
    return total


def _unit(noise: Float32Array) -> Float32Array:
    """Noise with a mean of zero and a mean square of one."""
    centred = noise - noise.mean()
    scaled: Float32Array = centred / np.sqrt(np.square(centred).mean())
    return scaled


def psnr(picture: Float32Array, target: Float32Array) -> float:
    """Peak signal to noise ratio in dB of pictures of -1..1, whose peak to peak is 2."""
    error = float(np.square(picture.astype(np.float64) - target).mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)
