"""Textures taken apart into a shade, which any palette's colour may fill, and fixed colours, which none touches.

Every step is a function of the texel's colour alone, so it is done once for each colour a texture has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from animegen.avatar.layers import SHADE_LIMIT
from animegen.colour import rgb_to_lab
from animegen.types import PARTS, Float32Array, Float64Array, Uint8Array
from animegen_vrm.model import Avatar, Material, Part
from animegen_vrm.patches import weighted_median
from animegen_vrm.regions import triangles_on
from animegen_vrm.surface import lit_colours, sample_surface, tint, to_linear, to_srgb

SHADE_FLOOR = 0.12
"""The darkest shade: so much of its colour a part always shows, so that it can be told in the layers."""

_CONTRAST = 55.0  # L: a dark reference divides differences of lightness by no less, or black cloth would glare
_IRIS_CONTRAST = 30.0  # L: an iris is small and needs its contrast
_CLOTHES = ("upper", "lower", "shoes")
_OTHER = 14.0  # CIELAB distance from which a colour is another than its part's
_NEARLY_ALL = 0.75
_HIDDEN = 1e-3  # how much hidden surface counts, so that a part hidden all over has a colour, too


@dataclass(frozen=True, slots=True, eq=False)
class ShadeTexture:
    """A material's lit texture taken apart, of the same size (1x1 where it has none), with its lit colour and its glow.

    ``shade`` uint8 [H, W]: 255 stands for SHADE_LIMIT times the palette's colour. ``fixed`` uint8 [H, W, 3] sRGB: what
    no palette colours, added to it. Alpha stays with the lit texture.
    """

    shade: Uint8Array
    fixed: Uint8Array


def shade_textures(avatar: Avatar) -> tuple[ShadeTexture | None, ...]:
    """For each material its shade texture; None for one that keeps its own colours.

    Those are the ones without a part, and clothes that differ from the rest of their part all over: a tie, or the white
    shirt under a suit, which no suit of another colour would change.
    """
    looks = _looks(avatar)
    references = _references(avatar, looks)
    textures: list[ShadeTexture | None] = []
    for material, look in zip(avatar.materials, looks, strict=True):
        part = material.part
        own = part is None or part not in references or (part in _CLOTHES and _differs(look, references[part]))
        textures.append(None if own or part is None else _shade_texture(avatar, material, part, references[part]))
    return tuple(textures)


def reference_palette(avatar: Avatar) -> dict[Part, tuple[float, float, float]]:
    """The avatar's own palette: sRGB 0..1 of each part that it shows."""
    references = _references(avatar, _looks(avatar))
    return {part: (float(r), float(g), float(b)) for part, (r, g, b) in ((p, c / 255) for p, c in references.items())}


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What is seen of a material: colours uint8 [S, 3] and how much each is seen, f64 [S]."""

    rgb: Uint8Array
    weights: Float64Array


def _looks(avatar: Avatar) -> list[_Look]:
    """The look of each material, from points spread over the avatar's surface."""
    surface = sample_surface(avatar)
    owners = np.array([primitive.material for primitive in avatar.primitives])[surface.primitive]
    looks = []
    for number, material in enumerate(avatar.materials):
        mine = owners == number
        rgba = lit_colours(avatar, material, surface.uvs[mine])
        solid = rgba[:, 3] / 255 if material.alpha_mode != "opaque" else np.ones(len(rgba))
        looks.append(_Look(rgba[:, :3], (surface.seen[mine] + _HIDDEN) * solid))
    return looks


def _references(avatar: Avatar, looks: Sequence[_Look]) -> Mapping[Part, Float64Array]:
    """The colour a part shows mostly, sRGB f64 [3] 0..255: the middle one of what is seen of its surface.

    That of skin is the face's: bodies are painted in other colours where clothes cover them.
    """
    references: dict[Part, Float64Array] = {}
    faces = _faces(avatar)
    for part in PARTS:
        of_part = [material.part == part for material in avatar.materials]
        if part == "skin" and any(shown and face for shown, face in zip(of_part, faces, strict=True)):
            of_part = [shown and face for shown, face in zip(of_part, faces, strict=True)]
        mine = [look for look, shown in zip(looks, of_part, strict=True) if shown]
        rgb = np.concatenate([np.empty((0, 3), np.uint8), *(look.rgb for look in mine)])
        weights = np.concatenate([np.empty(0), *(look.weights for look in mine)])
        if part == "eyes":
            # Neither the black pupil nor the white glint is what one calls the colour of an eye.
            weights = weights * (np.hypot(*rgb_to_lab(rgb)[:, 1:].T) + 1)
        if weights.sum() > 0:
            references[part] = weighted_median(rgb.astype(np.float64), weights)
    return references


