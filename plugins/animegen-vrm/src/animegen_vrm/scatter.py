"""Points scattered evenly over what can be seen of a mesh: Poisson disks whose size goes by what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from animegen.types import Float64Array
from animegen_vrm.model import Avatar
from animegen_vrm.paint import solid
from animegen_vrm.tpose import BODY, HAND, HEAD, Mesh, unit

SHARES: Mapping[int, float] = {HEAD: 0.45, HAND: 0.10, BODY: 0.45}
"""How many of the points lie where: heads and hands are looked at closely."""

FINE = 9.0
"""How much denser points lie on eyes, lashes and brows."""

OVERSAMPLE = 12
"""Points drawn at random for each that is kept; about half of them are hidden."""

COVER = 0.95
"""A disc's radius in parts of the distance that its neighbours keep."""

_CELL = 0.004  # metres: cells of the depth maps that tell what is seen
_BEHIND = 0.003  # metres: what lies no further behind the nearest point of its cell still counts as seen
_SLOPE = 0.45  # a point is looked at from directions that its normal leans less from than this cosine says
_DIRECTIONS = 62
_OPEN = ("blink", "aa", "oh")  # expressions that bring to light what is hidden in a calm face
_STEPS = 12
_LEVELS = 6  # sizes of the disks differ by powers of the square root of a half


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points on a mesh: ``triangle`` i64 [S], ``mix`` f64 [S, 3] of its corners, ``radius`` f64 [S] metres.

    ``area`` f64 [S]: the share of the surface that each stands for, m2.
    """

    triangle: NDArray[np.int64]
    mix: Float64Array
    area: Float64Array
    radius: Float64Array

    def __getitem__(self, chosen: NDArray[np.generic]) -> Points:
        return Points(self.triangle[chosen], self.mix[chosen], self.area[chosen], self.radius[chosen])

    def of(self, mesh: Mesh, values: NDArray[np.floating]) -> Float64Array:
        """Values of the vertices [V, C] at the points, f64 [S, C]."""
        mixed: Float64Array = np.einsum("sk,skx->sx", self.mix, values[mesh.triangles[self.triangle]])
        return mixed


def scatter(avatar: Avatar, mesh: Mesh, count: int, seed: int) -> Points:
    """About ``count`` points over what can be seen of an avatar's mesh, with the radii of discs that leave no holes."""
    random = np.random.default_rng(seed)
    fine = _fine(avatar, mesh)
    points = _strewn(mesh, np.where(fine, FINE, 1.0), count * OVERSAMPLE, random)
    points = points[solid(avatar, mesh.material[points.triangle], points.of(mesh, mesh.uvs))]
    points = points[_seen(avatar, mesh, points)]
    chosen = []
    places = mesh.place[points.triangle]
    total = sum(share for place, share in SHARES.items() if (places == place).any())
    for place, share in SHARES.items():
        there = points[places == place]
        if len(there.triangle):
            sizes = np.where(fine[there.triangle], FINE**-0.5, 1.0)
            chosen.append(_even(mesh, there, sizes, round(count * share / total), random))
    return Points(*(np.concatenate([getattr(each, name) for each in chosen]) for name in Points.__slots__))


def _fine(avatar: Avatar, mesh: Mesh) -> NDArray[np.bool_]:
    """Triangles of eyes, lashes, brows and their like, bool [T]."""
    small = [material.alpha_mode == "blend" or material.part == "eyes" for material in avatar.materials]
    return np.asarray(np.array(small)[mesh.material] & (mesh.place == HEAD))


def _strewn(mesh: Mesh, weights: Float64Array, count: int, random: np.random.Generator) -> Points:
    """Points at random, spread by area in the state in which a triangle is largest, and by weight."""
    area = np.max([_areas(mesh.positions[mesh.triangles])] + [
        _areas((mesh.positions + mesh.offsets[name])[mesh.triangles]) for name in _OPEN if name in mesh.offsets
    ], axis=0) + 1e-12  # fmt: skip
    shares = area * weights
    for place, share in SHARES.items():
        there = mesh.place == place
        shares[there] *= share / max(shares[there].sum(), 1e-12)
    chosen = np.searchsorted(np.cumsum(shares) / shares.sum(), (np.arange(count) + 0.5) / count)
    chosen = chosen.clip(max=len(shares) - 1)
    # Uniform in the triangle: fold the unit square along its diagonal.
    across, along = random.random(count), random.random(count)
    folded = across + along > 1
    across[folded], along[folded] = 1 - across[folded], 1 - along[folded]
    mix = np.stack([1 - across - along, across, along], axis=1)
    return Points(chosen, mix, (area / shares * shares.sum() / count)[chosen], np.zeros(count))


def _areas(corners: Float64Array) -> Float64Array:
    areas: Float64Array = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return areas / 2


def _seen(avatar: Avatar, mesh: Mesh, points: Points) -> NDArray[np.bool_]:
    """Which points can be seen from anywhere, with a calm face or with one of the expressions that open it."""
    materials = avatar.materials
    twofold = np.array([material.double_sided for material in materials])[mesh.material[points.triangle]]
    veils = np.array([material.alpha_mode != "blend" for material in materials])[mesh.material[points.triangle]]
    seen = np.zeros(len(points.triangle), bool)
    head = mesh.place[points.triangle] == HEAD
    for name in ("", *_OPEN):
        if name and name not in mesh.offsets:
            continue
        mine = np.flatnonzero(head) if name else np.arange(len(seen))
        moved = mesh.positions + mesh.offsets[name] if name else mesh.positions
        corners = moved[mesh.triangles]
        front = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))[points.triangle]
        spots = points.of(mesh, moved)
        for direction in _directions():
            if not name or direction[2] > 0.3:
                seen[mine] |= _seen_from(direction, spots[mine], front[mine], twofold[mine], veils[mine])
    return seen


