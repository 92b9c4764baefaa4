"""Training of StyleGAN2 with adaptive augmentation, from nothing or from another generator.

Every random number of a step is drawn by the seed and the number of images seen, so that a training that was stopped
goes on bit for bit. They are drawn for the whole batch, of which each of several processes takes every n-th row: the
networks learn what one process would teach them, as long as a row's group for the minibatch's deviation, whose members
lie evenly apart, fits into one process. R1 is taken with respect to the pictures as the discriminator sees them, after
augmentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from animegen.errors import InvalidValue, UsageError
from animegen.ops.precision import has_bfloat16
from animegen.parallel import Workers
from animegen.stylegan2.augment import augmented, next_probability
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint, open_tensors, save_checkpoint
from animegen.stylegan2.config import published
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from animegen.stylegan2.model import BASE
from animegen.stylegan2.pictures import PictureFolder
from animegen.stylegan2.recipes import Recipe
from animegen.stylegan2.singular import SingularBasis
from animegen.stylegan2.synthesis import Generator
from animegen.weights import sha256_of

_ADA_EVERY = 4
"""Steps between two changes of the augmentation's probability."""
_PATH_DECAY = 0.01
_PATH_SHARE = 2
"""Path lengths are measured on the batch's first half."""
_STATE = "training"
CHECKPOINT = "checkpoint.safetensors"
"""The file of a training in its folder; `generate` and the others read it too."""

_GENERATE, _PATH, _REAL, _JUDGE, _R1 = range(5)
"""What random numbers are drawn for."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What stays of the generator that fine-tuning begins with.

    ``freeze_mapping``: its mapping network (FreezeFC, arXiv 2010.05713). ``freeze_blocks``: its blocks up to that side
    in px (FreezeSG, 0: none). ``freeze_discriminator``: that many of the discriminator's largest blocks (FreezeD, Mo et
    al. 2020, arXiv 2002.10964). ``structure_weight``: of the squared difference between both generators' pictures at
    the blocks up to ``structure_side`` px (Back 2021, arXiv 2106.12445, equation 2). ``singular_values``: of the
    generator's convolutions nothing but these changes (Robb et al. 2020, arXiv 2010.11943).
    """

    freeze_mapping: bool = False
    freeze_blocks: int = 0
    freeze_discriminator: int = 0
    structure_weight: float = 0.0
    structure_side: int = 16
    singular_values: bool = False


