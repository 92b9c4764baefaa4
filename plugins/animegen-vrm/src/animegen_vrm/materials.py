"""Materials as the shaders want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.types import PARTS, Uint8Array
from animegen_vrm.model import Material, TextureRef
from animegen_vrm.recolour import ShadeTexture
from animegen_vrm.shaders import Look

GAMMA = 2.2
"""The power that stands for sRGB, as in surface.frag."""

DARKEST = 0.45
"""Shade layers are never darker in the shade, as a share of what they are in the light."""

_LUMINANCE = np.array((0.2126, 0.7152, 0.0722))  # Rec. 709


def look(
    material: Material, images: Sequence[Uint8Array], *, layers: bool = False, shade: ShadeTexture | None = None
) -> Look:
    """What a material's surface needs of a program, with ``shade`` as a part of a palette."""
    glow = material.emissive_texture
    return Look(
        layers=layers,
        part=shade is not None,
        fixed=shade is not None and bool(shade.fixed.any()),
        alpha_mask=material.alpha_mode == "mask",
        alpha_blend=material.alpha_mode == "blend",
        shade_texture=shade is None and material.shade_texture != material.lit_texture,
        emissive=shade is None and any(material.emissive) and (glow is None or bool(images[glow.image][..., :3].any())),
    )


def material_block(material: Material, images: Sequence[Uint8Array]) -> list[float]:
    """The fields of the block Material in surface.glsl."""
    parts = [1.0 if material.part == part else 0.0 for part in PARTS]
    return [
        *encoded(material.lit[:3]), material.lit[3],
        *encoded(material.shade), material.alpha_cutoff,
        *encoded(material.emissive), material.shading_shift,
        *encoded(material.outline_colour), material.outline_width,
        *_placement(material.lit_texture),
        *_placement(material.shade_texture),
        *_placement(material.emissive_texture),
        *_placement(material.outline_texture),
        *parts[:3], material.shading_toony,
        *parts[3:], dark_share(material, images),
        material.outline_mix,
    ]  # fmt: skip


def encoded(colour: Sequence[float]) -> list[float]:
    """Linear light in the power that stands for sRGB."""
    return [max(value, 0.0) ** (1.0 / GAMMA) for value in colour]


def _placement(texture: TextureRef | None) -> tuple[float, float, float, float]:
    return (1.0, 1.0, 0.0, 0.0) if texture is None else (*texture.scale, *texture.offset)


def dark_share(material: Material, images: Sequence[Uint8Array]) -> float:
    """A shaded sRGB value over the lit one, by the luminance of the colours that MToon mixes."""
    lit = _luminance(material.lit[:3], material.lit_texture, images)
    shade = _luminance(material.shade, material.shade_texture, images)
    return float(np.clip((shade / max(lit, 1e-6)) ** (1.0 / GAMMA), DARKEST, 1.0))


def _luminance(colour: Sequence[float], texture: TextureRef | None, images: Sequence[Uint8Array]) -> float:
    """Mean linear luminance of a texture in a colour, by every fourth pixel that is not clear."""
    mean = np.ones(3)
    if texture is not None:
        pixels = images[texture.image][::4, ::4].reshape(-1, 4) / 255.0
        mean = (pixels[:, :3] ** GAMMA * pixels[:, 3:]).sum(axis=0) / max(pixels[:, 3].sum(), 1e-6)
    return float(_LUMINANCE @ (mean * colour))
