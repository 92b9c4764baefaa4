"""What counts as bare skin, what colours skin can have, and how light is told from skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.identity.colours import Lab, looks_like_skin
from animegen.identity.natural import draw_palette
from animegen.identity.regions import View, view_of
from animegen.identity.skin import bare_skin, face_colour, hair_gamut, in_even_light, skin_gamut
from animegen.testing import synthetic_crop, synthetic_identity, synthetic_pose
from animegen.types import Float32Array

ROUNDING = 0.01
"""CIELAB: single precision."""
FAIR, DARK = (72.0, 11.0, 17.0), (40.0, 15.0, 21.0)
ORANGE = (48.0, 17.0, 50.0)
"""A hoodie in the hue of skin."""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lightness=st.floats(0, 100), a=st.floats(-60, 60), b=st.floats(-60, 60))
def test_the_gamut_keeps_lightness_and_holds_what_it_returns(lightness: float, a: float, b: float) -> None:
    inside = skin_gamut(np.array([lightness, a, b], np.float32))
    assert abs(inside[0] - lightness) < ROUNDING
    assert np.allclose(skin_gamut(inside), inside, atol=ROUNDING)


def test_the_gamut_leaves_skin_and_tames_sun_and_grey_light() -> None:
    for skin in (FAIR, DARK):
        assert np.allclose(skin_gamut(np.array(skin, np.float32)), skin, atol=ROUNDING)
    sunlit = skin_gamut(np.array([45.0, 24.0, 43.0], np.float32))
    assert np.hypot(sunlit[1], sunlit[2]) < 30
    grey = skin_gamut(np.array([63.0, 4.0, 9.0], np.float32))
    assert looks_like_skin(grey)
    assert np.hypot(grey[1], grey[2]) > 14


def patch(colour: Lab, light: float = 1.0) -> Float32Array:
    """Skin of one colour under more or less light: lightness and chroma change alike."""
    return np.repeat(np.array([colour], np.float32) * light, 40, axis=0)


def test_fair_skin_in_the_shade_is_not_dark_skin_in_the_sun() -> None:
    shaded, sunlit = patch(FAIR, 0.7), patch(DARK, 1.25)
    assert abs(shaded[0, 0] - sunlit[0, 0]) < 1, "equally light in the picture"
    fair = in_even_light(tuple(skin_gamut(shaded[0]).tolist()), shaded)
    dark = in_even_light(tuple(skin_gamut(sunlit[0]).tolist()), sunlit)
    assert fair[0] - dark[0] > 8


def painted(parts: dict[str, Lab]) -> View:
    """A view whose named parts have even colours."""
    view = view_of(synthetic_crop(synthetic_pose(), synthetic_identity()))
    colours = {name: np.zeros_like(pixels) for name, pixels in view.colours.items()}
    for name, colour in parts.items():
        colours[name][:] = colour
    return replace(view, colours=colours)


def test_limbs_vote_where_they_are_bare() -> None:
    shaded = (60.0, 10.0, 15.0)
    bare = painted({"forearm": FAIR, "shin": (20.0, 2.0, -15.0), "skin": shaded})
    face = face_colour([bare])
    assert face is not None
    assert np.allclose(face, shaded, atol=1)
    lightness = bare_skin(bare, face)[:, 0]
    assert {round(float(value)) for value in np.unique(lightness)} == {60, 72}
    sleeved = painted({"forearm": ORANGE, "skin": shaded})
    assert np.allclose(bare_skin(sleeved, face), shaded), "a sleeve in the hue of skin is no skin"


def test_hair_is_no_redder_than_hair() -> None:
    brown = hair_gamut((43.0, 19.0, 16.0))
    assert brown[0] == 43.0
    assert brown[2] > brown[1]
    for kept in ((6.0, 1.0, 2.0), (54.0, 2.0, 24.0), (32.0, 54.0, 39.0), (40.0, 20.0, -10.0)):
        assert hair_gamut(kept) == kept, "black, blond, a red helmet and violet hair"


def test_the_dark_haired_have_brown_eyes_when_these_are_not_seen() -> None:
    for seed in range(20):
        eyes = draw_palette(seed, dark_haired=True).eyes
        assert eyes.confidence == 0
        assert eyes.lab[1] > 0, "brown is reddish; blue, green and grey eyes are not"
        assert draw_palette(seed, dark_haired=True).hair == draw_palette(seed).hair
