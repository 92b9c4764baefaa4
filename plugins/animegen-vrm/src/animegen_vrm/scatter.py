"""Points scattered evenly over what can be seen of a mesh: Poisson disks whose size goes by what lies there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from animegen.types import Float32Array, Float64Array, Uint8Array
from animegen_vrm.facets import facets
from animegen_vrm.model import Avatar
from animegen_vrm.paint import solid
from animegen_vrm.surface import lit_colours
from animegen_vrm.tpose import BODY, BUST, HAND, HEAD, Mesh, crossed, unit

FACE = -1
"""Where a triangle hangs, if on the head and if it is no hair."""

SHARES: Mapping[int, float] = {FACE: 0.18, HEAD: 0.30, HAND: 0.09, BUST: 0.12, BODY: 0.31}
"""How many of the points lie where: faces and hands are looked at closely."""

MOUTH, FINE = 2.5, 5.0
"""How much denser points lie in mouths, and on eyes, lashes and brows, than on the skin of the face."""

PATTERNED = 2.0
"""By how much more where a texture is full of contrast."""

OVERSAMPLE = 14
"""Points drawn at random for each that is kept; about half of them are hidden."""

COVER = 1.2
"""How much of what a point stands for a disc covers beyond it, in radii of that."""

_CELL = 0.004  # metres: cells of the depth maps that tell what is seen
_BEHIND = 0.75  # cells: what lies no further behind the nearest point of its cell still counts as seen
_SLOPE = 0.45  # a point is looked at from directions that its normal leans less from than this cosine says
_DIRECTIONS = 62
_OPEN = ("blink", "aa", "oh")  # expressions that bring to light what is hidden in a calm face
_STEPS = 12
_FILLING = 0.7  # disks of a diameter d that fill a plane at random: so many in d2
_WIDEST = 1.3  # times the distance that this gives, none is larger
_FULL = 0.8  # share of a disk from which on it is no thin thing
_THINNEST = 0.35
_STRETCHED = 1.4  # times as large as an open mouth alone makes it, no disc is larger
_STILL = 1e-4  # metres: what an expression moves by less it does not move
_APART = 10.0  # metres
_SPOTS = 8  # of a triangle, to see how its colours differ
_STRIKING = 40.0  # standard deviation of sRGB, 0..255
_R2 = 1.32471795724474602596 ** -np.arange(1, 3)
_SIDES = 0.4  # distances by which a turn of a normal by a radian counts as being apart


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points on a mesh: ``triangle`` i64 [S] and its ``facet`` i64 [S], ``mix`` f64 [S, 3] of its corners.

    ``area`` f64 [S]: how much of the surface each stands for, m2.
    """

    triangle: NDArray[np.int64]
    facet: NDArray[np.int64]
    mix: Float64Array
    area: Float64Array

    def __getitem__(self, chosen: NDArray[np.generic]) -> Points:
        return Points(self.triangle[chosen], self.facet[chosen], self.mix[chosen], self.area[chosen])

    def of(self, mesh: Mesh, values: NDArray[np.floating]) -> Float64Array:
        """Values of the vertices [V, C] at the points, f64 [S, C]."""
        mixed: Float64Array = np.einsum("sk,skx->sx", self.mix, values[mesh.triangles[self.triangle]])
        return mixed


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some of many points: ``kept`` i64 [M] of ``points``, each for a cell of them around it, with discs that cover it.

    ``cell`` i64 [S]: which of the kept each point belongs to. ``radius`` f64 [M] metres.
    """

    points: Points
    kept: NDArray[np.int64]
    cell: NDArray[np.int64]
    radius: Float64Array

    def mean(self, values: Uint8Array) -> Uint8Array:
        """Of values uint8 [S] or [S, C] of the points the mean in each cell, uint8 [M] or [M, C]."""
        rows = values.reshape(len(values), -1)
        sums = [np.bincount(self.cell, column, len(self.kept)) for column in rows.T]
        means = np.stack(sums, axis=1) / np.bincount(self.cell, minlength=len(self.kept))[:, None]
        whole: Uint8Array = np.rint(means).astype(np.uint8)
        return whole.reshape(-1, *values.shape[1:])

    def whole(self, mesh: Mesh, borders: Float64Array) -> Float64Array:
        """Borders f64 [M, B, 3] of the discs moved out to where they cut off nothing of the discs' cells."""
        places = self.points.of(mesh, mesh.positions)
        away = places - places[self.kept][self.cell]
        length = np.linalg.norm(borders, axis=2)
        toward = unit(borders)
        reach = length.copy()
        for side in range(borders.shape[1]):
            np.maximum.at(reach[:, side], self.cell, (away * toward[self.cell, side]).sum(axis=1))
        kept = (length > 0) & (reach < self.radius[:, None])
        return np.where(kept[:, :, None], toward * reach[:, :, None], 0.0)


