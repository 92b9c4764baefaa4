"""From a rigged avatar in poses to the corners of facets on pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, hypot
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.avatar.rigged import MATERIAL_FIELDS, RiggedAvatar
from animegen.ops.facets import Window, facets
from animegen.ops.skin import Surface, View, skin

_LIGHT = (-0.35, -0.55, -0.75)
"""Where the light comes from, in the camera's axes (x right, y down, z away): above, in front, from the left."""
_OUTLINE = 0.8
"""Outlines are at least so many pixels wide: thinner ones would break into dots."""
_NEAREST = 0.05
"""What is nearer to the camera than this, in canvas sides at the hips, is not drawn."""
_FRONT, _BACK, _BOTH = 1.0, -1.0, 0.0
"""The sides that facets are seen from, as :mod:`animegen.ops.facets` has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A rigged avatar on a device: float32 where it is numbers, int64 where it is places in a list.

    ``corners`` and ``kinds`` are of F facets of the surface, then of those of the hull around it, whose vertices come
    after all of the surface.
    """

    positions: Tensor
    surface: Surface
    corners: Tensor
    kinds: Tensor
    morphs: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, avatar: RiggedAvatar, device: torch.device) -> Self:
        """One avatar, for drawing. The light is MToon's (VRMC_materials_mtoon 1.0), and so are outlines: the hull
        around the surface, where it is turned away.
        """
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
        sides = np.where(facet["double_sided"] > 0.5, _BOTH, _FRONT)
        kinds = np.column_stack([facet["part"], facet["dark"], steepness, facet["shift"] * steepness + 0.5, sides])
        outlined = facet["outline_width"] > 0
        hull = kinds[outlined]
        hull[:, 1:] = 1.0, 0.0, 1.0, _BACK

        def tensor(values: NDArray[Any]) -> Tensor:
            kind = np.int64 if values.dtype.kind in "iu" else np.float32
            return torch.from_numpy(np.ascontiguousarray(values, kind)).to(device)

        surface = Surface(
            normals=tensor(avatar.normals),
            bones=tensor(avatar.bones),
            weights=tensor(avatar.weights / np.float32(255)),
            colours=tensor(np.stack([colours, ink])),
            widths=tensor(width),
        )
        return cls(
            positions=tensor(avatar.positions),
            surface=surface,
            corners=tensor(np.concatenate([avatar.corners, avatar.corners[outlined] + len(avatar.positions)])),
            kinds=tensor(np.concatenate([kinds, hull])),
            morphs={name: (tensor(m.vertices), tensor(m.offsets)) for name, m in avatar.morphs.items()},
        )

    def vertices(
        self, matrices: Tensor, focal: Tensor, expressions: Sequence[Mapping[str, float]], samples: int, scale: int
    ) -> Tensor:
        """Where a camera sees the vertices of N pictures: f32 [N, V, 8] for :func:`animegen.ops.facets.facets`.

        ``matrices`` f32 [N, B, 3, 4] and ``focal`` f32 [N] as in :class:`animegen.avatar.armature.PosedBones`;
        ``expressions`` by the names of ``MORPHS``. A picture has ``samples`` a side, a pixel ``scale`` of them.
        """
        length = hypot(*_LIGHT)
        light = (_LIGHT[0] / length, _LIGHT[1] / length, _LIGHT[2] / length)
        view = View(light, samples, _NEAREST, _OUTLINE * scale)
        positions = torch.stack([self._expressing(expression) for expression in expressions])
        return skin(self.surface, positions, matrices, focal, view).flatten(1, 2)

    def draw(self, vertices: Tensor, side: int, scale: int) -> tuple[Tensor, Tensor, Window]:
        """The part of pictures that shows anything: layers, what samples show, and where it lies."""
        window = _around(vertices, side, scale)
        return *facets(vertices, self.corners, self.kinds, side=side, scale=scale, window=window), window

    def _expressing(self, expression: Mapping[str, float]) -> Tensor:
        """Places at rest, f32 [V, 3]."""
        positions = self.positions
        for name, (vertices, offsets) in self.morphs.items():
            if weight := expression.get(name, 0.0):
                positions = positions.index_add(0, vertices, offsets, alpha=weight)
        return positions


def _around(vertices: Tensor, side: int, scale: int) -> Window:
    """The part of pictures that vertices f32 [N, V, 8] lie around."""
    numbers, samples = vertices.flatten(0, 1), side * scale
    low, high = ((numbers.amin(dim=0) - 1)[:2], (numbers.amax(dim=0) + 1)[:2])
    left, top = (floor(edge / scale) for edge in low.nan_to_num(0.0).clamp(0, samples).tolist())
    ends = high.nan_to_num(samples).clamp(-1, samples).tolist()
    right, bottom = (min(floor(edge / scale) + 1, side) for edge in ends)
    return Window(left, top, max(right - left, 0), max(bottom - top, 0))
