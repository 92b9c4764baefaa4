"""Garments that avatars do not come with: a knee-length skirt or shorts in the place of trousers.

Shorts are trousers that end above the knees. The skirt is made to measure: a ring of cloth around hips and thighs as
they are at rest, which falls straight from where they are widest, opens out to the hem, and lies in folds that deepen
on the way. It is bound to what lies under it, left and right going over into each other in the middle, so that a raised
knee lifts the cloth before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array, Part, Uint8Array
from animegen_vrm.materials import GAMMA, dark_share
from animegen_vrm.model import Avatar, Material, Primitive, TextureRef
from animegen_vrm.recolour import reference_palette
from animegen_vrm.regions import hangs_on, triangles_on
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import rest_positions, to_linear
from animegen_vrm.tpose import crossed, unit

SUFFIX, SHORTS_SUFFIX = "-skirt", "-shorts"
"""What the names of avatars in skirts and in shorts end in."""

_BONES = ("hips", "spine", "leftUpperLeg", "rightUpperLeg")
"""What a skirt hangs on."""

# Lengths are in thighs, from hip to knee.
_HEM = 0.87  # below the hips: a shin that is bent back passes under it
_SHORTS_HEM = 0.78  # below the hips: knees are bare
_UNDER = 0.3  # below the hips: so far down trousers stay cloth under a skirt
_BAND, _ABOVE = 0.1, 0.02  # how high the waistband is, and how far it stands over the trousers' edge
_HIDDEN = 0.05  # how far below the trousers' edge, within the band, what is worn above ends
_CLEAR = 0.02  # between the body and the cloth
_FLARE, _FRONT_FLARE, _FOLD = 0.24, 0.12, 0.06  # how far the hem stands off, and how deep its folds are
_LINING = 0.006  # how far it lies within the cloth
_REACH = 0.06  # of what a place on the cloth is bound to

_FOLDS, _COLUMNS, _ROWS = 20, 5, 14
"""Folds around the skirt, vertices across a fold (an odd number: one in the groove, none on the ridge, so that a facet
reaches from the left to the right), and vertices from the waist to the hem."""
_GROOVE, _SEAM = 0.7, 0.75
"""Shades of what little light reaches: grooves at the hem, and the seam below the band."""
_DARK, _INSIDE = 0.8, 0.6
"""The light in the shade, as a share: of the cloth at most (what is painted evenly would show no folds), and inside."""
_MEET = 1.3
"""How far from the middle cloth hangs on one thigh alone, in distances to its axis."""
_HELD, _BETWEEN, _BEHIND = 0.88, 0.75, 0.72
"""How much of a thigh's turn cloth at the hem takes: before it and beside it, between both, and behind them, where it
hangs from a raised knee."""

_LEAST = 1e-3  # metres: thighs and hips are longer and wider
_ARMS = ("leftShoulder", "rightShoulder", "leftUpperArm", "rightUpperArm")
_SLICES = 8  # in which there must be skin for whole legs
_TIE = re.compile(r"(?<![a-z])(neck)?tie(?![a-z])")
_DIRECTIONS = 120
_EDGES = np.array([(4, 0, 0), (3, 1, 0), (2, 2, 0), (1, 3, 0), (0, 4, 0), (0, 3, 1), (0, 2, 2), (0, 1, 3), (0, 0, 4),
                   (1, 0, 3), (2, 0, 2), (3, 0, 1)]) / 4  # fmt: skip
"""Where on a triangle's edges its outline is measured, as weights of its corners."""


def with_skirt(avatar: Avatar) -> Avatar:
    """An avatar in a skirt of its trousers' colour, with bare legs under it; its name ends in SUFFIX.

    What it wears above ends in the waistband. Raises InvalidValue for one without trousers, skin, legs or spine.
    """
    palette = reference_palette(avatar)
    body = _measured(avatar, palette, "a skirt")
    under, edge = body.hips[1] - _UNDER * body.thigh, body.waist - _HIDDEN * body.thigh
    first = len(avatar.joint_nodes), len(avatar.materials)
    nodes = np.array([avatar.humanoid[bone] for bone in _BONES], np.int32)
    return replace(
        avatar,
        name=avatar.name + SUFFIX,
        joint_nodes=np.append(avatar.joint_nodes, nodes),
        inverse_binds=np.concatenate([avatar.inverse_binds, np.linalg.inv(rest_matrices(avatar.nodes)[nodes])]),
        primitives=(
            *_undressed(avatar, body, {"upper": edge, "lower": under, "skin": under}, bare=first[1]),
            *_skirt(body, *first),
        ),
        materials=(*avatar.materials, *_materials(avatar, palette)),
        images=(*avatar.images, _picture(palette["lower"])),
    )


