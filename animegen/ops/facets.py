"""``facets``: triangles in two tones as shade layers, the nearest at each sample, averaged over a pixel's samples."""

from __future__ import annotations

import struct

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.registration import is_native
from animegen.ops.tensors import call, native_for

VALUES = ("depth", "light", "shade", "red", "green", "blue")
"""What changes over a facet, and linearly."""

FIELDS = 2 + 6 + 3 * len(VALUES) + 2
"""Of a facet: x, y; three lines; ``VALUES`` at (x, y), their change to the right, and down; dark, part."""

NOTHING = 2**63 - 1
"""The key of a sample that shows no facet."""

_LAYERS = 10
_PARTS = 6
_NEARBY = 1.0 / 1024.0
"""Samples, so that none falls between two facets with a common edge."""
_MOST_SIDE = 1 << 14
_MOST_FACETS = 1 << 31
_MOST_SCALE = 64
_OPTIONS = struct.Struct("@i")
_AT_ONCE = 1 << 19
"""Samples of facets that the reference looks at at once."""


def facets(fields: Tensor, *, side: int, scale: int) -> tuple[Tensor, Tensor]:
    """Draw triangles: uint8 [N, side, side, 10], and what each sample shows, int64 [N, side scale, side scale].

    ``fields`` f32 [N, F, 28] (``FIELDS``) in samples, of which a pixel has ``scale`` a side, the first at 0. With dx
    and dy the distances of a sample from x and y, a facet covers it where ``l dx + m dy <= 1 + (|l| + |m|) / 1024`` for
    all three lines (l, m), whose sum is 0. A sample shows the nearest facet there with a depth above 0, in the shade
    layers of :mod:`animegen.avatar.layers`: its shade in the layer of its part (0..5; others have none) and its fixed
    colours, in 0..255, times its light: ``dark`` in the shade, 1 in full light, between them by light 0..1. A light or
    a colour that is NaN counts as 0, a place or a depth as nowhere. A key is the depth's bits times 2^32 plus the
    facet's number, or ``NOTHING``; pixels are the rounded means of their samples. Native and reference give the same
    bytes. Raises InvalidValue naming what does not fit.

    A z-buffer (Catmull 1974) of deferred shading; the lines are Pineda's edge functions (1988).
    """
    if fields.ndim != 3 or fields.shape[2] != FIELDS or fields.dtype != torch.float32:
        raise InvalidValue(f"fields must be float32 [N, F, {FIELDS}], got {fields.dtype} {tuple(fields.shape)}")
    if not 1 <= scale <= _MOST_SCALE or not 1 <= side * scale <= _MOST_SIDE or fields.shape[1] >= _MOST_FACETS:
        raise InvalidValue(f"pictures of {side} pixels by {scale} samples of {fields.shape[1]} facets cannot be drawn")
    if not is_native(fields):
        return facets_reference(fields, side=side, scale=scale)
    count, samples = len(fields), side * scale
    pictures = torch.empty((count, side, side, _LAYERS), dtype=torch.uint8, device=fields.device)
    keys = torch.empty((count, samples, samples), dtype=torch.int64, device=fields.device)
    library = native_for(pictures)
    assert library is not None
    if pictures.numel():
        call(library, "facets", (pictures, keys, fields.contiguous()), _OPTIONS.pack(scale))
    return pictures, keys


