"""Which sides of an avatar's triangles can ever be seen: what lies inside of a body or under clothes is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar
from animegen_vrm.paint import Painter
from animegen_vrm.rig import rest_matrices
from animegen_vrm.tpose import BODY, HEAD, Mesh, crossed, unit

_POINTS = 350_000  # spread by area, so that no cell of a depth map stays open
_SPOTS = np.array([(1, 1, 1), (8, 1, 1), (1, 8, 1), (1, 1, 8)], np.float64) / ((3,), (10,), (10,), (10,))
_CELL = 0.004  # metres: cells of the depth maps
_FARTHEST = 1000  # cells from the origin: those of what is larger than any person are larger, too
_BEHIND = 0.005  # metres: what lies no further behind the nearest point of its cell still counts as seen
_SLOPE = 0.2  # a point is looked at from directions that its normal leans less from than this cosine says
_DIRECTIONS = 62
_OPEN = ("blink", "aa", "oh")  # expressions that bring to light what is hidden in a calm face
_STILL = 1e-4  # metres: what an expression moves by less it does not move
CLOTHES = ("upper", "lower", "shoes")
_BESIDE = 0.006  # metres: cloth so far beside a point covers it
_ONE_SIDED = 0.5  # of their mean distance: so far their middle lies beside a point that is near an edge of the cloth
_NOWHERE = 1e4  # metres
_EVENLY = (0.7548776662466927, 0.5698402909980532)
# Multiples of these, modulo 1, are spread evenly over a square (Roberts 2018, "R2"): cells of large triangles that no
# random point hits would be holes to look through.


@dataclass(frozen=True, slots=True)
class _Cover:
    """When a triangle is covered: by cloth this far ``before`` its points (metres, at least and at most).

    ``around``: and on all sides of them, so that what is near an edge stays, by cloth that on the whole lies outside.
    ``bare``: the share of its points that may fail in this; ``unseen``: points count that nobody sees at rest, too.
    ``among``: how many points of cloth are looked at.
    """

    before: tuple[float, float]
    around: bool
    bare: float
    unseen: bool
    among: int


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Points of triangles: the ``triangle`` of each, i64 [S], where it lies and the way it faces, f32 [S, 3], and
    whether it is ``shown`` at all, bool [S]."""

    triangle: NDArray[np.int64]
    places: Float32Array
    front: Float32Array
    shown: NDArray[np.bool_]


_SKIN = _Cover((-0.002, 0.03), around=False, bare=0.0, unseen=False, among=96)
# Trousers bulge through jackets here and there.
_TROUSERS = _Cover((-0.006, 0.03), around=True, bare=0.1, unseen=True, among=24)


def sides_seen(avatar: Avatar, painter: Painter, mesh: Mesh) -> NDArray[np.bool_]:
    """Whether the front and the back of each triangle are seen from anywhere, bool [T, 2].

    The avatar stands in its T-pose, with a calm face or with an expression that opens it; what such an expression moves
    counts as seen. Backs are seen only of double-sided materials. Skin right under clothes and trousers right under a
    shirt or a jacket, which would come through where limbs bend, count as never seen.
    """
    triangle, mix = solid_points(painter, mesh)
    double_sided, hides = (
        np.array(flags, bool)[mesh.material[triangle]]
        for flags in zip(*((m.double_sided, m.alpha_mode != "blend") for m in avatar.materials), strict=True)
    )
    seen = np.zeros((len(triangle), 2), bool)
    head = mesh.place[triangle] == HEAD
    for name in ("", *_OPEN):
        if name and name not in mesh.offsets:
            continue
        mine = np.flatnonzero(head) if name else np.arange(len(seen))
        if not len(mine):
            continue
        moved = mesh.positions + mesh.offsets[name] if name else mesh.positions
        cell = max(_CELL, float(np.abs(moved).max()) / _FARTHEST)
        spots, front = placed(moved[mesh.triangles], triangle, mix)
        points = spots[mine], front[mine], double_sided[mine], hides[mine]
        for direction in _directions():
            if not name or direction[2] > 0.3:
                seen[mine] |= _seen_from(direction, *points, cell=cell)
    sides = np.zeros((len(mesh.triangles), 2), bool)
    np.logical_or.at(sides, triangle, seen)
    sides[:, 0] |= _moved(mesh)
    parts = np.array([material.part or "" for material in avatar.materials])[mesh.material]
    spots, front = placed(mesh.positions[mesh.triangles], triangle, mix)
    body = mesh.place == BODY
    skin, trousers = body & (parts == "skin"), body & (parts == "lower")
    points = _Points(triangle, spots, front, seen.any(axis=1))
    sides[_covered(skin, np.isin(parts, CLOTHES), points, _SKIN)] = False
    sides[_covered(trousers, _worn_over(avatar, mesh), points, _TROUSERS)] = False
    return sides


def solid_points(painter: Painter, mesh: Mesh) -> tuple[NDArray[np.int64], Float64Array]:
    """Points of the triangles that can be seen at all, as a triangle i64 [S] and weights of its corners f64 [S, 3]."""
    triangle, mix = _points(mesh)
    uvs = np.einsum("sk,skx->sx", mix, mesh.uvs[mesh.triangles[triangle]])
    solid = painter.solid(mesh.material[triangle], uvs)
    return triangle[solid], mix[solid]


