"""``splat``: the nearest of many discs at each sample of a picture, and the picture averaged from the samples."""

from __future__ import annotations

import struct

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.checks import matched, shaped
from animegen.ops.registration import is_native
from animegen.ops.tensors import call, native_for

DISC_FIELDS = ("x", "y", "depth", "by_x", "by_y", "a", "b", "c", "bulge", "cut_x", "cut_y", "other_x", "other_y")
"""Of a disc on a picture: its centre and depth, how much the depth rises by a sample to the right and down, the ellipse
``a dx^2 + 2 b dx dy + c dy^2 <= 1`` that it covers, how much farther away than its centre it is at its edge, and two
lines, ``cut_x dx + cut_y dy <= 1`` and likewise the other, beyond which it is cut off (0 and 0: nowhere)."""

NOTHING = 2**63 - 1
"""The key of a sample that shows no disc."""

_MOST_SIDE, _MOST_SCALE = 1 << 14, 1 << 12
_MOST_DISCS = 1 << 31
_OPTIONS = struct.Struct("@i")
_AT_ONCE = 1 << 22
"""Samples of discs that the reference looks at at once."""


def splat(discs: Tensor, values: Tensor, *, side: int, scale: int) -> tuple[Tensor, Tensor]:
    """Draw discs: uint8 [N, side, side, L], and what each sample shows, int64 [N, side scale, side scale].

    ``discs`` f32 [N, M, 13] in samples, of which a pixel has ``scale`` a side, the first at 0 (``DISC_FIELDS``; one
    whose depth is not above 0 is not drawn); ``values`` uint8 [N, M, L] what each shows. A sample shows the nearest
    disc: a bulge makes that the one whose centre is nearest where they lie in one plane, so that discs meet half-way.
    A disc with a NaN in it shows nowhere.
    A key is the depth's bits times 2^32 plus the disc's number, or ``NOTHING``; pixels are the rounded means of their
    samples. Native and reference give the same bytes. Raises InvalidValue naming what does not fit.

    After the surfels of Pfister et al. 2000; cut off at the borders of a surface as by Zwicker et al. 2004
    ("Perspective accurate splatting"); visibility as a power diagram in place of blended splats.
    """
    if discs.ndim != 3 or discs.shape[2] != len(DISC_FIELDS) or discs.dtype != torch.float32:
        raise InvalidValue(f"discs must be float32 [N, M, {len(DISC_FIELDS)}], got {discs.dtype} {tuple(discs.shape)}")
    if values.ndim != 3 or values.dtype != torch.uint8:
        raise InvalidValue(f"values must be uint8 [N, M, L], got {values.dtype} {tuple(values.shape)}")
    matched("values", shaped("values", values, *discs.shape[:2], values.shape[2]), discs, torch.uint8)
    if not 1 <= scale <= _MOST_SCALE or not 1 <= side * scale <= _MOST_SIDE or discs.shape[1] >= _MOST_DISCS:
        raise InvalidValue(f"pictures of {side} pixels by {scale} samples of {discs.shape[1]} discs cannot be drawn")
    if not is_native(discs):
        return splat_reference(discs, values, side=side, scale=scale)
    count, samples = len(discs), side * scale
    pictures = torch.empty((count, side, side, values.shape[2]), dtype=torch.uint8, device=discs.device)
    keys = torch.empty((count, samples, samples), dtype=torch.int64, device=discs.device)
    library = native_for(pictures)
    if library is not None and keys.numel():
        tensors = (pictures, keys, discs.contiguous(), values.contiguous())
        call(library, "splat", tensors, _OPTIONS.pack(scale))
    return pictures, keys


def splat_reference(discs: Tensor, values: Tensor, *, side: int, scale: int) -> tuple[Tensor, Tensor]:
    """What :func:`splat` computes, in PyTorch."""
    samples = side * scale
    keys = torch.full((len(discs), samples * samples), NOTHING, dtype=torch.int64, device=discs.device)
    for own, fields in zip(keys, discs, strict=True):
        _lower(own, fields, samples)
    shown = torch.cat([values, values.new_zeros((len(values), 1, values.shape[2]))], dim=1)
    disc = torch.where(keys == NOTHING, values.shape[1], keys & 0xFFFFFFFF)
    picked = torch.gather(shown, 1, disc[..., None].expand(-1, -1, values.shape[2]))
    picked = picked.view(len(discs), side, scale, side, scale, values.shape[2]).sum(dim=(2, 4))
    pictures = (picked + scale * scale // 2) // (scale * scale)
    return pictures.to(torch.uint8), keys.view(len(discs), samples, samples)


def _lower(keys: Tensor, fields: Tensor, samples: int) -> None:
    """Lower the keys int64 [samples^2] to those of the discs f32 [M, 13]."""
    _, _, depth, _, _, a, b, c = fields[:, :8].unbind(1)
    drawn = torch.nonzero((depth > 0) & (a * c - b * b > 0))[:, 0]
    x, y, depth, by_x, by_y, a, b, c, bulge, cut_x, cut_y, other_x, other_y = fields[drawn].unbind(1)
    determinant = a * c - b * b
    left, right = _span(x, torch.sqrt(c / determinant), samples)
    top, bottom = _span(y, torch.sqrt(a / determinant), samples)
    width, height = (right - left + 1).clamp_min(0), (bottom - top + 1).clamp_min(0)
    ends = (width * height).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, _AT_ONCE):
        place = torch.arange(first, min(first + _AT_ONCE, total), device=keys.device)
        i = torch.searchsorted(ends, place, right=True)
        within = place - (ends[i] - width[i] * height[i])
        column, row = left[i] + within % width[i], top[i] + within // width[i]
        dx, dy = column - x[i], row - y[i]
        from_centre = a[i] * dx * dx + 2.0 * b[i] * dx * dy + c[i] * dy * dy
        z = depth[i] + by_x[i] * dx + by_y[i] * dy + bulge[i] * from_centre
        inside = (cut_x[i] * dx + cut_y[i] * dy <= 1.0) & (other_x[i] * dx + other_y[i] * dy <= 1.0)
        seen = (from_centre <= 1.0) & inside & (z > 0.0)
        key = z.contiguous().view(torch.int32).to(torch.int64) << 32 | drawn[i]
        keys.scatter_reduce_(0, (row * samples + column)[seen], key[seen], "amin")


def _span(centre: Tensor, reach: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The first and the last sample, int64, that lie less than ``reach`` from a centre; of NaN there is none."""
    first = (centre - reach + 0.999999).nan_to_num(0.0).clamp(0.0, samples).to(torch.int64)
    last = (centre + reach + 1.0).nan_to_num(0.0).clamp(0.0, samples).to(torch.int64) - 1
    return first, last
