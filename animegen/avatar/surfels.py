"""Avatars as surfels: small discs on their surface that move with the bones (Pfister et al. 2000, "Surfels")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature
from animegen.types import Float32Array, Uint8Array

MATERIAL_FIELDS = (
    "dark",
    "shift",
    "toony",
    "outline_width",
    "outline_gain",
    "outline_red",
    "outline_green",
    "outline_blue",
    "double_sided",
)
"""Of each material: the light in the shade as a share of a lit value; MToon's shading shift (-1..1) and toony (0..1);
the outline's width in metres (0: none), the share of the surface's own light it has, and what is added, 0..1; whether
(0 or 1) discs are seen from behind as well, where their normals count as turned round."""

MORPHS = ("blink", "aa", "ih", "ou", "ee", "oh", "look_left", "look_right", "look_up", "look_down")
"""What expressions move surfels, each from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Morph:
    """How an expression at 1 moves some surfels: ``surfels`` int32 [m], ``offsets`` f32 [m, 3] metres at rest."""

    surfels: NDArray[np.int32]
    offsets: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class SurfelAvatar:
    """One avatar.

    ``positions`` f32 [M, 3] metres in the armature's T-pose, ``radii`` f32 [M] metres. ``normals`` and
    ``shading_normals`` f32 [M, 3] of length 1: how a disc lies, and how it takes light and its outline stands off it.
    ``borders`` f32 [M, 2, 3] metres: from the middle of each disc to where its surface ends on two sides, 0 where it
    does not within the disc.
    ``bones`` uint8 [M, 3] and ``weights`` uint8 [M, 3] that add up to 255: what each moves with. ``parts`` uint8 [M]:
    0..5 the part of a palette whose shade it has, 6 for none. ``shades`` uint8 [M] as in
    :mod:`animegen.avatar.layers` (255 stands for SHADE_LIMIT), ``fixed`` uint8 [M, 3]: what no palette colours, both
    in full light. ``materials`` uint8 [M] rows of ``table`` f32 [X, 9] (MATERIAL_FIELDS). ``gaze``: how far a gaze of 1
    turns the eye bones to the side and up, in degrees. ``about``: name, licence, credit, palette, proportions, traits.
    """

    about: Mapping[str, Any]
    armature: Armature
    positions: Float32Array
    normals: Float32Array
    shading_normals: Float32Array
    borders: Float32Array
    radii: Float32Array
    bones: Uint8Array
    weights: Uint8Array
    parts: Uint8Array
    shades: Uint8Array
    fixed: Uint8Array
    materials: Uint8Array
    table: Float32Array
    morphs: Mapping[str, Morph]
    gaze: tuple[float, float]
