"""Local regression in time, weighted by distance and by what each sample is worth.

Savitzky and Golay (1964) for even steps; with weights and any times, Cleveland (1979). It looks both ways, so nothing
lags.
"""

from __future__ import annotations

import numpy as np

from animegen.types import Float64Array

_CHUNK_FRAMES = 512


def local_quadratic(seconds: Float64Array, values: Float64Array, weight: Float64Array, half: float) -> Float64Array:
    """Weighted quadratic regression around every sample, taken at that sample.

    ``seconds`` f64 [T] rising, ``values`` f64 [T, K, D], ``weight`` f64 [T, K] positive, ``half`` the window's half
    width in seconds, at whose border the (tricube) weight is 0. Where the window is lopsided, at the ends, the
    curvature is held back and the fit tends to a straight line. Returns f64 [T, K, D].
    """
    result = np.empty_like(values)
    for start in range(0, len(seconds), _CHUNK_FRAMES):
        rows = slice(start, start + _CHUNK_FRAMES)
        index, offset, nearness = _windows(seconds, rows, half)
        # Sums over the window's samples j for frame t and point k, of weight times powers of the time offset.
        w = nearness[:, :, None] * weight[index]
        powers = np.stack([offset**p for p in range(5)])
        moments = np.einsum("ptj,tjk->ptk", powers, w)
        moments /= moments[0].copy()
        sums = np.einsum("ptj,tjk,tjkd->ptkd", powers[:3], w, values[index]) / w.sum(axis=1)[None, :, :, None]
        lopsided = moments[1] ** 2 / np.maximum(moments[2], 1e-12)
        normal = np.array([[moments[i + j] for j in range(3)] for i in range(3)]).transpose(2, 3, 0, 1)
        normal[..., 1, 1] += 1e-9
        normal[..., 2, 2] += 1e-9 + 0.3 * lopsided
        result[rows] = np.linalg.solve(normal, sums.transpose(1, 2, 0, 3))[..., 0, :]
    return result


def local_mean(seconds: Float64Array, values: Float64Array, weight: Float64Array, half: float) -> Float64Array:
    """Weighted mean around every sample: ``values`` and ``weight`` f64 [T, K]; returns f64 [T, K]."""
    result = np.empty_like(values)
    for start in range(0, len(seconds), _CHUNK_FRAMES):
        rows = slice(start, start + _CHUNK_FRAMES)
        index, _, nearness = _windows(seconds, rows, half)
        w = nearness[:, :, None] * weight[index]
        result[rows] = (w * values[index]).sum(axis=1) / w.sum(axis=1)
    return result


def _windows(
    seconds: Float64Array, rows: slice, half: float
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], Float64Array, Float64Array]:
    """For each frame its neighbours: their indices, offsets in half windows, and tricube weights, all [t, j]."""
    centres = seconds[rows]
    first = np.searchsorted(seconds, centres - half)
    last = np.searchsorted(seconds, centres + half, side="right")
    index = first[:, None] + np.arange(int((last - first).max()))
    inside = index < last[:, None]
    index = np.minimum(index, len(seconds) - 1)
    offset = np.where(inside, (seconds[index] - centres[:, None]) / half, 0.0)
    nearness = np.where(inside, np.clip(1 - np.abs(offset) ** 3, 0, 1) ** 3, 0.0)
    return index, offset, nearness
