"""Times an avatar generator: pictures a second by stage, batch and number format, the parts of drawing alone, and whole
sprites as conversions ask for them.

All variants of a run take turns, together with the matrix product of the same format, so that shares of the machine's
rate are comparable on a machine that does other things too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from animegen.avatar.bench import conditioning, precisions
from animegen.avatar.generator import AvatarGenerator, Precision, load_avatar_generator
from animegen.avatar.layers import colour_layers
from animegen.errors import InputError, UsageError
from animegen.measure.cores import usable_cores
from animegen.measure.gemm import device_name, flops, has_cuda, matrix_product
from animegen.measure.timing import timed_in_turns
from animegen.pipeline.anime_parts import FIGURES, HANDS, HEADS
from animegen.pipeline.bench_sprites import SpriteTime, SpriteWork, sprite_work
from animegen.protocols import PluginContext
from animegen.types import Float32Array
from animegen.weights import fetch

ROUNDS = 5
"""Times that each variant is measured."""

THREADS = 2
"""Processor threads that networks may use."""


@dataclass(frozen=True, slots=True)
class DrawTime:
    """One variant of the network: pictures a second at the median round, the slowest and the fastest."""

    size: int
    batch: int
    precision: str
    sprites: tuple[float, float, float]
    gflop: float
    gemm_gflops: float

    @property
    def gflops(self) -> float:
        """Billions of operations a second of the network, at the median."""
        return self.sprites[0] * self.gflop

    @property
    def share(self) -> float:
        """That rate over the matrix product's in the same format and run."""
        return self.gflops / self.gemm_gflops


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

    ``draws`` are of the network alone, ``sprites`` of the style, with colours, firm edges and the parts that it has.
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

    def sprite_gain(self, size: int, kind: str) -> tuple[int, int, float] | None:
        """The same of whole sprites of a kind."""
        return _gain([sprite for sprite in self.sprites if (sprite.size, sprite.kind) == (size, kind)])


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
    """Measure the generator in ``weights`` at ``sizes``; without, the one that comes with animegen and has parts.

    ``log`` is the ``log.jsonl`` of a training run, of which the share of time in the networks is read. Raises
    UsageError when there is no such device or stage, WeightsError when the weights cannot be read or used by the style,
    InputError when the log cannot.
    """
    if device == "cuda" and not has_cuda():
        raise UsageError("not measured: PyTorch finds no CUDA device here", "use --device cpu")
    share = None if log is None else network_share(log)
    threads = min(THREADS, usable_cores())
    figures = weights or fetch(FIGURES)
    generators = {
        precision: load_avatar_generator(figures, device=device, threads=threads, precision=precision)
        for precision in precisions(device)
    }
    stages = next(iter(generators.values())).stages
    strange = [size for size in sizes if size not in stages]
    if strange:
        raise UsageError(f"the generator has no stage {strange[0]}", f"its stages are {', '.join(map(str, stages))}")
    laid = {} if weights else {name: fetch(name) for name in (HEADS, HANDS)}
    whole = sprite_work(figures, laid, PluginContext(device, threads), sizes=sizes, batches=batches)
    tell(f"timing {len(generators) * len(sizes) * len(batches) + len(whole)} variants in turns, {ROUNDS} rounds")
    gemm, draws, sprites, parts = _measured(generators, whole, sizes, batches)
    return AvatarBench(device_name(device), figures.name, gemm, draws, sprites, parts, share)


def _measured(
    generators: Mapping[Precision, AvatarGenerator],
    whole: Sequence[SpriteWork],
    sizes: Sequence[int],
    batches: Sequence[int],
) -> tuple[
    dict[str, tuple[float, float, float]], tuple[DrawTime, ...], tuple[SpriteTime, ...], tuple[PartTime, ...]
]:  # fmt: skip
    """Matrix products by format, draws, whole sprites and parts of drawing, all in turns."""
    work: dict[tuple[str, int, int, str], Callable[[], object]] = {}
    for precision, generator in generators.items():
        work["gemm", 0, 0, precision] = matrix_product(precision == "bf16", generator.device.type)
        for size in sizes:
            for batch in batches:
                work["draw", size, batch, precision] = _drawing(generator, size, batch)
    for one in whole:
        work["sprite", one.size, one.batch, one.kind] = one.run
    first, batch = next(iter(generators.values())), max(batches)
    for size in sizes:
        work["conditioning", size, batch, ""] = conditioning(first, *_poses(first, batch), size)
        work["colouring", size, batch, ""] = _colouring(size, batch)
    timings = timed_in_turns(work, ROUNDS)
    product = flops(first.device.type) / 1e9
    gemm = {key[3]: timing.rate(product) for key, timing in timings.items() if key[0] == "gemm"}
    gflop = {size: first.flops(size) / 1e9 for size in sizes}
    draws = [
        DrawTime(size, batch, precision, timing.rate(batch), gflop[size], gemm[precision][0])
        for (kind, size, batch, precision), timing in timings.items()
        if kind == "draw"
    ]
    sprites = [one.time(timings["sprite", one.size, one.batch, one.kind].rate(one.batch)) for one in whole]
    parts = [
        PartTime(kind, size, batch, (1e3 * t.median / batch, 1e3 * t.least / batch, 1e3 * t.most / batch))
        for (kind, size, batch, _), t in timings.items()
        if kind in {"conditioning", "colouring"}
    ]
    return gemm, tuple(draws), tuple(sprites), tuple(parts)


def _poses(generator: AvatarGenerator, batch: int) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Points drawn evenly over the canvas, the same in every run."""
    rng = np.random.default_rng(0)
    count = len(generator.skeleton)
    xy = rng.random((batch, count, 2), np.float32)
    return xy, rng.random((batch, count), np.float32) - np.float32(0.5), np.ones((batch, count), np.float32)


def _drawing(generator: AvatarGenerator, size: int, batch: int) -> Callable[[], object]:
    xy, z, score = _poses(generator, batch)
    expression, avatar = np.zeros((batch, 10), np.float32), np.zeros(batch, np.int64)
    return lambda: generator.draw(xy, z, score, expression=expression, avatar=avatar, stage=size)


def _colouring(size: int, batch: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    layers, palette = rng.integers(0, 256, (batch, size, size, 10), np.uint8), rng.random((6, 3), np.float32)
    return lambda: [colour_layers(picture, palette) for picture in layers]


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
