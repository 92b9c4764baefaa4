from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.colour import lab_to_rgb, palette_rgb, rgb_to_lab
from animegen.testing import synthetic_identity
from animegen.types import PARTS, Palette, PartColour

BYTE = st.integers(0, 255)


@settings(deadline=None)
@given(colour=st.tuples(BYTE, BYTE, BYTE))
def test_every_srgb_colour_comes_back(colour: tuple[int, int, int]) -> None:
    assert tuple(lab_to_rgb(rgb_to_lab(colour))) == colour


@settings(deadline=None)
@given(lab=st.tuples(st.floats(-20, 120), st.floats(-200, 200), st.floats(-200, 200)))
def test_colours_beyond_srgb_are_clipped_without_a_warning(lab: tuple[float, float, float]) -> None:
    assert lab_to_rgb(lab).dtype == np.uint8


def test_known_colours_and_pictures() -> None:
    assert np.allclose(rgb_to_lab([255, 255, 255]), (100, 0, 0), atol=0.02)
    assert np.allclose(rgb_to_lab([255, 0, 0]), (53.24, 80.09, 67.20), atol=0.05)
    assert lab_to_rgb(np.zeros((4, 5, 3), np.float32)).shape == (4, 5, 3)


def test_dark_colours_can_be_kept_apart_from_ink() -> None:
    """Lightnesses 0 to 50 with a darkest of 12: from 24 on they stay."""
    asked = [0.0, 6.0, 12.0, 24.0, 36.0, 50.0]
    known = synthetic_identity(1).palette.hair
    palette = Palette(*(PartColour((lightness, 0.0, 0.0), known.confidence) for lightness in asked))
    shown = [float(rgb_to_lab((255 * colour).astype(np.uint8))[0]) for colour in palette_rgb(palette, darkest=12.0)]
    assert np.allclose(shown, [12, 15, 18, 24, 36, 50], atol=0.5)  # bytes are rounded
    plain = palette_rgb(palette)
    assert plain.shape == (len(PARTS), 3) and plain[0].max() == 0