def with_shorts(avatar: Avatar) -> Avatar:
    """An avatar whose trousers end above the knees, with bare legs and without a tie; its name ends in SHORTS_SUFFIX.

    Raises InvalidValue for one without trousers that reach below the knees, skin, legs or spine.
    """
    palette = reference_palette(avatar)
    body = _measured(avatar, palette, "shorts")
    hem, knees = body.hips[1] - _SHORTS_HEM * body.thigh, body.hips[1] - body.thigh
    lowest = min(
        heights[~arms].min(initial=np.inf)
        for one, heights, arms in zip(avatar.primitives, body.heights, body.arms, strict=True)
        if avatar.materials[one.material].part == "lower"
    )
    if lowest > knees:
        raise InvalidValue(
            f"avatar '{avatar.name}' wears shorts already: its trousers end above the knees", "leave it out"
        )
    places = zip(avatar.primitives, rest_positions(avatar), strict=True)
    parted = replace(
        avatar,
        primitives=tuple(
            _parted(one, place[:, 1], hem) if avatar.materials[one.material].part in ("lower", "skin") else one
            for one, place in places
        ),
    )
    bare = len(avatar.materials)
    return replace(
        parted,
        name=avatar.name + SHORTS_SUFFIX,
        primitives=tuple(_undressed(parted, _Body.of(parted), {"lower": hem, "skin": hem}, bare=bare)),
        materials=(*avatar.materials, _legs(avatar, palette)),
    )


def without_tie(avatar: Avatar) -> Avatar:
    """An avatar that leaves its tie off. Raises InvalidValue for one that wears none, by its materials' names."""
    left = tuple(one for one in avatar.primitives if not _is_tie(avatar, one))
    if len(left) == len(avatar.primitives):
        raise InvalidValue(f"avatar '{avatar.name}' wears no tie, as far as its materials' names tell", "leave it out")
    return replace(avatar, primitives=left)


def _is_tie(avatar: Avatar, primitive: Primitive) -> bool:
    material = avatar.materials[primitive.material]
    return material.part != "hair" and bool(_TIE.search(material.name.lower()))


