"""Triangles divided until colours at their corners tell what textures show in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float64Array, Uint8Array
from animegen_vrm.paint import Painter
from animegen_vrm.tpose import HAND, HEAD, Mesh, crossed

HEADS, HANDS = 5.0, 1.5
"""How much more errors count on heads and hands than elsewhere: they are looked at closely."""

_MIX = np.array([
    (1, 1, 1), (4, 1, 1), (1, 4, 1), (1, 1, 4), (1, 1, 0), (0, 1, 1), (1, 0, 1), (5, 2, 2), (2, 5, 2), (2, 2, 5),
], np.float64)  # fmt: skip
_SPOTS: Float64Array = _MIX / _MIX.sum(axis=1, keepdims=True)
"""Where in a triangle colours are looked at."""
_ROUNDS = 40
_SHARE = 0.12  # of what may still be divided, in one round
_TORN = 90.0  # levels that count as wrong where a triangle is partly clear
_LEAST = 4.0  # levels: what is nearer is right
_SHORTEST = 5e-4  # metres
_PARTS = 1e-3  # metres of an edge times how much the weights of its ends differ, beyond which it comes apart
_HALVINGS = 7


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """A mesh as :class:`animegen_vrm.tpose.Mesh`, with ``colours`` uint8 [V, 4] (shade and fixed colours) and what goes
    with each triangle: ``material`` and ``place`` i64 [T], the number of the mesh's triangle that it is part of,
    ``origin`` i64 [T], and the ``error`` of its colours, in levels, f64 [T].
    """

    positions: Float64Array
    normals: Float64Array
    uvs: Float64Array
    weights: Float64Array
    offsets: Mapping[str, Float64Array]
    colours: Uint8Array
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    place: NDArray[np.int64]
    origin: NDArray[np.int64]
    error: Float64Array

    def middles(self) -> Float64Array:
        """Texture coordinates of the triangles' middles, f64 [T, 2]."""
        middles: Float64Array = self.uvs[self.triangles].mean(axis=1)
        return middles


def divided(painter: Painter, mesh: Mesh, shown: NDArray[np.bool_], count: int) -> Divided:
    """The ``shown`` bool [T] triangles of a mesh, divided into at most about ``count``, without what is clear.

    The triangle whose colours are farthest from the texture's, by its area, is divided first, across its longest edge.
    Those that are clear in part are cut in the end, and may become two.
    """
    owners = np.zeros(len(mesh.positions), np.int64)
    owners[mesh.triangles.ravel()] = np.repeat(mesh.material, 3)
    drawn = Divided(
        mesh.positions, mesh.normals, mesh.uvs, mesh.weights.astype(np.float64), mesh.offsets,
        painter.colours(owners, mesh.uvs), mesh.triangles[shown], mesh.material[shown], mesh.place[shown],
        np.flatnonzero(shown), np.zeros(int(shown.sum())),
    )  # fmt: skip
    drawn = replace(drawn, error=_errors(painter, drawn, np.arange(len(drawn.triangles))))
    for _ in range(_ROUNDS):
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
    return _compact(_cut_out(painter, drawn))


def _halved(painter: Painter, drawn: Divided, chosen: NDArray[np.int64]) -> Divided:
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


def _halved_across(painter: Painter, drawn: Divided, chosen: NDArray[np.int64], edge: NDArray[np.int64]) -> Divided:
    """The chosen triangles divided across the middle of an edge of each, 0..2."""
    corners = drawn.triangles[chosen]
    a, b, c = (np.take_along_axis(corners, (edge[:, None] + k) % 3, axis=1)[:, 0] for k in range(3))
    ends, middle = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0, return_inverse=True)
    middle = middle.reshape(-1) + len(drawn.positions)
    triangles = drawn.triangles.copy()
    triangles[chosen] = np.stack([a, middle, c], axis=1)
    larger = replace(
        _with_vertices(painter, drawn, _owners(drawn), ends, np.full(len(ends), 0.5)),
        triangles=np.concatenate([triangles, np.stack([middle, b, c], axis=1)]),
        material=np.concatenate([drawn.material, drawn.material[chosen]]),
        place=np.concatenate([drawn.place, drawn.place[chosen]]),
        origin=np.concatenate([drawn.origin, drawn.origin[chosen]]),
    )
    error = np.concatenate([drawn.error, np.zeros(len(chosen))])
    changed = np.concatenate([chosen, np.arange(len(drawn.triangles), len(larger.triangles))])
    error[changed] = _errors(painter, larger, changed)
    return replace(larger, error=error)