class Trainer:
    """Both networks in training on a folder of pictures, with all that a checkpoint of it must hold."""

    def __init__(
        self,
        start: Checkpoint,
        data: PictureFolder,
        recipe: Recipe,
        *,
        transfer: Transfer | None = None,
        base: Path | None = None,
        half: torch.dtype | None = None,
        seed: int = 0,
        workers: Workers | None = None,
    ) -> None:
        """``base`` is the file of ``start``, whose latents a generator with the same mapping goes on to understand.

        ``half`` is the dtype of both networks' ``num_fp16_res`` largest blocks, float32 without it. ``workers``: the
        processes that share every batch, and this one's device; alone on the CPU without them. Raises UsageError where
        there is no discriminator, everything is frozen, or a batch does not divide among the processes.
        """
        if start.discriminator is None:
            raise UsageError("there is no discriminator to train with", "begin with a checkpoint that has one")
        self.workers = workers or Workers()
        self.workers.split(recipe.batch)
        device = self.workers.device
        self.recipe, self.data, self.seed, self.device = recipe, data, seed, torch.device(device)
        self.transfer, self.half = transfer or Transfer(), half
        self.base_sha256 = sha256_of(base) if base and self.transfer.freeze_mapping else ""
        self.generator = deepcopy(start.trained or start.generator).to(device).train()
        self.average = deepcopy(start.generator).to(device)
        self.discriminator = deepcopy(start.discriminator).to(device).train()
        self.source = deepcopy(start.generator).to(device) if self.transfer.structure_weight else None
        self._thaw()
        self.basis = SingularBasis(self.generator) if self.transfer.singular_values else None
        self.generator_optimiser = self._optimiser(self.generator, recipe.path_every if recipe.path_weight else 0)
        self.discriminator_optimiser = self._optimiser(self.discriminator, recipe.r1_every)
        self.images, self.steps, self.p = 0, 0, 0.0
        self.path_mean = torch.zeros((), device=self.device)
        self.signs: list[float] = []

    def _thaw(self) -> None:
        """Let everything learn but what the transfer keeps."""
        kept = self.transfer
        frozen: list[nn.Module] = [self.generator.mapping] if kept.freeze_mapping else []
        sides = self.generator.config.resolutions
        frozen += [self.generator.synthesis.block(side) for side in sides if side <= kept.freeze_blocks]
        largest = sides[:0:-1][: kept.freeze_discriminator]
        frozen += [self.discriminator.get_submodule(f"b{side}") for side in largest]
        self.generator.requires_grad_(requires_grad=True)
        self.discriminator.requires_grad_(requires_grad=True)
        for module in frozen:
            module.requires_grad_(requires_grad=False)

    def _optimiser(self, network: nn.Module, every: int) -> torch.optim.Adam:
        """Adam, slowed where a regularisation is taken every so many steps (arXiv 1912.04958, appendix B)."""
        ratio = every / (every + 1) if every else 1.0
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not learning:
            raise UsageError("everything is frozen", "freeze less")
        return torch.optim.Adam(learning, lr=self.recipe.learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)

    def step(self) -> dict[str, float]:
        """One step of both networks on one batch; returns the losses."""
        recipe = self.recipe
        told = {"generator": self._generator_step()}
        if recipe.path_weight and self.steps % recipe.path_every == 0:
            told["path"] = self._path_step()
        real, label = self._real()
        told["discriminator"] = self._discriminator_step(real, label)
        if recipe.gamma and self.steps % recipe.r1_every == 0:
            told["r1"] = self._r1_step(real, label)
        self.images += recipe.batch
        self.steps += 1
        self._follow()
        if recipe.ada_target is not None and self.steps % _ADA_EVERY == 0:
            signs, self.signs = float(np.mean(self.signs)), []
            seen = _ADA_EVERY * recipe.batch
            self.p = next_probability(self.p, signs, target=recipe.ada_target, images=seen, speed=recipe.ada_images)
        return told

    def _draw(self, purpose: int, sample: int = 0) -> np.random.RandomState:
        return np.random.RandomState([self.seed, purpose, self.images % 2**32, sample])

    def _fakes(self, purpose: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """This process's part of ``count`` generated pictures, with styles mixed at random and new noise.

        Returns them with their latents and labels.
        """
        draw, config = self._draw(purpose), self.generator.config
        classes = np.eye(max(config.c_dim, 1), dtype=np.float32)[draw.randint(max(config.c_dim, 1), size=count)]
        label = self._own(torch.from_numpy(classes[:, : config.c_dim]))
        z, other = (self._own(torch.from_numpy(draw.randn(count, config.z_dim).astype(np.float32))) for _ in range(2))
        w = self.generator.mapping(z, label)
        ws = self.generator.mapping.truncated(w, 1.0)
        if draw.rand() < self.recipe.style_mixing:
            cut = draw.randint(1, config.num_ws)
            ws = torch.cat([ws[:, :cut], self.generator.latents(other, label)[:, cut:]], dim=1)
        if (
            torch.is_grad_enabled() and not ws.requires_grad
        ):  # a frozen mapping; path lengths need the latents' gradients
            ws.requires_grad_()
        if purpose == _GENERATE and not self.transfer.freeze_mapping:
            mean = self.workers.mean(w.detach().mean(dim=0))
            self.generator.mapping.w_avg.copy_(mean.lerp(self.generator.mapping.w_avg, config.w_avg_beta))
        random = torch.Generator().manual_seed(int(draw.randint(2**31)))
        noise = {
            name: self._own(torch.randn(count, 1, layer.side, layer.side, generator=random))
            for name, layer in self.generator.synthesis.layers().items()
        }
        return self.generator.synthesis(ws, noise, half=self.half), ws, label

    def _own(self, whole: Tensor) -> Tensor:
        """This process's rows of a batch, on its device."""
        return self.workers.share(whole).to(self.device)

    def _seen(self, pictures: Tensor, purpose: int) -> Tensor:
        """Pictures as the discriminator sees them: augmented, each by its place in the whole batch."""
        places = self.workers.numbers(len(pictures) * self.workers.world)
        return augmented(pictures, self.p, [self._draw(purpose, 1 + place) for place in places])

    def _judged(self, pictures: Tensor, label: Tensor, purpose: int) -> Tensor:
        """The scores of pictures."""
        scores: Tensor = self.discriminator(self._seen(pictures, purpose), label, half=self.half)
        return scores

    def _generator_step(self) -> float:
        with _held(self.discriminator):
            fake, ws, label = self._fakes(_GENERATE, self.recipe.batch)
            loss = generator_loss(self._judged(fake, label, _GENERATE))
            if self.source is not None:
                loss = loss + self.transfer.structure_weight * self._structure(ws)
            return self._learn(self.generator, self.generator_optimiser, loss)

    def _structure(self, ws: Tensor) -> Tensor:
        """How far the pictures of the small blocks are from the source's, with its stored noise in both."""
        assert self.source is not None
        total = ws.new_zeros(())
        for ours, theirs in zip(
            self.generator.synthesis.pictures(ws), self.source.synthesis.pictures(ws.detach()), strict=True
        ):
            if ours.shape[-1] > self.transfer.structure_side:
                break
            total = total + (ours - theirs).square().mean()
        return total

    def _path_step(self) -> float:
        recipe, world = self.recipe, self.workers.world
        count = max(1, recipe.batch // world // _PATH_SHARE) * world
        pictures, ws, _ = self._fakes(_PATH, count)
        directions = self._draw(_PATH, 1).randn(count, *pictures.shape[1:]).astype(np.float32)
        lengths = path_lengths(pictures, ws, self._own(torch.from_numpy(directions)))
        mean = self.path_mean.lerp(self.workers.mean(lengths.mean()), _PATH_DECAY)
        self.path_mean = mean.detach()
        penalty = (lengths - mean).square().mean() * recipe.path_weight * recipe.path_every
        return self._learn(self.generator, self.generator_optimiser, penalty)

    def _real(self) -> tuple[Tensor, Tensor]:
        draw = self._draw(_REAL)
        places = draw.randint(len(self.data), size=self.recipe.batch).tolist()
        mirrored = (draw.rand(self.recipe.batch) < 0.5).tolist() if self.recipe.mirror else [False] * len(places)
        own = self.workers.numbers(self.recipe.batch)
        pictures, label = self.data.batch([places[k] for k in own], [mirrored[k] for k in own])
        return torch.from_numpy(pictures).to(self.device), torch.from_numpy(label).to(self.device)

    def _discriminator_step(self, real: Tensor, label: Tensor) -> float:
        with torch.no_grad():
            fake, _, fake_label = self._fakes(_JUDGE, self.recipe.batch)
        scores = self._judged(real, label, _REAL)
        self.signs.append(float(self.workers.mean(scores.detach().sign().mean())))
        loss = discriminator_loss(self._judged(fake, fake_label, _JUDGE), scores)
        return self._learn(self.discriminator, self.discriminator_optimiser, loss)

    def _r1_step(self, real: Tensor, label: Tensor) -> float:
        with torch.no_grad():
            seen = self._seen(real, _R1)
        seen = seen.detach().clone().requires_grad_()
        penalty = r1_penalty(self.discriminator(seen, label, half=self.half), seen).mean()
        penalty = penalty * (self.recipe.gamma / 2) * self.recipe.r1_every
        return self._learn(self.discriminator, self.discriminator_optimiser, penalty)

    def _learn(self, network: nn.Module, optimiser: torch.optim.Adam, loss: Tensor) -> float:
        """One step of a network's optimiser down the mean of the processes' losses; returns that mean."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.workers.average(network)
        for parameter in network.parameters():
            if parameter.grad is not None:  # gradients that overflowed are cut
                torch.nan_to_num(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5, out=parameter.grad)
        optimiser.step()
        if self.basis is not None and network is self.generator:
            self.basis.project()
        return float(self.workers.mean(loss.detach()))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running mean towards the generator."""
        half_life = float(self.recipe.ema_images)
        if self.recipe.ema_rampup is not None:
            half_life = min(half_life, self.images * self.recipe.ema_rampup)
        beta = 0.5 ** (self.recipe.batch / max(half_life, 1e-8))
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.copy_(value.lerp(mean, beta))
        self.average.mapping.w_avg.copy_(self.generator.mapping.w_avg)

    def save(self, path: Path) -> None:
        """Write a checkpoint that can be drawn with and trained on with."""
        optimisers = {"g": self.generator_optimiser, "d": self.discriminator_optimiser}
        more = {
            f"optimiser.{name}.{index}.{key}": value.detach().cpu().contiguous()
            for name, optimiser in optimisers.items()
            for index, state in optimiser.state_dict()["state"].items()
            for key, value in state.items()
        }
        more["optimiser.path_mean"] = self.path_mean.cpu()
        state = {"images": self.images, "steps": self.steps, "p": self.p, "signs": self.signs}
        notes = {"origin": "trained", _STATE: json.dumps(state)}
        if self.base_sha256:
            notes[BASE] = self.base_sha256
        save_checkpoint(path, Checkpoint(self.average, self.generator, self.discriminator, notes), more)

    def resume(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote. Raises WeightsError for a damaged file, and InvalidValue for another."""
        checkpoint = load_checkpoint(path)
        networks = (checkpoint.generator, checkpoint.trained, checkpoint.discriminator)
        if _STATE not in checkpoint.notes:
            raise InvalidValue(f"{path} is no checkpoint of a training", "begin with it, in place of going on from it")
        for own, stored in zip((self.average, self.generator, self.discriminator), networks, strict=True):
            if stored is None or stored.config != own.config:
                raise InvalidValue(f"{path} holds networks of another configuration", "train in another folder")
            own.load_state_dict(stored.state_dict())
        tensors, _ = open_tensors(path)
        for name, optimiser in (("g", self.generator_optimiser), ("d", self.discriminator_optimiser)):
            whole = optimiser.state_dict()
            for index in range(len(whole["param_groups"][0]["params"])):
                prefix = f"optimiser.{name}.{index}."
                whole["state"][index] = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            whole["state"] = {index: state for index, state in whole["state"].items() if state}
            optimiser.load_state_dict(whole)
        self.path_mean = tensors["optimiser.path_mean"].to(self.device)
        state = json.loads(checkpoint.notes[_STATE])
        self.images, self.steps, self.p, self.signs = (state[name] for name in ("images", "steps", "p", "signs"))


def fresh(
    config: str,
    resolution: int,
    *,
    channels: int = 3,
    c_dim: int = 0,
    width: float = 1.0,
    most: int | None = None,
    z_dim: int = 512,
    seed: int = 0,
) -> Checkpoint:
    """New networks of a published configuration, with the share ``width`` of its channels, drawn by a seed.

    ``most`` is how many channels the small blocks have, by default that share, too. Raises UsageError and InvalidValue
    for a configuration that is none.
    """
    generator, discriminator = published(config, resolution, channels=channels, c_dim=c_dim)
    base, most = int(generator.channel_base * width), most or max(1, int(generator.channel_max * width))
    generator = replace(generator, channel_base=base, channel_max=most, z_dim=z_dim)
    discriminator = replace(discriminator, channel_base=base, channel_max=most)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trained, critic = Generator(generator), Discriminator(discriminator)
    return Checkpoint(trained.requires_grad_(requires_grad=False), discriminator=critic)


def precision(name: str, device: torch.device | str = "cpu") -> torch.dtype | None:
    """The dtype of the largest blocks by its name, None for float32. Raises UsageError for a name that is none.

    ``auto`` is bfloat16 where the device has instructions for it, and float32 elsewhere.
    """
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(torch.device(device)) else None
    names = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in names:
        raise UsageError(f"there is no precision {name!r}", f"choose one of auto, {', '.join(names)}")
    return names[name]


def train(
    trainer: Trainer, run: Path, *, images: int, every: int, on_step: Callable[[Trainer, dict[str, float]], None]
) -> Path:
    """Train up to ``images``, with a checkpoint in the folder ``run`` every so many; go on from one that stands there.

    ``on_step`` hears every step and its losses. Of several processes, the first one writes. Returns the checkpoint's
    path.
    """
    path = run / CHECKPOINT
    if path.exists():
        trainer.resume(path)
    while trainer.images < images:
        before = trainer.images // every
        on_step(trainer, trainer.step())
        if trainer.workers.rank == 0 and (trainer.images // every > before or trainer.images >= images):
            trainer.save(path)
    return path


@contextmanager
def _held(network: nn.Module) -> Iterator[None]:
    """Keep gradients from a network's parameters while another learns through it."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True
