"""Rigged avatars: facets in two tones that bones move, coloured by any palette."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature
from animegen.avatar.springs import Springs
from animegen.types import Float32Array, Uint8Array

MATERIAL_FIELDS = (
    "part",
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
"""Of each material: the part of a palette whose shade it has, 0..5, or 6 for none; the light in the shade as a share of
a lit value; MToon's shading shift (-1..1) and toony (0..1); the outline's width in metres (0: none), the share of the
surface's own light it has, and what is added, 0..1; whether (0 or 1) it is seen from behind as well, where its normals
count as turned round."""

MOST_VERTICES = 1 << 16
"""Of an avatar, so that 16 bits number them."""

MORPHS = ("blink", "aa", "ih", "ou", "ee", "oh", "look_left", "look_right", "look_up", "look_down")
"""What expressions move vertices, each from 0 to 1."""

ROUND_EARS = "round_ears"
"""The morph of an avatar that has long ears to how they are when they are round; no expression moves by it."""


@dataclass(frozen=True, slots=True, eq=False)
class Morph:
    """How an expression at 1 moves some vertices: ``vertices`` int32 [m], ``offsets`` f32 [m, 3] metres at rest."""

    vertices: NDArray[np.int32]
    offsets: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class RiggedAvatar:
    """One avatar.

    Of V vertices: ``positions`` f32 [V, 3] metres in the armature's T-pose; ``normals`` f32 [V, 3] of length 1, by
    which they take light and along which outlines stand off; ``bones`` uint8 [V, 3] and ``weights`` uint8 [V, 3] that
    add up to 255, what each moves with; ``shades`` uint8 [V] as in :mod:`animegen.avatar.layers` (255 stands for
    SHADE_LIMIT) and ``fixed`` uint8 [V, 3], what no palette colours, both in full light.

    Of F facets: ``corners`` int32 [F, 3], counterclockwise seen from the front, and ``materials`` uint8 [F], rows of
    ``table`` f32 [X, 10] (MATERIAL_FIELDS). Facets of one vertex have one material but for the outline's
    width and double_sided. ``gaze``: how far a gaze of 1 turns the eye bones to the side and up, in degrees.
    ``about``: name, licence, credit, palette, proportions, traits. ``springs``: which of the bones swing.
    """

    about: Mapping[str, Any]
    armature: Armature
    positions: Float32Array
    normals: Float32Array
    bones: Uint8Array
    weights: Uint8Array
    shades: Uint8Array
    fixed: Uint8Array
    corners: NDArray[np.int32]
    materials: Uint8Array
    table: Float32Array
    morphs: Mapping[str, Morph]
    gaze: tuple[float, float]
    springs: Springs = field(default_factory=Springs.none)

    def with_round_ears(self) -> RiggedAvatar:
        """The avatar with round ears; itself where it does not know how they would be."""
        morph = self.morphs.get(ROUND_EARS)
        if morph is None:
            return self
        positions = self.positions.copy()
        positions[morph.vertices] += morph.offsets
        return replace(self, positions=positions)
