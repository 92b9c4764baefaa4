"""A mesh as facets: triangles that lie so flat beside each other that a disc may reach from one onto the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from animegen.types import Float64Array
from animegen_vrm.tpose import Mesh, crossed, unit

BENT = float(np.cos(np.radians(25.0)))
"""Cosine of the angle from which on there is an edge where two triangles meet."""

_WELD = 1e-5  # metres: vertices that lie no farther apart are one, whatever their normals and texture coordinates


def welded(mesh: Mesh) -> NDArray[np.int64]:
    """The triangles' corners i64 [T, 3] with one number for each place of a material."""
    cells = np.rint(mesh.positions / _WELD).astype(np.int64)[mesh.triangles]
    keys = np.concatenate([cells, np.broadcast_to(mesh.material[:, None, None], (*cells.shape[:2], 1))], axis=2)
    _, numbers = np.unique(keys.reshape(-1, 4), axis=0, return_inverse=True)
    return numbers.reshape(-1, 3).astype(np.int64)


def facets(mesh: Mesh) -> NDArray[np.int64]:
    """The facet of each triangle, i64 [T]: those that share an unbent edge, and what is so joined, are one."""
    corners = welded(mesh)
    ends = np.sort(np.concatenate([corners[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    owners = np.tile(np.arange(len(corners)), 3)
    order = np.lexsort(ends.T)
    same = (np.diff(ends[order], axis=0) == 0).all(axis=1)
    one, other = owners[order[:-1][same]], owners[order[1:][same]]
    normals: Float64Array = unit(crossed(mesh.positions[mesh.triangles]))
    flat = (normals[one] * normals[other]).sum(axis=1) >= BENT
    links = coo_matrix((np.ones(int(flat.sum())), (one[flat], other[flat])), shape=(len(corners),) * 2)
    _, labels = connected_components(links, directed=False)
    return labels.astype(np.int64)
