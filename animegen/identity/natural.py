"""Plausible colours for the parts of a person that no frame shows."""

from __future__ import annotations

import hashlib

import numpy as np

from animegen.types import PARTS, Palette, PartColour

_HAIR = ((14, 2, 2), (22, 6, 8), (32, 11, 17), (45, 14, 26), (68, 8, 34), (38, 26, 26), (30, 4, -12), (80, 1, 4))
_SKIN = ((86, 7, 14), (80, 10, 17), (72, 13, 20), (60, 15, 23), (47, 15, 21))
_EYES = ((28, 10, 16), (38, 14, 26), (48, -10, -20), (50, -18, 16), (45, 0, -6))
_BROWN_EYES = _EYES[:2]
_UPPER = ((92, 0, 2), (30, 4, -24), (52, 48, 28), (70, -8, -22), (60, -28, 22), (82, 4, 44), (45, 2, -4), (66, 30, 6))
_LOWER = ((24, 3, -16), (34, 0, -22), (20, 0, 0), (46, 2, 12), (60, 2, 14), (40, 8, 14))
_SHOES = ((94, 0, 2), (16, 0, 0), (40, 40, 26), (38, 12, 22), (50, 0, -4))
_TABLES = dict(zip(PARTS, (_HAIR, _SKIN, _EYES, _UPPER, _LOWER, _SHOES), strict=True))
_SPREAD = (4.0, 2.0, 3.0)


def stable_seed(*words: object) -> int:
    """A seed of 63 bits that depends on the words alone, and is the same on every machine and in every run."""
    data = "\0".join(str(word) for word in words).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1


def draw_palette(seed: int, *, dark_haired: bool = False) -> Palette:
    """A natural palette drawn from ``seed``, every colour with confidence 0; with brown eyes for the dark-haired."""
    random = np.random.default_rng(seed)
    drawn = {}
    for part in PARTS:
        table = _BROWN_EYES if dark_haired and part == "eyes" else _TABLES[part]
        lab = np.array(table[int(random.integers(len(table)))]) + random.uniform(-1, 1, 3) * _SPREAD
        lightness, a, b = (float(value) for value in lab)
        drawn[part] = PartColour((min(max(lightness, 0.0), 100.0), a, b), 0.0)
    return Palette(**drawn)
