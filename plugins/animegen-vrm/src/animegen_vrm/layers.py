"""Cloth in layers, for drawing with few bones: what is worn over one another moves as one, with room between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar
from animegen_vrm.tpose import BODY, Mesh
from animegen_vrm.visibility import CLOTHES, placed, points_on

# Lengths are in metres.
_REACH = 0.02
"""Of the cloth that a place moves with: it takes the mean of what is around it."""
_ROOM = 0.008
"""What is covered lies this far under its cover, and no deeper than half as far again."""
_NEAR = 0.006
"""A cover lies no further beside the place under it."""
_AROUND = 0.012
"""A place is covered where cloth lies on all sides of it this far."""
_BULGE = 0.002
"""Cloth may come through its cover so far."""
_FAR = 0.015
"""Cloth that is no further apart lies in layers, one over the other; at twice as far each goes its own way."""
_ALIKE = 0.5  # the cosine between the ways that cloth and its cover face, at least
_ONE_SIDED = (
    0.3,
    0.6,
)  # of their mean distance: so far the middle of covers lies beside a place, on all sides or at an edge
_SLOPE = 0.5  # metres that cloth goes deeper per metre from where it is bare
_ROUNDS = 3  # layers that are told from another
_WELDED = 1e-4  # metres: vertices so close are one
_SWINGS = 0.5  # the share of springs in what swings

_CLOSEST = 64  # vertices around one
_POINTS = 96  # of covers
_ROWS = 8192  # vertices at a time


def settled(avatar: Avatar, mesh: Mesh, swinging: NDArray[np.bool_]) -> Mesh:
    """The ``mesh`` of an avatar with layers of cloth that stay one over the other where its limbs bend.

    Where shirts, jackets and ties lie over one another they move with the mean of all of them around, but what hangs on
    bones that are ``swinging``, bool [B]; and what is covered, cloth or skin, lies under it with room between. What is
    seen of it in its T-pose stays.
    """
    parts = np.array([material.part or "" for material in avatar.materials])[mesh.material]
    other = (parts == "") & (mesh.place == BODY)  # ties and belts
    skin = (parts == "skin") & (mesh.place == BODY)
    worn = np.isin(parts, CLOTHES) | other
    spots = _spots(mesh, worn)
    return _with_room(_as_one(mesh, (parts == "upper") | other, spots, swinging), worn | skin, spots)


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Points all over cloth: the ``triangle`` of each and its ``material``, i64 [S].

    ``mix`` f64 [S, 3] are the weights of the corners, ``places`` f32 [S, 3] where it lies, ``front`` f32 [S, 3] the way
    it faces.
    """

    triangle: NDArray[np.int64]
    material: NDArray[np.int64]
    mix: Float64Array
    places: Float32Array
    front: Float32Array


def _spots(mesh: Mesh, cloth: NDArray[np.bool_]) -> _Spots:
    triangle, mix = points_on(mesh)
    triangle, mix = triangle[cloth[triangle]], mix[cloth[triangle]]
    return _Spots(triangle, mesh.material[triangle], mix, *placed(mesh.positions[mesh.triangles], triangle, mix))


def _as_one(mesh: Mesh, cloth: NDArray[np.bool_], spots: _Spots, swinging: NDArray[np.bool_]) -> Mesh:
    """A mesh of which ``cloth``, bool [T], moves with the mean of what is around it where another lies close by."""
    vertices = np.unique(mesh.triangles[cloth])
    vertices = vertices[mesh.weights[vertices][:, swinging].sum(axis=1) < _SWINGS]
    held = np.zeros(len(mesh.positions))
    for number in np.unique(mesh.material[cloth]):
        others = cloth[spots.triangle] & (spots.material != number)
        if others.any():
            some = np.unique(mesh.triangles[cloth & (mesh.material == number)])
            apart, _ = cKDTree(spots.places[others]).query(mesh.positions[some], distance_upper_bound=2 * _FAR)
            held[some] = np.clip(2 - apart / _FAR, 0.0, 1.0)
    if not held[vertices].any():
        return mesh
    near, apart = _beside(mesh.positions[vertices])
    rows = np.arange(len(vertices) + 1) * near.shape[1]
    shares = csr_array((np.exp(-0.5 * (apart / _REACH) ** 2).ravel(), near.ravel(), rows), shape=2 * (len(vertices),))
    shares = shares / shares.sum(axis=0)  # many vertices in one place count as one
    shares = shares / shares.sum(axis=1)[:, None]
    weights = mesh.weights.copy()
    weights[vertices] += held[vertices, None] * (shares @ weights[vertices] - weights[vertices])
    return replace(mesh, weights=weights)