def scatter(avatar: Avatar, mesh: Mesh, count: int, seed: int) -> Sample:
    """About ``count`` points over what can be seen of an avatar's mesh, with the radii of discs that leave no holes."""
    random = np.random.default_rng(seed)
    group, weights = _groups(avatar, mesh)
    points = _strewn(mesh, group, weights, count * OVERSAMPLE, random)
    points = points[solid(avatar, mesh.material[points.triangle], points.of(mesh, mesh.uvs))]
    points = points[_seen(avatar, mesh, points)]
    samples = []
    places = group[points.triangle]
    total = sum(share for place, share in SHARES.items() if (places == place).any())
    for place, share in SHARES.items():
        there = points[places == place]
        if len(there.triangle):
            samples.append(_even(mesh, there, weights[there.triangle] ** -0.5, round(count * share / total), random))
    return _joined(samples)


def _joined(samples: Sequence[Sample]) -> Sample:
    """Samples of different points as one."""
    drawn = np.cumsum([0, *(len(each.cell) for each in samples)])
    kept = np.cumsum([0, *(len(each.kept) for each in samples)])
    triangle, facet, mix, area = (np.concatenate([getattr(s.points, f.name) for s in samples]) for f in fields(Points))
    return Sample(
        Points(triangle, facet, mix, area),
        np.concatenate([each.kept + start for each, start in zip(samples, drawn, strict=False)]),
        np.concatenate([each.cell + start for each, start in zip(samples, kept, strict=False)]),
        np.concatenate([each.radius for each in samples]),
    )


def _groups(avatar: Avatar, mesh: Mesh) -> tuple[NDArray[np.int64], Float64Array]:
    """Of each triangle which of SHARES it takes part in, i64 [T], and how dense points lie on it there, f64 [T]."""
    fine = np.array([material.alpha_mode == "blend" or material.part == "eyes" for material in avatar.materials])
    skin = np.array([material.part == "skin" for material in avatar.materials])
    mouth, moved = _inside_mouths(avatar, mesh), _movement(mesh, mesh.offsets) > _STILL
    face = (mesh.place == HEAD) & ((fine | skin)[mesh.material] | moved)
    weights = 1.0 + PATTERNED * np.minimum(_contrast(avatar, mesh) / _STRIKING, 1.0)
    weights = np.where(face, np.select([fine[mesh.material], mouth], [FINE, np.fmax(weights, MOUTH)], weights), weights)
    return np.where(face, FACE, mesh.place), weights


def _movement(mesh: Mesh, names: Collection[str]) -> Float64Array:
    """How far the expressions of these names move each triangle at most, f64 [T] metres."""
    movement = np.zeros(len(mesh.positions))
    for name in mesh.offsets.keys() & set(names):
        movement = np.maximum(movement, np.linalg.norm(mesh.offsets[name], axis=1))
    return np.asarray(movement[mesh.triangles].max(axis=1))


def _inside_mouths(avatar: Avatar, mesh: Mesh) -> NDArray[np.bool_]:
    """Triangles of teeth, tongues and mouths, bool [T]: what vowels move and is neither skin nor hair nor lash."""
    inner = np.array([material.part is None and material.alpha_mode != "blend" for material in avatar.materials])
    vowels = _movement(mesh, ("aa", "ih", "ou", "ee", "oh"))
    return inner[mesh.material] & (vowels > np.maximum(_movement(mesh, ("blink",)), _STILL))