def _measured(avatar: Avatar, palette: Mapping[Part, tuple[float, float, float]], garment: str) -> _Body:
    """Who is to wear a garment; raises InvalidValue where they cannot."""
    known = {"lower", "skin"} <= palette.keys() and {*_BONES, "leftLowerLeg"} <= avatar.humanoid.keys()
    body = _Body.of(avatar) if known else None
    if body is None or min(body.aside, body.thigh) < _LEAST:
        raise InvalidValue(
            f"avatar '{avatar.name}' cannot wear {garment}: no trousers, skin, legs or spine are known of it",
            "name avatars in trousers",
        )
    return body


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """Who wears it, at rest, in metres.

    Of each primitive ``heights`` f64 [T] are those of its triangles' middles, and ``arms`` bool [T] tells which hang on
    arms. ``outline`` f64 [S, 3] are points on what is worn on trunk and legs, ``places`` f64 [V, 3] its vertices and
    ``shares`` f64 [V, 4] how much each moves with _BONES. ``hips`` f64 [3] is the middle of the hip joints, the left
    one ``aside`` of it; ``waist`` is the height of the trousers' edge.
    """

    heights: tuple[Float64Array, ...]
    arms: tuple[NDArray[np.bool_], ...]
    outline: Float64Array
    places: Float64Array
    shares: Float64Array
    hips: Float64Array
    aside: float
    thigh: float
    waist: float

    @classmethod
    def of(cls, avatar: Avatar) -> Self:
        """Measured on an avatar."""
        rest = rest_matrices(avatar.nodes).astype(np.float64)
        left, right, knee = (
            rest[avatar.humanoid[bone], :3, 3] for bone in ("leftUpperLeg", "rightUpperLeg", "leftLowerLeg")
        )
        thigh = float(np.linalg.norm(left - knee))
        all_places = rest_positions(avatar)
        parts = [avatar.materials[one.material].part for one in avatar.primitives]
        corners = [place[one.triangles] for one, place in zip(avatar.primitives, all_places, strict=True)]
        heights = tuple(each[..., 1].mean(axis=1) for each in corners)
        waist = max(float(each[..., 1].max()) for each, part in zip(corners, parts, strict=True) if part == "lower")
        edge = waist - _HIDDEN * thigh
        arms = tuple(triangles_on(avatar, _ARMS))
        legs = [hangs_on(avatar, (bone,)) for bone in _BONES[1:]]
        outline, places, shares = [], [], []
        for i, one in enumerate(avatar.primitives):
            if parts[i] not in ("upper", "lower"):
                continue
            worn = ~arms[i] & ((heights[i] >= edge) | (parts[i] == "lower"))
            points = np.einsum("sk,tkx->tsx", _EDGES, corners[i][worn]).reshape(-1, 3)
            outline.append(points[(points[:, 1] >= edge) | (parts[i] == "lower")])
            used = np.unique(one.triangles[worn])
            moved = [(hung[one.joints[used]] * one.weights[used]).sum(axis=1) for hung in legs]
            places.append(all_places[i][used])
            shares.append(np.stack([1 - np.sum(moved, axis=0), *moved], axis=1))
        return cls(
            heights, arms, np.concatenate(outline), np.concatenate(places), np.concatenate(shares),
            hips=(left + right) / 2, aside=float(abs(left - right)[0]) / 2, thigh=thigh, waist=waist,
        )  # fmt: skip

    @property
    def top(self) -> float:
        """Height of the waistband's upper edge."""
        return self.waist + _ABOVE * self.thigh

    def bound(self, places: Float64Array) -> Float64Array:
        """Shares f64 [N, 4] of _BONES at places f64 [N, 3]: those of what lies nearest, smoothly."""
        apart = ((places[:, None] - self.places) ** 2).sum(axis=2)
        near = np.exp((apart.min(axis=1, keepdims=True) - apart) / (2 * (_REACH * self.thigh) ** 2))
        bound: Float64Array = near @ self.shares / near.sum(axis=1, keepdims=True)
        return bound

    def radii(self, height: float, reach: float, angles: Float64Array) -> Float64Array:
        """How far from the middle what is worn reaches in directions [N], about a height: of its convex outline."""
        level = self.outline[np.abs(self.outline[:, 1] - height) <= reach] - self.hips
        around = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
        support = (level @ _direction(around).T).max(axis=0, initial=0.0)
        lean = np.cos(angles[:, None] - around)
        radii: Float64Array = np.where(lean > 0.1, support / np.maximum(lean, 0.1), np.inf).min(axis=1)
        return radii


def _direction(angles: Float64Array) -> Float64Array:
    """Level directions f64 [N, 3]: 0 to the front, a quarter turn to the left."""
    return np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)


def _materials(avatar: Avatar, palette: Mapping[Part, tuple[float, float, float]]) -> tuple[Material, ...]:
    """What legs, cloth and lining are made of: one colour each, but for the cloth's grooves."""
    lining = _plain(avatar, "lower", palette["lower"])
    picture = TextureRef(len(avatar.images))
    dark = min(dark_share(lining, avatar.images), _DARK) ** GAMMA
    cloth = replace(
        lining, lit=(1.0, 1.0, 1.0, 1.0), shade=(dark, dark, dark), lit_texture=picture, shade_texture=picture
    )
    red, green, blue = (value * _INSIDE**GAMMA for value in lining.lit[:3])
    return _legs(avatar, palette), cloth, replace(lining, shade=(red, green, blue), shading_shift=-1.0)


def _legs(avatar: Avatar, palette: Mapping[Part, tuple[float, float, float]]) -> Material:
    """What bare legs are made of."""
    return _plain(avatar, "skin", palette["skin"])