def _beside(places: Float64Array) -> tuple[NDArray[np.int64], Float64Array]:
    """Of places f64 [N, 3] those next to each, i64 [N, K], and how far they are apart, f64 [N, K]."""
    apart, near = cKDTree(places).query(places, k=np.arange(1, min(_CLOSEST, len(places)) + 1))
    return near, apart


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Some vertices of a material, i64 [N], with points of other cloth close to each that face the same way.

    ``near`` i64 [N, K] are the points, ``before`` f32 [N, K] how far outside of the vertex they lie, ``across`` f32
    [N, K, 3] how far beside it; ``there`` bool [N, K] where there are any.
    """

    material: int
    vertices: NDArray[np.int64]
    near: NDArray[np.int64]
    before: Float32Array
    across: Float32Array
    there: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Covered:
    """Vertices of a layer, i64 [N], with the points that cover them.

    ``near`` and ``before`` are a layer's, the latter endless but for covers; ``share`` f64 [N] tells how far a vertex
    is covered on all sides; ``beside`` i64 [N, K] are those next to it, and ``apart`` f64 [N, K] how far.
    """

    vertices: NDArray[np.int64]
    near: NDArray[np.int64]
    before: Float32Array
    share: Float32Array
    beside: NDArray[np.int64]
    apart: Float64Array


def _with_room(mesh: Mesh, under: NDArray[np.bool_], spots: _Spots) -> Mesh:
    """A mesh of which what is ``under``, bool [T], lies deeper than the cloth that covers it."""
    layers = list(_layers(mesh, under, spots))
    over = _order(layers, spots.material, int(mesh.material.max(initial=0)) + 1)
    covered = [_covered(mesh, layer, over[layer.material][spots.material]) for layer in layers]
    welded = np.unique(np.rint(mesh.positions / _WELDED), axis=0, return_inverse=True)[1].reshape(-1)
    used = np.unique(mesh.triangles)
    depth = np.zeros(len(mesh.positions))
    for _ in range(_ROUNDS):
        deeper, moved = np.zeros_like(depth), np.einsum("sk,sk->s", spots.mix, depth[mesh.triangles[spots.triangle]])
        for one in covered:
            wanted = (_ROOM - one.before + moved[one.near]).max(axis=1).clip(0.0, 1.5 * _ROOM) * one.share
            deeper[one.vertices] = (wanted[one.beside] + _SLOPE * one.apart).min(axis=1)
        least = np.full(len(depth), np.inf)
        np.minimum.at(least, welded[used], deeper[used])
        depth[used] = least[welded[used]]
    return replace(mesh, positions=mesh.positions - depth[:, None] * mesh.normals)


def _layers(mesh: Mesh, under: NDArray[np.bool_], spots: _Spots) -> Iterator[_Layer]:
    """What is ``under``, bool [T], by material, with cloth of others."""
    for number in np.unique(mesh.material[under]):
        others = np.flatnonzero(spots.material != number)
        if not len(others):
            continue
        tree, whole = cKDTree(spots.places[others]), np.unique(mesh.triangles[under & (mesh.material == number)])
        for vertices in np.array_split(whole, len(whole) // _ROWS + 1):
            places, normals = (each[vertices, None].astype(np.float32) for each in (mesh.positions, mesh.normals))
            apart, found = tree.query(places[:, 0], k=_POINTS, distance_upper_bound=float(np.hypot(_FAR, _AROUND)))
            near = others[np.where(np.isfinite(apart), found, 0)]
            before = ((spots.places[near] - places) * normals).sum(axis=-1)
            across = spots.places[near] - places - before[..., None] * normals
            there = np.isfinite(apart) & ((spots.front[near] * normals).sum(axis=-1) > _ALIKE)
            there &= (np.abs(before) < _FAR) & (np.linalg.norm(across, axis=-1) < _AROUND)
            yield _Layer(int(number), vertices, near, before, across, there)


def _order(layers: Sequence[_Layer], material: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Whether the second of two materials, bool [M, M], is worn over the first: mostly lies outside of it."""
    before, number = np.zeros((count, count)), np.zeros((count, count))
    for layer in layers:
        close = layer.there & (np.linalg.norm(layer.across, axis=-1) < _NEAR)
        np.add.at(before[layer.material], material[layer.near][close], layer.before[close])
        np.add.at(number[layer.material], material[layer.near][close], 1.0)
    mean = before / np.maximum(number, 1.0)
    over: NDArray[np.bool_] = mean > mean.T
    return over


def _covered(mesh: Mesh, layer: _Layer, over: NDArray[np.bool_]) -> _Covered:
    """How a layer is covered by points that may lie ``over`` it, bool [S]."""
    covers = layer.there & over[layer.near] & (layer.before > -_BULGE) & (layer.before < _ROOM)
    beside = np.linalg.norm(layer.across, axis=-1)
    off = np.linalg.norm((layer.across * covers[..., None]).sum(axis=1), axis=1)
    off /= np.maximum((beside * covers).sum(axis=1), 1e-9)
    inside, edge = _ONE_SIDED
    share = np.clip((edge - off) / (edge - inside), 0.0, 1.0) * covers.any(axis=1)
    before = np.where(covers & (beside < _NEAR), layer.before, np.inf)
    return _Covered(layer.vertices, layer.near, before, share, *_beside(mesh.positions[layer.vertices]))
