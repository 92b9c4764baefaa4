"""``animegen bench ops``: every op's cases on one device, with the machine's own rates from the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

import cv2
import torch

from animegen.errors import UsageError
from animegen.measure.gemm import device_name, flops, has_cuda, matrix_product
from animegen.measure.gpu import stopwatch
from animegen.measure.ops_bench import Line, measured
from animegen.measure.ops_blocks import block_cases
from animegen.measure.ops_facets import facets_cases, skin_cases
from animegen.measure.ops_pictures import picture_cases
from animegen.measure.ops_tensors import Operations, tensor_cases
from animegen.measure.timing import core_seconds, timed_in_turns
from animegen.ops.library import choice

COPIED: Mapping[str, int] = MappingProxyType({"cpu": 2**28, "cuda": 2**30})
"""Bytes of the copy that tells the bandwidth, read and written; on a GPU as many as the ops are given."""


@dataclass(frozen=True, slots=True)
class OpsBench:
    """What was measured: on what, with which library, the ceilings, and the lines."""

    device: str
    library: str
    copy_gbytes: float
    gemm_gflops: dict[str, float]
    lines: list[Line]


def bench_ops(
    device: str,
    *,
    threads: int,
    rounds: int,
    compiled: bool,
    only: str = "",
    peers: Mapping[str, Operations] = MappingProxyType({}),
    tell: Callable[[str], None],
) -> OpsBench:
    """Measure the ops whose names hold ``only`` on ``device`` (``cpu`` or ``cuda``), on the CPU in ``threads`` threads.

    ``peers``: ops of other implementations, by their names. Pictures are measured on the CPU only, in one thread.
    Raises UsageError where there is no GPU.
    """
    if device == "cuda" and not has_cuda():
        raise UsageError("there is no CUDA device here", "--device cpu measures the processor")
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    try:
        name = device_name(device)
        tell("the machine's own rates")
        copy, gemm = copy_gbytes(device), gemm_gflops(device)
        lines = []
        if device == "cpu":
            tell("pictures")
            lines += measured((case for case in picture_cases() if only in case.op), rounds)
        tell("tensors")
        blocks = block_cases(compiled=compiled) if device == "cpu" else ()
        tensors = chain(
            tensor_cases(device, compiled=compiled, peers=peers), skin_cases(device), facets_cases(device), blocks
        )
        lines += measured((case for case in tensors if only in case.op), rounds, stopwatch(device, core_seconds))
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    return OpsBench(name, str(choice("cuda" if device == "cuda" else "cpu")), copy, gemm, lines)


def copy_gbytes(device: str) -> float:
    """The bandwidth of a copy, read and written, in 10^9 bytes a second."""
    source = torch.rand(COPIED[device] // 4, device=device)
    target = torch.empty_like(source)
    taken = timed_in_turns({"copy": lambda: target.copy_(source)}, 5, stopwatch(device))
    return 2 * COPIED[device] / taken["copy"].least / 1e9


def gemm_gflops(device: str) -> dict[str, float]:
    """The rate of a matrix product by number format, in 10^9 operations a second."""
    products = {name: matrix_product(name == "bf16", device) for name in ("fp32", "bf16")}
    taken = timed_in_turns(products, 3, stopwatch(device))
    return {name: flops(device) / timing.least / 1e9 for name, timing in taken.items()}
