"""Facets that follow what textures show: of two that share an edge, the other diagonal where it suits better."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float64Array
from animegen_vrm.facets import Facets, distances
from animegen_vrm.paint import Painter
from animegen_vrm.tpose import crossed

_ROUNDS = 12
_FLAT = 0.02  # how far apart two edges cross at most, over the length of the new one
_ALIKE = 0.01  # how much what bones weigh differs at most where they cross
_STILL = 1e-4  # metres: how differently expressions move them there at most
_SPECK = 1e-10  # of a texture: facets of no more than this on it have no way round
_SHAPELY = 0.15  # 1 is a triangle of even sides, 0 a line: thin ones turn over where a body bends
_GAIN = 0.02  # share of their error that is gained at least


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Facets ``one`` and ``other`` i64 [n] that share an edge, and what they would become, i64 [n, 3] each."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    new_one: NDArray[np.int64]
    new_other: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> _Pairs:
        return _Pairs(self.one[chosen], self.other[chosen], self.new_one[chosen], self.new_other[chosen])


def flipped(painter: Painter, facets: Facets) -> Facets:
    """The same facets with edges flipped where colours between the corners then come nearer to the textures'.

    Edges of a picture look jagged between facets that lie across them. Pairs that gain most go first, each facet once
    a round, while anything is gained: data-dependent triangulation (Dyn, Levin and Rippa 1990) of pictures on a
    surface, whose shape stays, as only pairs that are nearly flat count. The errors of the facets are not updated.
    """
    triangles = facets.triangles.copy()
    costs = _costs(painter, facets, triangles, facets.material)
    undecided = np.ones(len(triangles), bool)
    for _ in range(_ROUNDS):
        pairs = _pairs(facets, triangles)
        pairs = pairs.where(undecided[pairs.one] | undecided[pairs.other])
        pairs = _convex(facets, triangles, pairs)
        before = costs[pairs.one] + costs[pairs.other]
        material = facets.material[pairs.one]
        new_one = _costs(painter, facets, pairs.new_one, material)
        new_other = _costs(painter, facets, pairs.new_other, material)
        gain = before - new_one - new_other
        better = gain > _GAIN * before
        # Of pairs that gain alike, as in a pattern, one comes first: a facet that is in two would be flipped twice.
        rank = np.empty(len(gain), np.int64)
        rank[np.argsort(-gain, kind="stable")] = np.arange(len(gain))
        first = np.full(len(triangles), len(gain))
        for mine in (pairs.one, pairs.other):
            np.minimum.at(first, mine, rank)
        chosen = better & (rank == first[pairs.one]) & (rank == first[pairs.other])
        if not chosen.any():
            break
        undecided[:] = False
        undecided[pairs.one[better]] = undecided[pairs.other[better]] = True
        taken = pairs.where(chosen)
        triangles[taken.one], triangles[taken.other] = taken.new_one, taken.new_other
        costs[taken.one], costs[taken.other] = new_one[chosen], new_other[chosen]
    return replace(facets, triangles=triangles)


def _costs(painter: Painter, facets: Facets, corners: NDArray[np.int64], material: NDArray[np.int64]) -> Float64Array:
    """Squared errors of the colours of triangles i64 [n, 3] by their areas, f64 [n]."""
    away, solid = distances(painter, facets, corners, material)
    costs: Float64Array = (away * solid).mean(axis=1) * np.linalg.norm(crossed(facets.positions[corners]), axis=1)
    return costs


def _pairs(facets: Facets, triangles: NDArray[np.int64]) -> _Pairs:
    """All pairs that share an edge, are of one material, and seen alike."""
    start, end, beyond = (np.roll(triangles, -k, axis=1).ravel() for k in range(3))
    facet = np.repeat(np.arange(len(triangles)), 3)
    number = np.minimum(start, end) << 32 | np.maximum(start, end)
    order = np.argsort(number, kind="stable")
    same = number[order][1:] == number[order][:-1]
    # Of an edge that three facets share, as in a cross, no two are a pair.
    lonely = ~np.append(same[1:], False) & ~np.append(False, same[:-1])
    first, second = order[:-1][same & lonely], order[1:][same & lonely]
    turned = start[first] == end[second]
    kinds = np.column_stack([facets.material, facets.place, facets.behind])
    alike = (kinds[facet[first]] == kinds[facet[second]]).all(axis=1)
    first, second = first[turned & alike], second[turned & alike]
    a, b, c, d = start[first], end[first], beyond[first], beyond[second]
    return _Pairs(facet[first], facet[second], np.stack([a, d, c], axis=1), np.stack([d, b, c], axis=1))


def _convex(facets: Facets, triangles: NDArray[np.int64], pairs: _Pairs) -> _Pairs:
    """Pairs that the other edge divides into facets that are not thin, with the same surface as before.

    Where edges bend away from each other, at rest, with an expression or where bones turn, another one would make
    dents, through which outlines show.
    """
    olds, news = (triangles[pairs.one], triangles[pairs.other]), (pairs.new_one, pairs.new_other)
    areas = np.stack([_signed_areas(facets.uvs[corners]) for corners in (*olds, *news)])
    kept = (areas * np.sign(areas[0]) > _SPECK).all(axis=0)
    for corners in news:
        kept &= _shape(facets.positions[corners]) > _SHAPELY
    pairs, areas = pairs.where(kept), areas[:, kept]
    (a, d, c), b = pairs.new_one.T, pairs.new_other[:, 1]
    along, across = ((areas[k] / (areas[k] + areas[k + 1]))[:, None] for k in (2, 0))

    def apart(values: Float64Array) -> Float64Array:
        """How far what one edge makes of the place where both cross is from what the other does."""
        difference = values[a] * (1 - along) + values[b] * along - values[c] * (1 - across) - values[d] * across
        return np.asarray(np.linalg.norm(difference, axis=1))

    same = apart(facets.positions) < _FLAT * np.linalg.norm(facets.positions[c] - facets.positions[d], axis=1)
    same &= apart(facets.weights) < _ALIKE
    for moved in facets.offsets.values():
        same &= apart(moved) < _STILL
    return pairs.where(same)


def _shape(corners: Float64Array) -> Float64Array:
    """1 for triangles [n, 3, 3] of even sides, towards 0 for thin ones, f64 [n]."""
    squares = ((np.roll(corners, -1, axis=1) - corners) ** 2).sum(axis=(1, 2))
    shape: Float64Array = 2 * np.sqrt(3) * np.linalg.norm(crossed(corners), axis=1) / np.maximum(squares, 1e-15)
    return shape


def _signed_areas(uvs: Float64Array) -> Float64Array:
    """Twice the areas of triangles [n, 3, 2] in the texture, below zero where they are turned round."""
    first, second = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    areas: Float64Array = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return areas
