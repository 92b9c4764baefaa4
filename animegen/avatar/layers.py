"""Shade layers: a picture of an avatar that any palette can colour.

A picture is ten planes of premultiplied coverage: alpha, a shade for each of the six parts of a palette, and red, green
and blue of what no palette colours (the white of an eye, an outline, a buckle). Its colour under a palette is linear in
them::

    rgb = sum over parts of shade[part] * palette[part] + fixed

so one render serves every palette, and a network that draws these planes keeps any palette's colours exactly.
"""

from __future__ import annotations

import numpy as np

from animegen.types import Float32Array, Uint8Array

ALPHA, SHADES, FIXED = 0, slice(1, 7), slice(7, 10)
LAYERS = 10

SHADE_LIMIT = 1.25
"""A shade of 1 is the palette's own colour; highlights reach this. A stored shade of 255 stands for it."""


def colour_layers(layers: Uint8Array, palette: Float32Array) -> Uint8Array:
    """Colour shade layers.

    ``layers`` uint8 [..., H, W, 10] as stored, ``palette`` f32 [6, 3] sRGB 0..1 in the order of
    :data:`animegen.types.PARTS`. Returns uint8 [..., H, W, 4] RGBA with premultiplied alpha.
    """
    mix = np.zeros((LAYERS, 4), np.float32)
    mix[SHADES, :3] = palette * SHADE_LIMIT
    mix[FIXED, :3] = np.eye(3)
    mix[ALPHA, 3] = 1.0
    coloured = np.zeros((*layers.shape[:-1], 4), np.uint8)
    rows, columns = spans(layers)
    rgba = layers[..., rows, columns, :].astype(np.float32) @ mix
    np.minimum(rgba[..., :3], rgba[..., 3:], out=rgba[..., :3])
    coloured[..., rows, columns, :] = np.rint(rgba, out=rgba)
    return coloured


def spans(layers: Uint8Array, margin: int = 0) -> tuple[slice, slice]:
    """The rows and columns of layers uint8 [..., H, W, 10] that cover anything, and ``margin`` more on each side."""
    alpha = layers[..., ALPHA].reshape(-1, *layers.shape[-3:-1]).max(axis=0, initial=0)
    return _span(alpha.max(axis=1, initial=0), margin), _span(alpha.max(axis=0, initial=0), margin)


def _span(coverage: Uint8Array, margin: int) -> slice:
    places = np.flatnonzero(coverage)
    if not places.size:
        return slice(0, 0)
    return slice(max(int(places[0]) - margin, 0), min(int(places[-1]) + margin + 1, len(coverage)))


def part_masks(layers: Uint8Array) -> Uint8Array:
    """Which part each pixel shows mostly: uint8 [..., H, W], 0 nothing, 1..6 the parts in order, 7 what is fixed.

    A pixel belongs to the avatar from half coverage on.
    """
    masks = np.zeros(layers.shape[:-1], np.uint8)
    rows, columns = spans(layers)
    planes = np.ascontiguousarray(np.moveaxis(layers[..., rows, columns, :], -1, 0))
    strongest = planes[SHADES.start].copy()
    part = np.ones(strongest.shape, np.uint8)
    for number, shade in enumerate(planes[SHADES][1:], start=2):
        part[shade > strongest] = number
        np.maximum(strongest, shade, out=strongest)
    part[strongest * np.float32(SHADE_LIMIT) < planes[FIXED].max(axis=0)] = 7
    part[planes[ALPHA] < 128] = 0
    masks[..., rows, columns] = part
    return masks
