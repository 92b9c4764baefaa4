"""Batches for training: drawn by number, so that a resumed training sees what an uninterrupted one would have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION
from animegen.avatar.data import Dataset, Sample
from animegen.types import Float32Array, Skeleton

AUGMENTATIONS = ("flip", "turn", "noise", "dropout")
"""``flip`` mirrors picture and labels; ``turn`` rotates, scales and shifts; ``noise`` moves points a little;
``dropout`` hides depth, faces, finger tips or single points, as pose backends do."""

_TURN_SHARE = 0.4
_TURN_DEGREES, _TURN_SCALE, _TURN_SHIFT = 20.0, 0.12, 0.05
_POINT_NOISE, _DEPTH_NOISE = 0.003, 0.012
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
        pose = PoseBatch(*(t.to(device, non_blocking=True) for t in (self.pose.xy, self.pose.z, self.pose.score)))
        return Batch(self.truth.to(device, non_blocking=True), pose, self.avatar.to(device), self.expression.to(device))


class BatchSource:
    """Makes batch number n of a training: a function of the dataset, the seed and n alone.

    ``rank`` and ``world`` split each batch of ``size`` over processes; ``augment`` names some of ``AUGMENTATIONS``.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        size: int,
        seed: int,
        augment: Sequence[str] = AUGMENTATIONS,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.size, self.seed, self.augment = data, size, seed, frozenset(augment)
        self.rank, self.world = rank, world

    def batch(self, number: int, stage: int) -> Batch:
        """Batch ``number`` (from 0) for a stage: this process's share of it."""
        rng = np.random.default_rng((self.seed, number))
        indices = rng.integers(len(self.data), size=self.size)[self.rank :: self.world]
        rng = np.random.default_rng((self.seed, number, self.rank, 1))
        samples = [self.data[int(i)] for i in indices]
        truth = _pictures(samples, stage)
        labels = _Labels.of(samples, self.data.header.size)
        skeleton = self.data.header.skeleton
        if "flip" in self.augment:
            _flip(rng, truth, labels, skeleton)
        if "turn" in self.augment:
            _turn(rng, truth, labels)
        if "noise" in self.augment:
            labels.xy += rng.normal(scale=_POINT_NOISE, size=labels.xy.shape).astype(np.float32)
            labels.z += rng.normal(scale=_DEPTH_NOISE, size=labels.z.shape).astype(np.float32)
        if "dropout" in self.augment:
            _drop(rng, labels, skeleton)
        return labels.batch(truth)

    def batches(self, first: int, last: int, stage: int) -> Iterator[Batch]:
        """Batches ``first`` up to, without, ``last``; the next ones are made while one is used."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: list[Future[Batch]] = []
            for number in range(first, last):
                waiting.append(pool.submit(self.batch, number, stage))
                if len(waiting) > 2:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()


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
            xy=np.stack([sample.xy for sample in samples]) / np.float32(size),
            z=np.stack([sample.z for sample in samples]) / np.float32(size),
            score=np.stack([sample.visible for sample in samples]),
            expression=np.stack([sample.expression for sample in samples]),
            avatar=np.array([sample.avatar for sample in samples], np.int64),
        )

    def batch(self, truth: Tensor) -> Batch:
        pose = PoseBatch(torch.from_numpy(self.xy), torch.from_numpy(self.z), torch.from_numpy(self.score))
        return Batch(truth, pose, torch.from_numpy(self.avatar), torch.from_numpy(self.expression))


def _flip(rng: np.random.Generator, truth: Tensor, labels: _Labels, skeleton: Skeleton) -> None:
    """Mirror half of the batch in place: left becomes right."""
    chosen = rng.random(len(labels.xy)) < 0.5
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


def _turn(rng: np.random.Generator, truth: Tensor, labels: _Labels) -> None:
    """Rotate, scale and shift some of the batch around the canvas's middle, in place."""
    count = len(labels.xy)
    chosen = rng.random(count) < _TURN_SHARE
    angle = np.radians(rng.uniform(-_TURN_DEGREES, _TURN_DEGREES, count)) * chosen
    scale = np.exp(rng.uniform(-_TURN_SCALE, _TURN_SCALE, count) * chosen)
    shift = rng.uniform(-_TURN_SHIFT, _TURN_SHIFT, (count, 2)) * chosen[:, None]
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


def _drop(rng: np.random.Generator, labels: _Labels, skeleton: Skeleton) -> None:
    """Hide what a pose backend may not know, in place."""
    count = len(labels.z)
    labels.z[rng.random(count) < _NO_DEPTH] = 0
    face = np.array([name in _FACE for name in skeleton.points])
    labels.score[(rng.random(count) < _NO_FACE)[:, None] & face] = 0
    tips = np.array([name.endswith("_tip") for name in skeleton.points])
    labels.score[(rng.random(count) < _NO_TIPS)[:, None] & tips] = 0
    labels.score[rng.random(labels.score.shape) < _NO_POINT] = 0
