"""How good an avatar generator is, on samples of a dataset that it was not trained on.

Every sample is drawn by the generator and coloured, like the truth, by a palette drawn for it at random. What is
measured of every sample stands in :data:`METRICS`; keypoints, steadiness and feature sets have modules of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from animegen.avatar.data import FRAMINGS, Dataset, Split
from animegen.avatar.drawing import Draws
from animegen.events import Listener, ignore
from animegen.measure.pictures import (
    alpha_iou,
    foreground_psnr,
    foreground_ssim,
    over_grey,
    part_colour_errors,
    soft_iou,
    summary,
)
from animegen.pipeline.avatar_keypoints import fidelities
from animegen.pipeline.avatar_pairs import Pair, Pairs
from animegen.pipeline.avatar_steadiness import film_steadiness, steadiness
from animegen.pipeline.extractors import Extractor, feature_distances, feature_extractor
from animegen.pipeline.progress import stage
from animegen.types import PARTS, Float64Array
from animegen.weights import sha256_of

MOVED = 32
"""Samples whose poses are moved to see how steadily the picture follows: each costs seven sprites."""

FEW = 2
"""Pictures without which there is no distance of feature sets."""

SHOWN = 6
"""Samples shown of the best, of those in the middle and of the worst."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of the report: its title and unit, which way is better, and which statistic stands for it."""

    title: str
    unit: str
    higher_is_better: bool
    statistic: Literal["mean", "median"] = "mean"


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "iou": Metric("Alpha IoU at half coverage", "", True),
        "soft_iou": Metric("Soft alpha IoU", "", True),
        "psnr": Metric("Foreground PSNR", "dB", True),
        "ssim": Metric("Foreground SSIM", "", True),
        "colour": Metric("Part colours", "CIEDE2000", False, "median"),
    }
)
"""What is measured of every sample."""

