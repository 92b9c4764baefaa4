"""The avatar's surface in its rest pose, as points with colours: what parts and palettes are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array, Uint8Array
from animegen_vrm.model import Avatar, Material, Primitive
from animegen_vrm.rig import rest_matrices

SAMPLES = 60_000
DIRECTIONS = 8
CELL = 0.008  # metres: cells of the depth maps that tell what is seen
BEHIND = 0.015  # metres: what lies no further behind the nearest point of its cell still counts as seen

_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Points spread evenly over all triangles.

    ``primitive`` i64 [S] is the primitive of the avatar on which each lies, ``positions`` f32 [S, 3] are in metres in
    the rest pose, ``uvs`` f32 [S, 2] texture coordinates. ``seen`` f32 [S] is the share of the horizontal directions
    from which a point is not hidden, 0..1.
    """

    primitive: NDArray[np.int64]
    positions: Float32Array
    uvs: Float32Array
    seen: Float32Array


def rest_positions(avatar: Avatar) -> list[Float64Array]:
    """Vertices of each primitive in the rest pose, f64 [V, 3] metres."""
    joints = rest_matrices(avatar.nodes)[avatar.joint_nodes].astype(np.float64) @ avatar.inverse_binds
    return [_skinned(primitive, joints) for primitive in avatar.primitives]


def _skinned(primitive: Primitive, joints: Float64Array) -> Float64Array:
    blended = np.einsum("vk,vkij->vij", primitive.weights.astype(np.float64), joints[primitive.joints][:, :, :3])
    moved: Float64Array = np.einsum("vij,vj->vi", blended[:, :, :3], primitive.positions) + blended[:, :, 3]
    return moved


def sample_surface(avatar: Avatar, count: int = SAMPLES) -> Surface:
    """``count`` points spread over the surface by area; the same avatar gives the same points."""
    random = np.random.default_rng(_SEED)
    places = rest_positions(avatar)
    corners = [place[primitive.triangles] for place, primitive in zip(places, avatar.primitives, strict=True)]
    owner = np.repeat(np.arange(len(corners)), [len(c) for c in corners])
    triangles = np.concatenate(corners)
    uvs = np.concatenate([primitive.uvs[primitive.triangles] for primitive in avatar.primitives])
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) / 2
    area = area + 1e-12  # an avatar of no area still gets points
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), (np.arange(count) + 0.5) / count).clip(max=len(area) - 1)
    # Uniform in the triangle: fold the unit square along its diagonal.
    across, along = random.random(count), random.random(count)
    folded = across + along > 1
    across[folded], along[folded] = 1 - across[folded], 1 - along[folded]
    mix = np.stack([1 - across - along, across, along], axis=1)
    points = np.einsum("sk,skx->sx", mix, triangles[chosen])
    return Surface(
        primitive=owner[chosen],
        positions=points.astype(np.float32),
        uvs=np.einsum("sk,skx->sx", mix, uvs[chosen]).astype(np.float32),
        seen=_seen(points),
    )


def _seen(points: Float64Array) -> Float32Array:
    """Share of level directions around from which each point is not behind another."""
    seen = np.zeros(len(points), np.float32)
    low = points.min(axis=0)
    rows = np.minimum((points[:, 1] - low[1]) / CELL, 4095).astype(np.int64)
    for angle in np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS):
        across = points[:, 0] * np.cos(angle) - points[:, 2] * np.sin(angle)
        depth = points[:, 0] * np.sin(angle) + points[:, 2] * np.cos(angle)
        columns = np.minimum((across - across.min()) / CELL, 4095).astype(np.int64)
        cells = rows * 4096 + columns
        places, cell = np.unique(cells, return_inverse=True)
        nearest = np.full(len(places), -np.inf)
        np.maximum.at(nearest, cell, depth)
        seen += (depth >= nearest[cell] - BEHIND) / np.float32(DIRECTIONS)
    return seen


def lit_colours(avatar: Avatar, material: Material, uvs: Float32Array) -> Uint8Array:
    """What a material shows in full light at texture coordinates [S, 2]: uint8 [S, 4] sRGB and alpha."""
    colours = np.full((len(uvs), 4), 255, np.uint8)
    texture = material.lit_texture
    if texture is not None:
        image = avatar.images[texture.image]
        places = uvs.astype(np.float64) * texture.scale + texture.offset
        places = places - np.floor(places) if texture.repeat else np.clip(places, 0.0, 1.0)
        height, width = image.shape[:2]
        columns = np.minimum((places[:, 0] * width).astype(np.int64), width - 1)
        rows = np.minimum((places[:, 1] * height).astype(np.int64), height - 1)
        colours = image[rows, columns]
    return tint(colours, material.lit)


def tint(colours: Uint8Array, factor: tuple[float, float, float, float]) -> Uint8Array:
    """Colours [..., 4] (sRGB and alpha) times a linear factor."""
    if all(value == 1.0 for value in factor):
        return colours
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    tinted = np.empty_like(colours)
    for channel, value in enumerate(factor):
        scaled = np.clip(levels * value, 0, 1) if channel == 3 else to_srgb(to_linear(levels) * value)
        tinted[..., channel] = np.rint(scaled * 255).astype(np.uint8)[colours[..., channel]]
    return tinted


def to_linear(srgb: Float32Array) -> Float32Array:
    """Linear light of sRGB, both 0..1 (IEC 61966-2-1)."""
    linear: Float32Array = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear


def to_srgb(linear: Float32Array) -> Float32Array:
    """sRGB of linear light, both 0..1, which is clipped to that first."""
    light = np.clip(linear, 0, 1)
    srgb: Float32Array = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return srgb
