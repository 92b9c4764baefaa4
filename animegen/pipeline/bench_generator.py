"""Times StyleGAN2 generators with the same weights: ours in several ways, and official implementations, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import UsageError
from animegen.measure.gemm import device_name, has_cuda
from animegen.measure.gpu import stopwatch
from animegen.measure.ops_report import copy_gbytes, gemm_gflops
from animegen.measure.timing import timed_in_turns
from animegen.ops.library import choice
from animegen.stylegan2.bench import BenchedGenerator, Draw, error, precisions

ROUNDS = 7
"""Times that each variant is measured, each on latents of its own."""

OURS, REFERENCE, COMPILED = "animegen", "reference", "torch.compile"
"""How the names of variants begin: with the ops, with their references in PyTorch, and these compiled."""


@dataclass(frozen=True, slots=True)
class GeneratorTime:
    """One variant: milliseconds a batch at the median, the fastest and the slowest round; its largest difference from
    float64, relative to the largest value.
    """

    name: str
    milliseconds: tuple[float, float, float]
    error: float


@dataclass(frozen=True, slots=True)
class GeneratorBench:
    """What the machine can do, what computes our ops, what each variant took, and why others were not measured."""

    device: str
    library: str
    resolution: int
    batch: int
    gflop: float
    copy_gbytes: float
    gemm_gflops: Mapping[str, float]
    times: tuple[GeneratorTime, ...]
    not_measured: Mapping[str, str]

    @property
    def ours(self) -> list[str]:
        """The variants with our ops."""
        return [time.name for time in self.times if time.name.startswith(OURS)]

    @property
    def rivals(self) -> list[str]:
        """The others."""
        return [time.name for time in self.times if not time.name.startswith(OURS)]

    def speedup(self, name: str, over: str) -> float:
        """How many times as fast one variant is as another, at the medians."""
        medians = {time.name: time.milliseconds[0] for time in self.times}
        return medians[over] / medians[name]


def bench_generator(
    resolution: int,
    *,
    channel_base: int,
    batch: int,
    device: str,
    threads: int,
    compiled: bool,
    peers: Mapping[str, Path],
    tell: Callable[[str], None],
) -> GeneratorBench:
    """Draw the same pictures with every variant. Raises UsageError without a GPU where one is asked for."""
    if device == "cuda" and not has_cuda():
        raise UsageError("there is no CUDA device here", "leave out --device cuda")
    generator = BenchedGenerator(resolution, channel_base, batch=batch, device=device, threads=threads)
    tell("float64")
    exact = generator.exact()
    variants = {words: draw for name, path in peers.items() for words, draw in generator.peers(name, path).items()}
    variants |= _ours(generator, device, compiled=compiled)
    not_measured = {}
    for name in [name for name in variants if name.startswith((OURS, COMPILED))]:
        graph = f"{name}, CUDA graph"
        if device == "cuda":
            tell(f"{graph}: capture")
            variants[graph] = generator.captured(variants[name])
        else:
            not_measured[graph] = "CUDA graphs are of GPUs"
    errors = {}
    for name, draw in variants.items():
        tell(f"{name}: first picture")
        errors[name] = error(draw(), exact)
    copy, gemm = copy_gbytes(device), gemm_gflops(device)
    taken = timed_in_turns(variants, ROUNDS, stopwatch(device), generator.renew)
    times = tuple(
        GeneratorTime(name, (1e3 * each.median, 1e3 * each.least, 1e3 * each.most), errors[name])
        for name, each in taken.items()
    )
    library = str(choice("cuda" if device == "cuda" else "cpu"))
    return GeneratorBench(
        device_name(device), library, resolution, batch, generator.gflop(), copy, gemm, times, not_measured
    )


def _ours(generator: BenchedGenerator, device: str, *, compiled: bool) -> dict[str, Draw]:
    """Our generator with the ops and with their references, in every number format."""
    draws = {}
    for precision in precisions(device):
        draws[f"{OURS}, {precision}"] = generator.draw(precision)
        draws[f"{REFERENCE}, {precision}"] = generator.draw(precision, by="references")
        if compiled:
            draws[f"{COMPILED}, {precision}"] = generator.draw(precision, by="torch.compile")
    return draws
