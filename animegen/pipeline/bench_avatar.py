"""Times avatar generators: pictures a second by stage, batch and number format, the parts of drawing alone, and whole
sprites as conversions ask for them.

All variants of a run take turns, together with the matrix product of the same format, so that shares of the machine's
rate are comparable on a machine that does other things too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from animegen.avatar.bench import Poses, draw, in_formats, parts
from animegen.avatar.drawing import Generator
from animegen.avatar.generator import Precision
from animegen.colour import palette_rgb
from animegen.errors import InputError, UsageError
from animegen.measure.cores import usable_cores
from animegen.measure.gemm import device_name, flops, has_cuda, matrix_product
from animegen.measure.timing import timed_in_turns
from animegen.pipeline.anime import AnimeStyle, make_style
from animegen.pipeline.anime_parts import FIGURES
from animegen.pipeline.bench_sprites import sprite_requests
from animegen.protocols import PluginContext
from animegen.types import RenderRequest
from animegen.weights import fetch

ROUNDS = 5
"""Times that each variant is measured."""

THREADS = 2
"""Processor threads that generators may use."""


@dataclass(frozen=True, slots=True)
class DrawTime:
    """One variant of the generator: pictures a second at the median round, the slowest and the fastest."""

    size: int
    batch: int
    precision: str
    sprites: tuple[float, float, float]
    gflop: float
    gemm_gflops: float

    @property
    def gflops(self) -> float:
        """Billions of operations a second of the generator, at the median."""
        return self.sprites[0] * self.gflop

    @property
    def share(self) -> float:
        """That rate over the matrix product's in the same format and run."""
        return self.gflops / self.gemm_gflops


@dataclass(frozen=True, slots=True)
class SpriteTime:
    """Whole sprites: how many a second at the median round, the slowest and the fastest, and what one takes."""

    size: int
    batch: int
    sprites: tuple[float, float, float]
    gflop: float


@dataclass(frozen=True, slots=True)
class PartTime:
    """A part of drawing alone: milliseconds a sprite at the median, the fastest and the slowest round."""

    name: str
    size: int
    batch: int
    milliseconds: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class AvatarBench:
    """What one run measured. ``gemm_gflops`` are by format, median, slowest and fastest round.

    ``draws`` are of the generator alone, ``sprites`` of the style, with colours and firm edges.
    """

    device: str
    weights: str
    gemm_gflops: dict[str, tuple[float, float, float]]
    draws: tuple[DrawTime, ...]
    sprites: tuple[SpriteTime, ...]
    parts: tuple[PartTime, ...]
    network_share: float | None

    def batch_gain(self, size: int, precision: str) -> tuple[int, int, float] | None:
        """The largest and the smallest batch of a size, and how many times faster a picture is in the largest."""
        return _gain([draw for draw in self.draws if (draw.size, draw.precision) == (size, precision)])

    def sprite_gain(self, size: int) -> tuple[int, int, float] | None:
        """The same of whole sprites."""
        return _gain([sprite for sprite in self.sprites if sprite.size == size])


def _gain(found: Sequence[DrawTime | SpriteTime]) -> tuple[int, int, float] | None:
    if len(found) < 2:
        return None
    small, large = (key(found, key=lambda one: one.batch) for key in (min, max))
    return large.batch, small.batch, large.sprites[0] / small.sprites[0]


