"""Training of the avatar generator."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.batches import AUGMENTATIONS, Batch, BatchSource, plain_batch
from animegen.avatar.checkpoint import load_generator, load_tensors, restore, save_generator, save_tensors
from animegen.avatar.config import AvatarConfig
from animegen.avatar.data import Dataset
from animegen.avatar.discriminator import Discriminator, coloured
from animegen.avatar.losses import reconstruction_loss
from animegen.avatar.network import Generator
from animegen.avatar.parallel import Workers
from animegen.avatar.precision import has_bfloat16
from animegen.avatar.recipes import Phase, Recipe
from animegen.avatar.run_folder import RunFolder
from animegen.avatar.sheets import write_curves, write_grid
from animegen.errors import UsageError
from animegen.types import Uint8Array

_BETAS = (0.0, 0.99)
_R1_EVERY, _R1_WEIGHT = 16, 1.0
_VALIDATION_SAMPLES = 64
_GRID_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a training is asked to do. ``every`` is the number of images between checkpoints."""

    data: Path
    run: Path
    recipe: Recipe
    images: int
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    every: int = 4000
    augment: tuple[str, ...] = AUGMENTATIONS
    init: Path | None = None
    restart: bool = False

    def identity(self) -> dict[str, Any]:
        """What decides what is learned, by the command line's names: a run goes on only with the same."""
        last = self.recipe.phases[-1]
        return {
            "config": self.recipe.name,
            "resolution": last.stage,
            "batch": [phase.batch for phase in self.recipe.phases],
            "adversarial": last.adversarial,
            "seed": self.seed,
            "augment": sorted(self.augment),
            "init": None if self.init is None else self.init.name,
        }


@dataclass(slots=True)
class Progress:
    """Where a training stands: what its log lines say."""

    images: int
    of: int
    stage: int
    terms: Mapping[str, float]
    rate: float
    images_per_second: float
    network_share: float
    seconds_left: float


@dataclass(slots=True)
class _Clock:
    """Wall time of the loop, and how much of it the networks took."""

    began: float = field(default_factory=time.perf_counter)
    network: float = 0.0
    images: int = 0


