"""What materials show at points of their surface, as shader and textures say: for what is drawn without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.surfels import MATERIAL_FIELDS
from animegen.types import PARTS, Float32Array, Float64Array, Uint8Array
from animegen_vrm.materials import GAMMA, dark_share, encoded
from animegen_vrm.model import Avatar, Material, TextureRef
from animegen_vrm.recolour import ShadeTexture, shade_textures

NO_PART = len(PARTS)
OUTLINE_SHADE = 0.4  # as in surface.frag

_SOLID = 0.5  # blended points are there from this alpha on
_LUMINANCE = np.array((0.2126, 0.7152, 0.0722))  # Rec. 709


@dataclass(frozen=True, slots=True, eq=False)
class Paint:
    """Points in full light: ``part`` uint8 [S], NO_PART where none; ``shade`` uint8 [S], ``fixed`` uint8 [S, 3].

    ``rows`` f32 [S, 9]: their material, in the order of MATERIAL_FIELDS.
    """

    part: Uint8Array
    shade: Uint8Array
    fixed: Uint8Array
    rows: Float32Array


def solid(avatar: Avatar, owner: NDArray[np.int64], uvs: Float64Array) -> NDArray[np.bool_]:
    """Which points of materials ``owner`` i64 [S] at texture coordinates f64 [S, 2] can be seen at all."""
    there = np.ones(len(uvs), bool)
    for number in np.unique(owner):
        material = avatar.materials[number]
        if material.alpha_mode != "opaque":
            mine = owner == number
            alpha = _texels(avatar, material.lit_texture, uvs[mine], blended=True)[:, 3] * material.lit[3]
            there[mine] = alpha >= (material.alpha_cutoff if material.alpha_mode == "mask" else _SOLID)
    return there


def paint(avatar: Avatar, owner: NDArray[np.int64], uvs: Float64Array) -> Paint:
    """Colours of points of materials ``owner`` i64 [S] at texture coordinates f64 [S, 2]."""
    shades = shade_textures(avatar)
    painted = Paint(
        np.full(len(uvs), NO_PART, np.uint8),
        np.zeros(len(uvs), np.uint8),
        np.zeros((len(uvs), 3), np.uint8),
        np.zeros((len(uvs), len(MATERIAL_FIELDS)), np.float32),
    )
    for number in np.unique(owner):
        mine, material, shade = owner == number, avatar.materials[number], shades[number]
        if shade is not None and material.part is not None:
            painted.part[mine] = PARTS.index(material.part)
            texels = _part_texels(avatar, material, shade, uvs[mine])
            painted.shade[mine], painted.fixed[mine] = texels[:, 0], texels[:, 1:]
            dark, ink = dark_share(material, avatar.images), (OUTLINE_SHADE, 0.0, 0.0, 0.0)
        else:
            lit, dim = _colours(avatar, material, uvs[mine])
            painted.fixed[mine] = np.rint(lit * 255)
            dark = float(np.clip((dim @ _LUMINANCE).sum() / max(float((lit @ _LUMINANCE).sum()), 1e-6), 0.0, 1.0))
            ink = _ink(material)
        row = (dark, material.shading_shift, material.shading_toony, 0.0, *ink, float(material.double_sided))
        painted.rows[mine] = row
        painted.rows[mine, MATERIAL_FIELDS.index("outline_width")] = _outline_widths(avatar, material, uvs[mine])
    return painted


def _ink(material: Material) -> tuple[float, float, float, float]:
    """Of a material of no part: how much of its light its outline has, and what colour is added."""
    colour, mix = encoded(material.outline_colour), material.outline_mix
    red, green, blue = (value * (1.0 - mix) for value in colour)
    return float(np.mean(colour)) * mix, red, green, blue


def _outline_widths(avatar: Avatar, material: Material, uvs: Float64Array) -> Float64Array:
    """Metres at each point: none where the outline's texture is dark, the mean of the rest elsewhere."""
    widths = np.full(len(uvs), material.outline_width)
    if material.outline_texture is not None and material.outline_width > 0.0:
        shares = _texels(avatar, material.outline_texture, uvs)[:, 1]
        wide = shares >= 0.5
        widths *= np.where(wide, shares[wide].mean() if wide.any() else 0.0, 0.0)
    return widths


def _colours(avatar: Avatar, material: Material, uvs: Float64Array) -> tuple[Float64Array, Float64Array]:
    """What a material of no part shows in the light and in the shade, sRGB f64 [S, 3] each, 0..1."""
    lit = _texels(avatar, material.lit_texture, uvs, blended=material.alpha_mode != "opaque")[:, :3]
    same = material.shade_texture == material.lit_texture
    dim = lit if same else _texels(avatar, material.shade_texture, uvs)[:, :3]
    glow = np.zeros(3)
    if any(material.emissive):
        glow = _texels(avatar, material.emissive_texture, uvs)[:, :3] * encoded(material.emissive)
    light = lit * encoded(material.lit[:3]), dim * encoded(material.shade)
    bright, shaded = (np.clip((each**GAMMA + glow**GAMMA) ** (1 / GAMMA), 0.0, 1.0) for each in light)
    return bright, shaded


def _part_texels(avatar: Avatar, material: Material, shade: ShadeTexture, uvs: Float64Array) -> Uint8Array:
    """Shade and fixed colours, uint8 [S, 4]."""
    image = np.dstack([shade.shade[..., None], shade.fixed, np.full(shade.shade.shape, 255, np.uint8)])
    lit = material.lit_texture
    if lit is not None and material.alpha_mode != "opaque":
        image[..., -1] = avatar.images[lit.image][..., 3]
    place = TextureRef(0) if lit is None else lit
    texels: Uint8Array = np.rint(bilinear(image, place, uvs)[:, :-1] * 255).astype(np.uint8)
    return texels


def _texels(avatar: Avatar, texture: TextureRef | None, uvs: Float64Array, blended: bool = False) -> Float64Array:
    """A texture's values f64 [S, 4], 0..1; its alpha counts only where it is ``blended``. White where there is none."""
    if texture is None:
        return np.ones((len(uvs), 4))
    image = avatar.images[texture.image]
    if not blended:
        image = np.dstack([image[..., :3], np.full(image.shape[:2], 255, np.uint8)])
    return bilinear(image, texture, uvs)


def bilinear(image: Uint8Array, place: TextureRef, uvs: Float64Array) -> Float64Array:
    """Values f64 [S, C], 0..1, of a picture whose last channel is alpha: clear texels lend no colour."""
    height, width = image.shape[:2]
    size = np.array((width, height))
    spots = (uvs * place.scale + place.offset) * size - 0.5
    corner = np.floor(spots).astype(np.int64)
    along = spots - corner
    total = np.zeros((len(uvs), image.shape[2]))
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        texel = corner + step
        texel = texel % size if place.repeat else np.clip(texel, 0, size - 1)
        share = np.where(step, along, 1 - along).prod(axis=1)
        values = image[texel[:, 1], texel[:, 0]] / 255.0
        values[:, :-1] *= values[:, -1:]
        total += share[:, None] * values
    total[:, :-1] /= np.maximum(total[:, -1:], 1 / 255)
    return total
