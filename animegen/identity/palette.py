"""The built-in identity preserver: the colours of hair, skin, eyes, clothes and shoes over the whole clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from animegen.identity.colours import Lab, apart, dominant
from animegen.identity.natural import draw_palette, stable_seed
from animegen.identity.options import PaletteOptions
from animegen.identity.recognise import nearest
from animegen.identity.regions import View, view_of
from animegen.identity.skin import bare_skin, face_colour, hair_gamut, in_even_light, skin_gamut, without_face
from animegen.identity.traits import measure_traits
from animegen.protocols import IdentityPreserver, PluginContext
from animegen.types import PARTS, Crop, Float32Array, Identity, Palette, Part, PartColour, Track

_LEAST_PIXELS = 6
_SHOWN, _LEAST_SHOWN = 0.25, 0.1
"""Share of the crops that must show a part for its colour to have full confidence, and to count at all: a bad pose
finds legs on tables."""
_LIT: Mapping[Part, float] = {"hair": 0.55, "skin": 0.8, "eyes": 0.5, "upper": 0.9, "lower": 0.9, "shoes": 0.8}
"""The ``lit`` of :func:`dominant` for each part: lower for hair and eyes, whose lightest pixels are reflections."""
_DARK_HAIR = 25.0
"""Lightness under which hair is black or dark brown; eyes are then brown almost always."""
_LEAST_CONFIDENCE = 0.15
"""Measured colours of less confidence are replaced by drawn ones."""
_ENOUGH_PIXELS: Mapping[Part, float] = {
    "hair": 300.0, "skin": 150.0, "eyes": 80.0, "upper": 600.0, "lower": 400.0, "shoes": 120.0,
}  # fmt: skip
"""Pixels of a part, in all crops together, from which on more of them no longer raise the confidence."""
_TINT = 20.0
"""Distance in CIELAB from the nearest colour that skin can have at which the confidence in its colour is halved."""


class PalettePreserver:
    """Measures part colours; implements :class:`animegen.protocols.IdentityPreserver`."""

    def __init__(self, options: PaletteOptions, seed: int) -> None:
        self._options = options
        self._seed = seed

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        """The identity of a track: measured colours with their confidence, drawn ones (confidence 0) where unseen."""
        key = person_key(track)
        seed = stable_seed(self._seed, key)
        views = [view_of(crop) for crop in crops]
        measured = _measure(views)
        hair = measured.get("hair")
        drawn = draw_palette(seed, dark_haired=hair is not None and hair.lab[0] < _DARK_HAIR)
        palette = Palette(**{part: measured.get(part, drawn.part(part)) for part in PARTS})
        return Identity(key, palette, measure_traits(views, palette), style="", seed=seed)

    def difference(self, a: Identity, b: Identity) -> float:
        """Distance of the palettes over the most that one person's may differ; infinite without a common part."""
        return palette_distance(a.palette, b.palette) / self._options.max_difference

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        """Position of the nearest palette of ``gallery``, or None when none is near enough to be the same person's."""
        return nearest(self, identity, gallery)


def person_key(track: Track) -> str:
    """The name of a track's person in the cast: ``person-1`` for the first."""
    return f"person-{track.id + 1}"


def palette_distance(a: Palette, b: Palette) -> float:
    """Mean CIEDE2000 over the parts, weighed by both confidences; infinite where no part of both was measured."""
    weights = {part: a.part(part).confidence * b.part(part).confidence for part in PARTS}
    total = sum(weights.values())
    if total <= 0:
        return float("inf")
    return sum(w * apart(a.part(part).lab, b.part(part).lab) for part, w in weights.items() if w > 0) / total


def _measure(views: Sequence[View]) -> dict[Part, PartColour]:
    """The colours that the views show surely enough."""
    found: dict[Part, PartColour | None] = {}
    face = face_colour(views)
    found["skin"] = None if face is None else _skin(views, face)
    hair = _pooled("hair", [without_face(view, view.pixels("hair")) for view in views])
    found["hair"] = None if hair is None else replace(hair, lab=hair_gamut(hair.lab))
    found["eyes"] = _pooled("eyes", [_iris(view.pixels("eyes")) for view in views])
    found["upper"] = _pooled("upper", [view.pixels("upper") for view in views])
    lower = [view.pixels("lower") for view in views]
    if not any(len(pixels) for pixels in lower):
        lower = [view.pixels("shin") for view in views]
    found["lower"] = _pooled("lower", lower)
    found["shoes"] = _pooled("shoes", [view.pixels("shoes") for view in views])
    return {part: c for part, c in found.items() if c is not None and c.confidence >= _LEAST_CONFIDENCE}


def _skin(views: Sequence[View], face: Lab) -> PartColour | None:
    """The colour of all bare skin; a face seen at a slant counts less, as does a light that is not neutral."""
    seen = [bare_skin(view, face) for view in views]
    colour = _pooled("skin", [skin_gamut(pixels) for pixels in seen], [_facing(view) for view in views])
    if colour is None:
        return None
    pixels = np.concatenate(seen)
    tinted = float(np.linalg.norm(pixels - skin_gamut(pixels), axis=1).mean())
    return PartColour(in_even_light(colour.lab, pixels), round(colour.confidence * _TINT / (_TINT + tinted), 3))


def _facing(view: View) -> float:
    head = view.body.head
    return 0.0 if head is None else 0.2 + 0.8 * max(0.0, head.facing)


def _iris(pixels: Float32Array) -> Float32Array:
    """The darker half of an eye's disc: the rest is white, lid and reflection."""
    if len(pixels) < _LEAST_PIXELS:
        return pixels[:0]
    return pixels[pixels[:, 0] <= np.median(pixels[:, 0])]


def _pooled(part: Part, views: Sequence[Float32Array], trust: Sequence[float] | None = None) -> PartColour | None:
    """The dominant colour of a part over all views, of which each has the same weight; None where none shows it."""
    trusts = [1.0] * len(views) if trust is None else trust
    used = [(p, t) for p, t in zip(views, trusts, strict=True) if len(p) >= _LEAST_PIXELS and t > 0]
    if not used or len(used) < _LEAST_SHOWN * len(views):
        return None
    pixels = np.concatenate([p for p, _ in used])
    # The root keeps one far-off view from counting as much as a near one.
    weight = np.concatenate([np.full(len(p), t / np.sqrt(len(p))) for p, t in used])
    colour = dominant(pixels, weight, _LIT[part])
    number = min(1.0, len(pixels) / _ENOUGH_PIXELS[part])
    trusted = float(np.mean([t for _, t in used]))
    shown = min(1.0, len(used) / (_SHOWN * len(views)))
    confidence = colour.share * np.sqrt(number) * trusted * shown
    return PartColour(colour.lab, round(float(confidence), 3))


def make_preserver(options: PaletteOptions | None, context: PluginContext) -> IdentityPreserver:
    """Factory of the identity preserver ``palette``."""
    return PalettePreserver(options or PaletteOptions(), context.seed)