def _contrast(avatar: Avatar, mesh: Mesh) -> Float64Array:
    """How much the colours on each triangle differ, f64 [T]: the standard deviation, 0..255."""
    mix = _triangular(np.arange(_SPOTS)[:, None] * _R2 % 1)
    uvs = np.einsum("sk,tkx->tsx", mix, mesh.uvs[mesh.triangles]).astype(np.float32)
    contrast = np.zeros(len(uvs))
    for number, material in enumerate(avatar.materials):
        mine = mesh.material == number
        colours = lit_colours(avatar, material, uvs[mine].reshape(-1, 2))[:, :3].astype(np.float64)
        contrast[mine] = colours.reshape(-1, _SPOTS, 3).std(axis=1).max(axis=1)
    return contrast


def _triangular(square: Float64Array) -> Float64Array:
    """Points of the unit square [S, 2], folded along its diagonal, as weights of a triangle's corners [S, 3]."""
    folded = np.where(square.sum(axis=1, keepdims=True) > 1, 1 - square, square)
    return np.concatenate([1 - folded.sum(axis=1, keepdims=True), folded], axis=1)


def _strewn(
    mesh: Mesh, group: NDArray[np.int64], weights: Float64Array, count: int, random: np.random.Generator
) -> Points:
    """Points at random, spread by area in the state in which a triangle is largest, and by weight."""
    area = np.max([_areas(positions[mesh.triangles]) for positions in _states(mesh)], axis=0) + 1e-12
    shares = area * weights
    for place, share in SHARES.items():
        there = group == place
        shares[there] *= share / max(shares[there].sum(), 1e-12)
    chosen = np.searchsorted(np.cumsum(shares) / shares.sum(), (np.arange(count) + 0.5) / count)
    chosen = chosen.clip(max=len(shares) - 1)
    # Even in each triangle, as those of one triangle follow each other (Roberts 2018, R2).
    mix = _triangular((np.arange(count)[:, None] * _R2 + random.random(2)) % 1)
    return Points(chosen, facets(mesh.opened())[chosen], mix, (area / shares * shares.sum() / count)[chosen])


def _states(mesh: Mesh) -> Iterator[Float64Array]:
    """Where the vertices are in a calm face and with each of the expressions that open it, f64 [V, 3]."""
    yield mesh.positions
    yield from (mesh.positions + mesh.offsets[name] for name in _OPEN if name in mesh.offsets)


def _areas(corners: Float64Array) -> Float64Array:
    areas: Float64Array = np.linalg.norm(crossed(corners), axis=1) / 2
    return areas


def _seen(avatar: Avatar, mesh: Mesh, points: Points) -> NDArray[np.bool_]:
    """Which points can be seen from anywhere, with a calm face or with one of the expressions that open it."""
    materials = avatar.materials
    twofold = np.array([material.double_sided for material in materials])[mesh.material[points.triangle]]
    veils = np.array([material.alpha_mode != "blend" for material in materials])[mesh.material[points.triangle]]
    seen = _inside_mouths(avatar, mesh)[points.triangle]  # too narrow to look into in such a coarse way
    cell = max(_CELL, 1.3 * float(np.quantile(points.area, 0.9)) ** 0.5)  # few points need larger cells
    head = mesh.place[points.triangle] == HEAD
    for name in ("", *_OPEN):
        if name and name not in mesh.offsets:
            continue
        mine = np.flatnonzero(head) if name else np.arange(len(seen))
        moved = mesh.positions + mesh.offsets[name] if name else mesh.positions
        front = unit(crossed(moved[mesh.triangles]))[points.triangle].astype(np.float32)
        spots = points.of(mesh, moved).astype(np.float32)
        for direction in _directions():
            if not name or direction[2] > 0.3:
                seen[mine] |= _seen_from(direction, spots[mine] / cell, front[mine], twofold[mine], veils[mine])
    return seen


def _directions() -> Iterator[Float32Array]:
    """Directions spread evenly over the sphere (a Fibonacci spiral)."""
    for i in range(_DIRECTIONS):
        height = 1 - 2 * (i + 0.5) / _DIRECTIONS
        turn = i * np.pi * (3 - 5**0.5)
        level = (1 - height * height) ** 0.5
        yield np.array((level * np.sin(turn), height, level * np.cos(turn)), np.float32)


