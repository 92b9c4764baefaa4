"""NumPy arrays as the C ABI sees them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from animegen.ops import library


def strides_of(array: NDArray[Any]) -> tuple[int, ...]:
    """Strides in elements; those of sides that are not gone along are what they would be in a dense array."""
    strides, dense = [], 1
    for size, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        strides.append(stride // array.itemsize if size > 1 and array.size else dense)
        dense *= size
    return tuple(reversed(strides))


def is_dense(picture: NDArray[Any]) -> bool:
    """Whether the pixels [H, W, C] of a row lie side by side."""
    return strides_of(picture)[1:] == (picture.shape[2], 1)


def packed(array: NDArray[Any], dtype: int) -> bytes:
    """An ``ag_tensor``."""
    return library.tensor(array.ctypes.data, dtype, array.shape, strides_of(array))
