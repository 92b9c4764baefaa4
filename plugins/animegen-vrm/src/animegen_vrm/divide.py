"""Triangles divided until colours at their corners tell what textures show in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float64Array
from animegen_vrm.diagonals import flipped
from animegen_vrm.facets import SPOTS, Facets, compact, distances
from animegen_vrm.fitting import fitted
from animegen_vrm.paint import Painter
from animegen_vrm.tpose import HAND, HEAD, Mesh, crossed

HEADS, HANDS = 5.0, 1.5
"""How much more errors count on heads and hands than elsewhere: they are looked at closely."""

_ROUNDS = 40
_FLIPS = 8  # rounds after which edges are flipped
_SHARE = 0.12  # of what may still be divided, in one round
_TORN = 90.0  # levels that count as wrong where a triangle is partly clear
_LEAST = 4.0  # levels: what is nearer is right
_SHORTEST = 5e-4  # metres
_PARTS = 1e-3  # metres of an edge times how much the weights of its ends differ, beyond which it comes apart
_HALVINGS = 7


def divided(painter: Painter, mesh: Mesh, sides: NDArray[np.bool_], count: int) -> Facets:
    """The triangles of a mesh of which a front or back is seen, divided into at most about ``count``, without what is
    clear; ``sides`` bool [T, 2] says of which.

    The triangle whose colours are farthest from the texture's, by its area, is divided first, across its longest edge.
    Edges between them are flipped to lie along what textures show. Those that are clear in part are cut in the end, and
    may become two.
    """
    shown = sides.any(axis=1)
    owners = np.zeros(len(mesh.positions), np.int64)
    owners[mesh.triangles.ravel()] = np.repeat(mesh.material, 3)
    drawn = Facets(
        mesh.positions, mesh.normals, mesh.uvs, mesh.weights.astype(np.float64), mesh.offsets,
        painter.colours(owners, mesh.uvs), mesh.triangles[shown], mesh.material[shown], mesh.place[shown],
        sides[shown, 1], np.zeros(int(shown.sum())),
    )  # fmt: skip
    drawn = replace(drawn, error=_errors(painter, drawn, np.arange(len(drawn.triangles))))
    for number in range(1, _ROUNDS + 1):
        if number % _FLIPS == 0:
            drawn = flipped(painter, compact(drawn))
            drawn = replace(drawn, error=_errors(painter, drawn, np.arange(len(drawn.triangles))))
        room = count - len(drawn.triangles)
        if room < 1:
            break
        corners = drawn.positions[drawn.triangles]
        areas = np.linalg.norm(crossed(corners), axis=1)
        longest = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2).max(axis=1)
        weight = np.select([drawn.place == HEAD, drawn.place == HAND], [HEADS, HANDS], 1.0)
        worth = np.where((drawn.error > _LEAST) & (longest > _SHORTEST), drawn.error**2 * areas * weight, 0.0)
        chosen = np.argsort(-worth, kind="stable")[: max(int(room * _SHARE), min(room, 200))]
        chosen = np.sort(chosen[worth[chosen] > 0])
        if not len(chosen):
            break
        drawn = _halved(painter, drawn, chosen)
    return fitted(painter, flipped(painter, compact(_cut_out(painter, drawn))))


def _halved(painter: Painter, drawn: Facets, chosen: NDArray[np.int64]) -> Facets:
    """The chosen triangles divided across the middle of their longest edges, and what would come apart from them.

    Where the ends of an edge move with other bones, its middle leaves it when they turn: there the triangles beyond it
    are divided too. They are found by where vertices lie, as each side of a seam has its own.
    """
    spots = np.unique(drawn.positions, axis=0, return_inverse=True)[1].reshape(-1)
    corners = drawn.triangles[chosen]
    places = drawn.positions[corners]
    lengths = np.linalg.norm(np.roll(places, -1, axis=1) - places, axis=2)
    longest = lengths.argmax(axis=1)
    a, b = (np.take_along_axis(corners, (longest[:, None] + k) % 3, axis=1)[:, 0] for k in range(2))
    parts = np.abs(drawn.weights[a] - drawn.weights[b]).sum(axis=1) * lengths.max(axis=1) > _PARTS
    open_edges = np.unique(_edges(spots[a[parts]], spots[b[parts]]))
    drawn = _halved_across(painter, drawn, chosen, longest)
    while True:
        # Vertices in the middle of edges are on none of these.
        spots = np.concatenate([spots, len(spots) + np.arange(len(drawn.positions) - len(spots))])
        around = spots[drawn.triangles]
        found = np.isin(_edges(around, np.roll(around, -1, axis=1)), open_edges)
        beyond = np.flatnonzero(found.any(axis=1))
        if not len(beyond):
            return drawn
        drawn = _halved_across(painter, drawn, beyond, found[beyond].argmax(axis=1))


def _edges(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each edge between two spots, whichever comes first."""
    return np.minimum(a, b) << 32 | np.maximum(a, b)


