"""Nearest upsampling by two and a 3x3 convolution, as one convolution of the small picture.

Each output pixel sees a 3x3 window of repeated pixels, which are but 2x2 different ones. So the pixels of each of the
four phases (row and column even or odd) are a 2x2 convolution, whose taps are sums of the 3x3 kernel's: 16 products
where there were 36, exactly the same function.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue


def nearest_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``conv2d(nearest x2 of x, weight, bias, padding=1)``: [B, I, H, W] to [B, O, 2 H, 2 W].

    ``weight`` [O, I, 3, 3], ``bias`` [O], of the dtype of ``x``. Differentiable as often as PyTorch's convolutions
    are. Raises InvalidValue naming what does not fit.
    """
    if x.ndim != 4 or weight.shape[1:] != (x.shape[1], 3, 3):
        raise InvalidValue(f"weight {tuple(weight.shape)} is no 3x3 kernel for x {tuple(x.shape)}")
    return functional.conv_transpose2d(x, folded(weight), bias, stride=2, padding=1)


def nearest_conv2d_reference(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """:func:`nearest_conv2d` as it is defined."""
    return functional.conv2d(functional.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)


def folded(weight: Tensor) -> Tensor:
    """The four 2x2 kernels of a 3x3 one, interleaved: [I, O, 4, 4], as ``conv_transpose2d`` with stride 2 takes them.

    Repeating each pixel is a 2x2 box after zero insertion; a box and a 3x3 kernel in a row are a 4x4 kernel.
    """
    kernel = weight.flip(2, 3).transpose(0, 1)
    rows = functional.pad(kernel, (0, 0, 0, 1)) + functional.pad(kernel, (0, 0, 1, 0))
    return functional.pad(rows, (0, 1)) + functional.pad(rows, (1, 0))