def _plain(avatar: Avatar, part: Part, colour: tuple[float, float, float]) -> Material:
    """The material that shows most of a part, in one sRGB colour 0..1 and without textures."""
    areas = np.full(len(avatar.materials), -1.0)
    for one, place in zip(avatar.primitives, rest_positions(avatar), strict=True):
        if avatar.materials[one.material].part == part:
            areas[one.material] += np.linalg.norm(crossed(place[one.triangles]), axis=1).sum()
    material = avatar.materials[int(areas.argmax())]
    red, green, blue = to_linear(np.array(colour, np.float32)).tolist()
    dark = dark_share(material, avatar.images) ** GAMMA
    return replace(
        material,
        lit=(red, green, blue, 1.0), lit_texture=None, shade=(red * dark, green * dark, blue * dark),
        shade_texture=None, alpha_mode="opaque", depth_write=True, double_sided=False, emissive=(0.0, 0.0, 0.0),
        emissive_texture=None, outline_texture=None,
    )  # fmt: skip


def _undressed(avatar: Avatar, body: _Body, ends: Mapping[str, float], *, bare: int) -> list[Primitive]:
    """The primitives without a tie, and without what of a part lies below the height at which it ``ends``.

    Below that of trousers there are legs, of the material ``bare``: those of the body, or, where it has none there,
    those of the trousers.
    """
    parts = [avatar.materials[one.material].part for one in avatar.primitives]
    pieces = list(zip(avatar.primitives, parts, body.heights, body.arms, strict=True))
    skin = np.concatenate([height[~arm] for _, part, height, arm in pieces if part == "skin"])
    whole = np.histogram(skin, _SLICES, (ends["lower"] - body.thigh, ends["lower"]))[0].all()
    made = []
    for one, part, height, arm in pieces:
        if _is_tie(avatar, one):
            continue
        below = ~arm & (height < ends.get(part or "", -np.inf))
        made.append(_of(one, ~below, one.material))
        if part == ("skin" if whole else "lower"):
            made.append(_of(one, below, bare))
    return [one for one in made if len(one.triangles)]


def _parted(primitive: Primitive, heights: Float64Array, level: float) -> Primitive:
    """A primitive whose vertices lie at ``heights`` f64 [V], with every triangle across a level parted there."""
    above = heights[primitive.triangles] >= level
    lone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), (~above).argmax(axis=1))
    across = np.flatnonzero(above.any(axis=1) & ~above.all(axis=1))
    # The corner that lies alone on its side, and the others in their order.
    a, b, c = (primitive.triangles[across, (lone[across] + k) % 3].astype(np.int64) for k in range(3))
    first, last = np.tile(a, 2), np.concatenate([b, c])
    share = ((heights[first] - level) / (heights[first] - heights[last])).astype(np.float32)[:, None]
    nearer = np.where(share[:, 0] < 0.5, first, last)

    def between(values: Float32Array) -> Float32Array:
        return np.concatenate([values, (1 - share) * values[first] + share * values[last]])

    p, q = len(heights) + np.arange(2 * len(across)).reshape(2, -1)
    pieces = np.concatenate([np.stack(corners, axis=1) for corners in ((a, p, q), (p, b, c), (p, c, q))])
    whole = np.delete(primitive.triangles, across, axis=0)
    return replace(
        primitive,
        positions=between(primitive.positions),
        normals=unit(between(primitive.normals).astype(np.float64)).astype(np.float32),
        uvs=between(primitive.uvs),
        joints=np.concatenate([primitive.joints, primitive.joints[nearer]]),
        weights=np.concatenate([primitive.weights, primitive.weights[nearer]]),
        triangles=np.concatenate([whole, pieces]).astype(np.uint32),
        morphs={name: between(offsets) for name, offsets in primitive.morphs.items()},
    )


def _of(primitive: Primitive, chosen: NDArray[np.bool_], material: int) -> Primitive:
    return replace(primitive, triangles=primitive.triangles[chosen], material=material)


