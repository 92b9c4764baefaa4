"""The style itself: colours and sizes once per person, then one drawing per frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.colour import lab_to_rgb
from animegen.protocols import PluginContext
from animegen.types import PARTS, Crop, Float64Array, Identity, Prepared, RenderRequest, Sprite, Track, Uint8Array
from animegen_style_flat.body import HEAD_DEPTH, Outfit, Piece, body_pieces
from animegen_style_flat.canvas import Canvas, Ink
from animegen_style_flat.figure import Figure
from animegen_style_flat.head import CUTS, Head
from animegen_style_flat.options import FlatOptions

_STEADY = 7
"""Frames before and after over which a person's size is steadied."""
_SMALLEST = 0.5
"""Length of the torso in pixels below which nobody can be seen."""
_SURE = 0.2
_INK: Float64Array = np.array([14.0, 8.0, -12.0])
"""The outlines' colour in CIELAB, before the part's own is mixed in."""


def make_style(options: FlatOptions | None, context: PluginContext) -> FlatStyle:  # noqa: ARG001
    """The style with these options."""
    return FlatStyle(options or FlatOptions())


class FlatStyle:
    """Draws paper dolls."""

    def __init__(self, options: FlatOptions) -> None:
        self._options = options

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:  # noqa: ARG002
        """The colours u8 [6, 3, 3] (flat, shade, line), the traits, and the steadied size at each frame."""
        units = np.array([Figure.of(pose, self._options.min_score).unit for pose in track.poses], np.float64)
        return {
            "colours": np.stack([_inks(identity.palette.part(part).lab) for part in PARTS]),
            "traits": _traits(identity, self._options.hair),
            "frame_indices": np.array(track.frame_indices, np.int64),
            "units": _steadied(units),
        }

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One drawing per request."""
        return [self._draw(request) for request in requests]

    def _draw(self, request: RenderRequest) -> Sprite:
        prepared, options = request.prepared, self._options
        known = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        unit = float(prepared["units"][known[0]]) if known.size else None
        figure = Figure.of(request.pose, options.min_score, unit)
        if figure.unit < _SMALLEST or not figure.points:
            corner = request.pose.bbox[:2].astype(np.float64)
            affine = np.array([[1.0, 0.0, corner[0]], [0.0, 1.0, corner[1]]])
            return Sprite(np.zeros((1, 1, 4), np.uint8), affine, request.order)
        inks: dict[str, Ink] = {
            part: Ink(*map(_rgb, colours)) for part, colours in zip(PARTS, prepared["colours"], strict=True)
        }
        sleeves, skirt, cut = prepared["traits"].tolist()
        pieces = list(body_pieces(figure, Outfit(inks, sleeves, skirt > 0.5)))
        head = Head.of(figure, options.head, CUTS[round(cut)], inks, request.pose.expression)
        if head is not None:
            pieces.append(Piece(HEAD_DEPTH, head.draw))
            pieces.append(Piece(1.0, head.draw_back))
        return _painted(pieces, figure, head, options.outline).sprite(request.order)


def _painted(pieces: Sequence[Piece], figure: Figure, head: Head | None, outline: float) -> Canvas:
    """All pieces on a canvas around them, the farthest first."""
    reach = 0.4 * figure.unit
    points = np.array(list(figure.points.values()))
    low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
    if head is not None:
        for around in head.reach():
            low, high = np.minimum(low, around), np.maximum(high, around)
    for middle in (figure.shoulders, figure.hips):
        if middle is not None:
            low, high = np.minimum(low, middle - 0.7 * figure.unit), np.maximum(high, middle + 0.7 * figure.unit)
    canvas = Canvas(low, high, 0.028 * outline * figure.unit)
    for piece in sorted(pieces, key=lambda piece: -piece.depth):
        piece.draw(canvas)
    return canvas


def _inks(lab: tuple[float, float, float]) -> Uint8Array:
    """Flat, shade and line colour of a part, u8 [3, 3]."""
    flat = np.array(lab, np.float64)
    flat[0] = np.clip(flat[0], 18.0, 95.0)
    shade = flat * [0.84, 1.0, 1.0] + [0.0, 4.0, -4.0]
    return lab_to_rgb(np.stack([flat, shade, 0.72 * _INK + 0.28 * flat]).astype(np.float32))


def _traits(identity: Identity, hair: str) -> Float64Array:
    """Sleeves 0..1, skirt 0 or 1 and the number of the haircut; what was not measured is drawn from the seed."""
    rng = np.random.default_rng([identity.seed, 11])
    sleeves, cut = float(rng.choice([0.4, 0.95])), int(rng.integers(len(CUTS)))
    traits = identity.traits
    if traits.sleeves.confidence >= _SURE:
        sleeves = traits.sleeves.value
    if traits.hair_length.confidence >= _SURE:
        cut = CUTS.index(
            "short" if traits.hair_length.value < 0.35 else "bob" if traits.hair_length.value < 0.6 else "long"
        )
    if hair != "auto":
        cut = CUTS.index(hair)
    skirt = traits.skirt.confidence >= _SURE and traits.skirt.value > 0.5
    return np.array([sleeves, float(skirt), float(cut)])


def _steadied(units: Float64Array) -> Float64Array:
    """The median, then the mean, of each frame's neighbours."""
    for average in (np.median, np.mean):
        units = np.array([average(units[max(0, i - _STEADY) : i + _STEADY + 1]) for i in range(len(units))])
    return units


def _rgb(colour: Uint8Array) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in colour)
    return red, green, blue