def bench_avatar(
    weights: Path | None,
    *,
    sizes: Sequence[int],
    batches: Sequence[int],
    device: Literal["cpu", "cuda"],
    log: Path | None,
    tell: Callable[[str], None],
) -> AvatarBench:
    """Measure what draws the avatars in ``weights`` at ``sizes``; without, those that come with animegen.

    ``log`` is the ``log.jsonl`` of a training run, of which the share of time in the networks is read. Raises
    UsageError when there is no such device or stage, WeightsError when the weights cannot be read or used by the style,
    InputError when the log cannot.
    """
    if device == "cuda" and not has_cuda():
        raise UsageError("not measured: PyTorch finds no CUDA device here", "use --device cpu")
    share = None if log is None else network_share(log)
    threads = min(THREADS, usable_cores())
    file = weights or fetch(FIGURES)
    generators = in_formats(file, device=device, threads=threads)
    stages = next(iter(generators.values())).stages
    strange = [size for size in sizes if size not in stages]
    if strange:
        raise UsageError(f"the generator has no stage {strange[0]}", f"its stages are {', '.join(map(str, stages))}")
    style = make_style(None, PluginContext(device, threads, weights={FIGURES: file}))
    asked = {(size, batch): sprite_requests(style, size, batch) for size in sizes for batch in batches}
    tell(f"timing {(len(generators) + 1) * len(asked)} variants in turns, {ROUNDS} rounds")
    gemm, draws, sprites, alone = _measured(generators, style, asked, device)
    return AvatarBench(device_name(device), file.name, gemm, draws, sprites, alone, share)


def _measured(
    generators: Mapping[Precision, Generator],
    style: AnimeStyle,
    asked: Mapping[tuple[int, int], Sequence[RenderRequest]],
    device: Literal["cpu", "cuda"],
) -> tuple[
    dict[str, tuple[float, float, float]], tuple[DrawTime, ...], tuple[SpriteTime, ...], tuple[PartTime, ...]
]:  # fmt: skip
    """Matrix products by format, draws, whole sprites and parts of drawing, all in turns; requests by size and batch.

    Parts are those of the first generator in the largest batch of each size.
    """
    first = next(iter(generators.values()))
    work: dict[tuple[str, int, int, str], Callable[[], object]] = {
        ("gemm", 0, 0, precision): matrix_product(precision == "bf16", device) for precision in generators
    }
    for (size, batch), requests in asked.items():
        poses = _poses(requests)
        for precision, generator in generators.items():
            work["draw", size, batch, precision] = partial(draw, generator, poses, size)
        work["sprite", size, batch, ""] = partial(style.render, requests)
        if batch == max(batch for _, batch in asked):
            work |= {("part", size, batch, name): part for name, part in parts(first, poses, size).items()}
    timings = timed_in_turns(work, ROUNDS)
    operations = flops(device) / 1e9
    gemm = {key[3]: timing.rate(operations) for key, timing in timings.items() if key[0] == "gemm"}
    gflop = {size: first.flops(size) / 1e9 for size, _ in asked}
    draws, sprites, alone = [], [], []
    for (kind, size, batch, name), timing in timings.items():
        if kind == "draw":
            draws.append(DrawTime(size, batch, name, timing.rate(batch), gflop[size], gemm[name][0]))
        elif kind == "sprite":
            taken = style.flops(asked[size, batch][0].prepared) / 1e9
            sprites.append(SpriteTime(size, batch, timing.rate(batch), taken))
        elif kind == "part":
            median, least, most = (1e3 * seconds / batch for seconds in (timing.median, timing.least, timing.most))
            alone.append(PartTime(name, size, batch, (median, least, most)))
    return gemm, tuple(draws), tuple(sprites), tuple(alone)


def _poses(requests: Sequence[RenderRequest]) -> Poses:
    """What the style prepared for all frames of one person."""
    prepared, palette = requests[0].prepared, palette_rgb(requests[0].identity.palette)
    xy, z, score, expression = (prepared[name] for name in ("xy", "z", "score", "expression"))
    return Poses(xy, z, score, expression, int(prepared["avatar"]), palette)


def network_share(log: Path) -> float:
    """The share 0..1 of a training loop's time that its networks took: the median over the log's lines."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
        shares = [float(json.loads(line)["network_share"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{log} is not the log of a training: {error}", "name the log.jsonl of a run") from error
    if not shares:
        raise InputError(f"{log} is empty", "let the training run until its first line")
    return statistics.median(shares)
