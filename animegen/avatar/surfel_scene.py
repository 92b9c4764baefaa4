"""From an avatar's surfels in a pose to discs on a picture and what each shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from animegen.avatar.layers import ALPHA, FIXED, LAYERS, SHADES
from animegen.avatar.surfels import MATERIAL_FIELDS, SurfelAvatar

_LIGHT = (-0.35, -0.55, -0.75)
"""Where the light comes from, in the camera's axes (x right, y down, z away): above, in front, from the left."""
_OUTLINE = 0.8
"""Outlines are at least so many pixels wide: thinner ones would break into dots."""
_LEAST_REACH = 0.6
"""How far a disc reaches at least, in samples: a smaller one could lie between them."""
_BULGE = 0.3
"""How much farther away the edge of a disc is than its middle, in its radii."""
_GRAZING = 0.1
"""Sine of the angle to the line of sight below which a disc is not thought to be seen more sharply."""
_LEAST = 1e-12
_PARTLESS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Discs:
    """Discs on a picture: ``fields`` f32 [D, 13] (:func:`animegen.ops.splat.splat`), the surfel that each shows int64
    [D], the share of that one's colours in full light it has f32 [D, 1], and what it has besides f32 [D, 10], 0..255.
    """

    fields: Tensor
    surfels: Tensor
    gains: Tensor
    added: Tensor

    def values(self, colours: Tensor) -> Tensor:
        """What they show of surfels with colours f32 [M, 10]: f32 [D, 10], 0..255."""
        return (colours[self.surfels] * self.gains + self.added).clamp(0, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An avatar's surfels on a device: float32 where they are numbers, int64 where they are places in a list."""

    positions: Tensor
    normals: Tensor
    shading_normals: Tensor
    borders: Tensor
    radii: Tensor
    bones: Tensor
    weights: Tensor
    colours: Tensor  # [M, 10] in full light, 0..255, their alpha 0
    added: Tensor  # [M, 10] what an outline has besides, 0..255
    opaque: Tensor  # [1, 10] what every surface has besides: its alpha
    dark: Tensor
    shift: Tensor
    steepness: Tensor
    outline_width: Tensor
    outline_gain: Tensor
    double_sided: Tensor
    morphs: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, avatar: SurfelAvatar, device: torch.device) -> Self:
        """The surfels of one avatar."""
        count = len(avatar.positions)
        own = {name: avatar.table[avatar.materials, i] for i, name in enumerate(MATERIAL_FIELDS)}
        colours = np.zeros((count, LAYERS + 1), np.float32)
        # What has no part has no shade: it goes to a column that is cut off.
        places = np.where(avatar.parts == _PARTLESS, LAYERS, SHADES.start + avatar.parts.astype(np.int64))
        colours[:, FIXED] = avatar.fixed
        colours[np.arange(count), places] = avatar.shades
        added = np.zeros((count, LAYERS), np.float32)
        added[:, ALPHA] = 255.0
        added[:, FIXED] = 255.0 * np.stack([own[f"outline_{name}"] for name in ("red", "green", "blue")], axis=1)

        def tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
            kind = np.int64 if values.dtype.kind in "iu" else np.float32
            return torch.from_numpy(np.ascontiguousarray(values, kind)).to(device)

        return cls(
            positions=tensor(avatar.positions), normals=tensor(avatar.normals),
            shading_normals=tensor(avatar.shading_normals), borders=tensor(avatar.borders), radii=tensor(avatar.radii),
            bones=tensor(avatar.bones), weights=tensor(avatar.weights.astype(np.float32) / 255.0),
            colours=tensor(colours[:, :LAYERS]), added=tensor(added),
            opaque=tensor(np.eye(1, LAYERS, ALPHA) * 255.0),
            dark=tensor(own["dark"]), shift=tensor(own["shift"]),
            steepness=tensor(1.0 / np.maximum(2.0 - 2.0 * own["toony"], 1e-3)),
            outline_width=tensor(own["outline_width"]), outline_gain=tensor(own["outline_gain"]),
            double_sided=tensor(own["double_sided"]) > 0.5,
            morphs={name: (tensor(m.surfels), tensor(m.offsets)) for name, m in avatar.morphs.items()},
        )  # fmt: skip

    def discs(self, matrices: Tensor, focal: float, expression: Mapping[str, float], samples: int, scale: int) -> Discs:
        """What a camera sees.

        ``matrices`` f32 [B, 3, 4] as in :class:`animegen.avatar.armature.PosedBones`; ``expression`` by the names of
        ``MORPHS``. The picture has ``samples`` a side, a pixel ``scale`` of them.
        """
        places, turns, normals = self._posed(matrices, expression)
        away = (normals * places).sum(dim=1) > 0
        front = torch.nonzero(~away | self.double_sided)[:, 0]
        hull = torch.nonzero(away & (self.outline_width > 0))[:, 0]
        chosen = torch.cat([front, hull])
        size = matrices[0, :, 0].norm()
        turned = turns[chosen]
        shading = functional.normalize(_turned(turned, self.shading_normals[chosen]), dim=1)
        light = self._light(front, shading[: len(front)], away[front])
        # The hull around the surface shows, where it is turned away, as an outline.
        outside = places[hull]
        pixel = outside[:, 2] * (_OUTLINE * scale / (focal * samples))
        width = torch.maximum(self.outline_width[hull] * size, pixel)
        seen = _Seen(
            torch.cat([places[front], outside + shading[len(front) :] * width[:, None]]),
            normals[chosen],
            self.borders[chosen] @ turned.mT,
            self.radii[chosen] * size,
        )
        gains = torch.cat([light, self.outline_gain[hull, None]])
        added = torch.cat([self.opaque.expand(len(front), -1), self.added[hull]])
        return Discs(_projected(seen, focal, samples), chosen, gains, added)

    def _posed(self, matrices: Tensor, expression: Mapping[str, float]) -> tuple[Tensor, Tensor, Tensor]:
        """Places f32 [M, 3], turns of the bones [M, 3, 3] and normals [M, 3] of the surfels, in the camera's axes."""
        positions = self.positions
        for name, (surfels, offsets) in self.morphs.items():
            if weight := expression.get(name, 0.0):
                positions = positions.index_add(0, surfels, offsets, alpha=weight)
        flat = matrices.flatten(1)
        moved = flat[self.bones[:, 0]] * self.weights[:, :1]
        for i in range(1, self.bones.shape[1]):
            moved = torch.addcmul(moved, flat[self.bones[:, i]], self.weights[:, i : i + 1])
        moved = moved.view(-1, 3, 4)
        turns = moved[:, :, :3]
        normals = functional.normalize(_turned(turns, self.normals), dim=1)
        return _turned(turns, positions) + moved[:, :, 3], turns, normals

    def _light(self, chosen: Tensor, normals: Tensor, away: Tensor) -> Tensor:
        """MToon's two tones (VRMC_materials_mtoon 1.0): f32 [m, 1] of what a surfel shows in full light."""
        to_light = functional.normalize(normals.new_tensor(_LIGHT), dim=0)
        shading = normals @ to_light
        shading = torch.where(away, -shading, shading) + self.shift[chosen]
        lit = (shading * self.steepness[chosen] + 0.5).clamp(0, 1)
        return torch.lerp(self.dark[chosen], torch.ones_like(lit), lit)[:, None]