def _halved_across(painter: Painter, drawn: Facets, chosen: NDArray[np.int64], edge: NDArray[np.int64]) -> Facets:
    """The chosen triangles divided across the middle of an edge of each, 0..2."""
    corners = drawn.triangles[chosen]
    a, b, c = (np.take_along_axis(corners, (edge[:, None] + k) % 3, axis=1)[:, 0] for k in range(3))
    ends, middle = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0, return_inverse=True)
    middle = middle.reshape(-1) + len(drawn.positions)
    triangles = drawn.triangles.copy()
    triangles[chosen] = np.stack([a, middle, c], axis=1)
    larger = replace(
        _with_vertices(painter, drawn, drawn.owners, ends, np.full(len(ends), 0.5)),
        triangles=np.concatenate([triangles, np.stack([middle, b, c], axis=1)]),
        material=np.concatenate([drawn.material, drawn.material[chosen]]),
        place=np.concatenate([drawn.place, drawn.place[chosen]]),
        behind=np.concatenate([drawn.behind, drawn.behind[chosen]]),
    )
    error = np.concatenate([drawn.error, np.zeros(len(chosen))])
    changed = np.concatenate([chosen, np.arange(len(drawn.triangles), len(larger.triangles))])
    error[changed] = _errors(painter, larger, changed)
    return replace(larger, error=error)


def _errors(painter: Painter, drawn: Facets, chosen: NDArray[np.int64]) -> Float64Array:
    """How far the colours of triangles are from their textures', in levels, f64 [n]."""
    away, there = distances(painter, drawn, drawn.triangles[chosen], drawn.material[chosen])
    seen = there.sum(axis=1)
    torn = np.minimum(seen, len(SPOTS) - seen) / len(SPOTS)
    mean = (away * there).sum(axis=1) / np.maximum(seen, 1)
    errors: Float64Array = np.sqrt(mean + torn * _TORN**2)
    return errors


def _cut_out(painter: Painter, drawn: Facets) -> Facets:
    """Without what is clear: triangles with a solid and a clear corner are cut where the texture turns clear."""
    owners = drawn.owners
    solid = painter.solid(owners, drawn.uvs)[drawn.triangles]
    count = solid.sum(axis=1)
    mixed = np.flatnonzero((count == 1) | (count == 2))
    # The corner that differs from the others comes first.
    lone = np.where(count[mixed] == 1, solid[mixed].argmax(axis=1), (~solid[mixed]).argmax(axis=1))
    a, b, c = (np.take_along_axis(drawn.triangles[mixed], (lone[:, None] + k) % 3, axis=1)[:, 0] for k in range(3))
    ends = np.concatenate([np.stack([a, b], axis=1), np.stack([a, c], axis=1)])
    share = _crossing(painter, drawn, owners, ends)
    first = len(drawn.positions)
    larger = _with_vertices(painter, drawn, owners, ends, share)
    ab = first + np.arange(len(mixed))
    ac = ab + len(mixed)
    tips = np.stack([a, ab, ac], axis=1)
    rest = np.concatenate([np.stack([ab, b, c], axis=1), np.stack([ab, c, ac], axis=1)])
    tip = count[mixed] == 1
    whole = np.flatnonzero((count == 3) | ((count == 0) & ~_clear(painter, drawn)))
    origin = np.concatenate([whole, mixed[tip], mixed[~tip], mixed[~tip]])
    kept = _picked(larger, origin)
    return replace(
        kept,
        triangles=np.concatenate([drawn.triangles[whole], tips[tip], rest[np.tile(~tip, 2)]]),
    )


def _crossing(painter: Painter, drawn: Facets, owners: NDArray[np.int64], ends: NDArray[np.int64]) -> Float64Array:
    """How far from the first to the second of two vertices [n, 2] the texture turns from solid to clear or back."""
    low, high = np.zeros(len(ends)), np.ones(len(ends))
    material = owners[ends[:, 0]]
    start = painter.solid(material, drawn.uvs[ends[:, 0]])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        spots = drawn.uvs[ends[:, 0]] * (1 - middle[:, None]) + drawn.uvs[ends[:, 1]] * middle[:, None]
        same = painter.solid(material, spots) == start
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray((low + high) / 2)


def _with_vertices(
    painter: Painter, drawn: Facets, owners: NDArray[np.int64], ends: NDArray[np.int64], share: Float64Array
) -> Facets:
    """With one more vertex for each pair [n, 2], ``share`` f64 [n] of the way from the first to the second."""

    def grown(values: Float64Array) -> Float64Array:
        between = values[ends[:, 0]] * (1 - share[:, None]) + values[ends[:, 1]] * share[:, None]
        return np.concatenate([values, between])

    uvs = grown(drawn.uvs)
    return replace(
        drawn,
        positions=grown(drawn.positions),
        normals=grown(drawn.normals),
        uvs=uvs,
        weights=grown(drawn.weights),
        offsets={name: grown(moved) for name, moved in drawn.offsets.items()},
        colours=np.concatenate([drawn.colours, painter.colours(owners[ends[:, 0]], uvs[len(drawn.uvs) :])]),
    )


def _clear(painter: Painter, drawn: Facets) -> NDArray[np.bool_]:
    """Which triangles are mostly clear, bool [T]."""
    owners = np.repeat(drawn.material, len(SPOTS))
    spots = np.einsum("sk,tkx->tsx", SPOTS, drawn.uvs[drawn.triangles]).reshape(-1, 2)
    clear: NDArray[np.bool_] = painter.solid(owners, spots).reshape(-1, len(SPOTS)).mean(axis=1) < 0.5
    return clear


def _picked(drawn: Facets, chosen: NDArray[np.int64]) -> Facets:
    """What goes with the chosen triangles, and those."""
    return replace(
        drawn,
        triangles=drawn.triangles[chosen],
        material=drawn.material[chosen],
        place=drawn.place[chosen],
        behind=drawn.behind[chosen],
        error=drawn.error[chosen],
    )
