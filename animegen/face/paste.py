"""A drawn face as a layer to lay over the frame: in the colours of the face that was there, with a soft edge.

Masks are uint8 [S, S] of a face's square, whatever the size of its picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.face.align import EYE_LINE, side_of, to_source
from animegen.types import Face, Float32Array, Float64Array, Uint8Array

MASK_SIDE = 64
"""Side at which masks are kept: they are soft anyway."""

_MIDDLE, _RADII = (0.5, 0.6), (0.26, 0.33)
"""The ellipse that stands for a face's outline in its square, in sides of it: middle, and half its width and height."""
_INWARD, _SOFT = 0.02, 0.03
"""How far the edge lies inside of the outline, so that nothing else shows in it, and its softness, in sides."""
_MIDDLE_OF_SKIN, _SKIN = (slice(35, 42), slice(26, 38)), 12.0
"""Rows and columns of a mask between a face's eyes and mouth, and how far colours of its skin lie apart in CIELAB."""
_EYES, _EYE = 0.14, 0.07
"""How far drawn eyes lie from the middle, a little further apart than people's, and how large they are, in sides."""
_LEAST = 0.25
"""Share of the ellipse that a drawn face fills at least; what fills less is not taken for its outline."""
_RIM = 0.03
"""Part of the square's border in which nothing is drawn, in sides."""
_GAIN = (0.5, 2.0)
"""How far the contrast of each channel may be changed."""
LIGHT_SIDE, _LIGHT_SPREAD = 16, 0.12
"""Side at which light is kept, and the deviation of the Gaussian by which it is told from features, in sides."""
_MOST_SIDE = 512


def face_mask(face: Face, square: Float64Array, stretch: float = 1.0) -> Uint8Array:
    """The outline of a face in its square's picture: its own mask where it has one, an ellipse otherwise."""
    if face.mask is None:
        return usual_mask(stretch)
    to_frame = np.vstack([to_source(square, MASK_SIDE, stretch), [0.0, 0.0, 1.0]])
    to_mask = cv2.invertAffineTransform(face.mask.affine) @ to_frame
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(face.mask.alpha, to_mask, (MASK_SIDE, MASK_SIDE), flags=flags), np.uint8)


def usual_mask(stretch: float = 1.0) -> Uint8Array:
    """The ellipse in which the face of an aligned picture lies."""
    rows, columns = (np.mgrid[:MASK_SIDE, :MASK_SIDE] + 0.5) / MASK_SIDE
    apart = np.hypot(
        (columns - _MIDDLE[0]) / _RADII[0], (EYE_LINE + stretch * (rows - EYE_LINE) - _MIDDLE[1]) / _RADII[1]
    )
    return np.asarray(255 * (apart < 1), np.uint8)


def drawn_mask(picture: Uint8Array, stretch: float = 1.0) -> Uint8Array:
    """The outline, softened, in which an aligned drawn picture uint8 [r, r, 3] shows face and not the hair around.

    It is the convex hull of the eyes and of the skin that hangs together between them and the mouth, without what shows
    between strands of hair; the ellipse where that is hardly any.
    """
    lab = _to_lab(np.asarray(cv2.resize(picture, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA), np.uint8))
    skin = np.median(lab[_MIDDLE_OF_SKIN].reshape(-1, 3), axis=0)
    near = np.asarray(np.linalg.norm(lab - skin, axis=2) < _SKIN, np.uint8)
    near = np.asarray(cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    _, parts = cv2.connectedComponents(near)
    inside = parts[_MIDDLE_OF_SKIN][near[_MIDDLE_OF_SKIN] > 0]
    hull, usual = np.zeros_like(near), usual_mask(stretch)
    if inside.size:
        points = np.argwhere(parts == np.bincount(inside).argmax())[:, ::-1].astype(np.int32)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate([points, _round_eyes()])), 255)
    outline = hull if (hull > 0).sum() > _LEAST * (usual > 0).sum() else usual
    inner = cv2.erode(outline, np.ones((3, 3), np.uint8))  # so that the soft edge shows no hair
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), _SOFT * MASK_SIDE / 2), np.uint8)


def _round_eyes() -> NDArray[np.int32]:
    """Points around both eyes, x and y in a mask: i32 [16, 2]."""
    around = _EYE * np.exp(2j * np.pi * np.arange(8) / 8)
    both = np.concatenate([around - _EYES, around + _EYES])
    return np.rint(MASK_SIDE * np.stack([0.5 + both.real, EYE_LINE + both.imag], axis=1) - 0.5).astype(np.int32)