LIMITS = (*METRICS, "keypoints", "keypoints_given", "fid", "kid", "warp")
"""What ``--fail-under`` can name: those above, the ratios of keypoint errors (the picture searched; the region given),
the distances of features, and the ratio of warp errors along films."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is measured and how; ``pose`` is a pose backend's name, empty for none.

    ``features``: as :func:`animegen.pipeline.extractors.feature_extractor` has it; ``device`` is where they are told.
    """

    split: Split = "test"
    size: int = 256
    count: int = 200
    seed: int = 0
    pose: str = "blazepose"
    features: Path | None = None
    films: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The figures as plain JSON values, and what was measured: ``values`` by metric, aligned with ``indices``."""

    figures: dict[str, Any]
    pairs: Pairs
    indices: tuple[int, ...]
    values: Mapping[str, Float64Array]

    def ranked(self) -> dict[str, list[int]]:
        """Positions in the dataset of the best, the median and the worst samples by PSNR."""
        psnr = self.values["psnr"]
        order = [self.indices[k] for k in np.argsort(-psnr, kind="stable") if np.isfinite(psnr[k])]
        shown = min(SHOWN, len(order))
        middle = (len(order) - shown) // 2
        return {"best": order[:shown], "median": order[middle : middle + shown], "worst": order[len(order) - shown :]}

    def worse_than(self, limits: Mapping[str, float]) -> list[str]:
        """One line for each limit that is not kept. A figure that was not measured keeps none."""
        lines = []
        for name, limit in limits.items():
            value = self._figure(name)
            higher = name in METRICS and METRICS[name].higher_is_better
            if value is None:
                lines.append(f"{name} was not measured, {limit:g} was asked for")
            elif value < limit if higher else value > limit:
                lines.append(f"{name} is {value:.4g}, {limit:g} at {'least' if higher else 'most'} was asked for")
        return lines

    def _figure(self, name: str) -> float | None:
        if name in METRICS:
            value = self.figures["metrics"][name]["overall"][METRICS[name].statistic]
        elif name in {"fid", "kid"}:
            value = self.figures["features"].get(name)
        elif name == "warp":
            value = self.figures["films"].get("ratio")
        else:
            way = {"keypoints": "found", "keypoints_given": "given region"}[name]
            value = self.figures["keypoints"].get(way, {}).get("ratio")
        return None if value is None else float(value)


def evaluate_avatar(
    generator: Draws, data: Path, options: EvaluationOptions, weights: Path | None = None, on_event: Listener = ignore
) -> Evaluation:
    """Measure a generator on a split of the dataset in ``data``; ``weights`` is the file it was read from.

    Raises InputError when the dataset is damaged, UsageError when it has no samples of the generator's avatars or is
    smaller than the size, PluginError or WeightsError when the pose backend or the feature model cannot be had.
    """
    pairs = Pairs(Dataset(data, options.split), generator, options.size)
    indices = pairs.chosen(options.count, options.seed)
    palettes = [pairs.random_palette(index, options.seed) for index in indices]
    looks = fidelities(options.pose, pairs.data.header.skeleton, on_event) if options.pose else {}
    extractor = feature_extractor(options.features, options.device) if options.features else None
    rows: list[Float64Array] = []
    grounds: list[tuple[Float64Array, ...]] = []
    with stage("measure", len(indices), on_event) as advance:
        for pair in pairs.drawn(indices, palettes):
            rows.append(_measured(pair))
            for look in looks.values():
                look.add(pair)
            if extractor:
                grounds.append(tuple(extractor([over_grey(side)])[0] for side in (pair.truth, pair.output)))
            advance(1)
    values = _by_metric(np.stack(rows))
    moved = _spread(len(indices), MOVED)
    figures = {
        **_heading(pairs, options, indices, weights),
        "metrics": _metrics(values, pairs, indices),
        "part_colours": {part: summary(values["colour"][:, k], higher_is_better=False) for k, part in enumerate(PARTS)},
        "keypoints": {name: look.summary() for name, look in looks.items()},
        "steadiness": steadiness(pairs, [indices[k] for k in moved], [palettes[k] for k in moved]),
        "features": _features(extractor, grounds),
        "films": _films(generator, options),
    }
    return Evaluation(figures, pairs, tuple(indices), values)


def _measured(pair: Pair) -> Float64Array:
    """The metrics of one pair in the order of :data:`METRICS`, colours last: f64 [10]."""
    truth, output = pair.truth, pair.output
    measures = (alpha_iou, soft_iou, foreground_psnr, foreground_ssim)
    colours = part_colour_errors(truth, output, pair.parts)
    return np.array([*(measure(truth, output) for measure in measures), *colours])


def _by_metric(rows: Float64Array) -> dict[str, Float64Array]:
    *single, colour = METRICS
    return {**{name: rows[:, k] for k, name in enumerate(single)}, colour: rows[:, len(single) :]}


def _metrics(values: Mapping[str, Float64Array], pairs: Pairs, indices: Sequence[int]) -> dict[str, Any]:
    """Each metric over all samples, and over those of each avatar and of each framing."""
    records = pairs.data.records[list(indices)]
    groups = {"avatars": (records["avatar"], pairs.names), "framings": (records["framing"], FRAMINGS)}
    return {
        name: {
            "title": metric.title,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "overall": summary(values[name], higher_is_better=metric.higher_is_better),
            **{
                group: {
                    names[k]: summary(values[name][labels == k], higher_is_better=metric.higher_is_better)
                    for k in np.unique(labels)
                }
                for group, (labels, names) in groups.items()
            },
        }
        for name, metric in METRICS.items()
    }


def _heading(pairs: Pairs, options: EvaluationOptions, indices: Sequence[int], weights: Path | None) -> dict[str, Any]:
    """What was measured on what."""
    header = pairs.data.header
    clips = sorted({header.clips[int(clip)].name for clip in pairs.data.records["clip"][list(indices)]})
    return {
        "weights": weights and {"file": weights.name, "sha256": sha256_of(weights)},
        "data": {"folder": pairs.data.folder.name, "split": options.split, "clips": clips, "made_by": header.made_by},
        "samples": len(indices),
        "of": len(pairs.data),
        "left_out": len(pairs.data) - len(pairs.indices),
        "size": pairs.size,
        "stage": pairs.stage,
        "seed": options.seed,
        "pose": options.pose or None,
    }


def _features(extractor: Extractor | None, found: Sequence[tuple[Float64Array, ...]]) -> dict[str, Any]:
    """FID and KID between the truths and the outputs, on grey."""
    if extractor is None:
        return {"measured": False, "why": "no feature model was named (--features FILE)"}
    truth, output = (np.stack(side) for side in zip(*found, strict=True))
    if len(truth) < FEW:
        return {"measured": False, "why": f"{len(truth)} pictures are fewer than {FEW}", "model": extractor.name}
    return {"measured": True, "pictures": len(truth), **feature_distances(extractor, truth, output)}


def _films(generator: Draws, options: EvaluationOptions) -> dict[str, Any]:
    """Warp errors along the films of another dataset, where one is named."""
    if options.films is None:
        return {"measured": False, "why": "no dataset of consecutive frames was named (--films FOLDER)"}
    films = Pairs(Dataset(options.films, options.split), generator, options.size)
    return {"measured": True, "folder": options.films.name, **film_steadiness(films, options.seed)}


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly apart."""
    return sorted({round(float(k)) for k in np.linspace(0, count - 1, min(count, most))})
