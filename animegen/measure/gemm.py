"""The matrix product that networks are compared with: PyTorch's own, in their dtype and on their device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

SIDES: Mapping[str, int] = MappingProxyType({"cpu": 1024, "cuda": 8192})
"""Of the square matrices: large enough for full speed, small enough for milliseconds."""


def flops(device: str) -> int:
    """Floating-point operations of one product."""
    return 2 * SIDES[device] ** 3


def matrix_product(bfloat16: bool, device: str) -> Callable[[], None]:
    """A function that multiplies two matrices of :data:`SIDES` and returns when that is done."""
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    generator, side = torch.Generator().manual_seed(0), SIDES[device]
    a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    out = torch.empty_like(a)

    def multiply() -> None:
        with torch.inference_mode():
            torch.mm(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()

    return multiply


def device_name(device: str) -> str:
    """What the bench ran on: the GPU's name, or the processor's threads that PyTorch uses."""
    return torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def has_cuda() -> bool:
    """Whether PyTorch sees a GPU."""
    return torch.cuda.is_available()
