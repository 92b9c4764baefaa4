"""``animegen bench ops``: every op's cases on one device, with the machine's own rates from the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import cv2
import torch

from animegen.errors import UsageError
from animegen.measure.gemm import FLOPS, device_name, has_cuda, matrix_product
from animegen.measure.ops_bench import Line, measured
from animegen.measure.ops_blocks import block_cases
from animegen.measure.ops_pictures import picture_cases
from animegen.measure.ops_tensors import tensor_cases
from animegen.measure.timing import timed_in_turns
from animegen.ops.library import choice

COPIED = 256 * 2**20
"""Bytes of the copy that tells the bandwidth; read and written."""


@dataclass(frozen=True, slots=True)
class OpsBench:
    """What was measured: on what, with which library, the ceilings, and the lines."""

    device: str
    library: str
    copy_gbytes: float
    gemm_gflops: dict[str, float]
    lines: list[Line]


def bench_ops(
    device: str, *, threads: int, rounds: int, compiled: bool, only: str = "", tell: Callable[[str], None]
) -> OpsBench:
    """Measure the ops whose names hold ``only`` on ``device`` (``cpu`` or ``cuda``), on the CPU in ``threads`` threads.

    Pictures are measured on the CPU only, in one thread. Raises UsageError where there is no GPU.
    """
    if device == "cuda" and not has_cuda():
        raise UsageError("there is no CUDA device here", "--device cpu measures the processor")
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    try:
        tell("the machine's own rates")
        copy, gemm = copy_gbytes(device), gemm_gflops(device)
        lines = []
        if device == "cpu":
            tell("pictures")
            lines += measured((case for case in picture_cases() if only in case.op), rounds)
        tell("tensors")
        clock = time.perf_counter if device == "cuda" else time.process_time
        blocks = block_cases(compiled=compiled) if device == "cpu" else ()
        tensors = chain(tensor_cases(device, compiled=compiled), blocks)
        lines += measured((case for case in tensors if only in case.op), rounds, clock)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    return OpsBench(device_name(device), str(choice("cuda" if device == "cuda" else "cpu")), copy, gemm, lines)


def copy_gbytes(device: str) -> float:
    """The bandwidth of a copy, read and written, in 10^9 bytes a second."""
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()

    return 2 * COPIED / timed_in_turns({"copy": copy}, 5)["copy"].least / 1e9


def gemm_gflops(device: str) -> dict[str, float]:
    """The rate of a matrix product by number format, in 10^9 operations a second."""
    products = {name: matrix_product(name == "bf16", device) for name in ("fp32", "bf16")}
    return {name: FLOPS / timing.least / 1e9 for name, timing in timed_in_turns(products, 3).items()}
