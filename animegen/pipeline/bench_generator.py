"""Times StyleGAN2 generators with the same weights: ours in several ways, and official implementations, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import UsageError
from animegen.measure.gemm import device_name, has_cuda
from animegen.measure.ops_report import copy_gbytes, gemm_gflops
from animegen.measure.timing import timed_in_turns
from animegen.stylegan2.bench import BenchedGenerator, difference

ROUNDS = 7
"""Times that each variant is measured."""


@dataclass(frozen=True, slots=True)
class GeneratorTime:
    """One variant: milliseconds a batch at the median, the fastest and the slowest round; its largest difference from
    the first variant, relative to the largest value.
    """

    name: str
    milliseconds: tuple[float, float, float]
    difference: float


@dataclass(frozen=True, slots=True)
class GeneratorBench:
    """What the machine can do, and what each variant took."""

    device: str
    resolution: int
    batch: int
    gflop: float
    copy_gbytes: float
    gemm_gflops: Mapping[str, float]
    times: tuple[GeneratorTime, ...]

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
    variants = {words: draw for name, path in peers.items() for words, draw in generator.peers(name, path).items()}
    variants |= {"animegen, fp32": generator.draw(half=False), "animegen, bf16": generator.draw(half=True)}
    if device == "cuda":
        variants["animegen, TF32"] = generator.draw(half=False, tf32=True)
    if compiled:
        variants["animegen and torch.compile, fp32"] = generator.draw(half=False, compiled=True)
    pictures = {}
    for name, draw in variants.items():
        tell(f"{name}: first picture")
        pictures[name] = draw()
    first = next(iter(pictures.values()))
    copy, gemm = copy_gbytes(device), gemm_gflops(device)
    taken = timed_in_turns(variants, ROUNDS)
    times = tuple(
        GeneratorTime(name, (1e3 * each.median, 1e3 * each.least, 1e3 * each.most), difference(pictures[name], first))
        for name, each in taken.items()
    )
    return GeneratorBench(device_name(device), resolution, batch, generator.gflop(), copy, gemm, times)
