"""Fingers from the places of their tips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.avatar.armature import Armature
from animegen.types import Float64Array


class Fingers:
    """Bends the fingers of an armature."""

    def __init__(self, armature: Armature, names: Sequence[str]) -> None:
        pass

    def bend(self, rotation: Float64Array, shift: Float64Array, places: Float64Array, score: Float64Array) -> None:
        pass
