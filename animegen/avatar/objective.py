"""What a recipe trains: the part of training that differs from one kind of generator to another.

The loop (:mod:`animegen.avatar.train`) brings batches, keeps count, writes and resumes; an :class:`Objective` has the
networks and makes one step with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from animegen.avatar.batches import Batch
from animegen.avatar.data import Header
from animegen.avatar.muon import Muon
from animegen.avatar.recipes import Phase, Recipe
from animegen.parallel import Workers
from animegen.types import Uint8Array


@dataclass(frozen=True, slots=True)
class Setting:
    """What an objective is made for: the data's header, the recipe, where it runs, and weights to begin with."""

    header: Header
    recipe: Recipe
    device: torch.device
    workers: Workers
    init: Path | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the training a step stands.

    ``fade`` is how far the phase's stage is blended in, 0..1; ``rate`` Adam's rate; ``step`` counts from 0.
    While ``judging``, a discriminator learns and the generator waits for it.
    """

    phase: Phase
    fade: float
    rate: float
    step: int
    seed: int
    judging: bool = False

    def random(self) -> torch.Generator:
        """Random numbers of this step: the same whenever, and in however many parts, the training runs."""
        return torch.Generator().manual_seed((self.seed << 32 ^ self.step) & (2**63 - 1))


@dataclass(frozen=True, slots=True)
class Trial:
    """How good the averaged weights are on what is never trained on: figures, and truth beside drawing.

    Pictures are uint8 [s, s, 4] with premultiplied alpha.
    """

    terms: Mapping[str, float]
    pictures: Sequence[tuple[Uint8Array, Uint8Array]]


class Objective(Protocol):
    """The networks of a training, and what is done with a batch."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Every network with weights of its own, by the name that a checkpoint has it under."""
        ...

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Every optimiser, by the name that a checkpoint has it under."""
        ...

    def step(self, batch: Batch, moment: Moment) -> Mapping[str, Tensor]:
        """Learn from one batch; returns scalars for the log, not waited for."""
        ...

    def trial(self, batch: Batch, moment: Moment) -> Trial:
        """Draw a batch with the averaged weights."""
        ...

    def save(self, path: Path, notes: Mapping[str, str]) -> None:
        """Write the averaged weights to draw with; ``notes`` go into the metadata."""
        ...


_EAGER = 3.0
"""How much farther than the others eager weights go."""


class Learner:
    """A network with its optimisers, on gradients that are averaged over the processes and clipped.

    All of it is Adam's but ``kernels``, which are Muon's at the same rate; ``eager`` weights go several times as far.
    """

    def __init__(
        self,
        network: nn.Module,
        workers: Workers,
        *,
        betas: tuple[float, float],
        clip: float,
        kernels: Sequence[nn.Parameter] = (),
        eager: Sequence[nn.Parameter] = (),
    ) -> None:
        self.network, self._workers, self._clip = network, workers, clip
        orthogonal = {id(kernel) for kernel in kernels}
        others = [weight for weight in network.parameters() if weight.requires_grad and id(weight) not in orthogonal]
        adam = torch.optim.Adam(_groups(others, eager), lr=0.0, betas=betas)
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {"adam": adam}
        if any(kernel.requires_grad for kernel in kernels):
            self.optimisers = {**self.optimisers, "muon": Muon(_groups(kernels, eager), lr=0.0)}

    def descend(self, loss: Tensor, rate: float) -> None:
        """One step down the loss."""
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._workers.average(self.network)
        if math.isfinite(self._clip):
            nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * group["gain"]
            optimiser.step()


def _groups(weights: Sequence[nn.Parameter], eager: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """An optimiser's groups, without empty ones, each with what its rate is multiplied by."""
    quick = {id(weight) for weight in eager}
    parts = {1.0: [w for w in weights if id(w) not in quick], _EAGER: [w for w in weights if id(w) in quick]}
    return [{"params": part, "gain": gain} for gain, part in parts.items() if part]


def optimisers_of(learners: Mapping[str, Learner]) -> Mapping[str, torch.optim.Optimizer]:
    """All optimisers of learners, as NAME_KIND."""
    return {
        f"{name}_{kind}": optimiser
        for name, learner in learners.items()
        for kind, optimiser in learner.optimisers.items()
    }


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, *, keep: float, step: int) -> None:
    """Exponential moving average of a network's weights, shorter at the start."""
    keep = min(keep, (1 + step) / (10 + step))
    for kept, own in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(own, 1 - keep)