def _errors(painter: Painter, drawn: Divided, chosen: NDArray[np.int64]) -> Float64Array:
    """How far the colours of triangles are from their textures', in levels, f64 [n]."""
    corners = drawn.triangles[chosen]
    owners = np.repeat(drawn.material[chosen], len(_SPOTS))
    spots = np.einsum("sk,tkx->tsx", _SPOTS, drawn.uvs[corners]).reshape(-1, 2)
    wanted = painter.colours(owners, spots).reshape(len(chosen), len(_SPOTS), 4).astype(np.float64)
    shown = np.einsum("sk,tkx->tsx", _SPOTS, drawn.colours[corners].astype(np.float64))
    there = painter.solid(owners, spots).reshape(len(chosen), len(_SPOTS))
    away = ((wanted - shown) ** 2).sum(axis=2)
    seen = there.sum(axis=1)
    torn = np.minimum(seen, len(_SPOTS) - seen) / len(_SPOTS)
    mean = (away * there).sum(axis=1) / np.maximum(seen, 1)
    errors: Float64Array = np.sqrt(mean + torn * _TORN**2)
    return errors


def _cut_out(painter: Painter, drawn: Divided) -> Divided:
    """Without what is clear: triangles with a solid and a clear corner are cut where the texture turns clear."""
    owners = _owners(drawn)
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


def _crossing(painter: Painter, drawn: Divided, owners: NDArray[np.int64], ends: NDArray[np.int64]) -> Float64Array:
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
    painter: Painter, drawn: Divided, owners: NDArray[np.int64], ends: NDArray[np.int64], share: Float64Array
) -> Divided:
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


def _owners(drawn: Divided) -> NDArray[np.int64]:
    """The material of each vertex, i64 [V]."""
    owners = np.zeros(len(drawn.positions), np.int64)
    owners[drawn.triangles.ravel()] = np.repeat(drawn.material, 3)
    return owners


def _clear(painter: Painter, drawn: Divided) -> NDArray[np.bool_]:
    """Which triangles are mostly clear, bool [T]."""
    owners = np.repeat(drawn.material, len(_SPOTS))
    spots = np.einsum("sk,tkx->tsx", _SPOTS, drawn.uvs[drawn.triangles]).reshape(-1, 2)
    clear: NDArray[np.bool_] = painter.solid(owners, spots).reshape(-1, len(_SPOTS)).mean(axis=1) < 0.5
    return clear


def _picked(drawn: Divided, chosen: NDArray[np.int64]) -> Divided:
    """What goes with the chosen triangles, and those."""
    return replace(
        drawn,
        triangles=drawn.triangles[chosen],
        material=drawn.material[chosen],
        place=drawn.place[chosen],
        origin=drawn.origin[chosen],
        error=drawn.error[chosen],
    )


def _compact(drawn: Divided) -> Divided:
    """Without vertices that no triangle has, and with one where several are alike.

    Both triangles of an edge make a vertex in its middle, each in its own round.
    """
    everything = np.column_stack([
        _owners(drawn), drawn.positions, drawn.normals, drawn.uvs, drawn.weights, *drawn.offsets.values(),
    ])  # fmt: skip
    corners = np.unique(drawn.triangles)
    _, first, same = np.unique(everything[corners], axis=0, return_index=True, return_inverse=True)
    # In the order of the vertices, not of what they say, so that neighbours stay near each other in memory.
    alike = first[same.reshape(-1)]
    numbers = np.zeros(len(drawn.positions), np.int64)
    numbers[corners] = corners[alike]
    used, triangles = np.unique(numbers[drawn.triangles], return_inverse=True)
    return replace(
        drawn,
        positions=drawn.positions[used],
        normals=drawn.normals[used],
        uvs=drawn.uvs[used],
        weights=drawn.weights[used],
        offsets={name: moved[used] for name, moved in drawn.offsets.items()},
        colours=drawn.colours[used],
        triangles=triangles.reshape(-1, 3),
    )
