"""A man of ellipsoids as surfels, and what is seen of him: an avatar small enough to draw and to fit in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from test_avatar_solve import Scene, armature, film, pose

from animegen.avatar.armature import Armature
from animegen.avatar.surfels import MATERIAL_FIELDS, Morph, SurfelAvatar
from animegen.types import PARTS

PARTLESS = 6
OUTLINED, PLAIN = 0, 1
"""Materials."""

_EYES = {"leftEye": (0.035, 1.57, 0.085), "rightEye": (-0.035, 1.57, 0.085)}
_GOLDEN = np.pi * (3.0 - 5.0**0.5)
_OVERLAP = 2.0
_WHITE, _RED = (240, 240, 240), (180, 20, 40)


@dataclass(frozen=True)
class Piece:
    """An ellipsoid that a bone carries: metres; ``part`` and ``fixed`` as in :class:`SurfelAvatar`."""

    bone: str
    centre: tuple[float, float, float]
    axes: tuple[float, float, float]
    part: int
    material: int = OUTLINED
    surfels: int = 200
    fixed: tuple[int, int, int] = (0, 0, 0)


def _pieces() -> list[Piece]:
    hair, skin, eyes, top, bottom, shoes = range(len(PARTS))
    left = [
        Piece("leftUpperArm", (0.25, 1.35, 0.0), (0.15, 0.04, 0.04), top),
        Piece("leftLowerArm", (0.49, 1.35, 0.0), (0.14, 0.035, 0.035), top),
        Piece("leftHand", (0.67, 1.35, 0.0), (0.08, 0.02, 0.04), skin),
        Piece("leftUpperLeg", (0.08, 0.7, 0.0), (0.07, 0.23, 0.07), bottom),
        Piece("leftLowerLeg", (0.08, 0.3, 0.0), (0.06, 0.23, 0.06), bottom),
        Piece("leftFoot", (0.08, 0.04, 0.05), (0.045, 0.04, 0.13), shoes),
        Piece("leftEye", _EYES["leftEye"], (0.025, 0.02, 0.015), PARTLESS, PLAIN, fixed=_WHITE),
        Piece("leftEye", (0.035, 1.57, 0.096), (0.012, 0.012, 0.006), eyes, PLAIN),
    ]
    right = [replace(p, bone=p.bone.replace("left", "right"), centre=(-p.centre[0], *p.centre[1:])) for p in left]
    return [
        Piece("hips", (0.0, 0.95, 0.0), (0.14, 0.12, 0.09), bottom),
        Piece("spine", (0.0, 1.07, 0.0), (0.13, 0.03, 0.095), PARTLESS, fixed=_RED),
        Piece("chest", (0.0, 1.23, 0.0), (0.15, 0.18, 0.1), top, surfels=400),
        Piece("head", (0.0, 1.57, 0.0), (0.085, 0.13, 0.085), skin, surfels=400),
        Piece("head", (0.0, 1.6, -0.02), (0.1, 0.14, 0.085), hair, surfels=400),
        Piece("head", (0.0, 1.5, 0.08), (0.025, 0.006, 0.008), PARTLESS, PLAIN, fixed=_RED),
        *left, *right,
    ]  # fmt: skip


def person() -> Armature:
    """The armature of the tests of bones, with eyes."""
    bare = armature()
    bones = (*bare.bones, *_EYES)
    parents = np.append(bare.parents, [bare.bones.index("head")] * len(_EYES))
    pivots = np.concatenate([bare.pivots, [*_EYES.values()]]).astype(np.float32)
    return replace(bare, bones=bones, parents=parents, pivots=pivots)


def box_man(name: str = "ann", colour: int = 204) -> SurfelAvatar:
    """A man 1.7 m high; ``colour``: the shade that all of his parts have. His mouth, his belt and the white
    of his eyes have a colour of their own."""
    bones, pieces = person(), _pieces()
    positions, normals, radii = (np.concatenate(a) for a in zip(*(_ellipsoid(p) for p in pieces), strict=True))
    owner = np.repeat(np.arange(len(pieces)), [p.surfels for p in pieces])
    parts = np.array([p.part for p in pieces], np.uint8)[owner]
    carrier = np.array([bones.bones.index(p.bone) for p in pieces], np.uint8)[owner]
    weights = np.zeros((len(owner), 3), np.uint8)
    weights[:, 0] = 255
    in_eyes = np.isin(carrier, [bones.bones.index(bone) for bone in _EYES])
    mouth = (parts == PARTLESS) & (carrier == bones.bones.index("head"))
    moves = {"blink": (in_eyes, (0.0, 0.0, -0.08)), "aa": (mouth, (0.0, -0.03, 0.0))}
    return SurfelAvatar(
        about={"name": name, "licence": "CC0", "credit": "", "palette": [None] * 6, "proportions": {}, "traits": {}},
        armature=bones,
        positions=positions,
        normals=normals,
        shading_normals=normals,
        borders=np.zeros((len(owner), 2, 3), np.float32),
        radii=radii,
        bones=np.repeat(carrier[:, None], 3, axis=1),
        weights=weights,
        parts=parts,
        shades=np.where(parts < PARTLESS, colour, 0).astype(np.uint8),
        fixed=np.array([p.fixed for p in pieces], np.uint8)[owner],
        materials=np.array([p.material for p in pieces], np.uint8)[owner],
        table=np.array([_material(outline_width=0.006), _material()], np.float32),
        morphs={m: _morph(np.flatnonzero(moved), way) for m, (moved, way) in moves.items()},
        gaze=(25.0, 20.0),
    )


def seen(turns: Sequence[float] = (0.0,), lively: float = 1.0, seed: int = 1) -> Scene:
    """The man in a pose for each of some turns to his left in radians, in the middle of the canvas."""
    rng = np.random.default_rng(seed)
    matrices = [np.array(((np.cos(a), 0, np.sin(a)), (0, 1, 0), (-np.sin(a), 0, np.cos(a)))) for a in turns]
    return film(person(), [pose(rng, lively) for _ in turns], matrices)


def _morph(moved: np.ndarray, way: tuple[float, float, float]) -> Morph:
    return Morph(moved.astype(np.int32), np.tile(np.array(way, np.float32), (len(moved), 1)))


def _material(**fields: float) -> list[float]:
    usual = {"dark": 0.75, "toony": 0.9, **fields}
    return [usual.get(name, 0.0) for name in MATERIAL_FIELDS]


def _ellipsoid(piece: Piece) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, normals and radii of surfels all over it, on a Fibonacci lattice."""
    axes, i = np.array(piece.axes), np.arange(piece.surfels)
    z = 1.0 - (2.0 * i + 1.0) / piece.surfels
    unit = np.stack([np.sqrt(1 - z * z) * np.cos(_GOLDEN * i), np.sqrt(1 - z * z) * np.sin(_GOLDEN * i), z], axis=1)
    steep = np.linalg.norm(unit / axes, axis=1)
    area = 4.0 * np.pi / piece.surfels * axes.prod() * steep
    places = np.array(piece.centre) + axes * unit
    found = places, unit / axes / steep[:, None], _OVERLAP * np.sqrt(area / np.pi)
    return tuple(a.astype(np.float32) for a in found)
