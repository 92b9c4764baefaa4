"""Batches for training: drawn by number, so that a resumed training sees what an uninterrupted one would have seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION
from animegen.avatar.data import FRAMINGS, Dataset, Sample
from animegen.avatar.layers import SHADES
from animegen.avatar.recipes import DEFAULT_AUGMENTATIONS
from animegen.types import Float32Array, Skeleton

_EVENLY: Mapping[str, float] = MappingProxyType({})
_TURN_SHARE = 0.4
_TURN_DEGREES, _TURN_SCALE, _TURN_SHIFT = 20.0, 0.12, 0.05
_POINT_NOISE, _FACE_NOISE, _DEPTH_NOISE = 0.0015, 0.0006, 0.006
"""In canvas sides. Whatever noise hides is learned as blur, faces' mouths first: so it is small."""
_SHADE_GAIN = 0.1
_NO_DEPTH, _NO_FACE, _NO_TIPS, _NO_POINT = 0.1, 0.06, 0.5, 0.02
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
_BLINK_L, _BLINK_R, _GAZE_X = (EXPRESSION.index(name) for name in ("blink_l", "blink_r", "gaze_x"))


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of training needs: truth f32 [B, 10, S, S] in 0..1, and what the generator is asked with."""

    truth: Tensor
    pose: PoseBatch
    avatar: Tensor
    expression: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """The same batch in memory that a CUDA device copies from by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        pose = PoseBatch(change(self.pose.xy), change(self.pose.z), change(self.pose.score))
        return Batch(change(self.truth), pose, change(self.avatar), change(self.expression))