def _points(mesh: Mesh) -> tuple[NDArray[np.int64], Float64Array]:
    """Points of the triangles, as a triangle i64 [S] and weights of its corners f64 [S, 3]: some of each, and dense."""
    area = np.linalg.norm(crossed(mesh.positions[mesh.triangles]), axis=1) + 1e-12
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), (np.arange(_POINTS) + 0.5) / _POINTS)
    square = np.arange(_POINTS)[:, None] * _EVENLY % 1.0
    square = np.where(square.sum(axis=1, keepdims=True) > 1, 1 - square, square)
    dense = np.concatenate([1 - square.sum(axis=1, keepdims=True), square], axis=1)
    each = np.repeat(np.arange(len(area)), len(_SPOTS))
    spots = np.tile(_SPOTS, (len(area), 1))
    return np.concatenate([each, chosen.clip(max=len(area) - 1)]), np.concatenate([spots, dense])


def placed(corners: Float64Array, triangle: NDArray[np.int64], mix: Float64Array) -> tuple[Float32Array, Float32Array]:
    """Where points of triangles f64 [T, 3, 3] lie and the way these face, f32 [S, 3] each."""
    front = unit(crossed(corners))[triangle].astype(np.float32)
    return np.einsum("sk,skx->sx", mix, corners[triangle]).astype(np.float32), front


def _moved(mesh: Mesh) -> NDArray[np.bool_]:
    """Which triangles of the head an expression moves, bool [T]: a mouth is too narrow to look into."""
    moved = np.zeros(len(mesh.positions), bool)
    for offsets in mesh.offsets.values():
        moved |= np.linalg.norm(offsets, axis=1) > _STILL
    of_head: NDArray[np.bool_] = moved[mesh.triangles].any(axis=1) & (mesh.place == HEAD)
    return of_head


def _worn_over(avatar: Avatar, mesh: Mesh) -> NDArray[np.bool_]:
    """Which triangles may be of what is worn over trousers, bool [T]: of what ends below the hip joints."""
    over = np.zeros(len(mesh.triangles), bool)
    if "leftUpperLeg" in avatar.humanoid:
        hips = rest_matrices(avatar.nodes)[avatar.humanoid["leftUpperLeg"], 1, 3]
        lowest = np.full(len(avatar.materials), np.inf)
        np.minimum.at(lowest, mesh.material, mesh.positions[mesh.triangles, 1].min(axis=1))
        upper = np.array([material.part == "upper" for material in avatar.materials])
        over = (upper & (lowest < hips))[mesh.material]
    return over


def _covered(under: NDArray[np.bool_], over: NDArray[np.bool_], points: _Points, cover: _Cover) -> NDArray[np.bool_]:
    """Which triangles of those ``under`` are covered by those ``over``, bool [T] each."""
    triangle, spots, front = points.triangle, points.places, points.front
    cloth, below = over[triangle], np.flatnonzero(under[triangle] & (points.shown | cover.unseen))
    if not cloth.any() or not len(below):
        return np.zeros(len(under), bool)
    farthest = float(np.hypot(cover.before[1], _BESIDE))
    _, nearest = cKDTree(spots[cloth]).query(spots[below], k=cover.among, distance_upper_bound=farthest)
    nowhere = np.full((1, 3), _NOWHERE, np.float32)  # its number is that of what is found nowhere
    ways = np.concatenate([spots[cloth], nowhere])[nearest] - spots[below, None]
    before = (ways * front[below, None]).sum(axis=-1)
    across = ways - before[..., None] * front[below, None]
    beside = np.linalg.norm(across, axis=-1)
    there = (before > cover.before[0]) & (before < cover.before[1])
    outermost = np.where(there & (beside < _BESIDE), before, -np.inf).max(axis=1)
    hidden = outermost > -np.inf
    if cover.around:
        off = np.linalg.norm((across * there[..., None]).sum(axis=1), axis=1)
        hidden &= off < _ONE_SIDED * (beside * there).sum(axis=1)
        if not hidden.any() or outermost[hidden].mean() <= 0.0:  # tucked in: it lies within
            return np.zeros(len(under), bool)
    all_seen = np.bincount(triangle[below], minlength=len(under))
    bare = np.bincount(triangle[below[~hidden]], minlength=len(under))
    covered: NDArray[np.bool_] = under & (bare <= cover.bare * all_seen)
    return covered


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
    double_sided: NDArray[np.bool_],
    hides: NDArray[np.bool_],
    *,
    cell: float,
) -> NDArray[np.bool_]:
    """Of which points f32 [S, 3] the front and the back are seen from far away in a direction, bool [S, 2].

    Cells of the depth map are ``cell`` metres large; backs are seen of what is ``double_sided``, bool [S]; what
    ``hides``, bool [S], covers what lies behind.
    """
    right = unit(np.cross((0.0, 1.0, 0.0), direction))
    across, up = (spots @ (axis / cell).astype(np.float32) for axis in (right, np.cross(direction, right)))
    depth, lean = spots @ direction, front @ direction
    across -= across.min() - 1
    up -= up.min() - 1
    width, height = int(across.max()) + 2, int(up.max()) + 2
    nearest = np.full(width * height, -np.inf, np.float32)
    occludes = hides & ((lean > 0) | double_sided)
    near = (across[occludes] - 0.5).astype(np.int64) + (up[occludes] - 0.5).astype(np.int64) * width
    far = depth[occludes]
    for step in (0, 1, width, width + 1):  # each point fills the four cells around it, so that none stays open
        np.maximum.at(nearest, near + step, far)
    facing = np.abs(lean)
    slack = _BEHIND + 1.5 * cell * np.sqrt(np.maximum(1 - facing**2, 0)) / np.maximum(facing, 1e-3)
    own = across.astype(np.int64) + up.astype(np.int64) * width
    shown = (facing > _SLOPE) & (depth >= nearest[own] - slack)
    return np.stack([shown & (lean > 0), shown & (lean < 0) & double_sided], axis=1)
