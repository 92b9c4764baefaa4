"""Steadiness: does a drawn avatar move as smoothly as the pose it is asked for?

Measured in two ways. A pose is moved by a pixel, or turned by a degree, as a whole: the picture should do the same and
nothing else. And along films, where a dataset of consecutive frames is at hand, what changes from frame to frame
beyond the render's motion is compared with what changes so in the render itself.

Errors are in 8-bit steps of sRGB on grey, 0..255, over the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.layers import colour_layers
from animegen.measure.motion import moved, turn, warp_error
from animegen.measure.pictures import figure, over_grey, summary
from animegen.pipeline.avatar_pairs import Pair, Pairs, canvas_points
from animegen.types import Float32Array, Float64Array, Uint8Array

STEPS = 4
"""Into as many parts a pixel's way is divided to see whether the picture goes it evenly."""

_EDGE = 2
"""Pixels along the picture's edges that are not compared: what comes in from outside is not known."""


def steadiness(pairs: Pairs, indices: Sequence[int], palettes: Sequence[Float32Array]) -> dict[str, Any]:
    """Move the poses of samples a little and compare the change of the output with the moved output.

    For each move: ``mean`` and ``max`` of ``|draw(move(pose)) - move(draw(pose))|`` over the figure, summed up over the
    samples; ``change``, how far the move alone changes the picture; and ``resampling``, what moving the truth forth and
    back costs, which nobody's output can be below by much. ``steps``: of a pixel's way in four, the largest
    step over the mean step (1: perfectly even).
    """
    middle = (pairs.size - 1) / 2
    moves = {
        "1 px right": np.array([[1.0, 0, 1], [0, 1, 0]]),
        "1 px down": np.array([[1.0, 0, 0], [0, 1, 1]]),
        "1 degree": turn(1.0, middle),
    }
    results: dict[str, list[dict[str, float]]] = {name: [] for name in moves}
    steps = []
    for pair, palette in zip(pairs.drawn(indices, palettes), palettes, strict=True):
        sample = pairs.data[pair.index]
        path = [_shift(k / STEPS) for k in range(1, STEPS + 1)]
        affines = [*moves.values(), *path]
        asked = np.stack([_moved_points(canvas_points(sample, pairs.data.header.size), a, pairs.size) for a in affines])
        drawn = colour_layers(pairs.draw([sample] * len(affines), asked), palette)
        for (name, affine), output in zip(moves.items(), drawn, strict=False):
            results[name].append(_compared(pair, output, affine))
        steps.append(_evenness([pair.output, *drawn[len(moves) :]]))
    measured: dict[str, Any] = {
        name: {key: summary(np.array([one[key] for one in many]), higher_is_better=False) for key in many[0]}
        for name, many in results.items()
        if many
    }
    return {"samples": len(indices), "moves": measured, "steps": summary(np.array(steps), higher_is_better=False)}


def _shift(x: float) -> Float64Array:
    return np.array([[1.0, 0, x], [0, 1, 0]])


def _moved_points(points: Float32Array, affine: Float64Array, size: int) -> Float32Array:
    """Points in canvas units under an affine between pixels."""
    pixels = points.astype(np.float64) * size - 0.5
    moved_pixels = pixels @ affine[:, :2].T + affine[:, 2]
    return np.asarray((moved_pixels + 0.5) / size, np.float32)


def _compared(pair: Pair, output: Uint8Array, affine: Float64Array) -> dict[str, float]:
    """The change of the output against the moved output, for one move of one sample."""
    expected = moved(pair.output, affine)
    where = _inside(figure(expected) | figure(output))
    back = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    apart = _apart(expected, output)[where]
    there_and_back = _apart(moved(moved(pair.truth, affine), back), pair.truth)
    return {
        "mean": float(apart.mean()) if apart.size else np.nan,
        "max": float(apart.max()) if apart.size else np.nan,
        "change": _mean(_apart(pair.output, expected)[where]),
        "resampling": _mean(there_and_back[_inside(figure(pair.truth))]),
    }


def _evenness(path: Sequence[Uint8Array]) -> float:
    """The largest step along a path of pictures over the mean step; NaN where nothing moves."""
    where = _inside(np.any([figure(picture) for picture in path], axis=0))
    steps = [_mean(_apart(a, b)[where]) for a, b in pairwise(path)]
    mean = float(np.mean(steps))
    return max(steps) / mean if mean > 0 else np.nan


def _inside(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = np.zeros_like(where)
    inner[_EDGE:-_EDGE, _EDGE:-_EDGE] = where[_EDGE:-_EDGE, _EDGE:-_EDGE]
    return inner


def _apart(a: Uint8Array, b: Uint8Array) -> Float64Array:
    """Mean absolute difference over the channels, f64 [H, W]."""
    return np.asarray(np.abs(over_grey(a).astype(np.float64) - over_grey(b)).mean(axis=2))


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if values.size else np.nan


def film_steadiness(pairs: Pairs, seed: int) -> dict[str, Any]:
    """Warp errors along films: runs of samples of one avatar and one clip are taken for consecutive frames.

    The warp error of the output and the render's own (see :func:`animegen.measure.motion.warp_error`), mean over all
    neighbouring frames, and their ratio. The palette is one for each film.
    """
    records = pairs.data.records[["avatar", "clip"]][pairs.indices]
    new = np.r_[True, records[1:] != records[:-1]]
    film = np.cumsum(new)
    palettes = [pairs.random_palette(int(number), seed) for number in film]
    drawn = pairs.drawn(pairs.indices.tolist(), palettes)
    errors = [
        warp_error((over_grey(a.truth), over_grey(b.truth)), (over_grey(a.output), over_grey(b.output)))
        for (a, b), starts in zip(pairwise(drawn), new[1:], strict=True)
        if not starts
    ]
    known = np.array([(error.output, error.truth) for error in errors]).reshape(-1, 2)
    known = known[np.isfinite(known).all(axis=1)]
    counts = {"films": int(film[-1]), "neighbours": len(known)}
    if not len(known):
        return {**counts, "output": None, "truth": None, "ratio": None}
    output, truth = known.mean(axis=0).tolist()
    return {**counts, "output": output, "truth": truth, "ratio": output / truth if truth else None}
