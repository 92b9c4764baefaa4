"""The cases of the bench for the avatar generator's upsampling: four 2x2 convolutions in place of a 3x3 one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from animegen.measure.ops_bench import NOT_ASKED, Case
from animegen.ops.nearest_conv2d import PreparedKernel, nearest_conv2d, nearest_conv2d_reference

BLOCKS = ((4, 256, 256), (8, 256, 256), (16, 256, 192), (32, 192, 96), (64, 96, 48), (128, 48, 24))
"""Side, channels and output channels of each at the generator's usual widths."""

_BATCH = 1


def block_cases(*, compiled: bool) -> Iterator[Case]:
    """Every block of the generator as it draws one person on the CPU, channels last, in both dtypes."""
    for dtype in (torch.float32, torch.bfloat16):
        for side, inputs, outputs in BLOCKS:
            yield _case(side, inputs, outputs, dtype, compiled=compiled)


def _case(side: int, inputs: int, outputs: int, dtype: torch.dtype, *, compiled: bool) -> Case:
    generator = torch.Generator().manual_seed(side)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator).div_(3 * inputs**0.5).to(dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    kernel = PreparedKernel.of(weight, dtype, side)

    def make(rng: np.random.Generator) -> Tensor:
        x = torch.from_numpy(rng.standard_normal((_BATCH, inputs, side, side), np.float32))
        return x.to(dtype).contiguous(memory_format=torch.channels_last)

    def drawing(operation: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            with torch.inference_mode():
                return operation(x)

        return run

    def error(x: Tensor, result: Tensor) -> float:
        exact = nearest_conv2d_reference(x.double(), weight.double())
        return float((result.double() - exact).abs().max() / exact.abs().max())

    if compiled:
        torch.compiler.reset()  # one function is compiled for more shapes here than the compiler allows
    plain = torch.compile(nearest_conv2d_reference, fullgraph=True, dynamic=False) if compiled else None
    variants = {
        "native": drawing(lambda x: nearest_conv2d(x, kernel)),
        "reference": drawing(lambda x: nearest_conv2d_reference(x, weight)),
        "torch.compile": NOT_ASKED if plain is None else drawing(lambda x: plain(x, weight)),
    }
    traffic = (_BATCH * side**2 * (inputs + 4 * outputs) + weight.numel()) * dtype.itemsize
    return Case(f"upsampling {side} {str(dtype).removeprefix('torch.')}", traffic, make, variants, error)
