"""What the ops on tensors check alike, and the dtype they compute in."""

from __future__ import annotations

import torch
from torch import Tensor

from animegen.errors import InvalidValue


def computing(dtype: torch.dtype) -> torch.dtype:
    """The dtype that an op computes in, whatever it reads and writes: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def matched(name: str, tensor: Tensor, like: Tensor, dtype: torch.dtype) -> Tensor:
    """``tensor``, which must lie on the device of ``like`` and be of ``dtype``; autocast alone brings it there.

    Raises InvalidValue naming the tensor.
    """
    if tensor.device != like.device:
        raise InvalidValue(f"{name} is on {tensor.device}, x on {like.device}", f"bring {name} to {like.device}")
    if tensor.dtype != dtype and torch.is_autocast_enabled(like.device.type):
        return tensor.to(dtype)
    if tensor.dtype != dtype:
        raise InvalidValue(f"{name} is {tensor.dtype}, it must be {dtype} with x {like.dtype}", f"bring it to {dtype}")
    return tensor


def shaped(name: str, tensor: Tensor, *shape: int) -> Tensor:
    """``tensor``, which must have this shape. Raises InvalidValue naming it."""
    if tuple(tensor.shape) != shape:
        raise InvalidValue(f"{name} must be {shape}, got {tuple(tensor.shape)}")
    return tensor
