"""Cloth in layers, for drawing with few bones: what is worn over one another moves as one, with room between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar
from animegen_vrm.paint import Painter
from animegen_vrm.tpose import BODY, Mesh
from animegen_vrm.visibility import CLOTHES, placed, solid_points

# Lengths are in metres.
_REACH = 0.02
"""Of the cloth that a place moves with: it takes the mean of what is around it."""
_ROOM, _DEEPEST = 0.008, 0.012
"""What is covered lies so far under its cover, and is put no deeper than so."""
_NEAR = 0.006
"""A cover lies no further beside the place under it."""
_AROUND = 0.012
"""A place is covered where cloth lies on all sides of it this far."""
_BULGE = 0.002
"""Cloth may come through its cover so far."""
_FAR = 0.015
"""Cloth and its cover are no further apart; cloth that is twice as far from other cloth moves as its bones say."""
_ON_ALL_SIDES, _ON_ONE = 0.3, 0.6
"""Of their mean distance: so far the middle of covers lies beside a place that they surround, and one at an edge."""
_ALIKE = 0.5  # the cosine between the ways that cloth and its cover face, at least
_SLOPE = 0.5  # metres that cloth goes deeper per metre from where it is bare
_ROUNDS = 3  # so many layers deep, what is put deeper takes those under it along
_STEPS = 50  # along edges: from where cloth is bare to where it lies deepest
_SEWN = 1e-4  # metres: vertices in a cell of this size are one
_CELL = 0.0025  # metres: one point of a material that faces one way stands for those in a cell of this size
_SWINGS = 0.5  # the share of springs in what moves a vertex, from which on it swings

_CLOSEST = 64  # vertices around one
_POINTS = 96  # of a cover


def settled(avatar: Avatar, painter: Painter, mesh: Mesh, swinging: NDArray[np.bool_]) -> Mesh:
    """The mesh of an avatar, with layers of cloth that stay one over the other where its limbs bend.

    Where shirts, jackets and ties lie over one another they move with the mean of all of them around, except what hangs
    mostly on bones that are ``swinging``, bool [B]; and what is covered, cloth or skin, lies 8 mm under its cover,
    metres in ``mesh``. Layers are told by their materials: one of two lies over the other wherever they meet. What is
    seen of them in a T-pose stays about as it is. ``painter`` tells what of them is cut out. ``mesh`` is of finite
    numbers.
    """
    parts = np.array([material.part or "" for material in avatar.materials])[mesh.material]
    other = (parts == "") & (mesh.place == BODY)  # ties and belts
    skin = (parts == "skin") & (mesh.place == BODY)
    worn = np.isin(parts, CLOTHES) | other
    spots, sewn = _spots(painter, mesh, worn), _sewn(mesh)
    return _with_room(_as_one(mesh, (parts == "upper") | other, spots, swinging, sewn), worn | skin, spots, sewn)


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Points all over what can be seen of cloth: the ``triangle`` of each and its ``material``, i64 [S].

    ``mix`` f64 [S, 3] are the weights of the corners, ``places`` f32 [S, 3] where it lies, ``front`` f32 [S, 3] the way
    it faces.
    """

    triangle: NDArray[np.int64]
    material: NDArray[np.int64]
    mix: Float64Array
    places: Float32Array
    front: Float32Array


def _spots(painter: Painter, mesh: Mesh, cloth: NDArray[np.bool_]) -> _Spots:
    triangle, mix = solid_points(painter, mesh)
    triangle, mix = triangle[cloth[triangle]], mix[cloth[triangle]]
    places, front = placed(mesh.positions[mesh.triangles], triangle, mix)
    material = mesh.material[triangle]
    cells = np.column_stack([material, np.rint(places / _CELL), np.rint(front)])
    kept = np.sort(np.unique(cells, axis=0, return_index=True)[1])
    return _Spots(triangle[kept], material[kept], mix[kept], places[kept], front[kept])


def _sewn(mesh: Mesh) -> NDArray[np.int64]:
    """Numbers of the vertices, i64 [V], the same for those that lie in one place."""
    cells = np.rint(mesh.positions / _SEWN)
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)