def _skirt(body: _Body, joint: int, legs: int) -> tuple[Primitive, Primitive]:
    """The cloth and its lining; ``joint`` is that of the first of _BONES, ``legs`` the material before theirs."""
    columns = np.arange(_FOLDS * _COLUMNS)
    angles = 2 * np.pi * (columns + 0.5) / len(columns)
    places = _cloth(body, angles)
    down, around = np.gradient(places, axis=0), np.roll(places, -1, axis=1) - np.roll(places, 1, axis=1)
    out = unit(np.cross(down, around))
    within = -out
    within[-1] = unit(0.5 * within[-1] - (0.0, 1.0, 0.0))  # for an outline under the hem
    # The first column once more in the end, as texture coordinates go on where the ring closes.
    ring = np.append(columns, 0)
    number = np.arange(len(places) * len(ring)).reshape(len(places), len(ring))
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    triangles = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3).astype(np.uint32)
    u, v = (np.arange(len(ring)) + 0.5) / _COLUMNS, (np.arange(len(places)) + 0.5) / len(places)
    cloth = Primitive(
        name="skirt",
        positions=places[:, ring].reshape(-1, 3).astype(np.float32),
        normals=out[:, ring].reshape(-1, 3).astype(np.float32),
        uvs=np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2).astype(np.float32),
        joints=np.tile(np.arange(joint, joint + len(_BONES), dtype=np.uint16), (number.size, 1)),
        weights=_weights(body, places)[:, ring].reshape(-1, len(_BONES)).astype(np.float32),
        triangles=triangles,
        material=legs + 1,
        morphs={},
    )
    lining = replace(
        cloth,
        positions=(places - _LINING * body.thigh * out)[:, ring].reshape(-1, 3).astype(np.float32),
        normals=within[:, ring].reshape(-1, 3).astype(np.float32),
        triangles=triangles[:, ::-1],
        material=legs + 2,
    )
    return cloth, lining


def _cloth(body: _Body, angles: Float64Array) -> Float64Array:
    """Places f64 [R, C, 3] of the cloth's vertices: the band's edges, the seam, and down."""
    band, hem = body.top - _BAND * body.thigh, body.hips[1] - _HEM * body.thigh
    heights = np.array([body.top, band, *np.linspace(band - 0.01 * body.thigh, hem, _ROWS)])
    reaches = [0.2 * _BAND * body.thigh] * 2 + [0.6 * (band - hem) / _ROWS] * _ROWS
    radii = np.stack([body.radii(*row, angles) for row in zip(heights, reaches, strict=True)])
    radii = np.maximum.accumulate(radii, axis=0) + _CLEAR * body.thigh
    fallen = np.clip((band - heights) / (band - hem), 0.0, 1.0)[:, None]
    fold = np.abs(np.cos(_FOLDS / 2 * angles))
    uneven = 1.0 + 0.3 * np.cos(3 * angles)
    flare = _FLARE - (_FLARE - _FRONT_FLARE) * np.clip(np.cos(angles), 0.0, 1.0)
    radii += (flare * fallen + _FOLD * fallen**0.7 * fold * uneven) * body.thigh
    places = radii[..., None] * _direction(angles)
    places[..., 1] += heights[:, None] - body.hips[1]
    return places + body.hips


def _weights(body: _Body, cloth: Float64Array) -> Float64Array:
    """Shares f64 [R, C, 4] of _BONES: those of what lies under the cloth, by thighs as far as it lies to their side."""
    bound = np.stack([body.bound(row) for row in cloth])
    x, y, z = np.moveaxis(cloth - body.hips, -1, 0)
    left = _smooth(0.5 + x / (2 * _MEET * body.aside))
    held = _HELD - (_HELD - _BETWEEN) * _smooth(1 - np.abs(x) / body.aside)
    held *= 1 - (1 - _BEHIND) * np.clip(-z / np.hypot(x, z), 0.0, 1.0)
    legs = bound[..., 2:].sum(axis=-1) * (1 - (1 - held) * np.clip(-y / (_HEM * body.thigh), 0.0, 1.0))
    spine = bound[..., 1]
    shares: Float64Array = np.stack([1 - legs - spine, spine, left * legs, (1 - left) * legs], axis=-1)
    return shares


def _smooth(share: Float64Array) -> Float64Array:
    """From 0 to 1, without edges."""
    inside = np.clip(share, 0.0, 1.0)
    smooth: Float64Array = inside * inside * (3 - 2 * inside)
    return smooth


def _picture(colour: tuple[float, float, float]) -> Uint8Array:
    """The cloth's texture uint8 [R, C, 4]: a texel for each vertex of a fold."""
    shades = np.ones((2 + _ROWS, _COLUMNS))
    shades[2:, _COLUMNS // 2] = 1 - (1 - _GROOVE) * np.linspace(0, 1, _ROWS) ** 0.5
    shades[2] = _SEAM
    image = np.full((*shades.shape, 4), 255, np.uint8)
    image[..., :3] = np.rint(shades[..., None] * np.array(colour) * 255)
    return image
