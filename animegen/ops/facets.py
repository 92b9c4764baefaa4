"""``facets``: triangles in two tones as shade layers, the nearest at each sample, averaged over a pixel's samples."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from animegen.errors import InvalidValue
from animegen.ops.registration import is_native
from animegen.ops.tensors import call, native_for

VERTEX = ("x", "y", "depth", "light", "shade", "red", "green", "blue")
"""Of a vertex. x and y are in samples; the last four are 0..255."""

KIND = ("part", "dark", "gain", "offset", "sides")
"""Of a facet: the part of a palette that its shade is of (0..5, others have none); the light in the shade; what the
light of its vertices is multiplied by (the other way round where it is seen from behind) and what is added; and from
where it is seen: above 0 from the front, where its corners turn anticlockwise on the picture, below 0 from behind, at 0
from both.
"""

NUMBERS = len(VERTEX)

NOTHING = 2**63 - 1
"""The key of a sample that shows no facet."""

_LAYERS = 10
_PARTS = 6
_NEARBY = 1.0 / 1024.0
"""Samples, so that none falls between two facets with a common edge."""
_FLATTEST = 1e-6
"""Twice the area, in samples, below which a facet covers nothing."""
_MOST_SIDE = 1 << 14
_MOST_FACETS = 1 << 31
_MOST_SCALE = 64
_OPTIONS = struct.Struct("@iii")
_AT_ONCE = 1 << 19
"""Samples of facets that the reference looks at at once."""


_Mesh = tuple[Tensor, Tensor, Tensor]


class Window(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def facets(
    vertices: Tensor, corners: Tensor, kinds: Tensor, *, side: int, scale: int, window: Window | None = None
) -> tuple[Tensor, Tensor]:
    """Draw triangles: uint8 [N, side, side, 10], and what each sample shows, int64 [N, side scale, side scale].

    ``vertices`` f32 [N, V, 8] (``VERTEX``), ``corners`` int64 [F, 3] rows of them, ``kinds`` f32 [F, 5] (``KIND``). A
    pixel has ``scale`` samples a side, at whole numbers, the first at 0. Of a ``window`` the results are that part of
    what they else are.

    A facet covers what lies inside of its edges, and beyond them by 1/1024 of a sample along each axis; it is not seen
    where a corner's depth is not above 0. A sample shows the nearest facet, in the shade layers of
    :mod:`animegen.avatar.layers`: its shade in the layer of its part and its fixed colours, times its light: ``dark``
    in the shade, 1 in full light, between them by light 0..1. A light or a colour that is NaN counts as 0, a place or a
    depth as nowhere. A key is the depth's bits times 2^32 plus the facet's number, or ``NOTHING``; pixels are the
    rounded means of their samples. Native and reference give the same bytes. Raises InvalidValue naming what does not
    fit.

    A z-buffer (Catmull 1974) of deferred shading; the lines are Pineda's edge functions (1988).
    """
    seen = window or Window(0, 0, side, side)
    _check((vertices, corners, kinds), side, scale, seen)
    if not is_native(vertices):
        return facets_reference(vertices, corners, kinds, side=side, scale=scale, window=seen)
    shape = len(vertices), seen.height, seen.width
    pictures = torch.empty((*shape, _LAYERS), dtype=torch.uint8, device=vertices.device)
    keys = torch.empty((shape[0], shape[1] * scale, shape[2] * scale), dtype=torch.int64, device=vertices.device)
    library = native_for(pictures)
    assert library is not None
    if pictures.numel():
        tensors = (pictures, keys, vertices.contiguous(), corners.contiguous(), kinds.contiguous())
        call(library, "facets", tensors, _OPTIONS.pack(scale, seen.left, seen.top))
    return pictures, keys


def facets_reference(
    vertices: Tensor, corners: Tensor, kinds: Tensor, *, side: int, scale: int, window: Window | None = None
) -> tuple[Tensor, Tensor]:
    """What :func:`facets` computes, in PyTorch."""
    left, top, width, height = window or (0, 0, side, side)
    samples = Window(*(scale * pixels for pixels in (left, top, width, height)))
    keys = torch.full(
        (len(vertices), samples.height * samples.width), NOTHING, dtype=torch.int64, device=corners.device
    )
    pictures = torch.zeros((len(vertices), height * width, _LAYERS), dtype=torch.int32, device=corners.device)
    for picture, own, points in zip(pictures, keys, vertices, strict=True):
        _lower(own, _Facets.of(points, corners, kinds), samples)
        _show(picture, own, (points, corners, kinds), samples, scale)
    count, means = len(vertices), (pictures + scale * scale // 2) // (scale * scale)
    layers = means.to(torch.uint8).view(count, height, width, _LAYERS)
    return layers, keys.view(count, samples.height, samples.width)


def _check(mesh: _Mesh, side: int, scale: int, window: Window) -> None:
    vertices, corners, kinds = mesh
    wanted = {
        "vertices": (vertices, torch.float32, (NUMBERS,), 3), "corners": (corners, torch.int64, (3,), 2),
        "kinds": (kinds, torch.float32, (len(KIND),), 2),
    }  # fmt: skip
    for name, (tensor, dtype, last, dims) in wanted.items():
        if tensor.ndim != dims or tensor.shape[-1:] != last or tensor.dtype != dtype:
            sizes = "N, V" if dims == 3 else "F"
            raise InvalidValue(f"{name} must be {dtype} [{sizes}, {last[0]}], got {tensor.dtype} {tuple(tensor.shape)}")
    if len(kinds) != len(corners):
        raise InvalidValue(f"kinds must be those of {len(corners)} facets, got {len(kinds)}")
    if not 1 <= scale <= _MOST_SCALE or not 1 <= side * scale <= _MOST_SIDE or len(corners) >= _MOST_FACETS:
        raise InvalidValue(f"pictures of {side} pixels by {scale} samples of {len(corners)} facets cannot be drawn")
    left, top, width, height = window
    if min(window) < 0 or left + width > side or top + height > side:
        raise InvalidValue(f"{window} is no part of a picture of {side} pixels")


@dataclass(frozen=True, slots=True)
class _Facets:
    """Facets of a picture: their corners f32 [F, 8], twice their areas [F], their middles [F], of each edge its line
    [F, 3, 2]: l dx + m dy is 1 on it and 0 in the middle.
    """

    corners: tuple[Tensor, Tensor, Tensor]
    kinds: Tensor
    area: Tensor
    x: Tensor
    y: Tensor
    lines: Tensor

    @classmethod
    def of(cls, vertices: Tensor, corners: Tensor, kinds: Tensor) -> Self:
        a, b, c = (vertices.index_select(0, corners[:, i]) for i in range(3))
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - b[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - b[:, 0])
        per_area = area.reciprocal() * 3.0
        edges = [
            torch.stack([(end[:, 1] - start[:, 1]) * per_area, -((end[:, 0] - start[:, 0]) * per_area)], dim=1)
            for start, end in ((a, b), (b, c), (c, a))
        ]
        x, y = ((a[:, i] + b[:, i] + c[:, i]) * (1.0 / 3.0) for i in range(2))
        return cls((a, b, c), kinds, area, x, y, torch.stack(edges, dim=1))

    def plane(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """How one number of the vertices goes over facets: f32 [F] in the middle, the change to the right, and down.

        A corner's barycentric coordinate is (1 - line) / 3 by the line of the edge that it does not lie on.
        """
        a, b, c = (corner[:, number] for corner in self.corners)
        x, y = (self.lines * (-1.0 / 3.0)).unbind(2)
        by_x, by_y = (a * to[:, 1] + b * to[:, 2] + c * to[:, 0] for to in (x, y))
        return (a + b + c) * (1.0 / 3.0), by_x, by_y


def _lower(keys: Tensor, of: _Facets, window: Window) -> None:
    """Lower the keys int64 [H W] of a window to those of the facets that are seen there."""
    sides = of.kinds[:, 4]
    deep = torch.stack([corner[:, 2] > 0 for corner in of.corners]).all(dim=0)
    drawn = torch.nonzero((of.area.abs() > _FLATTEST) & ~(of.area * sides > 0) & deep)[:, 0]
    left, right = _span([corner[drawn, 0] for corner in of.corners], window.left, window.width)
    top, bottom = _span([corner[drawn, 1] for corner in of.corners], window.top, window.height)
    limit = 1.0 + of.lines.abs().sum(dim=2) * _NEARBY
    # All that a sample is compared with, so that it is looked up at once.
    table = torch.column_stack([of.x, of.y, of.lines.flatten(1), limit, *of.plane(2)])[drawn]
    width, height = (right - left + 1).clamp_min(0), (bottom - top + 1).clamp_min(0)
    ends = (width * height).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, _AT_ONCE):
        place = torch.arange(first, min(first + _AT_ONCE, total), device=keys.device)
        i = torch.searchsorted(ends, place, right=True)
        within = place - (ends[i] - width[i] * height[i])
        column, row = left[i] + within % width[i], top[i] + within // width[i]
        x, y, *lines = table[i].unbind(1)
        dx, dy = column - x, row - y
        inside = [lines[2 * k] * dx + lines[2 * k + 1] * dy <= lines[6 + k] for k in range(3)]
        depth = _at((lines[9], lines[10], lines[11]), dx, dy)
        seen = inside[0] & inside[1] & inside[2] & (depth > 0) & (depth < torch.inf)
        key = depth[seen].view(torch.int32).to(torch.int64) << 32 | drawn[i[seen]]
        spot = (row - window.top) * window.width + column - window.left
        keys.scatter_reduce_(0, spot[seen], key, "amin")


def _show(picture: Tensor, keys: Tensor, mesh: _Mesh, window: Window, scale: int) -> None:
    """Add what the samples of a window show to a picture int32 [pixels, 10]."""
    vertices, corners, kinds = mesh
    for places in torch.split(torch.nonzero(keys != NOTHING)[:, 0], _AT_ONCE):
        shown, own = torch.unique(keys[places] & 0xFFFFFFFF, return_inverse=True)
        row, column = places // window.width, places % window.width
        of = _Facets.of(vertices, corners[shown], kinds[shown])
        pixel = row // scale * (window.width // scale) + column // scale
        picture.index_add_(0, pixel, _layers(of, own, column + window.left, row + window.top))


def _layers(of: _Facets, own: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """What samples at columns and rows int64 [S] show of facets, whose numbers are ``own`` int64 [S]: int32 [S, 10]."""
    part, dark, gain, offset, _ = of.kinds.unbind(1)
    gain = torch.where(of.area > 0, -gain, gain)
    middle, by_x, by_y = of.plane(3)
    numbers = [middle * gain + offset, by_x * gain, by_y * gain]
    for number in range(4, NUMBERS):
        numbers += of.plane(number)
    x, y, part, dark, *planes = torch.column_stack([of.x, of.y, part, dark, *numbers])[own].unbind(1)
    dx, dy = column - x, row - y
    light, *colours = (_at(planes[i : i + 3], dx, dy) for i in range(0, len(planes), 3))
    light = dark + (1.0 - dark) * light.nan_to_num(0.0).clamp(0.0, 1.0)
    shown = torch.zeros((len(own), 1 + _PARTS + 3 + 1), dtype=torch.int32, device=own.device)
    shown[:, 0] = 255
    # What has no part has its shade in a column that is cut off.
    column_of_part = 1 + torch.where((part >= 0) & (part < _PARTS), part, _LAYERS - 1).to(torch.int64)
    shown.scatter_(1, column_of_part[:, None], _level(light * colours[0])[:, None])
    for channel, colour in enumerate(colours[1:]):
        shown[:, 1 + _PARTS + channel] = _level(light * colour)
    return shown[:, :_LAYERS]


def _at(plane: Sequence[Tensor], dx: Tensor, dy: Tensor) -> Tensor:
    """A number at distances from the middle."""
    middle, by_x, by_y = plane
    return middle + by_x * dx + by_y * dy


def _level(value: Tensor) -> Tensor:
    return (value.nan_to_num(0.0).clamp(0.0, 255.0) + 0.5).to(torch.int32)


def _span(corners: Sequence[Tensor], begin: int, size: int) -> tuple[Tensor, Tensor]:
    """The first and the last sample, int64, among the corners' places f32 [F] along an axis, of ``size`` from
    ``begin`` on.
    """
    a, b, c = corners
    low, high = torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)
    first, last = (
        (end + more).clamp(begin, begin + size).to(torch.int64) for end, more in ((low, 0.999), (high, 1.001))
    )
    return first, last - 1
