"""One plate from the aligned samples of a window: at each pixel the median of those in which nobody stands there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.composite.fill import as_mask, match
from animegen.composite.observe import decode
from animegen.composite.threads import in_threads
from animegen.types import Float64Array, Uint8Array

UNSEEN = 65535
"""Age of a pixel that nothing has shown yet."""

_SAMPLE_BYTES = 160_000_000
_MIN_SAMPLES, _MAX_SAMPLES = 6, 16
"""A plate is made from as many samples as fit into these bytes, but from six at least and sixteen at most."""

_BAND = 64
"""Rows sorted at once: small enough to stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A background picture ``image`` uint8 [h, w, 3]; ``age`` uint16 [h, w]: how many windows ago a pixel was seen."""

    image: Uint8Array
    age: NDArray[np.uint16]


def mosaic(
    pictures: Sequence[bytes],
    people: Sequence[Uint8Array],
    to_plate: Sequence[Float64Array],
    frame: tuple[int, int],
    size: tuple[int, int],
) -> Plate:
    """The median over time of encoded pictures of size ``frame`` (width, height), without the people in them.

    ``people`` are small mattes (not 0 on people), ``to_plate`` f64 [3, 3] the homographies from picture to plate
    pixels; an exact identity is not resampled. Age is 0 where any picture shows the place, else ``UNSEEN``.
    """
    layers = in_threads(lambda i: warp(decode(pictures[i]), to_plate[i], size), range(len(pictures)))
    blocked = in_threads(lambda i: _blocked(people[i], frame, to_plate[i], size), range(len(pictures)))
    _equalise(layers, blocked)
    height, width = size[1], size[0]
    image = np.empty((height, width, 3), np.uint8)
    seen = np.zeros((height, width), np.uint8)

    def sort_band(top: int) -> None:
        band = slice(top, min(top + _BAND, height))
        stack = [np.maximum(layer[band], b[band][..., None]) for layer, b in zip(layers, blocked, strict=True)]
        count = sum((b[band] == 0).astype(np.uint8) for b in blocked)
        image[band] = _lower_median(stack, np.asarray(count, np.uint8))
        seen[band] = count

    in_threads(sort_band, range(0, height, _BAND))
    return Plate(image, np.where(seen > 0, 0, UNSEEN).astype(np.uint16))


def sample_limit(size: tuple[int, int]) -> int:
    """How many pictures of (width, height) a plate may be made from at once."""
    return min(_MAX_SAMPLES, max(_MIN_SAMPLES, _SAMPLE_BYTES // (size[0] * size[1] * 4)))


def warp(
    image: Uint8Array,
    homography: Float64Array,
    size: tuple[int, int],
    border: int | None = None,
) -> NDArray[np.uint8]:
    """``image`` warped by ``homography`` to a picture of ``size``; around it ``border``, or its outermost pixels."""
    if is_identity(homography) and image.shape[1::-1] == size:
        return np.asarray(image)
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpPerspective(image, homography, size, flags=flags, borderMode=mode, borderValue=[border or 0] * 4)
    )


def is_identity(homography: Float64Array) -> bool:
    """Whether a homography is exactly no movement."""
    return bool(np.array_equal(homography, np.eye(3)))


def _blocked(people: Uint8Array, size: tuple[int, int], homography: Float64Array, plate: tuple[int, int]) -> Uint8Array:
    """Plate pixels (255) at which a picture shows a person, or nothing."""
    full = cv2.resize(people, size, interpolation=cv2.INTER_LINEAR)
    return as_mask(warp(np.asarray(full, np.uint8), homography, plate, border=255) > 0)


def _equalise(layers: list[Uint8Array], blocked: Sequence[Uint8Array]) -> None:
    """Adapt every layer to the light of the middle one, so that a pixel that only one of them shows is not seen."""
    middle = len(layers) // 2

    def equal(i: int) -> None:
        if i != middle:
            layers[i] = match(layers[i], layers[middle], as_mask((blocked[i] | blocked[middle]) == 0))

    in_threads(equal, range(len(layers)))


def _lower_median(stack: list[Uint8Array], count: Uint8Array) -> Uint8Array:
    """Per pixel, the lower median of the ``count`` smallest entries (those blocked are 255 and sort last)."""
    ordered = list(stack)
    for a, b in _sorting_network(len(ordered)):
        ordered[a], ordered[b] = np.minimum(ordered[a], ordered[b]), np.maximum(ordered[a], ordered[b])
    rank = (np.maximum(count, 1) - 1) // 2
    result = ordered[0]
    for i in range(1, (len(ordered) + 1) // 2):
        cv2.copyTo(ordered[i], as_mask(rank == i), result)
    return result


@cache
def _sorting_network(count: int) -> tuple[tuple[int, int], ...]:
    """Comparators that sort ``count`` values (Batcher 1968, odd-even merge sort)."""

    def pairs() -> Iterator[tuple[int, int]]:
        span = 1
        while span < count:
            step = span
            while step >= 1:
                for start in range(step % span, count - step, 2 * step):
                    for i in range(start, min(start + step, count - step)):
                        if i // (2 * span) == (i + step) // (2 * span):
                            yield i, i + step
                step //= 2
            span *= 2

    return tuple(pairs())
