"""How the ops on tensors become operators of PyTorch: schema, kernel, shape, gradient, and a rule for vmap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from animegen.ops.build import KINDS
from animegen.ops.library import native
from animegen.ops.tensors import call, native_for

_LIBRARY = torch.library.Library("animegen", "FRAGMENT")  # type: ignore[no-untyped-call]

Operator = Callable[..., Tensor]


def register(
    schema: str,
    kernel: Operator,
    shape: Operator,
    *,
    save: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
) -> Operator:
    """Make an operator ``animegen::NAME`` of one result, and return it.

    ``schema``: ``NAME(arguments) -> Tensor``. ``kernel`` computes natively on CPU and CUDA; ``shape`` makes an empty
    result; ``save`` and ``backward`` are those of :func:`torch.library.register_autograd`. Under vmap the operator is
    called for each example.
    """
    name = "animegen::" + schema.partition("(")[0]
    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    for key in ("CPU", "CUDA"):
        _LIBRARY.impl(schema.partition("(")[0], kernel, key)  # type: ignore[no-untyped-call]
    torch.library.register_fake(name, shape, lib=_LIBRARY)
    if backward is not None:
        torch.library.register_autograd(name, backward, setup_context=save, lib=_LIBRARY)
    operator: Operator = getattr(torch.ops.animegen, schema.partition("(")[0]).default

    def each_example(info: Any, dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        def of(example: int, argument: Any, dim: Any) -> Any:
            return argument.select(dim, example) if isinstance(dim, int) else argument

        results = [
            operator(*(of(i, *pair) for pair in zip(arguments, dims, strict=True))) for i in range(info.batch_size)
        ]
        return torch.stack(results), 0

    torch.library.register_vmap(name, each_example, lib=_LIBRARY)
    return operator


def _native_at(device: str, dtype: torch.dtype) -> bool:
    # On the CPU float16 is left to the reference: no processor that we build for computes in it.
    half_on_cpu = device == "cpu" and dtype == torch.float16
    return not half_on_cpu and device in KINDS and native(device) is not None


# What torch.compiler.assume_constant_result does, which imports the whole compiler: two seconds at every start.
_native_at._dynamo_marked_constant = True  # type: ignore[attr-defined]


def is_native(x: Tensor) -> bool:
    """Whether a library computes for tensors like ``x``; else the reference does. Decided once a process."""
    return bool(_native_at(x.device.type, x.dtype))


def launch(op: str, out: Tensor, inputs: Sequence[Tensor | None], options: bytes) -> Tensor:
    """Compute ``out`` by a function of the library, in PyTorch's threads or on its current stream, and return it."""
    if out.numel():
        computing = native_for(out)
        assert computing is not None
        call(computing, op, (out, *inputs), options)
    return out


def differentiates(*tensors: Tensor | None) -> bool:
    """Whether a gradient of what is computed from these may be asked for."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
