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
    bones: Tensor
    weights: Tensor
    colours: Tensor  # [V, 4] shade and fixed colours in full light, 0..255
    ink: Tensor  # [V, 4] the same of the outline
    outline_width: Tensor  # [V]
    corners: Tensor
    part: Tensor  # [F]
    dark: Tensor  # [F]
    shift: Tensor  # [F]
    steepness: Tensor  # [F]
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
        colours = np.column_stack([avatar.shades, avatar.fixed]).astype(np.float32)
        added = 255 * np.stack([vertex[f"outline_{name}"] for name in ("red", "green", "blue")], axis=1)
        ink = np.minimum(colours * vertex["outline_gain"][:, None] + np.pad(added, ((0, 0), (1, 0))), 255)

        def tensor(values: NDArray[Any]) -> Tensor:
            kind = np.int64 if values.dtype.kind in "iu" else np.float32
            return torch.from_numpy(np.ascontiguousarray(values, kind)).to(device)

        return cls(
            positions=tensor(avatar.positions), normals=tensor(avatar.normals), bones=tensor(avatar.bones),
            weights=tensor(avatar.weights / np.float32(255)), colours=tensor(colours), ink=tensor(ink),
            outline_width=tensor(vertex["outline_width"]), corners=tensor(avatar.corners),
            part=tensor(facet["part"]), dark=tensor(facet["dark"]), shift=tensor(facet["shift"]),
            steepness=tensor(1.0 / np.maximum(2.0 - 2.0 * facet["toony"], 1e-3)),
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
        surface = self._on_picture(places, focal, samples)[self.corners]
        edges = surface.roll(-1, dims=1)[:, :, :2] - surface[:, :, :2]
        away = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] > 0
        front = torch.nonzero(~away | self.double_sided)[:, 0]
        ink = torch.nonzero(away & self.outlined)[:, 0]
        to_light = functional.normalize(normals.new_tensor(_LIGHT), dim=0)
        facing = (normals @ to_light)[self.corners[front]]
        facing = torch.where(away[front, None], -facing, facing)
        light = (facing + self.shift[front, None]) * self.steepness[front, None] + 0.5
        colours = torch.cat([light[:, :, None], self.colours[self.corners[front]]], dim=2)
        outside = self._on_picture(hull, focal, samples)[self.corners[ink]]
        inked = functional.pad(self.ink[self.corners[ink]], (1, 0), value=1.0)
        return torch.cat(
            [
                _fields(surface[front], colours, self.dark[front], self.part[front]),
                _fields(outside, inked, torch.ones_like(self.dark[ink]), self.part[ink]),
            ]
        )

    def _posed(self, matrices: Tensor, expression: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Places and normals of the vertices, f32 [V, 3] each, in the camera's axes."""
        positions = self.positions
        for name, (vertices, offsets) in self.morphs.items():
            if weight := expression.get(name, 0.0):
                positions = positions.index_add(0, vertices, offsets, alpha=weight)
        flat = matrices.flatten(1)
        moved = flat[self.bones[:, 0]] * self.weights[:, :1]
        for i in range(1, self.bones.shape[1]):
            moved = torch.addcmul(moved, flat[self.bones[:, i]], self.weights[:, i : i + 1])
        moved = moved.view(-1, 3, 4)
        places = (moved[:, :, :3] * positions[:, None]).sum(dim=2) + moved[:, :, 3]
        normals = (moved[:, :, :3] * self.normals[:, None]).sum(dim=2)
        return places, functional.normalize(normals, dim=1)

    @staticmethod
    def _on_picture(places: Tensor, focal: float, samples: int) -> Tensor:
        """x and y in samples and the depth of places, f32 [V, 3]; a depth of 0 for what is too near."""
        depth = places[:, 2:]
        seen = 0.5 + focal * places[:, :2] / depth.clamp_min(_NEAREST)
        return torch.cat([seen * samples - 0.5, torch.where(depth > _NEAREST, depth, -torch.inf)], dim=1)


def _fields(corners: Tensor, values: Tensor, dark: Tensor, part: Tensor) -> Tensor:
    """Facets f32 [F, 28] with corners f32 [F, 3, 3] (x, y, depth) that have values f32 [F, 3, 5], light first.

    With the line of each edge 1 on that edge and 0 in the middle, a corner's barycentric coordinate is (1 - line) / 3
    by the line of the edge that it does not lie on.
    """
    middle = corners[:, :, :2].mean(dim=1)
    edges = corners.roll(-1, dims=1)[:, :, :2] - corners[:, :, :2]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    covers = (area.abs() > _FLATTEST) & (corners[:, :, 2] > 0).all(dim=1)
    third = torch.where(covers, area, 1.0) / 3
    lines = torch.stack([edges[:, :, 1], -edges[:, :, 0]], dim=2) / third[:, None, None]
    all_values = torch.cat([corners[:, :, 2:], values], dim=2)
    change = lines.roll(-1, dims=1).mT @ all_values / -3
    lines = torch.where(covers[:, None, None], lines, 0.0)
    return torch.cat(
        [
            middle,
            lines.flatten(1),
            all_values.mean(dim=1),
            change.flatten(1),
            dark[:, None],
            part[:, None],
        ],
        dim=1,
    )
