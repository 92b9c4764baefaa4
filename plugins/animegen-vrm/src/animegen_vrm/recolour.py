"""Textures taken apart into a shade, which any palette's colour may fill, and fixed colours, which none touches.

Every step is a function of the texel's colour alone, so it is done once for each colour a texture has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from animegen.avatar.layers import PARTS, SHADE_LIMIT
from animegen.colour import rgb_to_lab
from animegen.types import Float32Array, Float64Array, Uint8Array
from animegen_vrm.model import Avatar, Material, Part
from animegen_vrm.patches import weighted_median
from animegen_vrm.surface import Surface, lit_colours, sample_surface, tint

SHADE_FLOOR = 0.12
"""The darkest shade: so much of its colour a part always shows, so that it can be told in the layers."""

_CONTRAST = 55.0  # L: a dark reference divides differences of lightness by no less, or black cloth would glare
_IRIS_CONTRAST = 30.0  # L: an iris is small and needs its contrast


@dataclass(frozen=True, slots=True, eq=False)
class ShadeTexture:
    """A material's lit texture taken apart, of the same size (1x1 where it has none); its lit colour is in it.

    ``shade`` uint8 [H, W]: 255 stands for SHADE_LIMIT times the palette's colour. ``fixed`` uint8 [H, W, 3] sRGB: what
    no palette colours, added to it. Alpha stays with the lit texture.
    """

    shade: Uint8Array
    fixed: Uint8Array


def shade_textures(avatar: Avatar) -> tuple[ShadeTexture | None, ...]:
    """For each material its shade texture; None for one that keeps its own colours (``part`` is None)."""
    surface = sample_surface(avatar)
    references = _references(avatar, surface)
    return tuple(_shade_texture(avatar, material, references) for material in avatar.materials)


def reference_palette(avatar: Avatar) -> dict[Part, tuple[float, float, float]]:
    """The avatar's own palette: sRGB 0..1 of each part that it shows."""
    references = _references(avatar, sample_surface(avatar))
    return {part: (float(r), float(g), float(b)) for part, (r, g, b) in ((p, c / 255) for p, c in references.items())}


def _references(avatar: Avatar, surface: Surface) -> Mapping[Part, Float64Array]:
    """The colour a part shows mostly, sRGB f64 [3] 0..255: the middle one of what is seen of its surface."""
    colours: dict[Part, list[Uint8Array]] = {}
    weights: dict[Part, list[Float32Array]] = {}
    for number, primitive in enumerate(avatar.primitives):
        material = avatar.materials[primitive.material]
        mine = surface.primitive == number
        if material.part is not None and mine.any():
            rgba = lit_colours(avatar, material, surface.uvs[mine])
            solid = rgba[:, 3] / 255 if material.alpha_mode != "opaque" else 1.0
            colours.setdefault(material.part, []).append(rgba[:, :3])
            weights.setdefault(material.part, []).append((surface.seen[mine] + 1e-3) * solid)
    return {
        part: _middle(part, np.concatenate(colours[part]), np.concatenate(weights[part]))
        for part in PARTS
        if part in colours
    }


def _middle(part: str, rgb: Uint8Array, weights: Float32Array) -> Float64Array:
    if part == "eyes":
        # Neither the black pupil nor the white glint is what one calls the colour of an eye.
        lab = rgb_to_lab(rgb)
        weights = weights * np.hypot(lab[:, 1], lab[:, 2]) + 1e-6
    return weighted_median(rgb.astype(np.float64), weights)


def _shade_texture(avatar: Avatar, material: Material, references: Mapping[Part, Float64Array]) -> ShadeTexture | None:
    if material.part is None or material.part not in references:
        return None
    image = np.full((1, 1, 4), 255, np.uint8)
    if material.lit_texture is not None:
        image = avatar.images[material.lit_texture.image]
    image = tint(image, material.lit)
    packed = image[..., 0].astype(np.uint32) << 16 | image[..., 1].astype(np.uint32) << 8 | image[..., 2]
    occurs = np.zeros(1 << 24, bool)
    occurs[packed] = True
    found = np.flatnonzero(occurs)
    numbers = np.empty(1 << 24, np.int32)
    numbers[found] = np.arange(len(found), dtype=np.int32)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8)
    shade, fixed = take_apart(colours, material.part, references[material.part])
    places = numbers[packed]
    return ShadeTexture(shade[places], fixed[places])


def take_apart(rgb: Uint8Array, part: Part, reference: Float64Array) -> tuple[Uint8Array, Uint8Array]:
    """Shade uint8 [N] and fixed colours uint8 [N, 3] of sRGB colours uint8 [N, 3]; ``reference`` is sRGB 0..255."""
    lab, own = rgb_to_lab(rgb), rgb_to_lab(np.rint(reference).astype(np.uint8))
    contrast = max(float(own[0]), _IRIS_CONTRAST if part == "eyes" else _CONTRAST)
    shade = np.clip(1 + (lab[:, 0] - own[0]) / contrast, SHADE_FLOOR, SHADE_LIMIT)
    foreign = _foreign(lab, own, part)
    fixed = foreign[:, None] * rgb
    if part == "skin":
        # Blush and lips are redder than the skin in the same shade.
        fixed += (1 - foreign[:, None]) * np.maximum(rgb - reference * shade[:, None], 0)
    # What is foreign and dark would belong to no part if it kept no shade.
    dark = np.clip(1 - rgb.max(axis=1) / 80, 0, 1)
    shade = (1 - foreign) * shade + foreign * dark * SHADE_FLOOR
    return (
        np.rint(shade / SHADE_LIMIT * 255).astype(np.uint8),
        np.rint(np.clip(fixed, 0, 255)).astype(np.uint8),
    )


def _foreign(lab: Float32Array, own: Float32Array, part: Part) -> Float32Array:
    """How far each colour is none of its part's, 0..1: a tie, a collar, a sock painted on the skin."""
    chroma, own_chroma = np.hypot(lab[:, 1], lab[:, 2]), float(np.hypot(own[1], own[2]))
    if part == "skin":
        return 1 - _ramp(chroma, 0.35 * own_chroma, 0.6 * own_chroma)
    if part == "eyes":
        return (1 - _ramp(chroma, 8.0, 20.0)) * _ramp(lab[:, 0], 70.0, 85.0)
    hue = np.hypot(lab[:, 1] - own[1], lab[:, 2] - own[2])
    if part == "hair":
        return _ramp(hue, 50.0, 70.0)
    foreign: Float32Array = np.maximum(_ramp(hue, 22.0, 34.0), _ramp(lab[:, 0] - own[0], 35.0, 50.0))
    return foreign


def _ramp(values: Float32Array, low: float, high: float) -> Float32Array:
    """0 up to ``low``, 1 from ``high`` on, straight between."""
    ramp: Float32Array = np.clip((values - low) / (high - low), 0.0, 1.0)
    return ramp