def _as_one(
    mesh: Mesh, cloth: NDArray[np.bool_], spots: _Spots, swinging: NDArray[np.bool_], sewn: NDArray[np.int64]
) -> Mesh:
    """A mesh of which ``cloth``, bool [T], moves with the mean of what is around it where another lies close by.

    What is sewn to anything else moves as before, and what is next to that nearly so.
    """
    vertices = np.unique(mesh.triangles[cloth])
    vertices = vertices[mesh.weights[vertices][:, swinging].sum(axis=1) < _SWINGS]
    held = np.zeros(len(mesh.positions))
    for number in np.unique(mesh.material[cloth]):
        others = cloth[spots.triangle] & (spots.material != number)
        if others.any():
            some = np.unique(mesh.triangles[cloth & (mesh.material == number)])
            apart, _ = cKDTree(spots.places[others]).query(mesh.positions[some], distance_upper_bound=2 * _FAR)
            held[some] = np.clip(2 - apart / _FAR, 0.0, 1.0)
    elsewhere = np.setdiff1d(np.unique(mesh.triangles), vertices)
    tied = vertices[np.isin(sewn[vertices], sewn[elsewhere])]
    if len(tied):
        apart, _ = cKDTree(mesh.positions[tied]).query(mesh.positions[vertices])
        held[vertices] *= np.clip(apart / _REACH, 0.0, 1.0)
    if not held[vertices].any():
        return mesh
    held = _least(held, vertices, sewn)[sewn]
    apart, near = cKDTree(mesh.positions[vertices]).query(
        mesh.positions[vertices], k=np.arange(1, min(_CLOSEST, len(vertices)) + 1)
    )
    rows = np.arange(len(vertices) + 1) * near.shape[1]
    shares = csr_array((np.exp(-0.5 * (apart / _REACH) ** 2).ravel(), near.ravel(), rows), shape=2 * (len(vertices),))
    shares = shares / np.maximum(shares.sum(axis=0), 1.0)  # many vertices in one place count as one
    shares = shares / shares.sum(axis=1)[:, None]
    weights = mesh.weights.copy()
    weights[vertices] += held[vertices, None] * (shares @ weights[vertices] - weights[vertices])
    return replace(mesh, weights=weights)