def facets_reference(fields: Tensor, *, side: int, scale: int) -> tuple[Tensor, Tensor]:
    """What :func:`facets` computes, in PyTorch."""
    samples = side * scale
    keys = torch.full((len(fields), samples * samples), NOTHING, dtype=torch.int64, device=fields.device)
    pictures = torch.zeros((len(fields), side, side, _LAYERS), dtype=torch.int32, device=fields.device)
    for picture, own, facet in zip(pictures, keys, fields, strict=True):
        _lower(own, facet, samples)
        _show(picture, own, facet, samples, scale)
    means = (pictures + scale * scale // 2) // (scale * scale)
    return means.to(torch.uint8), keys.view(-1, samples, samples)


def _lower(keys: Tensor, fields: Tensor, samples: int) -> None:
    """Lower the keys int64 [samples^2] to those of the facets f32 [F, 28]."""
    lines = fields[:, 2:8].view(-1, 3, 2)
    area = lines[:, 0, 0] * lines[:, 1, 1] - lines[:, 0, 1] * lines[:, 1, 0]
    drawn = torch.nonzero((area * area > 0) & (area * area < torch.inf))[:, 0]
    fields, lines, area = fields[drawn], lines[drawn], area[drawn, None]
    following = lines.roll(-1, dims=1)
    limit = 1.0 + lines.abs().sum(dim=2) * _NEARBY
    corners_x = (following[:, :, 1] - lines[:, :, 1]) / area
    corners_y = (lines[:, :, 0] - following[:, :, 0]) / area
    left, right = _span(fields[:, 0], corners_x, samples)
    top, bottom = _span(fields[:, 1], corners_y, samples)
    width, height = (right - left + 1).clamp_min(0), (bottom - top + 1).clamp_min(0)
    ends = (width * height).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, _AT_ONCE):
        place = torch.arange(first, min(first + _AT_ONCE, total), device=keys.device)
        i = torch.searchsorted(ends, place, right=True)
        within = place - (ends[i] - width[i] * height[i])
        column, row = left[i] + within % width[i], top[i] + within // width[i]
        own, limits = fields[i], limit[i]
        dx, dy = column - own[:, 0], row - own[:, 1]
        inside = [own[:, 2 + 2 * k] * dx + own[:, 3 + 2 * k] * dy <= limits[:, k] for k in range(3)]
        depth = _at(own, 0, dx, dy)
        seen = inside[0] & inside[1] & inside[2] & (depth > 0) & (depth < torch.inf)
        key = depth.contiguous().view(torch.int32).to(torch.int64) << 32 | drawn[i]
        keys.scatter_reduce_(0, (row * samples + column)[seen], key[seen], "amin")


def _show(picture: Tensor, keys: Tensor, fields: Tensor, samples: int, scale: int) -> None:
    """Add what the samples show to a picture int32 [side, side, 10]."""
    for places in torch.split(torch.nonzero(keys != NOTHING)[:, 0], _AT_ONCE):
        _add(picture, places, fields[keys[places] & 0xFFFFFFFF], samples, scale)


def _add(picture: Tensor, places: Tensor, own: Tensor, samples: int, scale: int) -> None:
    """Add to a picture what samples at ``places`` int64 [S] show of facets, ``own`` f32 [S, 28]."""
    row, column = places // samples, places % samples
    dx, dy = column - own[:, 0], row - own[:, 1]
    dark, part = own[:, -2], own[:, -1]
    light = dark + (1.0 - dark) * _at(own, 1, dx, dy).nan_to_num(0.0).clamp(0.0, 1.0)
    shown = torch.zeros((len(places), 1 + _PARTS + 3 + 1), dtype=torch.int32, device=own.device)
    shown[:, 0] = 255
    # What has no part has its shade in a column that is cut off.
    column_of_part = 1 + torch.where((part >= 0) & (part < _PARTS), part, _LAYERS - 1).to(torch.int64)
    shown.scatter_(1, column_of_part[:, None], _level(light * _at(own, 2, dx, dy))[:, None])
    for channel in range(3):
        shown[:, 1 + _PARTS + channel] = _level(light * _at(own, 3 + channel, dx, dy))
    pixel = row // scale * (samples // scale) + column // scale
    picture.view(-1, _LAYERS).index_add_(0, pixel, shown[:, :_LAYERS])


def _at(fields: Tensor, value: int, dx: Tensor, dy: Tensor) -> Tensor:
    """One of ``VALUES`` at distances from x and y."""
    by = 8 + value, 8 + len(VALUES) + value, 8 + 2 * len(VALUES) + value
    return fields[:, by[0]] + fields[:, by[1]] * dx + fields[:, by[2]] * dy


def _level(value: Tensor) -> Tensor:
    return (value.nan_to_num(0.0).clamp(0.0, 255.0) + 0.5).to(torch.int32)


def _span(centre: Tensor, corners: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The first and the last sample, int64, among the corners f32 [F, 3] around a centre."""
    corners = corners.nan_to_num(0.0, torch.inf, -torch.inf)
    low, high = corners.amin(dim=1).clamp_max(0.0), corners.amax(dim=1).clamp_min(0.0)
    first = (centre + low + 0.999).nan_to_num(0.0).clamp(0.0, samples).to(torch.int64)
    last = (centre + high + 1.001).nan_to_num(0.0).clamp(0.0, samples).to(torch.int64) - 1
    return first, last
