"""What materials show at points of their surface, as shader and textures say: for what is drawn without them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.rigged import MATERIAL_FIELDS
from animegen.types import PARTS, Float32Array, Float64Array, Uint8Array
from animegen_vrm.materials import GAMMA, dark_share, encoded
from animegen_vrm.model import Avatar, Material, TextureRef
from animegen_vrm.recolour import ShadeTexture, shade_textures

_NO_PART = len(PARTS)
_OUTLINE_SHADE = 0.4  # as in surface.frag

_SOLID = 0.5  # blended points are there from this alpha on
_LUMINANCE = np.array((0.2126, 0.7152, 0.0722))  # Rec. 709


class Painter:
    """What an avatar's materials show at points of their surface; its textures are taken apart once."""

    def __init__(self, avatar: Avatar) -> None:
        self._avatar, self._shades = avatar, shade_textures(avatar)

    def solid(self, owner: NDArray[np.int64], uvs: Float64Array) -> NDArray[np.bool_]:
        """Which points of materials ``owner`` i64 [S] at texture coordinates f64 [S, 2] can be seen at all."""
        there = np.ones(len(uvs), bool)
        for number in np.unique(owner):
            material = self._avatar.materials[number]
            if material.alpha_mode != "opaque":
                mine = owner == number
                texels = _texels(self._avatar, material.lit_texture, uvs[mine], blended=True)
                least = material.alpha_cutoff if material.alpha_mode == "mask" else _SOLID
                there[mine] = texels[:, 3] * material.lit[3] >= least
        return there

    def colours(self, owner: NDArray[np.int64], uvs: Float64Array) -> Uint8Array:
        """Shade and fixed colours of points in full light, uint8 [S, 4]."""
        colours = np.zeros((len(uvs), 4), np.uint8)
        for number in np.unique(owner):
            mine, material, shade = owner == number, self._avatar.materials[number], self._shades[number]
            if shade is not None:
                colours[mine] = _part_texels(self._avatar, material, shade, uvs[mine])
            else:
                colours[mine, 1:] = np.rint(_colours(self._avatar, material, uvs[mine])[0] * 255)
        return colours

    def rows(self, owner: NDArray[np.int64], uvs: Float64Array) -> Float32Array:
        """The materials at points, f32 [S, 10], in the order of MATERIAL_FIELDS."""
        rows = np.zeros((len(uvs), len(MATERIAL_FIELDS)), np.float32)
        for number in np.unique(owner):
            mine, material = owner == number, self._avatar.materials[number]
            if self._shades[number] is not None and material.part is not None:
                part, dark = PARTS.index(material.part), dark_share(material, self._avatar.images)
                ink = _OUTLINE_SHADE, 0.0, 0.0, 0.0
            else:
                lit, dim = _colours(self._avatar, material, uvs[mine])
                share = (dim @ _LUMINANCE).sum() / max(float((lit @ _LUMINANCE).sum()), 1e-6)
                part, dark, ink = _NO_PART, float(np.clip(share, 0.0, 1.0)), _ink(material)
            shading = part, dark, material.shading_shift, material.shading_toony
            rows[mine] = *shading, 0.0, *ink, float(material.double_sided)
            widths = _outline_widths(self._avatar, material, uvs[mine])
            rows[mine, MATERIAL_FIELDS.index("outline_width")] = widths
        return rows


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
    texels: Uint8Array = np.rint(_bilinear(image, place, uvs)[:, :-1] * 255).astype(np.uint8)
    return texels


def _texels(avatar: Avatar, texture: TextureRef | None, uvs: Float64Array, blended: bool = False) -> Float64Array:
    """A texture's values f64 [S, 4], 0..1; its alpha counts only where it is ``blended``. White where there is none."""
    if texture is None:
        return np.ones((len(uvs), 4))
    image = avatar.images[texture.image]
    if not blended:
        image = np.dstack([image[..., :3], np.full(image.shape[:2], 255, np.uint8)])
    return _bilinear(image, texture, uvs)


def _bilinear(image: Uint8Array, place: TextureRef, uvs: Float64Array) -> Float64Array:
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