def _least(values: Float64Array, vertices: NDArray[np.int64], sewn: NDArray[np.int64]) -> Float64Array:
    """The least of some vertices' values f64 [V] in each place, f64 [P]; 0 in places of none."""
    least = np.full(int(sewn.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, sewn[vertices], values[vertices])
    return np.where(np.isfinite(least), least, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Vertices i64 [N] of ``under``, a material, with up to K points next to each of ``over``, another.

    ``near`` i64 [N, K] are the points, ``before`` f32 [N, K] how far outside of the vertex they lie, ``across`` f32
    [N, K, 3] how far beside it; ``there`` bool [N, K] where they are close by and face the same way.
    """

    under: int
    over: int
    vertices: NDArray[np.int64]
    near: NDArray[np.int64]
    before: Float32Array
    across: Float32Array
    there: NDArray[np.bool_]

    @property
    def outside(self) -> float:
        """How far ``over`` lies outside of ``under`` on the whole, metres."""
        close = self.there & (np.linalg.norm(self.across, axis=-1) < _NEAR)
        return float(self.before[close].mean()) if close.any() else 0.0


def _pairs(mesh: Mesh, under: NDArray[np.bool_], spots: _Spots) -> Iterator[_Pair]:
    """All materials of which some is ``under``, bool [T], each with all others of which there is cloth."""
    farthest = float(np.hypot(_FAR, _AROUND))
    for over in np.unique(spots.material):
        mine = np.flatnonzero(spots.material == over)
        tree = cKDTree(spots.places[mine])
        for number in np.unique(mesh.material[under & (mesh.material != over)]):
            vertices = np.unique(mesh.triangles[under & (mesh.material == number)])
            vertices = vertices[np.isfinite(tree.query(mesh.positions[vertices], distance_upper_bound=farthest)[0])]
            places, normals = (each[vertices, None].astype(np.float32) for each in (mesh.positions, mesh.normals))
            apart, found = tree.query(places[:, 0], k=_POINTS, distance_upper_bound=farthest)
            near = mine[np.where(np.isfinite(apart), found, 0)]
            ways = spots.places[near] - places
            before = (ways * normals).sum(axis=-1)
            across = ways - before[..., None] * normals
            there = np.isfinite(apart) & ((spots.front[near] * normals).sum(axis=-1) > _ALIKE)
            there &= (np.abs(before) < _FAR) & (np.linalg.norm(across, axis=-1) < _AROUND)
            some = there.any(axis=1)
            yield _Pair(int(number), int(over), vertices[some], near[some], before[some], across[some], there[some])


def _with_room(mesh: Mesh, under: NDArray[np.bool_], spots: _Spots, sewn: NDArray[np.int64]) -> Mesh:
    """A mesh of which what is ``under``, bool [T], lies deeper than the cloth that covers it."""
    pairs = list(_pairs(mesh, under, spots))
    outside = {(pair.under, pair.over): pair.outside for pair in pairs}
    covers = [pair for pair in pairs if outside[pair.under, pair.over] > outside.get((pair.over, pair.under), 0.0)]
    share, used = _surrounded(len(mesh.positions), covers), np.unique(mesh.triangles)
    inward = _inward(mesh, np.unique(mesh.triangles[under]), sewn)
    share *= inward.any(axis=1)[sewn]
    edges = np.concatenate([mesh.triangles[:, ends] for ends in ((0, 1), (1, 2), (2, 0))])
    depth = np.zeros(len(mesh.positions))
    for _ in range(_ROUNDS):
        moved = np.einsum("sk,sk->s", spots.mix, depth[mesh.triangles[spots.triangle]])
        wanted = np.zeros_like(depth)
        for pair in covers:
            covering = pair.there & (pair.before > -_BULGE) & (np.linalg.norm(pair.across, axis=-1) < _NEAR)
            need = np.where(covering, _ROOM - pair.before + moved[pair.near], 0.0).max(axis=1)
            wanted[pair.vertices] = np.maximum(wanted[pair.vertices], need)
        wanted = wanted.clip(0.0, _DEEPEST) * share
        depth = _sloped(_least(wanted, used, sewn), sewn[edges], mesh.positions[edges])[sewn]
    return replace(mesh, positions=mesh.positions + depth[:, None] * inward[sewn])


def _surrounded(count: int, covers: list[_Pair]) -> Float64Array:
    """How far each of ``count`` vertices is covered on all sides, f64 [V], 0 to 1."""
    sums, distances = np.zeros((count, 3)), np.zeros(count)
    for pair in covers:
        there = pair.there & (pair.before > -2 * _BULGE)  # a cover bends away to the sides
        sums[pair.vertices] += (pair.across * there[..., None]).sum(axis=1)
        distances[pair.vertices] += (np.linalg.norm(pair.across, axis=-1) * there).sum(axis=1)
    off = np.linalg.norm(sums, axis=1) / np.maximum(distances, 1e-9)
    share: Float64Array = np.clip((_ON_ONE - off) / (_ON_ONE - _ON_ALL_SIDES), 0.0, 1.0) * (distances > 0.0)
    return share


def _inward(mesh: Mesh, vertices: NDArray[np.int64], sewn: NDArray[np.int64]) -> Float64Array:
    """The way inside at each place, f64 [P, 3], of length 1; of length 0 where there is none, or none of two sides."""
    ways, number = np.zeros((int(sewn.max(initial=-1)) + 1, 3)), np.zeros(int(sewn.max(initial=-1)) + 1)
    np.add.at(ways, sewn[vertices], -mesh.normals[vertices])
    np.add.at(number, sewn[vertices], 1.0)
    long = np.linalg.norm(ways, axis=1)
    told = long > _ALIKE * np.maximum(number, 1.0)
    return np.where(told[:, None], ways / np.where(told, long, 1.0)[:, None], 0.0)


def _sloped(depth: Float64Array, edges: NDArray[np.int64], ends: Float64Array) -> Float64Array:
    """Depths f64 [P] that grow along ``edges`` i64 [E, 2], with ``ends`` f64 [E, 2, 3], no more than they may."""
    rise = _SLOPE * np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    for _ in range(_STEPS):
        before = depth.copy()
        np.minimum.at(depth, edges[:, 0], before[edges[:, 1]] + rise)
        np.minimum.at(depth, edges[:, 1], before[edges[:, 0]] + rise)
        if (depth == before).all():
            break
    return depth
