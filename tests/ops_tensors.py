"""What the tests of ops on tensors share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}
"""Largest error against float64, relative to the largest result: sums in another order, and one last rounding."""

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "every_second": lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
    "expanded": lambda x: x[:1].expand(len(x), -1, -1, -1),
}
"""A picture [B, C, H, W] laid out in other ways."""


def close(found: Tensor, wanted: Tensor, slack: float = 1.0) -> None:
    """Asserts that ``found`` is the float64 ``wanted`` to the precision of its dtype."""
    assert found.shape == wanted.shape
    if wanted.numel():
        error = (found.double() - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
        assert error <= slack * TOLERANCE[found.dtype], f"relative error {error:.3g}"


def in_double(value: Any) -> Any:
    """A float tensor in float64 on its own memory, anything else as it is."""
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def alias_free(op: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Asserts that a result shares no memory with an input, even where it equals one."""
    result = op(*tensors)
    memory = result.untyped_storage().data_ptr()
    assert all(memory != tensor.untyped_storage().data_ptr() for tensor in tensors)


def each_example(op: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Asserts that vmap over the first dimension is the op on each example."""
    torch.testing.assert_close(torch.vmap(op)(x), torch.stack([op(part) for part in x]), rtol=0, atol=0)
