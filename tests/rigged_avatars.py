"""A rigged man of ellipsoids, and what is seen of him: an avatar small enough to draw in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from test_avatar_solve import Scene, armature, film, pose

from animegen.avatar.armature import Armature
from animegen.avatar.rigged import MATERIAL_FIELDS, Morph, RiggedAvatar
from animegen.avatar.springs import Springs
from animegen.types import PARTS

PARTLESS = 6
LINKS, TOP, LINK = 4, (0.0, 1.62, -0.12), (0.0, -0.1, 0.0)
"""A ponytail: how many bones, where it begins and how far each goes on."""

_EYES = {"leftEye": (0.035, 1.57, 0.085), "rightEye": (-0.035, 1.57, 0.085)}
_RINGS, _SEGMENTS = 11, 16
_WHITE, _RED = (240, 240, 240), (180, 20, 40)


@dataclass(frozen=True)
class Piece:
    """An ellipsoid that a bone carries: metres; ``part`` and ``fixed`` as in :class:`RiggedAvatar`."""

    bone: str
    centre: tuple[float, float, float]
    axes: tuple[float, float, float]
    part: int
    outlined: bool = True
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
        Piece("leftEye", _EYES["leftEye"], (0.025, 0.02, 0.015), PARTLESS, outlined=False, fixed=_WHITE),
        Piece("leftEye", (0.035, 1.57, 0.096), (0.012, 0.012, 0.006), eyes, outlined=False),
    ]
    right = [replace(p, bone=p.bone.replace("left", "right"), centre=(-p.centre[0], *p.centre[1:])) for p in left]
    return [
        Piece("hips", (0.0, 0.95, 0.0), (0.14, 0.12, 0.09), bottom),
        Piece("spine", (0.0, 1.07, 0.0), (0.13, 0.03, 0.095), PARTLESS, fixed=_RED),
        Piece("chest", (0.0, 1.23, 0.0), (0.15, 0.18, 0.1), top),
        Piece("head", (0.0, 1.57, 0.0), (0.085, 0.13, 0.085), skin),
        Piece("head", (0.0, 1.6, -0.02), (0.1, 0.14, 0.085), hair),
        Piece("head", (0.0, 1.5, 0.08), (0.025, 0.006, 0.008), PARTLESS, outlined=False, fixed=_RED),
        *left, *right,
    ]  # fmt: skip


def person() -> Armature:
    """The armature of the tests of bones, with eyes."""
    bare = armature()
    bones = (*bare.bones, *_EYES)
    parents = np.append(bare.parents, [bare.bones.index("head")] * len(_EYES))
    pivots = np.concatenate([bare.pivots, [*_EYES.values()]]).astype(np.float32)
    return replace(bare, bones=bones, parents=parents, pivots=pivots)


def ponytailed(bare: Armature, springs: Springs | None = None) -> tuple[Armature, Springs]:
    """An armature with LINKS bones more in a row behind its head, and how they swing."""
    count = len(bare.bones)
    ends = np.array(TOP) + np.arange(LINKS + 1)[:, None] * np.array(LINK)
    bones = replace(
        bare,
        bones=(*bare.bones, *(f"swings {i}" for i in range(LINKS))),
        parents=np.concatenate([bare.parents, [bare.bones.index("head")], count + np.arange(LINKS - 1)]),
        pivots=np.concatenate([bare.pivots, ends[:-1]]).astype(np.float32),
    )
    own = springs or replace(
        Springs.none(),
        stiffness=np.full(LINKS, 0.5, np.float32),
        gravity=np.zeros((LINKS, 3), np.float32),
        drag=np.full(LINKS, 0.4, np.float32),
        reach=np.zeros((LINKS, 0), np.float32),
    )
    return bones, replace(own, bones=count + np.arange(LINKS), tails=ends[1:].astype(np.float32))


def box_man(name: str = "ann", colour: int = 204, *, ponytail: bool = False) -> RiggedAvatar:
    """A man 1.7 m high; ``colour``: the shade that all of his parts have. His mouth, his belt and the white
    of his eyes have a colour of their own. His ``ponytail`` swings.
    """
    bones, pieces, springs = person(), _pieces(), Springs.none()
    if ponytail:
        bones, springs = ponytailed(bones)
        pieces += [
            Piece(bone, (x, y - 0.05, z), (0.03, 0.06, 0.03), 0)
            for bone, (x, y, z) in zip(bones.bones[-LINKS:], bones.pivots[-LINKS:].tolist(), strict=True)
        ]
    shape, corners = _sphere()
    positions, normals = (np.concatenate(a) for a in zip(*(_ellipsoid(p, shape) for p in pieces), strict=True))
    owner = np.repeat(np.arange(len(pieces)), len(shape))
    parts = np.array([p.part for p in pieces])[owner]
    carrier = np.array([bones.bones.index(p.bone) for p in pieces], np.uint8)[owner]
    weights = np.zeros((len(owner), 3), np.uint8)
    weights[:, 0] = 255
    in_eyes = np.isin(carrier, [bones.bones.index(bone) for bone in _EYES])
    mouth = (parts == PARTLESS) & (carrier == bones.bones.index("head"))
    moves = {"blink": (in_eyes, (0.0, 0.0, -0.08)), "aa": (mouth, (0.0, -0.03, 0.0))}
    return RiggedAvatar(
        about={"name": name, "licence": "CC0", "credit": "", "palette": [None] * 6, "proportions": {}, "traits": {}},
        armature=bones,
        positions=positions,
        normals=normals,
        bones=np.repeat(carrier[:, None], 3, axis=1),
        weights=weights,
        shades=np.where(parts < PARTLESS, colour, 0).astype(np.uint8),
        fixed=np.array([p.fixed for p in pieces], np.uint8)[owner],
        corners=np.concatenate([corners + i * len(shape) for i in range(len(pieces))]).astype(np.int32),
        materials=np.repeat(np.arange(len(pieces), dtype=np.uint8), len(corners)),
        table=np.array([_material(p) for p in pieces], np.float32),
        morphs={m: _morph(np.flatnonzero(moved), way) for m, (moved, way) in moves.items()},
        gaze=(25.0, 20.0),
        springs=springs,
    )


def seen(turns: Sequence[float] = (0.0,), lively: float = 1.0, seed: int = 1) -> Scene:
    """The man in a pose for each of some turns to his left in radians, in the middle of the canvas."""
    rng = np.random.default_rng(seed)
    matrices = [np.array(((np.cos(a), 0, np.sin(a)), (0, 1, 0), (-np.sin(a), 0, np.cos(a)))) for a in turns]
    return film(person(), [pose(rng, lively) for _ in turns], matrices)


def _morph(moved: np.ndarray, way: tuple[float, float, float]) -> Morph:
    return Morph(moved.astype(np.int32), np.tile(np.array(way, np.float32), (len(moved), 1)))


def _material(piece: Piece) -> list[float]:
    usual = {"part": piece.part, "dark": 0.75, "toony": 0.9, "outline_width": 0.006 * piece.outlined}
    return [usual.get(name, 0.0) for name in MATERIAL_FIELDS]


def _sphere() -> tuple[np.ndarray, np.ndarray]:
    """Vertices f64 [V, 3] of a ball of radius 1 and its facets [F, 3], counterclockwise from outside."""
    ring, segment = np.pi * np.arange(1, _RINGS + 1) / (_RINGS + 1), 2 * np.pi * np.arange(_SEGMENTS) / _SEGMENTS
    around = np.stack([np.sin(segment), np.cos(segment)], axis=1)
    rings = np.empty((_RINGS, _SEGMENTS, 3))
    rings[:, :, 1] = np.cos(ring)[:, None]
    rings[:, :, ::2] = np.sin(ring)[:, None, None] * around
    vertices = np.concatenate([[(0, 1, 0)], rings.reshape(-1, 3), [(0, -1, 0)]])
    number = 1 + np.arange(_RINGS * _SEGMENTS).reshape(_RINGS, _SEGMENTS)
    beside = np.roll(number, -1, axis=1)
    corners = [(0, number[0, j], beside[0, j]) for j in range(_SEGMENTS)]
    corners += [(number[-1, j], len(vertices) - 1, beside[-1, j]) for j in range(_SEGMENTS)]
    for i in range(_RINGS - 1):
        for j in range(_SEGMENTS):
            corners += [
                (number[i, j], number[i + 1, j], beside[i + 1, j]),
                (number[i, j], beside[i + 1, j], beside[i, j]),
            ]
    return vertices, np.array(corners)


def _ellipsoid(piece: Piece, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and normals of vertices f32 [V, 3]."""
    axes = np.array(piece.axes)
    steep = np.linalg.norm(shape / axes, axis=1, keepdims=True)
    return (np.array(piece.centre) + axes * shape).astype(np.float32), (shape / axes / steep).astype(np.float32)
