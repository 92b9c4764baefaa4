"""A card: one square with a texture, for tests of what textures do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from animegen_vrm.model import Avatar, Material, Primitive, TextureRef
from stick_avatar import stick_avatar

from animegen.types import Uint8Array

SIDE = 64
"""Texels of a texture."""


def picture(paint: Callable[[np.ndarray, np.ndarray], Mapping[int, np.ndarray]]) -> Uint8Array:
    """A texture: red, with what ``paint`` says of channels at columns and rows."""
    row, column = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE, 4), np.uint8)
    image[..., 0] = image[..., 3] = 255
    for channel, values in paint(column, row).items():
        image[..., channel] = values
    return image


TWO_COLOURS = picture(lambda x, _: {0: np.where(x < SIDE // 2, 255, 0), 2: np.where(x < SIDE // 2, 0, 255)})


def card(image: Uint8Array | None = None, **material: Any) -> Avatar:
    """A square of a metre that faces +Z, its middle a metre high, on a foot."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], np.float32)
    square = Primitive(
        name="card",
        positions=np.column_stack([corners, np.zeros(4, np.float32)]) + np.array((0, 1, 0), np.float32),
        normals=np.tile(np.array((0, 0, 1), np.float32), (4, 1)),
        uvs=corners * np.array((1, -1), np.float32) + np.float32(0.5),
        joints=np.zeros((4, 4), np.uint16),
        weights=np.tile(np.array((1, 0, 0, 0), np.float32), (4, 1)),
        triangles=np.array([(0, 1, 2), (0, 2, 3)], np.uint32),
        material=0,
        morphs={},
    )
    images = () if image is None else (image,)
    texture = None if image is None else TextureRef(0, repeat=False)
    bare = stick_avatar()
    made = Material("card", lit_texture=texture, shade_texture=texture)
    # At rest its foot is turned by nothing, so what hangs on it lies where it says.
    return replace(bare, primitives=(square,), materials=(replace(made, **material),), images=images)