def _faces(avatar: Avatar) -> list[bool]:
    """Which materials are mostly those of triangles that hang on the head."""
    shares = np.zeros((len(avatar.materials), 2), np.int64)
    for one, on_head in zip(avatar.primitives, triangles_on(avatar, ("head",)), strict=True):
        shares[one.material] += on_head.sum(), len(on_head)
    return (2 * shares[:, 0] > shares[:, 1]).tolist()


def _differs(look: _Look, reference: Float64Array) -> bool:
    """Whether nearly all that is seen of a material has another colour than its part."""
    away = np.linalg.norm(rgb_to_lab(look.rgb) - rgb_to_lab(_whole(reference)), axis=1) > _OTHER
    return bool((away * look.weights).sum() > _NEARLY_ALL * look.weights.sum())


def _whole(colour: Float64Array) -> Uint8Array:
    rounded: Uint8Array = np.rint(colour).astype(np.uint8)
    return rounded


def _shade_texture(avatar: Avatar, material: Material, part: Part, reference: Float64Array) -> ShadeTexture:
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
    shade, fixed = take_apart(colours, part, reference)
    places = numbers[packed]
    return ShadeTexture(shade[places], _with_glow(avatar, material, image[..., :3], fixed[places]))


def _with_glow(avatar: Avatar, material: Material, lit: Uint8Array, fixed: Uint8Array) -> Uint8Array:
    """Fixed colours [H, W, 3] with what the material emits, as much as it lightens its own colours: a sheen of hair."""
    lit_place, place = material.lit_texture, material.emissive_texture
    if place is None or lit_place is None or replace(place, image=lit_place.image) != lit_place:
        return fixed
    emitted = avatar.images[place.image][..., :3]
    if not emitted.any():
        return fixed
    if emitted.shape != lit.shape:
        emitted = np.asarray(Image.fromarray(emitted).resize((lit.shape[1], lit.shape[0])))
    light = to_linear(np.linspace(0, 1, 256, dtype=np.float32))
    glow = light[emitted] * np.array(material.emissive, np.float32)
    lighter = (to_srgb(light[lit] + glow) * 255 - lit).mean(axis=-1, keepdims=True)
    # In the colour of the glow itself: what it adds to blue hair would look yellow on black.
    tone = to_srgb(glow / np.maximum(glow.max(axis=-1, keepdims=True), 1e-6))
    glowing: Uint8Array = np.rint(np.clip(fixed + lighter * tone, 0, 255)).astype(np.uint8)
    return glowing


def take_apart(rgb: Uint8Array, part: Part, reference: Float64Array) -> tuple[Uint8Array, Uint8Array]:
    """Shade uint8 [N] and fixed colours uint8 [N, 3] of sRGB colours uint8 [N, 3]; ``reference`` is sRGB 0..255."""
    lab, own = rgb_to_lab(rgb), rgb_to_lab(_whole(reference))
    contrast = max(float(own[0]), _IRIS_CONTRAST if part == "eyes" else _CONTRAST)
    shade = np.clip(1 + (lab[:, 0] - own[0]) / contrast, SHADE_FLOOR, SHADE_LIMIT)
    expected = rgb_to_lab(_whole(np.clip(reference * shade[:, None], 0, 255)))
    foreign = _foreign(lab, own, expected, part)
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


def _foreign(lab: Float32Array, own: Float32Array, expected: Float32Array, part: Part) -> Float32Array:
    """How far each colour is none of its part's, 0..1: a tie, a collar, a sock painted on the skin.

    ``own`` is the part's colour, ``expected`` that colour in each texel's shade.
    """
    if part == "skin":
        # How much of the skin's own chroma a colour has; pale skin has less, but never none.
        blood = lab[:, 1:] @ own[1:] / max(float(own[1:] @ own[1:]), 1.0)
        pale = _ramp(lab[:, 0] - own[0], 0.0, 5.0)
        chroma, vivid = np.hypot(lab[:, 1], lab[:, 2]), 2.2 * float(np.hypot(own[1], own[2]))
        return np.maximum(1 - _ramp(blood - 0.35 + 0.22 * pale, 0.0, 0.2), _ramp(chroma, vivid + 8.0, vivid + 18.0))
    if part == "eyes":
        return (1 - _ramp(np.hypot(lab[:, 1], lab[:, 2]), 8.0, 20.0)) * _ramp(lab[:, 0], 70.0, 85.0)
    hue = np.hypot(lab[:, 1] - expected[:, 1], lab[:, 2] - expected[:, 2])
    if part == "hair":
        return _ramp(hue, 50.0, 70.0)
    foreign: Float32Array = np.maximum(_ramp(hue, 18.0, 28.0), _ramp(lab[:, 0] - own[0], 35.0, 50.0))
    return foreign


def _ramp(values: Float32Array, low: float, high: float) -> Float32Array:
    """0 up to ``low``, 1 from ``high`` on, straight between."""
    ramp: Float32Array = np.clip((values - low) / (high - low), 0.0, 1.0)
    return ramp