class BatchSource:
    """Makes batch number n of a training: a function of the dataset, the seed and n alone.

    ``augment`` names some of :data:`animegen.avatar.recipes.AUGMENTATIONS`; ``often`` weighs framings, which count 1
    where it names them not; only the first ``samples`` of the dataset
    are drawn from (default: all). ``rank`` and ``world`` split each batch of ``size`` over processes: together they get
    the batch that one process would get.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        size: int,
        seed: int,
        augment: Sequence[str] = DEFAULT_AUGMENTATIONS,
        often: Mapping[str, float] = _EVENLY,
        samples: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.size, self.seed, self.augment = data, size, seed, frozenset(augment)
        self.samples = len(data) if samples is None else samples
        self.rank, self.world = rank, world
        weights = np.array([often.get(framing, 1.0) for framing in FRAMINGS])
        self._chances = weights[data.records["framing"][: self.samples]].cumsum() if often else None

    def batch(self, number: int, stage: int) -> Batch:
        """Batch ``number`` (from 0) for a stage: this process's share of it."""
        rng = np.random.default_rng((self.seed, number))
        indices = self._drawn(rng)[self.rank :: self.world]
        draws = _Draws(np.random.default_rng((self.seed, number, 0, 1)), self.size, self.rank, self.world)
        samples = [self.data[int(i)] for i in indices]
        truth = _pictures(samples, stage)
        labels = _Labels.of(samples, self.data.header.size)
        skeleton = self.data.header.skeleton
        if "flip" in self.augment:
            _flip(draws, truth, labels, skeleton)
        if "turn" in self.augment:
            _turn(draws, truth, labels)
        if "noise" in self.augment:
            _disturb(draws, labels, skeleton)
        if "dropout" in self.augment:
            _drop(draws, labels, skeleton)
        if "shade" in self.augment:
            _shade(draws, truth)
        return labels.batch(truth)

    def _drawn(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Which samples make up a batch."""
        if self._chances is None:
            return rng.integers(self.samples, size=self.size)
        drawn = rng.random(self.size) * self._chances[-1]
        return np.asarray(np.searchsorted(self._chances, drawn, "right"), np.int64)

    def batches(self, first: int, last: int, stage: int, *, loaders: int = 1, pinned: bool = False) -> Iterator[Batch]:
        """Batches ``first`` up to, without, ``last``, in order; ``loaders`` threads make the next ones meanwhile."""

        def make(number: int) -> Batch:
            batch = self.batch(number, stage)
            return batch.pinned() if pinned else batch

        # several loaders would fight over the processors if each of their operations took all of them
        alone = (lambda: None) if loaders == 1 else (lambda: torch.set_num_threads(1))
        pool = ThreadPoolExecutor(loaders, thread_name_prefix="batches", initializer=alone)
        waiting: deque[Future[Batch]] = deque()
        try:
            for number in range(first, last):
                waiting.append(pool.submit(make, number))
                if len(waiting) > loaders + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random numbers for one process's share of a batch: drawn for the whole batch, so that splitting changes none."""

    rng: np.random.Generator
    size: int
    rank: int
    world: int

    def random(self, *shape: int) -> NDArray[np.float64]:
        """From 0 up to 1, [share, *shape]."""
        return self.rng.random((self.size, *shape))[self.rank :: self.world]

    def uniform(self, reach: float, *shape: int) -> NDArray[np.float64]:
        """From -reach to reach, [share, *shape]."""
        return self.rng.uniform(-reach, reach, (self.size, *shape))[self.rank :: self.world]

    def normal(self, scale: float, *shape: int) -> NDArray[np.float64]:
        """Around 0, [share, *shape]."""
        return self.rng.normal(scale=scale, size=(self.size, *shape))[self.rank :: self.world]


def plain_batch(data: Dataset, indices: Sequence[int], stage: int) -> Batch:
    """Samples as they are, for validation and sample grids."""
    samples = [data[i] for i in indices]
    return _Labels.of(samples, data.header.size).batch(_pictures(samples, stage))


def _pictures(samples: Sequence[Sample], stage: int) -> Tensor:
    """Layers at the stage's side, f32 [B, 10, stage, stage] in 0..1."""
    planes = torch.from_numpy(np.stack([sample.layers.transpose(2, 0, 1) for sample in samples]))
    truth = planes.float().div_(255)
    side = truth.shape[-1]
    return functional.avg_pool2d(truth, side // stage) if side > stage else truth


@dataclass(slots=True)
class _Labels:
    """What is known of a batch's pictures, in canvas sides, to be changed in place by augmentation."""

    xy: Float32Array
    z: Float32Array
    score: Float32Array
    expression: Float32Array
    avatar: NDArray[np.int64]

    @classmethod
    def of(cls, samples: Sequence[Sample], size: int) -> _Labels:
        return cls(
            # The centre of a dataset's first pixel is 0, that of a canvas half a pixel from 0.
            xy=(np.stack([sample.xy for sample in samples]) + np.float32(0.5)) / np.float32(size),
            z=np.stack([sample.z for sample in samples]) / np.float32(size),
            score=np.stack([sample.visible for sample in samples]),
            expression=np.stack([sample.expression for sample in samples]),
            avatar=np.array([sample.avatar for sample in samples], np.int64),
        )

    def batch(self, truth: Tensor) -> Batch:
        pose = PoseBatch(torch.from_numpy(self.xy), torch.from_numpy(self.z), torch.from_numpy(self.score))
        return Batch(truth, pose, torch.from_numpy(self.avatar), torch.from_numpy(self.expression))


def _flip(draws: _Draws, truth: Tensor, labels: _Labels, skeleton: Skeleton) -> None:
    """Mirror half of the batch in place: left becomes right."""
    chosen = draws.random() < 0.5
    where = torch.from_numpy(chosen)
    truth[where] = truth[where].flip(-1)
    order = np.arange(len(skeleton))
    for a, b in skeleton.flip_pairs:
        order[[a, b]] = b, a
    for array in (labels.xy, labels.z, labels.score):
        array[chosen] = array[chosen][:, order]
    labels.xy[chosen, :, 0] = 1 - labels.xy[chosen, :, 0]
    faces = labels.expression[chosen]
    faces[:, [_BLINK_L, _BLINK_R]] = faces[:, [_BLINK_R, _BLINK_L]]
    faces[:, _GAZE_X] *= -1
    labels.expression[chosen] = faces


def _turn(draws: _Draws, truth: Tensor, labels: _Labels) -> None:
    """Rotate, scale and shift some of the batch around the canvas's middle, in place."""
    count = len(labels.xy)
    chosen = draws.random() < _TURN_SHARE
    angle = np.radians(draws.uniform(_TURN_DEGREES)) * chosen
    scale = np.exp(draws.uniform(_TURN_SCALE) * chosen)
    shift = draws.uniform(_TURN_SHIFT, 2) * chosen[:, None]
    forward = np.empty((count, 2, 2))
    forward[:, 0, 0] = forward[:, 1, 1] = np.cos(angle) * scale
    forward[:, 0, 1] = -np.sin(angle) * scale
    forward[:, 1, 0] = np.sin(angle) * scale
    labels.xy[:] = np.einsum("bij,bkj->bki", forward, labels.xy - 0.5) + 0.5 + shift[:, None]
    labels.z *= scale[:, None].astype(np.float32)
    labels.score *= ((labels.xy >= 0) & (labels.xy < 1)).all(axis=-1)
    back = np.linalg.inv(forward[chosen])
    theta = np.concatenate([back, -2 * (back @ shift[chosen, :, None])], axis=2)
    if chosen.any():
        where = torch.from_numpy(np.flatnonzero(chosen))
        picked = truth[where]
        grid = functional.affine_grid(
            torch.from_numpy(theta.astype(np.float32)), list(picked.shape), align_corners=False
        )
        truth[where] = functional.grid_sample(picked, grid, align_corners=False)


def _disturb(draws: _Draws, labels: _Labels, skeleton: Skeleton) -> None:
    """Move points a little, in place."""
    noise = np.array([_FACE_NOISE if name in _FACE else _POINT_NOISE for name in skeleton.points])[:, None]
    labels.xy += (noise * draws.normal(1.0, *labels.xy.shape[1:])).astype(np.float32)
    labels.z += draws.normal(_DEPTH_NOISE, *labels.z.shape[1:]).astype(np.float32)


def _drop(draws: _Draws, labels: _Labels, skeleton: Skeleton) -> None:
    """Hide what a pose backend may not know, in place."""
    labels.z[draws.random() < _NO_DEPTH] = 0
    face = np.array([name in _FACE for name in skeleton.points])
    labels.score[(draws.random() < _NO_FACE)[:, None] & face] = 0
    tips = np.array([name.endswith("_tip") for name in skeleton.points])
    labels.score[(draws.random() < _NO_TIPS)[:, None] & tips] = 0
    labels.score[draws.random(len(skeleton)) < _NO_POINT] = 0


def _shade(draws: _Draws, truth: Tensor) -> None:
    """Lighten or darken each part, in place.

    A gain and no gamma: planes are coverage times shade, so a gain leaves edges where they are and a gamma would not.
    """
    gains = torch.from_numpy(np.exp(draws.uniform(_SHADE_GAIN, truth[:, SHADES].shape[1])).astype(np.float32))
    truth[:, SHADES] = (truth[:, SHADES] * gains[..., None, None]).clamp_max(1)
