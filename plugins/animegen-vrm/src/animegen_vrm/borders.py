"""Where discs on an avatar must end: along open and sharp edges of its triangles, and where a texture is clear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from animegen.types import Float64Array
from animegen_vrm.facets import BENT, welded
from animegen_vrm.model import Avatar
from animegen_vrm.paint import solid
from animegen_vrm.scatter import Points
from animegen_vrm.tpose import Mesh, crossed, unit

_SPACING = 1.2e-3  # metres between places at which a border is known
_MOST = 400_000  # places on clear textures
_APART = 1e3  # metres by which pieces of the surface are kept apart in the search
_SLACK = 3e-4  # metres: so far do discs reach over an edge, so that two that meet there leave no gap
_TRIED, _AT_ONCE = 96, 4096
_OTHERWISE = 0.3  # cosine of the angle to the nearest border up to which another lies in another direction
_OBLIQUE = 0.75  # cosine of the angle to an edge
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """Places where the surface ends, f64 [E, 3] metres, the direction of the edge there or 0, f64 [E, 3], and the piece
    of the surface that each belongs to, i64 [E]."""

    places: Float64Array
    along: Float64Array
    pieces: NDArray[np.int64]


def to_borders(avatar: Avatar, mesh: Mesh, points: Points, reach: Float64Array) -> Float64Array:
    """From points on the surface to where it ends on two sides, f64 [S, 2, 3] metres in its plane; 0 for not in reach.

    The first is the nearest border, the second the nearest that lies in another direction; ``reach`` f64 [S] metres.
    Only borders of the same connected piece of one material count, so that no lock of hair is cut off by another.
    """
    pieces = _pieces(mesh)
    places = points.of(mesh, mesh.positions)
    normals = unit(crossed(mesh.positions[mesh.triangles]))[points.triangle]
    known = [_edges(mesh, pieces), _clear(avatar, mesh, pieces)]
    borders = np.concatenate([each.places for each in known])
    along = np.concatenate([each.along for each in known])
    ways = np.zeros((len(places), 2, 3))
    if not len(borders):
        return ways
    # A place on an edge may be a little beyond it; one on a clear texture is, by half a spacing.
    slack = np.repeat([_SLACK, -_SPACING / 2], [len(each.places) for each in known])
    tree = cKDTree(_kept_apart(borders, np.concatenate([each.pieces for each in known])))
    spots = _kept_apart(places, pieces[points.triangle])
    near = np.flatnonzero(tree.query(spots, distance_upper_bound=float(reach.max()))[0] < reach)
    for chunk in np.array_split(near, max(len(near) // _AT_ONCE, 1)):
        distance, found = tree.query(spots[chunk], k=_TRIED, distance_upper_bound=float(reach.max()))
        found = np.where(distance < reach[chunk, None], found, found[:, :1])
        way = borders[found] - places[chunk, None]
        # An edge that ends cuts nothing off beyond its end: only what lies straight across from a point counts.
        across = np.abs((unit(way) * along[found]).sum(axis=2)) < _OBLIQUE
        there = across & (distance < reach[chunk, None])
        way -= (way * normals[chunk, None]).sum(axis=2, keepdims=True) * normals[chunk, None]
        length = np.linalg.norm(way, axis=2, keepdims=True)
        way *= np.maximum(length + slack[found][:, :, None], length / 2) / np.maximum(length, 1e-12)
        nearest = np.take_along_axis(way, there.argmax(axis=1)[:, None, None], axis=1)
        other = there & ((unit(way) * unit(nearest)).sum(axis=2) < _OTHERWISE)
        second = np.take_along_axis(way, other.argmax(axis=1)[:, None, None], axis=1)
        for side, (chosen, any_there) in enumerate(((nearest, there), (second, other))):
            ways[chunk, side] = np.where(any_there.any(axis=1, keepdims=True), chosen[:, 0], 0.0)
    return ways


def _kept_apart(places: Float64Array, pieces: NDArray[np.int64]) -> Float64Array:
    return np.column_stack([places, pieces * _APART])


def _pieces(mesh: Mesh) -> NDArray[np.int64]:
    """Which connected piece of one material each triangle belongs to, i64 [T]."""
    corners = welded(mesh)
    count, total = len(corners), int(corners.max()) + 1
    rows = np.repeat(np.arange(count), 3)
    touching = coo_matrix((np.ones(3 * count), (rows, count + corners.ravel())), shape=(count + total,) * 2)
    _, labels = connected_components(touching, directed=False)
    return labels[:count].astype(np.int64)


def _edges(mesh: Mesh, pieces: NDArray[np.int64]) -> Borders:
    """Places along the edges that only one triangle has, or where two meet at an angle."""
    corners = welded(mesh)
    ends = np.sort(np.concatenate([corners[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    vertices = np.concatenate([mesh.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    owners = np.tile(np.arange(len(corners)), 3)
    _, first, edge, times = np.unique(ends, axis=0, return_index=True, return_inverse=True, return_counts=True)
    normals = unit(crossed(mesh.positions[mesh.triangles]))
    lean = (normals[owners] * normals[owners[first]][edge.reshape(-1)]).sum(axis=1)
    flattest = np.ones(len(first))
    np.minimum.at(flattest, edge.reshape(-1), lean)
    chosen = first[((times == 1) | (flattest < BENT)) & (ends[first, 0] != ends[first, 1])]
    start, end = (mesh.positions[vertices[chosen, i]] for i in (0, 1))
    steps = np.maximum(np.ceil(np.linalg.norm(end - start, axis=1) / _SPACING), 1).astype(np.int64)
    each = np.repeat(np.arange(len(chosen)), steps + 1)
    share = (np.arange(len(each)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)) / steps[each]
    places = start[each] + share[:, None] * (end - start)[each]
    return Borders(places, unit(end - start)[each], pieces[owners[chosen]][each])


def _clear(avatar: Avatar, mesh: Mesh, pieces: NDArray[np.int64]) -> Borders:
    """Places where a texture lets through what lies behind."""
    opaque = np.array([material.alpha_mode == "opaque" for material in avatar.materials])[mesh.material]
    area = np.linalg.norm(crossed(mesh.positions[mesh.triangles]), axis=1) / 2 * ~opaque
    count = int(min(area.sum() / _SPACING**2, _MOST))
    if count == 0:
        return Borders(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.int64))
    random = np.random.default_rng(_SEED)
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), (np.arange(count) + 0.5) / count).clip(max=len(area) - 1)
    across, along = random.random((2, count))
    folded = across + along > 1
    across[folded], along[folded] = 1 - across[folded], 1 - along[folded]
    mix = np.stack([1 - across - along, across, along], axis=1)
    uvs, places = (
        np.einsum("sk,skx->sx", mix, values[mesh.triangles[chosen]]) for values in (mesh.uvs, mesh.positions)
    )
    seen_through = ~solid(avatar, mesh.material[chosen], uvs)
    return Borders(places[seen_through], np.zeros((int(seen_through.sum()), 3)), pieces[chosen[seen_through]])
