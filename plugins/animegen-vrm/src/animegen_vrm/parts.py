"""Which part of a palette each material shows: from its name where that tells, else from the look of its patches.

A material that shows several parts (an atlas, a one-piece dress) is copied, one copy a part, and its primitives split.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from animegen.types import PARTS, Float64Array
from animegen_vrm.model import Avatar, Material, Primitive
from animegen_vrm.patches import OWN, tell_by_patches
from animegen_vrm.regions import FOOT, LEG, joint_regions, triangle_regions
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import rest_positions

_HAIR, _SKIN, _EYES, _UPPER, _LOWER, _SHOES = range(6)
_DRESS, _UNTOLD = OWN + 1, OWN + 2

_NAMES = (
    (r"brow|mayu", _HAIR),
    (r"eye_?lash|eye_?white|highlight|mouth|teeth|tongue", OWN),
    (r"eye_?line", _SKIN),  # it holds the shadow of the lids, too
    (r"iris|pupil", _EYES),
    (r"accessor|backpack|glasses|logo|neck_?tie", OWN),
    (r"hair|kami", _HAIR),
    (r"skin|hada", _SKIN),
    (r"one_?piece|dress", _DRESS),
    (r"shoe|boots|sneaker|sandal|heels", _SHOES),
    (r"bottoms|pants|trousers|skirt|jeans|shorts", _LOWER),
    (r"tops|shirt|jacket|coat|hoodie|sweater|blouse|vest", _UPPER),
)
"""The first that is in a material's name tells. "Face" and "body" alone do not: they may be a whole atlas."""

_WAIST = 0.08  # leg lengths above the hips' joint: where a dress is cut into upper and lower
_BARE = 0.02  # share of the surface below which an avatar counts as having no lower garment


def assign_parts(avatar: Avatar) -> Avatar:
    """The avatar with ``Material.part`` set, materials and primitives split where one showed several parts."""
    told = [_told(material) for material in avatar.materials]
    labels = [np.full(len(p.triangles), told[p.material]) for p in avatar.primitives]
    places = rest_positions(avatar)
    untold = [i for i, primitive in enumerate(avatar.primitives) if told[primitive.material] == _UNTOLD]
    if untold:
        for i, label in zip(untold, tell_by_patches(avatar, untold, places), strict=True):
            labels[i] = label
    dresses = (_DRESS, _UPPER) if _bare_below(labels, places, avatar) else (_DRESS,)
    below = _below_waist(avatar, places)
    for label, under in zip(labels, below, strict=True):
        dress = np.isin(label, dresses)
        label[dress] = np.where(under[dress], _LOWER, _UPPER)
    return _split(avatar, labels)


def _told(material: Material) -> int:
    name = material.name.lower()
    return next((label for pattern, label in _NAMES if re.search(pattern, name)), _UNTOLD)


def _bare_below(labels: list[NDArray[np.int64]], places: list[Float64Array], avatar: Avatar) -> bool:
    """Whether nothing yet is a lower garment, so that what hangs over the legs from above must be one."""
    areas = np.zeros(_UNTOLD + 1)
    for label, place, primitive in zip(labels, places, avatar.primitives, strict=True):
        corners = place[primitive.triangles]
        crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas += np.bincount(label, np.linalg.norm(crossed, axis=1), len(areas))
    return bool(areas[_LOWER] < _BARE * areas.sum())


def _below_waist(avatar: Avatar, places: list[Float64Array]) -> list[NDArray[np.bool_]]:
    """Which triangles lie below the waist and hang on the hips or legs: bool [T] for each primitive."""
    rest = rest_matrices(avatar.nodes)[:, 1, 3]
    hips, foot = (rest[avatar.humanoid[bone]] for bone in ("hips", "leftFoot"))
    waist = hips + _WAIST * (hips - foot)
    joints = joint_regions(avatar)
    return [
        np.isin(triangle_regions(primitive, joints), (LEG, FOOT)) & (place[primitive.triangles, 1].mean(axis=1) < waist)
        for primitive, place in zip(avatar.primitives, places, strict=True)
    ]


def _split(avatar: Avatar, labels: list[NDArray[np.int64]]) -> Avatar:
    """One material for each pair of a material and a part it shows, in the order of the avatar's materials."""
    pairs = {(p.material, int(part)) for p, label in zip(avatar.primitives, labels, strict=True) for part in set(label)}
    shown = {material for material, _ in pairs}
    pairs |= {(material, OWN) for material in range(len(avatar.materials)) if material not in shown}
    numbers = {pair: i for i, pair in enumerate(sorted(pairs))}
    materials = [
        replace(avatar.materials[material], part=PARTS[part] if part != OWN else None) for material, part in numbers
    ]
    primitives = [
        _cut(primitive, label == part, numbers[primitive.material, int(part)])
        for primitive, label in zip(avatar.primitives, labels, strict=True)
        for part in np.unique(label)
    ]
    return replace(avatar, materials=tuple(materials), primitives=tuple(primitives))


def _cut(primitive: Primitive, chosen: NDArray[np.bool_], material: int) -> Primitive:
    """The chosen triangles as a primitive of their own, with only the vertices they use."""
    used, triangles = np.unique(primitive.triangles[chosen], return_inverse=True)
    morphs = {name: moved[used] for name, moved in primitive.morphs.items()}
    return replace(
        primitive,
        positions=primitive.positions[used],
        normals=primitive.normals[used],
        uvs=primitive.uvs[used],
        joints=primitive.joints[used],
        weights=primitive.weights[used],
        triangles=triangles.reshape(-1, 3).astype(np.uint32),
        material=material,
        morphs={name: moved for name, moved in morphs.items() if moved.any()},
    )
