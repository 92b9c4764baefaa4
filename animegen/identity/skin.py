"""The colour of a person's skin: which pixels are skin, and what colours skin and hair can have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from animegen.identity.colours import Lab, dominant, looks_like_skin, near
from animegen.identity.regions import View
from animegen.types import Float32Array

_LIMBS = ("upper_arm", "forearm", "shin")
"""Parts that may be bare, beside the face; not the hands, since palms are light on dark people too."""
_BARE = 0.6
"""Share of a limb's pixels that must have the face's colour for the limb to count as bare and not as a sleeve."""
_LEAST_PIXELS = 6
_FACE_NEAR = 9.0
_HAIR_LEFT = 0.5
_HUE_AGREES, _CHROMA_AGREES, _LEAST_CHROMA = 14.0, 1.8, 10.0
"""How far in degrees and by which factor the light may turn and boost one skin; below this chroma noise decides."""
_HUE = (45.0, 72.0)
_LIGHTNESS = (0.0, 20.0, 35.0, 50.0, 65.0, 80.0, 100.0)
_MOST_CHROMA = (6.0, 16.0, 25.0, 29.0, 27.0, 21.0, 8.0)
_MOST_RED = 16.0
_MOST_STEP = (-6.0, 10.0)
"""Most that saturation may change the lightness of skin: as much as the light on it differs from place to place, and
more upwards, since lamps above leave faces in the shade more often than anything makes them paler."""
_HAIR_HUE = (25.0, 52.0)
"""Hues in degrees of hair that skin or reddish light has mixed with, up to the reddest of hair itself."""
_MOST_HAIR_CHROMA = 28.0
_PALEST = 0.6
"""Least chroma of a skin, as a share of the most at its lightness."""


def skin_gamut(lab: Float32Array) -> Float32Array:
    """The nearest colours [..., 3], of the same lightness, that a human skin has under neutral light.

    Spectrophotometers find skins of all people on one narrow path: hue between red and yellow, chroma greatest at
    middle lightness and smaller both for pale and for dark skin (Weatherall and Coombs 1992; Wang et al., CIC 2015;
    Xiao et al. 2017). The limits are drawn a little wider than that path, since cameras boost colours. Sunlight that
    clips, and a grey or coloured light, put a picture's skin outside.
    """
    hue = np.clip(np.arctan2(lab[..., 2], lab[..., 1]), *np.radians(_HUE))
    most = np.minimum(np.interp(lab[..., 0], _LIGHTNESS, _MOST_CHROMA), _MOST_RED / np.cos(hue))
    chroma = np.clip(np.hypot(lab[..., 1], lab[..., 2]), _PALEST * most, most)
    return np.stack([lab[..., 0], chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).astype(np.float32)


def in_even_light(colour: Lab, pictured: Float32Array) -> Lab:
    """A skin colour moved towards the lightness that the saturation of its pixels [n, 3] tells, then into the gamut.

    How much light falls on skin changes lightness and chroma alike and leaves their ratio, which falls steadily from
    dark to fair skin: so fair skin against a window is told from dark skin in the sun. Light that is not white, haze
    and cameras change it too, hence the small steps.
    """
    # Blood and pink walls redden skin of any lightness, so red counts up to the yellow only.
    chroma = np.hypot(np.minimum(pictured[:, 1], pictured[:, 2]), pictured[:, 2])
    saturation = float(np.median(chroma / np.maximum(pictured[:, 0], 1.0)))
    lightness, most = np.array(_LIGHTNESS[:0:-1]), np.array(_MOST_CHROMA[:0:-1])
    told = float(np.interp(saturation, most / lightness, lightness))
    step = float(np.clip(0.5 * (told - colour[0]), *_MOST_STEP))
    moved = skin_gamut(np.array([colour[0] + step, colour[1], colour[2]], np.float32))
    return float(moved[0]), float(moved[1]), float(moved[2])


def hair_gamut(colour: Lab) -> Lab:
    """A hair colour with its hue turned to brown where it is that of a reddish skin; any other colour as it is.

    Hair without dye is yellower than that, red hair too; a dye or a hat is far more vivid, or of another hue.
    """
    chroma, hue = float(np.hypot(colour[1], colour[2])), float(np.degrees(np.arctan2(colour[2], colour[1])))
    if chroma > _MOST_HAIR_CHROMA or not _HAIR_HUE[0] <= hue < _HAIR_HUE[1]:
        return colour
    angle = np.radians(_HAIR_HUE[1])
    return colour[0], chroma * float(np.cos(angle)), chroma * float(np.sin(angle))


def face_colour(views: Sequence[View]) -> Lab | None:
    """The face's colour as pictured, not corrected for its light; None where no face was seen."""
    faces = [face for face in map(face_pixels, views) if len(face) >= _LEAST_PIXELS]
    if not faces:
        return None
    weight = np.concatenate([np.full(len(face), 1.0 / np.sqrt(len(face))) for face in faces])
    return dominant(np.concatenate(faces), weight, lit=0.5).lab


def face_pixels(view: View) -> Float32Array:
    """The pixels [n, 3] of a face whose colour skin can have, which leaves out glasses, beards and masks."""
    pixels = view.pixels("skin")
    return pixels[looks_like_skin(pixels)]


def bare_skin(view: View, face: Lab) -> Float32Array:
    """The pixels [n, 3] of all uncovered skin in a view: of the face, and of limbs that agree with ``face``."""
    found = [face_pixels(view)]
    for limb in _LIMBS:
        pixels = view.pixels(limb)
        agree = _agrees(pixels, face)
        if len(pixels) >= _LEAST_PIXELS and agree.mean() >= _BARE:
            found.append(pixels[agree])
    return np.concatenate(found)


def without_face(view: View, pixels: Float32Array) -> Float32Array:
    """The pixels [n, 3] of hair without those of the forehead, which have the face's colour in this view.

    If only few were left, all are returned: then the hair has the face's colour, and the few are its highlights.
    """
    face = face_pixels(view)
    if min(len(face), len(pixels)) < _LEAST_PIXELS:
        return pixels
    middle = tuple(np.median(face, axis=0).tolist())
    apart = ~near(pixels, middle, _FACE_NEAR)
    return pixels[apart] if apart.mean() >= _HAIR_LEFT else pixels


def _agrees(lab: Float32Array, face: Lab) -> NDArray[np.bool_]:
    """Which colours [n, 3] are the skin of ``face`` in any light: the hue stays, the chroma changes a little."""
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]) - np.arctan2(face[2], face[1]))
    chroma = np.maximum(np.hypot(lab[:, 1], lab[:, 2]), _LEAST_CHROMA)
    boost = chroma / max(float(np.hypot(face[1], face[2])), _LEAST_CHROMA)
    same = (np.abs(hue) <= _HUE_AGREES) & (boost <= _CHROMA_AGREES) & (boost >= 1.0 / _CHROMA_AGREES)
    return np.asarray(same & looks_like_skin(lab))
