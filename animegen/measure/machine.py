"""What the machine can do at best, measured in the same run as whatever is compared with it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

GEMM_SIZE = 1536
COPY_BYTES = 256 * 2**20
REPEATS = 5


@dataclass(frozen=True, slots=True)
class MachineRates:
    """Best of a few repeats: matrix product in GFLOP/s (float32) and memory copy in GB/s (read plus written)."""

    gemm_gflops: float
    copy_gbytes: float

    def __str__(self) -> str:
        return f"GEMM {self.gemm_gflops:.0f} GFLOP/s (float32, NumPy), copy {self.copy_gbytes:.1f} GB/s"


def machine_rates() -> MachineRates:
    """Measure the machine; takes about a second."""
    return MachineRates(_gemm_gflops(), _copy_gbytes())


def _gemm_gflops() -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((GEMM_SIZE, GEMM_SIZE), np.float32) for _ in range(2))
    out = np.empty_like(a)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * GEMM_SIZE**3 / min(seconds) / 1e9


def _copy_gbytes() -> float:
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return 2 * COPY_BYTES / min(seconds) / 1e9
