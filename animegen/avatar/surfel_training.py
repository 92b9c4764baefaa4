"""What surfels show, learned from renders: their colours, and which of them stand where something else is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from animegen.avatar.data import Dataset, Sample
from animegen.avatar.layers import FIXED, SHADES
from animegen.avatar.surfel_generator import SAMPLES, SurfelFigure, shown
from animegen.avatar.surfels import Morph, SurfelAvatar
from animegen.ops.splat import NOTHING
from animegen.types import Skeleton

_STEP = 600
"""Pictures that are looked at before the colours change."""
_RATE = 0.7
"""How much of the mean residual a step takes back."""
_STEADY = 20.0
"""So many samples of no residual are added to those that a surfel shows in a step: what is seldom seen moves little."""
_SOLVED_TOGETHER = 32
_OTHER = 96.0
"""Sum of the differences in all layers, in levels, from which a sample counts as showing something else."""
_MOSTLY, _ENOUGH = 1.1, 30
"""A surfel that shows something else in this share of at least so many samples is in the way."""
_PARTLESS = 6


@dataclass(frozen=True, slots=True)
class Fit:
    """An avatar whose surfels were fitted, how many were in the way, and the mean absolute residual, in levels, of the
    samples that it covers, of the first and the last step."""

    avatar: SurfelAvatar
    removed: int
    residual: tuple[float, float]


def fit_surfels(avatar: SurfelAvatar, skeleton: Skeleton, data: Dataset, *, images: int, seed: int = 0) -> Fit:
    """Fit an avatar's surfels to the renders of a dataset that show it.

    Bones and camera are solved from each sample's points, as in drawing, so what the solver leaves wrong everywhere is
    made up for. Colours follow by simultaneous reconstruction (SIRT, Gilbert 1972): each surfel takes back the mean of
    the residuals of the samples that show it. ``images``: how many samples are looked at, drawn by ``seed``, again and
    again where the dataset has fewer. A dataset that never shows the avatar changes nothing.
    """
    names = [entry.name for entry in data.header.avatars]
    rows = np.zeros(0, np.intp)
    if avatar.about["name"] in names:
        rows = np.flatnonzero(data.records["avatar"] == names.index(avatar.about["name"]))
    if not len(rows):
        return Fit(avatar, 0, (0.0, 0.0))
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(rows) for _ in range(-(-images // len(rows)))])[:images]
    fitting = _Fitting(SurfelFigure(avatar, skeleton, torch.device("cpu")))
    residuals: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(order), _STEP):
            for sample, matrices, focal in _posed(fitting.figure, data, order[start : start + _STEP].tolist()):
                fitting.look(sample, matrices, focal)
            residuals.append(fitting.step())
    return Fit(*fitting.fitted(), (residuals[0], residuals[-1]))


def _posed(
    figure: SurfelFigure, data: Dataset, indices: Sequence[int]
) -> Iterator[tuple[Sample, np.ndarray[tuple[int, ...], np.dtype[np.float32]], float]]:
    """Samples with their bones and focal lengths."""
    side = np.float32(data.header.size)
    for start in range(0, len(indices), _SOLVED_TOGETHER):
        samples = [data[index] for index in indices[start : start + _SOLVED_TOGETHER]]
        xy = np.stack([(sample.xy + np.float32(0.5)) / side for sample in samples])
        z = np.stack([sample.z for sample in samples]) / side
        posed = figure.solver.solve(xy, z, np.stack([sample.visible for sample in samples]))
        yield from zip(samples, posed.matrices, posed.focal.tolist(), strict=True)


class _Fitting:
    """The sums of one step, and what is kept from step to step."""

    def __init__(self, figure: SurfelFigure) -> None:
        self.figure = figure
        self._colours = figure.scene.colours.clone()
        self._part = torch.from_numpy(figure.avatar.parts.astype(np.int64))
        count = len(self._part)
        self._own = torch.zeros(count, 4)  # sums of residuals: of the part's shade, and of what is fixed
        self._weight = torch.zeros(count)
        self._residual, self._samples = 0.0, 0
        self._seen, self._wrong = torch.zeros(count), torch.zeros(count)

    def look(self, sample: Sample, matrices: np.ndarray[tuple[int, ...], np.dtype[np.float32]], focal: float) -> None:
        """Add the residuals of one sample."""
        stage = sample.layers.shape[0]
        discs = self.figure.discs(matrices, focal, sample.expression, stage)
        picture, keys = shown(discs, self._colours, stage)
        rows, columns = torch.nonzero(keys != NOTHING, as_tuple=True)
        disc = keys[rows, columns] & 0xFFFFFFFF
        surfel, gain = discs.surfels[disc], discs.gains[disc]
        wanted = torch.from_numpy(np.ascontiguousarray(sample.layers)).float()
        at = rows // SAMPLES, columns // SAMPLES
        residual = (wanted - picture)[at]
        shade = residual[:, SHADES].gather(1, self._part[surfel].clamp_max(_PARTLESS - 1)[:, None])
        shade *= (self._part[surfel] < _PARTLESS)[:, None]
        away = (wanted[at] - discs.values(self._colours)[disc]).abs().sum(dim=1)
        gain = gain * (away <= _OTHER)[:, None]
        self._own.index_add_(0, surfel, torch.cat([shade, residual[:, FIXED]], dim=1) * gain)
        self._weight.index_add_(0, surfel, gain[:, 0] ** 2)
        self._seen.index_add_(0, surfel, torch.ones_like(away))
        self._wrong.index_add_(0, surfel, (away > _OTHER).float())
        self._residual += float(residual.abs().mean(dim=1).sum())
        self._samples += len(residual)

    def step(self) -> float:
        """Change the colours by what was summed; the mean absolute residual of it, in levels."""
        change = _RATE * self._own / (self._weight + _STEADY)[:, None]
        mine = torch.nonzero(self._part < _PARTLESS)[:, 0]
        self._colours[mine, SHADES.start + self._part[mine]] += change[mine, 0]
        self._colours[:, FIXED] += change[:, 1:]
        self._colours.clamp_(0, 255)
        mean = self._residual / max(self._samples, 1)
        self._own.zero_()
        self._weight.zero_()
        self._residual, self._samples = 0.0, 0
        return mean

    def fitted(self) -> tuple[SurfelAvatar, int]:
        """The avatar as it was learned, without what is in the way, and how many surfels that were."""
        avatar = self.figure.avatar
        in_the_way = (self._seen >= _ENOUGH) & (self._wrong > _MOSTLY * self._seen)
        kept = torch.nonzero(~in_the_way)[:, 0].numpy()
        levels = self._colours.round().to(torch.uint8).numpy()
        place = SHADES.start + np.minimum(avatar.parts, _PARTLESS - 1).astype(np.int64)
        shades = np.where(avatar.parts < _PARTLESS, levels[np.arange(len(levels)), place], 0).astype(np.uint8)
        learned = replace(avatar, shades=shades, fixed=levels[:, FIXED])
        return _chosen(learned, kept), int(in_the_way.sum())


def _chosen(avatar: SurfelAvatar, kept: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> SurfelAvatar:
    """The avatar with some of its surfels, in their order."""
    number = np.full(len(avatar.positions), -1, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    morphs = {}
    for name, morph in avatar.morphs.items():
        there = number[morph.surfels] >= 0
        morphs[name] = Morph(number[morph.surfels[there]], morph.offsets[there])
    own = ("positions", "normals", "radii", "bones", "weights", "parts", "shades", "fixed", "materials")
    return replace(avatar, **{name: getattr(avatar, name)[kept] for name in own}, morphs=morphs)
