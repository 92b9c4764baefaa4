"""Nearest upsampling by two and a 3x3 convolution, as one convolution of the small picture.

Each output pixel sees a 3x3 window of repeated pixels, which are but 2x2 different ones. So the pixels of each of the
four phases (row and column even or odd) are a 2x2 convolution, whose taps are sums of the 3x3 kernel's: 16 products
where there were 36, exactly the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.registration import differentiates

_GEOMETRY = ([1, 1], [0, 0], [2, 2], [1, 1], 1)
"""Padding, output padding, stride, dilation and groups of the transposed convolution."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedKernel:
    """A 3x3 kernel that does not change, as :func:`nearest_conv2d` takes it with the least work: make it by :meth:`of`.

    ``folded`` [I, O, 4, 4]; ``packed``: the same in the blocks in which oneDNN multiplies, where oneDNN computes. It
    would bring ``folded`` into them at each call, which takes as long as the products of a small picture.
    """

    folded: Tensor
    packed: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, dtype: torch.dtype, side: int) -> PreparedKernel:
        """``weight`` [O, I, 3, 3] for ``x`` of ``dtype``, laid out for ``side`` pixels a side; others it takes too."""
        kernel = folded(weight.detach()).to(dtype).contiguous()
        if not _onednn_computes(kernel):
            return cls(kernel, None)
        size = [1, len(kernel), side, side]
        return cls(kernel, torch.ops.mkldnn._reorder_convolution_transpose_weight(kernel, *_GEOMETRY, size))


def nearest_conv2d(x: Tensor, weight: Tensor | PreparedKernel, bias: Tensor | None = None) -> Tensor:
    """``conv2d(nearest x2 of x, weight, bias, padding=1)``: [B, I, H, W] to [B, O, 2 H, 2 W].

    ``weight`` [O, I, 3, 3] and ``bias`` [O], of the dtype of ``x``; or a prepared weight, to whose dtype ``x`` is
    brought. Differentiable as often as PyTorch's convolutions are, but not in a prepared weight. Raises InvalidValue
    naming what does not fit.
    """
    if isinstance(weight, PreparedKernel):
        return _prepared(x, weight, bias)
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


def _prepared(x: Tensor, weight: PreparedKernel, bias: Tensor | None) -> Tensor:
    inputs = len(weight.folded)
    if x.ndim != 4 or x.shape[1] != inputs:
        raise InvalidValue(f"a kernel prepared for {inputs} channels does not go with x {tuple(x.shape)}")
    x = x.to(weight.folded.dtype)
    if weight.packed is None or not x.numel() or differentiates(x, bias) or torch.compiler.is_compiling():
        return functional.conv_transpose2d(x, weight.folded, bias, stride=2, padding=1)
    x = x.contiguous(memory_format=torch.channels_last)
    convolve = torch.ops.mkldnn._convolution_transpose_pointwise
    result: Tensor = convolve(x, weight.packed, bias, *_GEOMETRY, "none", [], "")
    return result


def _onednn_computes(kernel: Tensor) -> bool:
    if kernel.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    half = kernel.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return half or kernel.dtype == torch.float32
