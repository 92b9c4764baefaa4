"""From a rigged avatar in a pose to facets on a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from animegen.avatar.rigged import MATERIAL_FIELDS, RiggedAvatar
from animegen.ops.facets import FIELDS

_LIGHT = (-0.35, -0.55, -0.75)
"""Where the light comes from, in the camera's axes (x right, y down, z away): above, in front, from the left."""
_OUTLINE = 0.8
"""Outlines are at least so many pixels wide: thinner ones would break into dots."""
_NEAREST = 0.05
"""What is nearer to the camera than this, in canvas sides at the hips, is not drawn."""
_FLATTEST = 1e-6
"""Area on the picture, in samples, below which a facet covers nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A rigged avatar on a device: float32 where it is numbers, int64 where it is places in a list."""

    positions: Tensor
    normals: Tensor
    bones: Tensor  # [3, V]
    weights: Tensor
    colours: Tensor  # [V, 4] shade and fixed colours in full light, 0..255
    ink: Tensor  # [V, 4] the same of the outline
    outline_width: Tensor  # [V]
    corners: Tensor
    kinds: Tensor  # [F, 4] part, dark, how steeply light rises with its cosine, and how much there is at 0
    outlined: Tensor  # [F] bool
    double_sided: Tensor  # [F] bool
    morphs: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, avatar: RiggedAvatar, device: torch.device) -> Self:
        """One avatar, for drawing."""
        of_vertex = np.zeros(len(avatar.positions), np.int64)
        of_vertex[avatar.corners.ravel()] = np.repeat(avatar.materials, 3)
        facet, vertex = (
            {name: avatar.table[rows, i] for i, name in enumerate(MATERIAL_FIELDS)}
            for rows in (avatar.materials, of_vertex)
        )
        width = np.zeros(len(avatar.positions), np.float32)  # a vertex may lie where outlines end
        np.maximum.at(width, avatar.corners.ravel(), np.repeat(facet["outline_width"], 3))
        colours = np.column_stack([avatar.shades, avatar.fixed]).astype(np.float32)
        added = 255 * np.stack([vertex[f"outline_{name}"] for name in ("red", "green", "blue")], axis=1)
        ink = np.minimum(colours * vertex["outline_gain"][:, None] + np.pad(added, ((0, 0), (1, 0))), 255)

        steepness = 1.0 / np.maximum(2.0 - 2.0 * facet["toony"], 1e-3)

        def tensor(values: NDArray[Any]) -> Tensor:
            kind = np.int64 if values.dtype.kind in "iu" else np.float32
            return torch.from_numpy(np.ascontiguousarray(values, kind)).to(device)

        return cls(
            positions=tensor(avatar.positions), normals=tensor(avatar.normals), bones=tensor(avatar.bones.T),
            weights=tensor(avatar.weights / np.float32(255)), colours=tensor(colours), ink=tensor(ink),
            outline_width=tensor(width), corners=tensor(avatar.corners),
            kinds=tensor(np.column_stack(
                [facet["part"], facet["dark"], steepness, facet["shift"] * steepness + 0.5]
            )),
            outlined=tensor(facet["outline_width"]) > 0, double_sided=tensor(facet["double_sided"]) > 0.5,
            morphs={name: (tensor(m.vertices), tensor(m.offsets)) for name, m in avatar.morphs.items()},
        )  # fmt: skip

    def facets(
        self, matrices: Tensor, focal: float, expression: Mapping[str, float], samples: int, scale: int
    ) -> Tensor:
        """What a camera sees: f32 [F', 28] for :func:`animegen.ops.facets.facets`.

        ``matrices`` f32 [B, 3, 4] as in :class:`animegen.avatar.armature.PosedBones`; ``expression`` by the names of
        ``MORPHS``. The picture has ``samples`` a side, a pixel ``scale`` of them. The light is MToon's
        (VRMC_materials_mtoon 1.0), and so are outlines: the hull around the surface, where it is turned away.
        """
        places, normals = self._posed(matrices, expression)
        width = self.outline_width * matrices[0, :, 0].norm()
        pixel = places[:, 2] * (_OUTLINE * scale / (focal * samples))
        hull = places + normals * torch.maximum(width, pixel)[:, None]
        to_light = functional.normalize(normals.new_tensor(_LIGHT), dim=0)
        surface = torch.cat([_on_picture(places, focal, samples), (normals @ to_light)[:, None], self.colours], dim=1)
        outside = torch.cat([_on_picture(hull, focal, samples), torch.zeros_like(width)[:, None], self.ink], dim=1)
        away = _area(*_rows(surface[:, :2], self.corners).unbind(1)) > 0
        front = torch.nonzero(~away | self.double_sided)[:, 0]
        ink = torch.nonzero(away & self.outlined)[:, 0]
        drawn = torch.cat([front, ink])
        corners, kind = self.corners.index_select(0, drawn), self.kinds.index_select(0, drawn)
        corners[len(front) :] += len(places)
        part, dark, steepness, offset = kind.unbind(1)
        steepness = torch.where(away.index_select(0, drawn), -steepness, steepness)
        for values, of_ink in ((dark, 1.0), (steepness, 0.0), (offset, 1.0)):
            values[len(front) :] = of_ink
        return _fields(
            _rows(torch.cat([surface, outside]), corners), gain=steepness, offset=offset, dark=dark, part=part
        )

    def _posed(self, matrices: Tensor, expression: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Places and normals of the vertices, f32 [V, 3] each, in the camera's axes."""
        positions = self.positions
        for name, (vertices, offsets) in self.morphs.items():
            if weight := expression.get(name, 0.0):
                positions = positions.index_add(0, vertices, offsets, alpha=weight)
        flat = matrices.flatten(1)
        moved = flat.index_select(0, self.bones[0]) * self.weights[:, :1]
        for i in range(1, len(self.bones)):
            moved = torch.addcmul(moved, flat.index_select(0, self.bones[i]), self.weights[:, i : i + 1])
        x, y, z, shift = moved.view(-1, 3, 4).unbind(2)
        return _turned(x, y, z, positions) + shift, functional.normalize(_turned(x, y, z, self.normals), dim=1)


def _turned(x: Tensor, y: Tensor, z: Tensor, vectors: Tensor) -> Tensor:
    """Vectors f32 [V, 3] by the matrices with columns x, y and z, f32 [V, 3] each."""
    turned = torch.addcmul(x * vectors[:, :1], y, vectors[:, 1:2])
    return torch.addcmul(turned, z, vectors[:, 2:])


def _rows(values: Tensor, corners: Tensor) -> Tensor:
    """The rows of values [V, C] at corners [F, 3]: [F, 3, C]."""
    return values.index_select(0, corners.flatten()).view(*corners.shape, values.shape[1])


def _on_picture(places: Tensor, focal: float, samples: int) -> Tensor:
    """x and y in samples and the depth of places, f32 [V, 3]; a depth of minus infinity for what is too near."""
    depth = places[:, 2:]
    seen = 0.5 + focal * places[:, :2] / depth.clamp_min(_NEAREST)
    return torch.cat([seen * samples - 0.5, torch.where(depth > _NEAREST, depth, -torch.inf)], dim=1)


def _area(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Twice the area of triangles [F] with corners [F, 2 or more], above 0 where they turn clockwise on the picture."""
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - b[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - b[:, 0])


def _fields(corners: Tensor, *, gain: Tensor, offset: Tensor, dark: Tensor, part: Tensor) -> Tensor:
    """Facets f32 [F, 28] with corners f32 [F, 3, 8]: x, y, depth, cosine of the light, shade, fixed colours.

    The light is ``gain`` times its cosine and ``offset``. With the line of each edge 1 on it and 0 in the middle,
    a corner's barycentric coordinate is (1 - line) / 3 by the line of the edge that it does not lie on.
    """
    a, b, c = corners.unbind(1)
    area = _area(a, b, c)
    covers = (area.abs() > _FLATTEST) & (corners[:, :, 2] > 0).all(dim=1)
    per_area = torch.where(covers, 3.0 / area, 0.0)[:, None]
    lines = [(end - start)[:, :2].flip(1) * per_area for start, end in ((a, b), (b, c), (c, a))]
    fields = corners.new_empty((len(corners), FIELDS))
    middle = (a + b + c) / 3
    fields[:, :2] = middle[:, :2]
    fields[:, 8:14] = middle[:, 2:]
    for i, line in enumerate(lines):
        fields[:, 2 + 2 * i] = line[:, 0]
        fields[:, 3 + 2 * i] = -line[:, 1]
    thirds = fields[:, 2:8] / -3
    for axis, start in enumerate((14, 20)):
        ab, bc, ca = (thirds[:, 2 * i + axis, None] for i in range(3))
        change = torch.addcmul(torch.addcmul(a[:, 2:] * bc, b[:, 2:], ca), c[:, 2:], ab)
        fields[:, start : start + 6] = change
    for start in (9, 15, 21):
        fields[:, start] *= gain
    fields[:, 9] += offset
    fields[:, 26], fields[:, 27] = dark, part
    return fields