def softened(mask: Uint8Array) -> Uint8Array:
    """The mask with a soft edge on the inside, nothing at the border of the square."""
    side = len(mask)
    rim = max(1, round(_RIM * side))
    inner = np.zeros_like(mask)
    inner[rim:-rim, rim:-rim] = mask[rim:-rim, rim:-rim]
    reach = 2 * round((_INWARD + _SOFT) * side) + 1
    inner = np.asarray(cv2.erode(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))), np.uint8)
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), _SOFT * side / 2), np.uint8)


def colours_of(picture: Uint8Array, mask: Uint8Array) -> Float32Array:
    """Mean and standard deviation in CIELAB of a picture uint8 [S, S, 3] inside a mask, f32 [2, 3]."""
    lab = _to_lab(picture).reshape(-1, 3).astype(np.float64)
    weight = np.maximum(_sized(mask, len(picture)).astype(np.float64).ravel(), 1e-3)
    mean = np.average(lab, axis=0, weights=weight)
    spread = np.sqrt(np.average((lab - mean) ** 2, axis=0, weights=weight))
    return np.stack([mean, spread]).astype(np.float32)


def in_colours(picture: Uint8Array, own: Float32Array, wanted: Float32Array) -> Uint8Array:
    """The picture with mean and deviation of its colours, ``own``, turned into those that are ``wanted``.

    Both as :func:`colours_of` tells; contrasts change by a factor of two at most. Source: Reinhard et al. 2001, "Color
    transfer between images", section 3, in CIELAB.
    """
    gain = np.clip(wanted[1] / np.maximum(own[1], np.float32(1e-3)), np.float32(_GAIN[0]), np.float32(_GAIN[1]))
    return _to_rgb((_to_lab(picture) - own[0]) * gain + wanted[0])


def light_of(picture: Uint8Array, mask: Uint8Array) -> Float32Array:
    """How light falls on a picture uint8 [S, S, 3] inside a mask: its colours in CIELAB, smooth, f32 [16, 16, 3]."""
    lab = _to_lab(np.asarray(cv2.resize(picture, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA), np.uint8))
    weight = np.maximum(mask.astype(np.float32) / np.float32(255), np.float32(1e-3))[..., None]
    weighted = cv2.GaussianBlur(np.dstack([lab * weight, weight]), (0, 0), _LIGHT_SPREAD * MASK_SIDE)
    smooth = np.asarray(weighted[..., :3] / weighted[..., 3:], np.float32)
    return np.asarray(cv2.resize(smooth, (LIGHT_SIDE, LIGHT_SIDE), interpolation=cv2.INTER_AREA), np.float32)


def in_light(picture: Uint8Array, own: Float32Array, wanted: Float32Array) -> Uint8Array:
    """The picture with its light, ``own``, turned into the one that is ``wanted``; both as :func:`light_of` tells."""
    change = cv2.resize(np.asarray(wanted - own, np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return _to_rgb(_to_lab(picture) + change)


def blended(front: Uint8Array, back: Uint8Array, mask: Uint8Array) -> Uint8Array:
    """One picture uint8 [S, S, 3] over another where the mask is."""
    share = _sized(mask, len(front))[..., None].astype(np.float32) / np.float32(255)
    return np.asarray(np.rint(share * front + (1 - share) * back), np.uint8)


def layer(
    picture: Uint8Array,
    mask: Uint8Array,
    square: Float64Array,
    wanted: Float32Array,
    light: Float32Array,
    *,
    strength: float = 1.0,
    stretch: float = 1.0,
) -> tuple[Uint8Array, Float64Array]:
    """What is laid over the frame: straight RGBA uint8 [S, S, 4], and the affine f64 [2, 3] that leads it there.

    ``picture`` uint8 [r, r, 3] as drawn, in the square's place; ``mask`` the face's outline, softened, ``wanted`` its
    colours and ``light`` the light on it as filmed, ``strength`` 0..1 its opacity; ``stretch`` as in
    :func:`to_source`. The layer is as fine as the frame, so that little is left to its laying.
    """
    coloured = in_colours(picture, colours_of(picture, mask), wanted)
    coloured = in_light(coloured, light_of(coloured, mask), light)
    shown = float(np.ceil(max(stretch, 1.0) * side_of(square)))
    side = int(np.clip(shown, len(picture), max(_MOST_SIDE, len(picture))))
    if side > len(picture):
        coloured = np.asarray(cv2.resize(coloured, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    alpha = np.rint(_sized(mask, side).astype(np.float32) * np.float32(strength)).astype(np.uint8)
    return np.dstack([coloured, alpha]), to_source(square, side, stretch)


def _to_lab(picture: Uint8Array) -> Float32Array:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab), np.float32)


def _to_rgb(lab: Float32Array) -> Uint8Array:
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)


def _sized(mask: Uint8Array, side: int) -> Uint8Array:
    if len(mask) == side:
        return mask
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
