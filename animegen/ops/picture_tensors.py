"""The ops on pictures for ``torch.Tensor``: where frames already lie on a GPU they stay there.

The functions of :mod:`animegen.ops.pictures` with tensors in place of arrays, on the CPU or a CUDA device and on its
current stream; they have the same bytes. Where a device has no library, the picture goes through NumPy and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops import pictures, rgb_yuv
from animegen.ops.composite import OPTIONS, seen_sprites
from animegen.ops.rgb_yuv import Range
from animegen.ops.tensors import call, native_for
from animegen.types import Float64Array

Planes = tuple[Tensor, Tensor, Tensor]


def composite(picture: Tensor, sprites: Sequence[Tensor], affines: Sequence[Float64Array]) -> None:
    """Lay sprites over ``picture`` uint8 [H, W, 3 or 4], in place; see :func:`animegen.ops.composite.composite`."""
    native = native_for(picture)
    if native is None:
        laid = picture.cpu().numpy().copy()
        pictures.composite(laid, [sprite.cpu().numpy() for sprite in sprites], affines)
        picture.copy_(torch.from_numpy(laid))
        return
    if len(sprites) != len(affines):
        raise InvalidValue(f"composite has {len(sprites)} sprites and {len(affines)} affines")
    seen, inverses = seen_sprites(sprites, affines)
    dense = [sprite.contiguous() for sprite in seen]
    call(native, "composite", [picture, *dense], OPTIONS.pack(inverses.ctypes.data))


def rgb_to_yuv(rgb: Tensor, *, matrix: str = "bt709", value_range: Range = "tv") -> Planes:
    """The planes of ``rgb`` uint8 [H, W, 3]; see :func:`animegen.ops.rgb_yuv.rgb_to_yuv`."""
    native = native_for(rgb)
    if native is None:
        y, u, v = pictures.rgb_to_yuv(rgb.cpu().numpy(), matrix=matrix, value_range=value_range)
        return tuple(torch.from_numpy(plane).to(rgb.device) for plane in (y, u, v))  # type: ignore[return-value]
    height, width = rgb.shape[:2]
    small = ((height + 1) // 2, (width + 1) // 2)
    planes = (rgb.new_empty((height, width)), rgb.new_empty(small), rgb.new_empty(small))
    numbers = rgb_yuv.TO_YUV.pack(*rgb_yuv.to_yuv_numbers(matrix, value_range))
    call(native, "rgb_to_yuv", [*planes, rgb.contiguous()], numbers)
    return planes


def yuv_to_rgb(planes: Planes, *, matrix: str = "bt709", value_range: Range = "tv") -> Tensor:
    """uint8 [H, W, 3] of the planes of a picture; see :func:`animegen.ops.rgb_yuv.yuv_to_rgb`."""
    native = native_for(planes[0])
    if native is None:
        arrays = tuple(plane.cpu().numpy() for plane in planes)
        found = pictures.yuv_to_rgb(arrays, matrix=matrix, value_range=value_range)  # type: ignore[arg-type]
        return torch.from_numpy(found).to(planes[0].device)
    rgb = planes[0].new_empty((*planes[0].shape, 3))
    numbers = rgb_yuv.TO_RGB.pack(*rgb_yuv.to_rgb_numbers(matrix, value_range))
    call(native, "yuv_to_rgb", [rgb, *planes], numbers)
    return rgb


def yuv_to_tensor(
    planes: Planes,
    box: Sequence[float],
    size: tuple[int, int],
    *,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    matrix: str = "bt709",
    value_range: Range = "tv",
) -> Tensor:
    """f32 [3, h, w] as a network takes it; see :func:`animegen.ops.rgb_yuv.yuv_to_tensor`."""
    native = native_for(planes[0])
    if native is None:
        arrays = tuple(plane.cpu().numpy() for plane in planes)
        space = {"matrix": matrix, "value_range": value_range}
        found = pictures.yuv_to_tensor(arrays, box, size, mean=mean, std=std, **space)  # type: ignore[arg-type]
        return torch.from_numpy(found).to(planes[0].device)
    options = rgb_yuv.tensor_options(box, size, (mean, std), matrix, value_range)
    out = torch.empty((3, size[1], size[0]), device=planes[0].device)
    call(native, "yuv_to_tensor", [out, *planes], rgb_yuv.TO_TENSOR.pack(*options))
    return out
