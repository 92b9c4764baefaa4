"""Colours of facets' corners that come nearest to what textures show everywhere in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from animegen.types import Float64Array
from animegen_vrm.facets import Facets, wanted
from animegen_vrm.paint import Painter
from animegen_vrm.tpose import crossed

_FINE = 6  # parts of an edge of a facet, for the spots that are looked at
_OWN = 0.05  # how much a corner's own texel counts beside all around it
_AT_ONCE = 4096  # facets


def fitted(painter: Painter, facets: Facets) -> Facets:
    """The same facets with colours by least squares over all that is solid of their textures.

    A corner's own texel may be a line's or a speck's, which would spread over all facets around. No corner's colour
    goes beyond what its facets show, lest bright and dark seams run along edges of a texture (Gibbs' phenomenon).
    Corners of one colour in one place stay of one colour: those on both sides of a seam. The errors of the facets are
    not updated.
    """
    places = np.column_stack([facets.owners, facets.positions, facets.colours])
    _, first, group = np.unique(places, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    spots, count, groups = _spread(), len(first), group[facets.triangles]
    system, sums = np.zeros((len(facets.triangles), 3, 3)), np.zeros((count, 4))
    low, high = np.full((count, 4), 255.0), np.zeros((count, 4))
    areas = np.linalg.norm(crossed(facets.positions[facets.triangles]), axis=1)
    for start in range(0, len(facets.triangles), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        corners = groups[some]
        colours, solid = wanted(painter, facets, facets.triangles[some], facets.material[some], spots)
        weights = solid * areas[some, None] / len(spots)
        system[some] = np.einsum("ts,si,sj->tij", weights, spots, spots)
        seen = solid[:, :, None]
        least, most = np.where(seen, colours, 255.0).min(axis=1), np.where(seen, colours, 0.0).max(axis=1)
        parts = np.einsum("ts,si,tsc->tic", weights, spots, colours)
        for k in range(3):
            np.add.at(sums, corners[:, k], parts[:, k])
            np.minimum.at(low, corners[:, k], least)
            np.maximum.at(high, corners[:, k], most)
    own = facets.colours[first].astype(np.float64)
    best = _solved(groups, system, sums, own)
    low, high = np.minimum(low, own), np.maximum(high, own)
    return replace(facets, colours=np.rint(np.clip(best, low, high)).astype(np.uint8)[group])


def _solved(triangles: NDArray[np.int64], system: Float64Array, sums: Float64Array, own: Float64Array) -> Float64Array:
    """The colours f64 [V, 4] that solve the normal equations, drawn a little towards the corners' ``own``."""
    shape = (len(own), len(own))
    rows, columns = np.repeat(triangles, 3, axis=1).ravel(), np.tile(triangles, (1, 3)).ravel()
    matrix = coo_array((system.ravel(), (rows, columns)), shape=shape).tocsc()
    pull = _OWN * np.asarray(matrix.sum(axis=1)).ravel() + 1e-12
    solved: Float64Array = splu((matrix + diags_array(pull)).tocsc()).solve(sums + pull[:, None] * own)
    return solved


def _spread() -> Float64Array:
    """The middles of the parts of a facet divided evenly, as shares of its corners, f64 [_FINE², 3]."""
    upright = [(i + 1 / 3, j + 1 / 3) for i in range(_FINE) for j in range(_FINE - i)]
    turned = [(i + 2 / 3, j + 2 / 3) for i in range(_FINE) for j in range(_FINE - i - 1)]
    places = np.array(upright + turned) / _FINE
    return np.column_stack([1 - places.sum(axis=1), places])
