"""How the ops on tensors reach the libraries: a ``torch.Tensor`` as the C ABI sees it, and where to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

from animegen.errors import InvalidValue
from animegen.ops import library
from animegen.ops.library import Library

_DTYPES: Mapping[torch.dtype, int] = MappingProxyType(
    {
        torch.uint8: library.UINT8,
        torch.float32: library.FLOAT32,
        torch.float16: library.FLOAT16,
        torch.bfloat16: library.BFLOAT16,
        torch.float64: library.FLOAT64,
        torch.int64: library.INT64,
    }
)


def native_for(tensor: torch.Tensor) -> Library | None:
    """The library that computes where ``tensor`` lies; None: the reference does."""
    kind = tensor.device.type
    if kind == "cpu":
        return library.native("cpu")
    return library.native("cuda") if kind == "cuda" else None


def call(native: Library, op: str, tensors: Sequence[torch.Tensor | None], options: bytes) -> None:
    """Call ``ag_OP``. ``tensors`` in the order of ``animegen_ops.h``, None for one that is absent.

    All lie on the device of the first, whose current stream is used. Raises InvalidValue naming the device that
    differs, and OpsError in the words of the library.
    """
    first = tensors[0]
    assert first is not None
    device = first.device
    packed = []
    for tensor in tensors:
        if tensor is None:
            packed.append(library.ABSENT)
            continue
        if tensor.device != device:
            raise InvalidValue(f"{op}: one tensor is on {device}, another on {tensor.device}")
        packed.append(library.tensor(tensor.data_ptr(), _DTYPES.get(tensor.dtype, 0), tensor.shape, tensor.stride()))
    native.call(op, packed, options, _place(device))


def _place(device: torch.device) -> bytes:
    if device.type == "cpu":
        return library.place(threads=torch.get_num_threads())
    index = torch.cuda.current_device() if device.index is None else device.index
    return library.place(index, stream=torch.cuda.current_stream(index).cuda_stream)