class Trainer:
    """One training: the networks, their optimisers and how far it has come."""

    def __init__(self, options: TrainOptions, workers: Workers) -> None:
        self.options, self.workers = options, workers
        self.data = Dataset(options.data, "train")
        if not len(self.data):
            raise UsageError(f"{options.data} holds no samples of the split 'train'", "make more with `vrm dataset`")
        self.validation = Dataset(options.data, "validation")
        self.device = torch.device(options.device)
        self.half = torch.bfloat16 if has_bfloat16(self.device) else None
        torch.manual_seed(options.seed)
        header = self.data.header
        if options.recipe.resolution > header.size:
            raise UsageError(
                f"{options.data} has pictures of {header.size} px, too small for a stage of {options.recipe.resolution}",
                f"give --resolution {header.size}, or render a dataset of that --size",
            )
        largest = max(phase.stage for phase in options.recipe.phases)
        config = AvatarConfig(header.skeleton, len(header.avatars), largest_stage=largest)
        self.generator = Generator(config)
        if options.init is not None:
            self._start_from(options.init)
        self.generator.to(self.device)
        self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.generator.parameters(), lr=0.0, betas=(0.9, 0.99))
        self.discriminator: Discriminator | None = None
        self.critic: torch.optim.Adam | None = None
        self.images = 0
        self.steps = 0
        workers.same(self.generator)

    def _start_from(self, path: Path) -> None:
        """Take over what fits of another generator's weights: grids it has, avatars of the same names."""
        other, avatars = load_generator(path)
        own = self.generator.state_dict()
        taken = {
            name: value for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape and not name.startswith("avatars.")
        }  # fmt: skip
        rows = {entry["name"]: row for row, entry in enumerate(avatars)}
        latents = own["avatars.weight"].clone()
        for row, entry in enumerate(self.data.header.avatars):
            if entry.name in rows:
                latents[row] = other.avatars.weight[rows[entry.name]]
        self.generator.load_state_dict({**own, **taken, "avatars.weight": latents})

    def train(self, on_progress: Callable[[Progress], None], cancelled: Callable[[], bool] = lambda: False) -> None:
        """Go on from where it stands to the end, or until cancelled; a checkpoint is written either way."""
        while self.images < self.options.images and not cancelled():
            self.data.refresh()
            phase, end = self.options.recipe.at(self.images, self.options.images)
            self._enter(phase)
            until = min(end, (self.images // self.options.every + 1) * self.options.every)
            steps = math.ceil((until - self.images) / phase.batch)
            source = BatchSource(
                self.data,
                size=phase.batch,
                seed=self.options.seed,
                augment=self.options.augment,
                rank=self.workers.rank,
                world=self.workers.world,
            )
            clock, terms = _Clock(), {}
            for batch in source.batches(self.steps, self.steps + steps, phase.stage):
                began = time.perf_counter()
                terms = self._step(batch.to(self.device), phase)
                clock.network += time.perf_counter() - began
                clock.images += phase.batch
                self.images += phase.batch
                self.steps += 1
                if cancelled():
                    if self.workers.rank == 0:
                        self.save()
                    return
            if self.workers.rank == 0:
                progress = self._progress(phase, terms, clock)
                self._record(progress)
                on_progress(progress)

    def _enter(self, phase: Phase) -> None:
        """Make what the phase needs that earlier ones did not: the discriminator of its stage."""
        if phase.adversarial and self.discriminator is None:
            self.discriminator = Discriminator(self.generator.config, phase.stage)
            self.discriminator.to(self.device)
            self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.critic = torch.optim.Adam(self.discriminator.parameters(), lr=0.0, betas=_BETAS)
            self.workers.same(self.discriminator)

    def _rate(self) -> float:
        recipe, done = self.options.recipe, self.images / self.options.images
        warm = min(1.0, (self.images + 1) / recipe.warmup)
        fall = recipe.final_rate + (1 - recipe.final_rate) * 0.5 * (1 + math.cos(math.pi * done))
        return recipe.rate * warm * fall

    def _step(self, batch: Batch, phase: Phase) -> dict[str, float]:
        stages = [phase.stage // 2, phase.stage]
        with self._autocast():
            latent = self.generator.avatars(batch.avatar)
            drawn = self.generator(batch.pose, latent, batch.expression, stages)
        loss = reconstruction_loss(
            {s: layers.float() for s, layers in drawn.items()}, batch.truth, batch.pose, self.generator.config.skeleton
        )
        total, terms = loss.total, dict(loss.terms)
        if phase.adversarial and self.discriminator is not None:
            palette = torch.rand(len(batch.avatar), 6, 3, device=self.device)
            fake = coloured(drawn[phase.stage].float(), palette)
            terms |= self._judge(batch, fake.detach(), coloured(batch.truth, palette))
            with self._autocast():
                fooled = functional.softplus(-self.discriminator(fake, batch.pose, batch.avatar)).mean()
            total = total + phase.adversarial * fooled.float()
            terms["fooled"] = fooled.item()
        self._descend(total, self.generator, self.optimiser)
        self._average()
        return terms

    def _judge(self, batch: Batch, fake: Tensor, real: Tensor) -> dict[str, float]:
        """One step of the discriminator: non-saturating logistic loss, with R1 every few steps (Karras et al. 2020)."""
        assert self.discriminator is not None and self.critic is not None
        lazy = self.steps % _R1_EVERY == 0
        real.requires_grad_(lazy)
        with self._autocast(enabled=not lazy):
            seen = self.discriminator(real, batch.pose, batch.avatar)
            drawn = self.discriminator(fake, batch.pose, batch.avatar)
        loss = functional.softplus(-seen.float()).mean() + functional.softplus(drawn.float()).mean()
        if lazy:
            (slope,) = torch.autograd.grad(seen.sum(), real, create_graph=True)
            loss = loss + 0.5 * _R1_WEIGHT * _R1_EVERY * slope.square().sum(dim=(1, 2, 3)).mean()
        self._descend(loss, self.discriminator, self.critic)
        return {"judge": loss.item()}

    def _descend(self, loss: Tensor, network: nn.Module, optimiser: torch.optim.Adam) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.workers.average(network)
        nn.utils.clip_grad_norm_(network.parameters(), self.options.recipe.clip)
        for group in optimiser.param_groups:
            group["lr"] = self._rate()
        optimiser.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average of the weights, shorter at the start."""
        keep = min(self.options.recipe.ema, (1 + self.steps) / (10 + self.steps))
        for kept, own in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            kept.lerp_(own, 1 - keep)

    def _autocast(self, enabled: bool = True) -> torch.autocast:
        return torch.autocast(self.device.type, self.half, enabled=enabled and self.half is not None)

    def _progress(self, phase: Phase, terms: Mapping[str, float], clock: _Clock) -> Progress:
        spent = time.perf_counter() - clock.began
        speed = clock.images / spent
        return Progress(
            images=self.images,
            of=self.options.images,
            stage=phase.stage,
            terms={**terms, **self._validate(phase.stage)},
            rate=self._rate(),
            images_per_second=speed,
            network_share=clock.network / spent,
            seconds_left=(self.options.images - self.images) / speed,
        )

    @torch.no_grad()
    def _validate(self, stage: int) -> dict[str, float]:
        """Alpha IoU and foreground PSNR of the averaged weights on clips that are never trained on."""
        count = min(_VALIDATION_SAMPLES, len(self.validation))
        if not count:
            return {}
        batch = plain_batch(self.validation, range(count), stage).to(self.device)
        drawn = self._draw(batch, stage)
        inside, drawn_inside = batch.truth[:, :1] >= 0.5, drawn[:, :1] >= 0.5
        union = inside | drawn_inside
        iou = ((inside & drawn_inside).sum(dim=(1, 2, 3)) / union.sum(dim=(1, 2, 3)).clamp_min(1)).mean()
        palette = torch.rand(count, 6, 3, generator=torch.Generator().manual_seed(0)).to(self.device)
        error = (coloured(drawn, palette) - coloured(batch.truth, palette))[:, :3].square().mean(dim=1, keepdim=True)
        mse = (error * union).sum(dim=(1, 2, 3)) / union.sum(dim=(1, 2, 3)).clamp_min(1)
        write_grid(self.options.run / "grids", self.images, _pairs(batch.truth, drawn, palette, _GRID_SAMPLES))
        return {"iou": iou.item(), "psnr": (-10 * mse.clamp_min(1e-6).log10()).mean().item()}

    def _draw(self, batch: Batch, stage: int) -> Tensor:
        with self._autocast():
            parts = [
                self.average(
                    type(batch.pose)(batch.pose.xy[i : i + 16], batch.pose.z[i : i + 16], batch.pose.score[i : i + 16]),
                    self.average.avatars(batch.avatar[i : i + 16]),
                    batch.expression[i : i + 16],
                    [stage],
                )[stage].float()
                for i in range(0, len(batch.avatar), 16)
            ]
        return torch.cat(parts)

    def _record(self, progress: Progress) -> None:
        run = self.options.run
        line = json.dumps({**asdict(progress), "terms": {k: round(v, 5) for k, v in progress.terms.items()}})
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        write_curves(run / "curves.png", run / "log.jsonl")
        self.save()

    def save(self) -> None:
        """Write the checkpoint to go on from, and the averaged weights as ``avatar.safetensors``."""
        networks = {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}
        tensors = {
            f"{name}/{key}": value.detach().cpu().contiguous()
            for name, network in networks.items() if network is not None
            for key, value in network.state_dict().items()
        }  # fmt: skip
        for name, optimiser in (("optimiser", self.optimiser), ("critic", self.critic)):
            for index, state in (optimiser.state_dict()["state"] if optimiser else {}).items():
                tensors |= {
                    f"{name}/{index}/{key}": torch.as_tensor(value).cpu().contiguous() for key, value in state.items()
                }
        counts = {"images": str(self.images), "steps": str(self.steps), "recipe": self.options.recipe.name}
        save_tensors(self.options.run / "checkpoint.safetensors", tensors, counts)
        save_generator(
            self.options.run / "avatar.safetensors",
            self.average,
            avatars=[asdict(entry) for entry in self.data.header.avatars],
            dtype=torch.bfloat16,
            notes={"recipe": self.options.recipe.name, "images": str(self.images)},
        )

    def resume(self) -> bool:
        """Take up the run's checkpoint; False when there is none."""
        path = self.options.run / "checkpoint.safetensors"
        if not path.exists():
            return False
        tensors, counts = load_tensors(path)
        self.images, self.steps = int(counts["images"]), int(counts["steps"])
        if any(name.startswith("discriminator/") for name in tensors):
            phases = [phase for phase in self.options.recipe.phases if phase.adversarial]
            if phases:
                self._enter(phases[0])
        networks = {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}
        for name, network in networks.items():
            if network is not None:
                restore(network, _under(tensors, name), path)
        for name, optimiser in (("optimiser", self.optimiser), ("critic", self.critic)):
            if optimiser is not None:
                _restore_optimiser(optimiser, _under(tensors, name))
        return True


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _restore_optimiser(optimiser: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _pairs(truth: Tensor, drawn: Tensor, palette: Tensor, count: int) -> Sequence[tuple[Uint8Array, Uint8Array]]:
    """Truth and drawing side by side as uint8 [s, s, 4], for the sample grid."""
    both = [
        (coloured(layers[:count], palette[:count]).permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
        for layers in (truth, drawn)
    ]
    return list(zip(*both, strict=True))


def train_avatar(
    options: TrainOptions,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Trainer:
    """Train, or go on with a run that stands in ``options.run``. Returns the trainer with its final networks.

    Raises UsageError when the data holds nothing to train on, InputError for damaged data.
    """
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    with Workers.from_environment(options.device) as workers:
        if workers.rank == 0:
            RunFolder(options.run).claim(options.identity(), restart=options.restart)
        trainer = Trainer(options, workers)
        trainer.resume()
        trainer.train(on_progress, cancelled)
        return trainer
