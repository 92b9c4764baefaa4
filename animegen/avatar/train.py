"""Training of an avatar generator: the loop that every recipe shares."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from animegen.avatar.anime_objective import AnimeObjective
from animegen.avatar.batches import Batch, BatchSource, plain_batch
from animegen.avatar.checkpoint import load_tensors, restore, save_tensors
from animegen.avatar.data import Dataset
from animegen.avatar.objective import Moment, Objective, Setting
from animegen.avatar.psgan_objective import PsganObjective
from animegen.avatar.recipes import DEFAULT_AUGMENTATIONS, Recipe
from animegen.avatar.run_folder import RunFolder
from animegen.avatar.sheets import write_curves, write_grid
from animegen.errors import UsageError, WeightsError
from animegen.parallel import Workers

_OBJECTIVES: Mapping[str, Callable[[Setting], Objective]] = MappingProxyType(
    {"anime": AnimeObjective, "anime-head": AnimeObjective, "anime-hand": AnimeObjective, "psgan-2018": PsganObjective}
)
_VALIDATION_SAMPLES = 64
_GRID_SAMPLES = 16
_MOST_LOADERS = 8


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
    augment: tuple[str, ...] = DEFAULT_AUGMENTATIONS
    init: Path | None = None
    restart: bool = False

    def identity(self) -> dict[str, Any]:
        """What decides what is learned, by the command line's names: a run goes on only with the same."""
        phases = self.recipe.phases
        return {
            "config": self.recipe.name,
            "stages": [phase.stage for phase in phases],
            "batch": [phase.batch for phase in phases],
            "adversarial": phases[-1].adversarial,
            "rate": self.recipe.rate,
            "seed": self.seed,
            "augment": sorted(self.augment),
            "init": None if self.init is None else self.init.name,
            **({"only faces": True} if self.recipe.only_faces else {}),
            **({"judge first": self.recipe.judge_first} if self.recipe.judge_first else {}),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands: what its log lines say.

    ``network_share`` is the share of the loop's time in which no batch was waited for.
    """

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
    """Wall time of the loop, and how much of it went by waiting for batches."""

    began: float = field(default_factory=time.perf_counter)
    waiting: float = 0.0
    images: int = 0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, with the time until each is there."""
        waits = time.perf_counter()
        for batch in batches:
            self.waiting += time.perf_counter() - waits
            yield batch
            waits = time.perf_counter()


class Trainer:
    """One training: an objective, its data, and how far it has come."""

    def __init__(self, options: TrainOptions, workers: Workers) -> None:
        self.options, self.workers, self.folder = options, workers, RunFolder(options.run)
        self.data, self.validation = Dataset(options.data, "train"), Dataset(options.data, "validation")
        self._check()
        self.device = torch.device(options.device)
        torch.manual_seed(options.seed)
        setting = Setting(self.data.header, options.recipe, self.device, workers, options.init)
        self.objective = _OBJECTIVES[options.recipe.name](setting)
        self.images = 0
        self.steps = 0
        for network in self.objective.networks.values():
            workers.same(network)

    def _check(self) -> None:
        options, size = self.options, self.data.header.size
        if not len(self.data):
            raise UsageError(
                f"{options.data} holds no samples of the split 'train'", "make more with `animegen vrm dataset`"
            )
        if options.recipe.resolution > size:
            raise UsageError(
                f"{options.data} has pictures of {size} px, too small for a stage of {options.recipe.resolution}",
                f"give --resolution {size}, or render a dataset of that --size",
            )
        for phase in options.recipe.phases:
            self.workers.split(phase.batch)

    def train(self, on_progress: Callable[[Progress], None], cancelled: Callable[[], bool] = lambda: False) -> None:
        """Go on from where it stands to the end, or until cancelled; a checkpoint is written either way."""
        while self.images < self.options.images:
            self.data.refresh()
            clock = _Clock()
            terms, stopped = self._stretch(clock, cancelled)
            if self.workers.rank == 0:
                if not stopped:
                    progress = self._progress(terms, clock)
                    self._record(progress)
                    on_progress(progress)
                self.save()
            if stopped:
                return

    def _stretch(self, clock: _Clock, cancelled: Callable[[], bool]) -> tuple[Mapping[str, Tensor], bool]:
        """Steps up to the next checkpoint or the phase's end; returns the last step's terms, and whether cancelled."""
        options = self.options
        phase, _, end = options.recipe.at(self.images, options.images)
        until = min(end, (self.images // options.every + 1) * options.every)
        steps = math.ceil((until - self.images) / phase.batch)
        source = BatchSource(
            self.data,
            size=phase.batch,
            seed=options.seed,
            augment=options.augment,
            often=options.recipe.often,
            samples=self.workers.least(len(self.data)),
            rank=self.workers.rank,
            world=self.workers.world,
        )
        batches = source.batches(
            self.steps, self.steps + steps, phase.stage, loaders=self._loaders(), pinned=self.device.type == "cuda"
        )
        terms: Mapping[str, Tensor] = {}
        for batch in clock.watch(batches):
            if self.workers.any(cancelled()):
                return terms, True
            terms = self.objective.step(batch.to(self.device), self._moment(self.images))
            clock.images += phase.batch
            self.images += phase.batch
            self.steps += 1
        return terms, False

    def _loaders(self) -> int:
        """Threads that make batches: one beside networks on the processor, a share of it beside a quick device."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(_MOST_LOADERS, (os.cpu_count() or 1) // self.workers.world))

    def _moment(self, image: int) -> Moment:
        recipe, images = self.options.recipe, self.options.images
        phase, begin, end = recipe.at(image, images)
        fade = min(1.0, (image - begin) / (end - begin)) if phase.fade else 1.0
        judging = phase.adversarial > 0 and image - begin < recipe.judge_first
        return Moment(phase, fade, recipe.rate_at(image, images), self.steps, self.options.seed, judging)

    def _progress(self, terms: Mapping[str, Tensor], clock: _Clock) -> Progress:
        plain = {name: round(float(term), 5) for name, term in terms.items()}  # waits for the device
        spent = time.perf_counter() - clock.began
        moment = self._moment(self.images - 1)
        speed = clock.images / spent
        return Progress(
            images=self.images,
            of=self.options.images,
            stage=moment.phase.stage,
            terms={**plain, **self._validate(moment)},
            rate=moment.rate,
            images_per_second=speed,
            network_share=1 - clock.waiting / spent,
            seconds_left=max(0.0, (self.options.images - self.images) / speed),
        )

    def _validate(self, moment: Moment) -> dict[str, float]:
        """The objective's figures on clips that are never trained on; writes the sample grid."""
        count = min(_VALIDATION_SAMPLES, len(self.validation))
        if not count:
            return {}
        batch = plain_batch(self.validation, range(count), moment.phase.stage).to(self.device)
        trial = self.objective.trial(batch, moment)
        write_grid(self.folder.grids, self.images, trial.pictures[:_GRID_SAMPLES])
        return {name: round(value, 5) for name, value in trial.terms.items()}

    def _record(self, progress: Progress) -> None:
        with self.folder.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(progress)) + "\n")
        write_curves(self.folder.curves, self.folder.log)

    def save(self) -> None:
        """Write the checkpoint to go on from, and the averaged weights to draw with."""
        tensors = {
            f"{name}/{key}": value.detach().cpu().contiguous()
            for name, network in self.objective.networks.items()
            for key, value in network.state_dict().items()
        }
        for name, optimiser in self.objective.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {
                    f"{name}/{index}/{key}": torch.as_tensor(value).cpu().contiguous() for key, value in state.items()
                }
        notes = {"images": str(self.images), "recipe": self.options.recipe.name}
        save_tensors(self.folder.checkpoint, tensors, {**notes, "steps": str(self.steps)})
        self.objective.save(self.folder.weights, notes)

    def resume(self) -> bool:
        """Take up the run's checkpoint; False when there is none. Raises WeightsError naming one that does not fit."""
        path = self.folder.checkpoint
        if not path.exists():
            return False
        tensors, counts = load_tensors(path)
        if counts.get("recipe") != self.options.recipe.name or not {"images", "steps"} <= counts.keys():
            raise WeightsError(
                f"{path} is no checkpoint of recipe '{self.options.recipe.name}': its recipe is {counts.get('recipe')}",
                "choose another folder with -o, or begin anew with --restart",
            )
        for name, network in self.objective.networks.items():
            restore(network, _under(tensors, name), path)
        for name, optimiser in self.objective.optimisers.items():
            _restore_optimiser(optimiser, _under(tensors, name))
        self.images, self.steps = int(counts["images"]), int(counts["steps"])
        return True


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def train_avatar(
    options: TrainOptions,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Trainer:
    """Train, or go on with the training that stands in ``options.run``. Returns the trainer with its final networks.

    ``cancelled`` is asked before each step. Raises UsageError when the data holds nothing to train on, JobError when
    the folder holds a training of other options, InputError for damaged data, WeightsError for a damaged checkpoint.
    """
    torch.set_num_threads(options.threads)
    with Workers.from_environment(options.device) as workers:
        if workers.rank == 0:
            RunFolder(options.run).claim(options.identity(), restart=options.restart)
        workers.wait()
        trainer = Trainer(options, workers)
        trainer.resume()
        trainer.train(on_progress, cancelled)
        return trainer
