"""``--style skeleton``: each person as a jointed figure in a colour of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.colour import lab_to_rgb
from animegen.pose.figure import FigureColours, Part, build_figure, draw_figure, figure_bounds, figure_unit, least_unit
from animegen.pose.options import SkeletonOptions
from animegen.protocols import PluginContext, Style
from animegen.types import Crop, Float64Array, Identity, PartColour, Prepared, RenderRequest, Sprite, Track, Uint8Array

_SURE = 0.15
"""Confidence from which a measured colour is used."""
_GOLDEN_ANGLE = 2.399963
_CHROMA = 42.0
_READABLE = (45.0, 80.0)
"""Lightness CIELAB L between which a figure stands out from dark and from bright scenes."""
_STEADY_FRAMES = 15
_MARGIN, _LARGEST = 64, 6000
"""Pixels drawn beyond the picture's top and left border, and of a sprite's side at most."""


def make_style(options: SkeletonOptions | None, context: PluginContext) -> Style:  # noqa: ARG001
    """The style with these options; the drawing is the same on every device."""
    return SkeletonStyle(options or SkeletonOptions())


class SkeletonStyle:
    """Draws the figure of :mod:`animegen.pose.figure`."""

    def __init__(self, options: SkeletonOptions) -> None:
        self._options = options

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:  # noqa: ARG002
        """The figure's colours and its size in every frame, steadied in time."""
        told = [figure_unit(pose, self._options.min_score) for pose in track.poses]
        return {
            "colours": _colours(identity),
            "frame_indices": np.array(track.frame_indices, np.int64),
            "units": _steady(_filled(told, track)),
        }

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, cropped to the figure."""
        return [self._sprite(request) for request in requests]

    def _sprite(self, request: RenderRequest) -> Sprite:
        options, prepared = self._options, request.prepared
        colours = FigureColours(*(tuple(rgb) for rgb in prepared["colours"].tolist()))
        known = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        unit = float(prepared["units"][known[0]]) if known.size else figure_unit(request.pose, options.min_score)
        unit = least_unit(request.pose) if unit is None else unit
        parts = build_figure(
            request.pose,
            unit,
            colours,
            thickness=options.thickness,
            face=options.face,
            min_score=options.min_score,
        )
        left, top, width, height = _canvas_box(parts, unit, request)
        rgba = np.zeros((height, width, 4), np.uint8)
        draw_figure(rgba, parts, unit, colours.line, (left, top))
        if options.opacity < 1:
            rgba = np.rint(rgba * options.opacity).astype(np.uint8)
        return Sprite(rgba, np.array([[1.0, 0.0, left], [0.0, 1.0, top]]), request.order)


def _canvas_box(parts: Sequence[Part], unit: float, request: RenderRequest) -> tuple[int, int, int, int]:
    """left, top, width, height of the sprite in frame pixels."""
    bounds = figure_bounds(parts, unit)
    if bounds is None:
        bounds = np.tile(request.pose.bbox[:2].astype(np.float64), 2)
    left, top = (max(-_MARGIN, int(np.floor(low))) for low in bounds[:2])
    width, height = (
        int(np.clip(np.ceil(high) - low, 1, _LARGEST)) for low, high in zip((left, top), bounds[2:], strict=True)
    )
    return left, top, width, height


def _filled(told: Sequence[float | None], track: Track) -> Float64Array:
    """The figure's size in every frame: where a pose does not tell it, as in the frames around."""
    places = [i for i, unit in enumerate(told) if unit is not None]
    if not places:
        return np.array([least_unit(pose) for pose in track.poses], np.float64)
    indices, known = np.array(track.frame_indices, np.float64), [unit for unit in told if unit is not None]
    return np.asarray(np.interp(indices, indices[places], known), np.float64)


def _steady(units: Float64Array) -> Float64Array:
    """A rolling median: the figure does not swell when a person bends or turns."""
    from scipy.ndimage import median_filter

    steady: Float64Array = median_filter(units, 2 * _STEADY_FRAMES + 1, mode="nearest")
    return steady


def _colours(identity: Identity) -> Uint8Array:
    """uint8 [6, 3]: the fields of FigureColours, from the palette where it is sure, else by the seed."""
    palette = identity.palette
    hue = identity.seed * _GOLDEN_ANGLE
    own = (72.0, _CHROMA * np.cos(hue), _CHROMA * np.sin(hue))
    upper = _readable(palette.upper) or own
    lower = _readable(palette.lower, (22.0, 80.0)) or (max(upper[0] - 18, 35.0), upper[1], upper[2])
    head = _readable(palette.skin, (25.0, 90.0)) or (86.0, 10.0, 16.0)
    hair = _readable(palette.hair, (22.0, 85.0)) or (40.0, upper[1] * 0.6, upper[2] * 0.6)
    shoes = _readable(palette.shoes, (22.0, 90.0)) or (26.0, upper[1] * 0.3, upper[2] * 0.3)
    line = (16.0, upper[1] * 0.3, upper[2] * 0.3)
    return lab_to_rgb(np.array([hair, head, upper, lower, shoes, line], np.float32))


def _readable(colour: PartColour, lightness: tuple[float, float] = _READABLE) -> tuple[float, float, float] | None:
    if colour.confidence < _SURE:
        return None
    measured, a, b = colour.lab
    return float(np.clip(measured, *lightness)), a, b