def _directions() -> Iterator[Float64Array]:
    """Directions spread evenly over the sphere (a Fibonacci spiral)."""
    for i in range(_DIRECTIONS):
        height = 1 - 2 * (i + 0.5) / _DIRECTIONS
        turn = i * np.pi * (3 - 5**0.5)
        level = (1 - height * height) ** 0.5
        yield np.array((level * np.sin(turn), height, level * np.cos(turn)))


def _seen_from(
    direction: Float64Array,
    spots: Float64Array,
    front: Float64Array,
    twofold: NDArray[np.bool_],
    veils: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which points are not behind others, seen from far away in a direction."""
    right = unit(np.cross((0.0, 1.0, 0.0), direction))
    screen = spots @ np.stack([right, np.cross(direction, right)], axis=1) / _CELL
    depth = spots @ direction
    lean = front @ direction
    screen -= screen.min(axis=0) - 1
    corner = np.floor(screen).astype(np.int64)
    width, height = (int(side) + 2 for side in corner.max(axis=0))
    nearest = np.full(width * height, -np.inf)
    near = np.floor(screen - 0.5).astype(np.int64)
    occludes = veils & ((lean > 0) | twofold)
    for step in (0, 1, width, width + 1):  # each point fills the four cells around it, so that none stays open
        np.maximum.at(nearest, near[occludes] @ (1, width) + step, depth[occludes])
    facing = np.where(twofold, np.abs(lean), lean)
    slack = _BEHIND + 1.5 * _CELL * np.sqrt(1 - facing**2) / np.maximum(facing, 1e-3)
    shown: NDArray[np.bool_] = (facing > _SLOPE) & (depth >= nearest[corner @ (1, width)] - slack)
    return shown


def _even(mesh: Mesh, points: Points, sizes: Float64Array, count: int, random: np.random.Generator) -> Points:
    """About ``count`` of the points that keep a distance from each other in parts of ``sizes`` f64 [S]."""
    distance = (0.7 * (points.area / sizes**2).sum() / count) ** 0.5
    spots = _embedded(mesh, points)
    normals = unit(points.of(mesh, mesh.normals))
    priority = random.permutation(len(sizes))
    # Thin things are smaller than a disc: what is missing of the surface around a point makes its disc smaller.
    one, other, apart = _pairs(spots, normals, sizes, distance)
    around = (
        points.area
        + np.bincount(one, points.area[other], len(sizes))
        + np.bincount(other, points.area[one], len(sizes))
    )
    sizes = sizes * np.sqrt(np.clip(around / (np.pi * (distance * sizes) ** 2), 0.12, 1.0))
    distance = (0.7 * (points.area / sizes**2).sum() / count) ** 0.5
    one, other, apart = _pairs(spots, normals, sizes, 1.3 * distance)
    low, high = 0.4 * distance, 1.3 * distance
    for _ in range(_STEPS):
        tried = (low + high) / 2
        close = apart < tried
        kept = _independent(one[close], other[close], priority)
        low, high = (tried, high) if kept.sum() > count else (low, tried)
    close = apart < high
    kept = _independent(one[close], other[close], priority)
    return replace(points, radius=COVER * high * sizes)[kept]


def _embedded(mesh: Mesh, points: Points) -> Float64Array:
    """Places in which points of different materials are far apart, and those that an expression parts, too."""
    moved = [points.of(mesh, mesh.offsets[name]) for name in _OPEN[:2] if name in mesh.offsets]
    return np.concatenate(
        [points.of(mesh, mesh.positions), *moved, 100.0 * mesh.material[points.triangle][:, None]], axis=1
    )


def _pairs(
    spots: Float64Array, normals: Float64Array, sizes: Float64Array, distance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64Array]:
    """Pairs nearer to each other than ``distance`` times their mean size, and how far apart in that unit."""
    levels = np.clip(np.rint(-2 * np.log2(sizes)), 0, 2 * _LEVELS).astype(np.int64)
    groups = [np.flatnonzero(levels == level) for level in np.unique(levels)]
    trees = [cKDTree(spots[group]) for group in groups]
    ones, others = [], []
    for a, b in combinations_with_replacement(range(len(groups)), 2):
        reach = distance * (sizes[groups[a]].max() + sizes[groups[b]].max()) / 2
        if a == b:
            found = trees[a].query_pairs(reach, output_type="ndarray")
            ones.append(groups[a][found[:, 0]])
            others.append(groups[a][found[:, 1]])
        else:
            near = trees[a].sparse_distance_matrix(trees[b], reach, output_type="ndarray")
            ones.append(groups[a][near["i"]])
            others.append(groups[b][near["j"]])
    one, other = np.concatenate(ones), np.concatenate(others)
    apart = np.linalg.norm(spots[one] - spots[other], axis=1) * 2 / (sizes[one] + sizes[other])
    close = (apart < distance) & ((normals[one] * normals[other]).sum(axis=1) > 0)
    return one[close], other[close], apart[close]


def _independent(one: NDArray[np.int64], other: NDArray[np.int64], priority: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which points are kept when each of the highest priority left removes its partners (Luby 1986), bool [S]."""
    kept = np.zeros(len(priority), bool)
    left = np.ones(len(priority), bool)
    while left.any():
        best = np.full(len(priority), -1)
        np.maximum.at(best, one, priority[other])
        np.maximum.at(best, other, priority[one])
        winners = left & (priority > best)
        kept |= winners
        left &= ~winners
        left[other[winners[one]]] = False
        left[one[winners[other]]] = False
        both = left[one] & left[other]
        one, other = one[both], other[both]
    return kept
