"""Facets: triangles whose colours at the corners stand for what textures show in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float64Array, Uint8Array
from animegen_vrm.paint import Painter

_MIX = np.array([
    (1, 1, 1), (4, 1, 1), (1, 4, 1), (1, 1, 4), (1, 1, 0), (0, 1, 1), (1, 0, 1), (5, 2, 2), (2, 5, 2), (2, 2, 5),
], np.float64)  # fmt: skip
SPOTS: Float64Array = _MIX / _MIX.sum(axis=1, keepdims=True)
"""Where in a facet colours are looked at: shares of its corners, f64 [S, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """A mesh as :class:`animegen_vrm.tpose.Mesh`, with ``colours`` uint8 [V, 4] (shade and fixed colours).

    With each triangle go ``material`` and ``place`` i64 [T], whether it is seen from ``behind`` as well, bool [T], and
    the ``error`` of its colours, in levels, f64 [T], which is up to date only while triangles are being divided.
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
    behind: NDArray[np.bool_]
    error: Float64Array

    @property
    def owners(self) -> NDArray[np.int64]:
        """The material of each vertex, i64 [V]."""
        owners = np.zeros(len(self.positions), np.int64)
        owners[self.triangles.ravel()] = np.repeat(self.material, 3)
        return owners

    def middles(self) -> Float64Array:
        """Texture coordinates of the triangles' middles, f64 [T, 2]."""
        middles: Float64Array = self.uvs[self.triangles].mean(axis=1)
        return middles


def wanted(
    painter: Painter, facets: Facets, corners: NDArray[np.int64], material: NDArray[np.int64], spots: Float64Array
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """What textures show in triangles of vertices ``corners`` i64 [n, 3], at ``spots`` f64 [S, 3] as SPOTS.

    Colours f64 [n, S, 4] in levels, and where they are solid, bool [n, S].
    """
    owners = np.repeat(material, len(spots))
    places = np.einsum("sk,tkx->tsx", spots, facets.uvs[corners]).reshape(-1, 2)
    colours = painter.colours(owners, places).reshape(len(corners), len(spots), 4).astype(np.float64)
    return colours, painter.solid(owners, places).reshape(len(corners), len(spots))


def distances(
    painter: Painter, facets: Facets, corners: NDArray[np.int64], material: NDArray[np.int64]
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """How far colours between the corners i64 [n, 3] are from the textures', in levels squared, f64 [n, S] at SPOTS,
    and where those are solid, bool [n, S]."""
    there, solid = wanted(painter, facets, corners, material, SPOTS)
    shown = np.einsum("sk,tkx->tsx", SPOTS, facets.colours[corners].astype(np.float64))
    away: Float64Array = ((there - shown) ** 2).sum(axis=2)
    return away, solid


def compact(facets: Facets) -> Facets:
    """Without vertices that no triangle has, and with one where several are alike.

    Both triangles of an edge make a vertex in its middle, each in its own round.
    """
    everything = np.column_stack([
        facets.owners, facets.positions, facets.normals, facets.uvs, facets.weights, *facets.offsets.values(),
    ])  # fmt: skip
    corners = np.unique(facets.triangles)
    _, first, same = np.unique(everything[corners], axis=0, return_index=True, return_inverse=True)
    # In the order of the vertices, not of what they say, so that neighbours stay near each other in memory.
    alike = first[same.reshape(-1)]
    numbers = np.zeros(len(facets.positions), np.int64)
    numbers[corners] = corners[alike]
    used, triangles = np.unique(numbers[facets.triangles], return_inverse=True)
    return replace(
        facets,
        positions=facets.positions[used],
        normals=facets.normals[used],
        uvs=facets.uvs[used],
        weights=facets.weights[used],
        offsets={name: moved[used] for name, moved in facets.offsets.items()},
        colours=facets.colours[used],
        triangles=triangles.reshape(-1, 3),
    )