def _turned(turns: Tensor, vectors: Tensor) -> Tensor:
    """Vectors f32 [m, 3] by matrices f32 [m, 3, 3]."""
    return (turns * vectors[:, None]).sum(dim=2)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Surfels in the camera's axes: ``places`` and ``normals`` f32 [m, 3], ``borders`` f32 [m, 2, 3], ``radii`` [m], in
    canvas sides at the distance of the hips.
    """

    places: Tensor
    normals: Tensor
    borders: Tensor
    radii: Tensor


def _projected(seen: _Seen, focal: float, samples: int) -> Tensor:
    """Discs f32 [m, 13] of surfels.

    The ellipse is the projection of the disc by the derivative of the perspective (Zwicker et al. 2001, "Surface
    splatting"), widened so that it holds a sample.
    """
    x, y, z = seen.places.unbind(1)
    nx, ny, nz = seen.normals.unbind(1)
    u, v, zoom = x / z, y / z, focal * samples
    per_unit = zoom / z
    # With J the derivative of the projection and n the normal, the ellipse is r^2 (J J' - J n (J n)').
    jn_x, jn_y = nx - u * nz, ny - v * nz
    size = (seen.radii * per_unit) ** 2
    least = _LEAST_REACH**2
    xx = size * (1 + u * u - jn_x * jn_x) + least
    xy = size * (u * v - jn_x * jn_y)
    yy = size * (1 + v * v - jn_y * jn_y) + least
    determinant = xx * yy - xy * xy
    # Of the plane of the disc: how its depth rises on the picture, and beyond which line its border lies.
    along = nx * u + ny * v + nz
    along = torch.where(along < 0, along.clamp_max(-_GRAZING), along.clamp_min(_GRAZING))
    by = -z / (along * zoom)
    fields_ = (
        (0.5 + focal * u) * samples - 0.5, (0.5 + focal * v) * samples - 0.5, z, by * nx, by * ny,
        yy / determinant, -xy / determinant, xx / determinant, _BULGE * seen.radii,
    )  # fmt: skip
    cuts = _cuts(seen, torch.stack([u, v], dim=1), along, per_unit)
    return torch.cat([torch.stack(fields_, dim=1), cuts], dim=1)


def _cuts(seen: _Seen, ray: Tensor, along: Tensor, per_unit: Tensor) -> Tensor:
    """The lines on the picture beyond which discs are cut off, f32 [m, 4].

    A place q of the disc's plane lies beyond a border at c where q c / c^2 > 1. That is linear in q, and so on the
    picture: of all linear functions with these values in the plane it is the one that does not change along the ray.
    """
    reach = (seen.borders**2).sum(dim=2, keepdim=True)
    toward = torch.where(reach > 0, seen.borders / reach.clamp_min(_LEAST), 0.0)
    lift = ((toward[:, :, :2] * ray[:, None]).sum(dim=2) + toward[:, :, 2]) / along[:, None]
    lines = (toward[:, :, :2] - lift[:, :, None] * seen.normals[:, None, :2]) / per_unit[:, None, None]
    return lines.flatten(1)