def _seen_from(
    direction: Float32Array,
    spots: Float32Array,
    front: Float32Array,
    twofold: NDArray[np.bool_],
    veils: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which points f32 [S, 3], in cells of a depth map, are not behind others, seen from far away in a direction."""
    right = unit(np.cross((0.0, 1.0, 0.0), direction))
    across, up = (spots @ axis.astype(np.float32) for axis in (right, np.cross(direction, right)))
    depth, lean = spots @ direction, front @ direction
    across -= across.min() - 1
    up -= up.min() - 1
    width, height = int(across.max()) + 2, int(up.max()) + 2
    nearest = np.full(width * height, -np.inf, np.float32)
    occludes = veils & ((lean > 0) | twofold)
    near = (across[occludes] - 0.5).astype(np.int64) + (up[occludes] - 0.5).astype(np.int64) * width
    far = depth[occludes]
    for step in (0, 1, width, width + 1):  # each point fills the four cells around it, so that none stays open
        np.maximum.at(nearest, near + step, far)
    facing = np.where(twofold, np.abs(lean), lean)
    slack = _BEHIND + 1.5 * np.sqrt(1 - facing**2) / np.maximum(facing, 1e-3)
    own = across.astype(np.int64) + up.astype(np.int64) * width
    shown: NDArray[np.bool_] = (facing > _SLOPE) & (depth >= nearest[own] - slack)
    return shown


def _even(mesh: Mesh, points: Points, sizes: Float64Array, count: int, random: np.random.Generator) -> Sample:
    """About ``count`` of the points that keep a distance from each other in parts of ``sizes`` f64 [S]."""
    distance = _distance(points, sizes, count)
    spots = _embedded(mesh, points, distance)
    # What is missing of the surface around a point tells thin things, which need smaller discs.
    one, other, _ = _pairs(spots, sizes, distance)
    around = points.area + np.bincount(one, points.area[other], len(sizes))
    around += np.bincount(other, points.area[one], len(sizes))
    sizes = sizes * np.clip(around / (_FULL * np.pi * (distance * sizes) ** 2), _THINNEST, 1.0)
    distance = _distance(points, sizes, count)
    one, other, apart = _pairs(spots, sizes, _WIDEST * distance)
    priority = random.permutation(len(sizes))
    low, high = 0.5 * distance, _WIDEST * distance
    for _ in range(_STEPS):
        tried = (low + high) / 2
        close = apart < tried
        many = _independent(one[close], other[close], priority).sum() > count
        low, high = (tried, high) if many else (low, tried)
    close = apart < high
    kept = np.flatnonzero(_independent(one[close], other[close], priority))
    _, cell = cKDTree(spots[kept]).query(spots)
    return Sample(points, kept, cell, _radius(mesh, points, kept, cell))


def _radius(mesh: Mesh, points: Points, kept: NDArray[np.int64], cell: NDArray[np.int64]) -> Float64Array:
    """Radii of discs that cover their cells, those that an expression stretches, too, within limits."""
    own = COVER * (points.area / np.pi) ** 0.5
    radii = []
    for positions in (mesh.opened().positions, *_states(mesh)):
        places = points.of(mesh, positions)
        radius = np.zeros(len(kept))
        np.maximum.at(radius, cell, np.linalg.norm(places - places[kept][cell], axis=1) + own)
        radii.append(radius)
    widest: Float64Array = np.minimum(np.max(radii, axis=0), _STRETCHED * radii[0])
    return widest


def _distance(points: Points, sizes: Float64Array, count: int) -> float:
    """About how far apart ``count`` disks of ``sizes`` lie that fill the surface at random."""
    return float((_FILLING * (points.area / sizes**2).sum() / count) ** 0.5)


def _embedded(mesh: Mesh, points: Points, distance: float) -> Float64Array:
    """Places f64 [S, D] in which points of different facets are far apart, and those on two sides of a thin thing.

    So are those that an expression parts: what is folded in a calm face needs points for when it is not.
    """
    places = points.of(mesh, mesh.positions)
    places[:, 0] += _APART * points.facet
    moved = sum((points.of(mesh, mesh.offsets[name]) for name in _OPEN[:2] if name in mesh.offsets), np.zeros((1, 3)))
    normals = _SIDES * distance * unit(points.of(mesh, mesh.normals))
    return np.concatenate([places, normals, *([moved] if moved.any() else [])], axis=1)


def _pairs(
    spots: Float64Array, sizes: Float64Array, distance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64Array]:
    """Pairs nearer to each other than ``distance`` times their mean size, and how far apart in that unit."""
    levels = np.rint(-2 * np.log2(sizes)).astype(np.int64)
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
    close = apart < distance
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
