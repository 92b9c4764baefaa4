"""Invents what no frame shows of a background, from texture elsewhere in the picture (exemplar-based inpainting).

The last resort when plates are built in the second pass; a pixel is invented once, and handed on to all plates.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.composite.fill import as_mask, match, membrane
from animegen.types import Float32Array, Uint8Array

_SIDE = 144
"""Longest side, in pixels, at which it is decided which texture goes where; it is copied at full size."""

_COARSEST = 36
_PATCH = 11
_FLATTENINGS, _STRIDE = 1000, 25.0
"""Steps to a first guess, and how far, in grey levels, one of them goes."""
_ROUNDS = (10, 6, 4)
"""Rounds of search and vote at the coarsest level, those between, and the finest."""

_NEARBY = (150.0, 50.0)
"""What the height and the width of the picture count for as a distance, in grey levels: of like patches the nearer
wins."""

_LAYERED = 8
"""How many times farther the first guess spreads along rows than across them."""

_LABELS = 120
_PROPAGATIONS = 40
_UNLIKE = 900.0
_SEAM = 250.0
"""Squared grey levels: the most that a pixel of a bad copy costs, and the cost of a border between two copies."""

_PLAIN = 40.0
"""Squared grey levels of texture, and of difference, below which the small picture enlarged is good enough."""

_RING = 2
"""Width in small pixels of the ring around the hole in which copies are compared with what is really there."""

_BLOCK = 512
"""Patches compared at once, which bounds the memory of the search."""


def inpaint(image: Uint8Array, hole: Uint8Array) -> Uint8Array:
    """Fill ``image`` uint8 [h, w, 3] where ``hole`` uint8 [h, w] is not 0 with texture from its other places.

    On a small copy, from a first guess of even areas, patches of the known picture are arranged in the hole from coarse
    to fine (Wexler, Shechtman and Irani 2007, "Space-time completion of video", section 3, with exact search). The same
    pieces are then copied at full size, and adapted to the light around the hole.
    """
    height, width = hole.shape
    smooth = _along_rows(image, hole)
    if not (hole == 0).any():
        return smooth
    shrink = max(1.0, max(height, width) / _SIDE)
    sizes = _levels(max(1, round(width / shrink)), max(1, round(height / shrink)))
    guess, result = smooth.astype(np.float32), smooth
    for level, size in enumerate(sizes):
        small = np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_AREA), np.float32)
        gap = np.asarray(cv2.resize((hole > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)) > 0
        small[gap] = (cv2.resize(guess, size, interpolation=cv2.INTER_LINEAR) if level else _flat(small, gap))[gap]
        finest = level == len(sizes) - 1
        arranged = _arrange(small, gap, _ROUNDS[0] if level == 0 else _ROUNDS[2] if finest else _ROUNDS[1])
        if arranged is None:
            continue
        guess, source = arranged
        if finest:
            soft = cv2.resize(guess, (width, height), interpolation=cv2.INTER_CUBIC)
            plain = np.where(hole[..., None] > 0, np.clip(np.rint(soft), 0, 255).astype(np.uint8), image)
            result = _copied(plain, hole, _coherent(guess, gap, source))
    return result


def _along_rows(image: Uint8Array, hole: Uint8Array) -> Uint8Array:
    """The hole filled smoothly, more from left and right than from above and below: scenes are layered by height."""
    height, width = hole.shape
    narrow = (max(1, width // _LAYERED), height)
    known = (hole == 0).astype(np.float32)
    mass = np.asarray(cv2.resize(known, narrow, interpolation=cv2.INTER_AREA), np.float32)
    light = cv2.resize(image * known[..., None], narrow, interpolation=cv2.INTER_AREA)
    carried = membrane(light / np.maximum(mass, 1e-6)[..., None], (mass > 0.05).astype(np.float32))
    smooth = np.clip(np.rint(cv2.resize(carried, (width, height), interpolation=cv2.INTER_LINEAR)), 0, 255)
    return np.where(hole[..., None] > 0, smooth.astype(np.uint8), image)


def _flat(picture: Float32Array, gap: NDArray[np.bool_]) -> Float32Array:
    """The picture with ``gap`` filled by even areas whose borders are as short as can be: total variation inpainting
    (Chan and Shen 2001), by the primal-dual steps of Chambolle and Pock (2011).

    What is seen only at a gap's edge grows no farther into it than where its border goes straight on.
    """
    filled, ahead = picture.copy(), picture.copy()
    flow, slope = np.zeros((2, *picture.shape), np.float32), np.zeros((2, *picture.shape), np.float32)
    for _ in range(_FLATTENINGS):
        np.subtract(ahead[1:], ahead[:-1], out=slope[0, :-1])
        np.subtract(ahead[:, 1:], ahead[:, :-1], out=slope[1, :, :-1])
        flow += slope / (8.0 * _STRIDE)
        flow /= np.maximum(1.0, np.sqrt(np.square(flow).sum(axis=(0, 3))))[..., None]
        inflow = flow[0] + flow[1]
        inflow[1:] -= flow[0, :-1]
        inflow[:, 1:] -= flow[1, :, :-1]
        moved: Float32Array = np.where(gap[..., None], filled + _STRIDE * inflow, picture)
        ahead, filled = 2 * moved - filled, moved
    return filled


def _levels(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes of the pyramid, coarsest first."""
    sizes = [(width, height)]
    while min(sizes[-1]) >= 2 * _COARSEST:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes[::-1]


def _arrange(
    picture: Float32Array, gap: NDArray[np.bool_], rounds: int
) -> tuple[Float32Array, NDArray[np.int64]] | None:
    """Fill ``gap`` so that every patch in it looks like one outside. None where no whole patch is known.

    The second result, int64 [h, w, 2], says for each pixel at which (row, column) the patch around it was found;
    outside of the gap that is its own place.
    """
    reach = _PATCH // 2
    touched = cv2.dilate(gap.view(np.uint8), np.ones((_PATCH, _PATCH), np.uint8)) > 0
    inner = np.zeros_like(gap)
    inner[reach:-reach, reach:-reach] = True
    wanted, offered = np.argwhere(touched), np.argwhere(~touched & inner)
    if not len(wanted) or not len(offered):
        return None
    depth = np.minimum(cv2.distanceTransform(gap.view(np.uint8), cv2.DIST_L2, 3), 20.0)
    trust = np.power(1.3, -depth).astype(np.float32)[wanted[:, 0], wanted[:, 1]]
    bank = _features(picture, offered)
    found = offered[:1].repeat(len(wanted), axis=0)
    filled = picture.copy()
    for _ in range(rounds):
        nearest, distance = _search(_features(filled, wanted), bank)
        found = offered[nearest]
        alike = np.exp(-distance / (2.0 * max(float(np.percentile(distance, 75)), 1.0)))
        filled[gap] = _vote(picture, wanted, found, alike * trust)[gap]
    source = np.moveaxis(np.indices(gap.shape), 0, -1).copy()
    source[wanted[:, 0], wanted[:, 1]] = found
    return filled, source


def _features(picture: Float32Array, centres: NDArray[np.int64]) -> Float32Array:
    """Patches around ``centres`` with their place in the picture: f32 [n, patch * patch * 3 + 2]."""
    reach = _PATCH // 2
    padded = cv2.copyMakeBorder(picture, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
    views = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), axis=(0, 1))
    patches = views[centres[:, 0], centres[:, 1]].reshape(len(centres), -1)
    place = centres * (np.array(_NEARBY) * _PATCH / max(picture.shape[:2]))
    return np.concatenate([patches, place], axis=1).astype(np.float32)


def _search(queries: Float32Array, bank: Float32Array) -> tuple[NDArray[np.int64], Float32Array]:
    """Nearest row of ``bank`` for every query, and the squared distance to it."""
    lengths = np.einsum("ij,ij->i", bank, bank)
    nearest = np.empty(len(queries), np.int64)
    distance = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        apart = block @ bank.T  # tens of megabytes: worked on where it stands
        apart *= -2.0
        apart += lengths
        nearest[start : start + _BLOCK] = best = apart.argmin(axis=1)
        own = np.einsum("ij,ij->i", block, block)
        distance[start : start + _BLOCK] = np.maximum(apart[np.arange(len(block)), best] + own, 0.0)
    return nearest, distance


def _vote(
    picture: Float32Array,
    wanted: NDArray[np.int64],
    found: NDArray[np.int64],
    weight: Float32Array,
) -> Float32Array:
    """Each pixel as the mean of what the patches that cover it say, each patch with its weight f32 [n]."""
    height, width = picture.shape[:2]
    total = np.full((height, width), 1e-12, np.float32)
    votes = np.zeros_like(picture)
    reach = _PATCH // 2
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            y, x = wanted[:, 0] + row, wanted[:, 1] + column
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            votes[y[inside], x[inside]] += (
                weight[inside, None] * picture[found[inside, 0] + row, found[inside, 1] + column]
            )
            total[y[inside], x[inside]] += weight[inside]
    return votes / total[..., None]


def _coherent(arranged: Float32Array, gap: NDArray[np.bool_], source: NDArray[np.int64]) -> NDArray[np.int64]:
    """From where each pixel near the gap is copied: a shift int64 [h, w, 2] (rows, columns), the same in large pieces.

    The commonest shifts of the arrangement are the labels (He and Sun 2012, "Statistics of patch offsets for image
    completion"), and no shift where there is no texture to copy; a Potts model is minimised by belief propagation
    (Felzenszwalb and Huttenlocher 2006).
    """
    height, width = gap.shape
    forbidden = np.asarray(cv2.dilate(gap.view(np.uint8), np.ones((3, 3), np.uint8)))
    region = np.asarray(cv2.dilate(gap.view(np.uint8), np.ones((2 * _RING + 3, 2 * _RING + 3), np.uint8))) > 0
    shifts = (source - np.moveaxis(np.indices(gap.shape), 0, -1))[gap]
    values, counts = np.unique(shifts, axis=0, return_counts=True)
    labels = np.concatenate([np.zeros((1, 2), np.int64), values[np.argsort(-counts, kind="stable")[:_LABELS]]])
    cost = np.empty((len(labels), height, width), np.float32)
    variance = cv2.blur(np.square(arranged), (5, 5)) - np.square(cv2.blur(arranged, (5, 5)))
    texture = np.asarray(variance.mean(axis=2), np.float32)[source[..., 0], source[..., 1]]
    cost[0] = np.minimum(2.0 * texture + _PLAIN, 2.0 * _UNLIKE)
    for cost_of, (row, column) in zip(cost[1:], labels[1:], strict=True):
        move = np.array([(1.0, 0.0, -column), (0.0, 1.0, -row)])
        there = np.asarray(cv2.warpAffine(arranged, move, (width, height), flags=cv2.INTER_NEAREST), np.float32)
        blocked = cv2.warpAffine(forbidden, move, (width, height), flags=cv2.INTER_NEAREST, borderValue=(1, 1, 1, 1))
        cost_of[...] = np.where(np.asarray(blocked) > 0, 2.0 * _UNLIKE, _unlike(there, arranged))
    cost[:, ~region] = 0.0
    cost[0, gap & (cost[1:].min(axis=0) >= 2.0 * _UNLIKE)] = 0.0
    return np.asarray(labels[_propagate(cost).argmin(axis=0)], np.int64)


def _unlike(one: Float32Array, other: Float32Array) -> Float32Array:
    """Squared difference of two pictures around each pixel, f32 [h, w], up to ``_UNLIKE``."""
    return np.asarray(np.minimum(cv2.blur(np.square(one - other).mean(axis=2), (5, 5)), _UNLIKE), np.float32)


def _propagate(cost: Float32Array) -> Float32Array:
    """Beliefs f32 [labels, h, w] after min-sum belief propagation of ``cost`` over the four neighbours."""
    messages = [np.zeros_like(cost) for _ in range(4)]
    moves = ((1, 1), (1, -1), (2, 1), (2, -1))
    for _ in range(_PROPAGATIONS):
        belief = _believed(cost, messages)
        for i in (0, 2):
            # What a pixel tells its neighbour leaves out what that neighbour told it, by the message beside.
            messages[i : i + 2] = [_sent(belief, messages[k ^ 1], messages[k], *moves[k]) for k in (i, i + 1)]
    return _believed(cost, messages)


def _believed(cost: Float32Array, messages: Sequence[Float32Array]) -> Float32Array:
    belief = messages[0] + messages[1]
    for other in (messages[2], messages[3], cost):
        belief += other
    return belief


def _sent(belief: Float32Array, told: Float32Array, before: Float32Array, axis: int, step: int) -> Float32Array:
    """The messages f32 [labels, h, w] from every pixel to its neighbour along an axis.

    ``told`` are the messages from that neighbour, and ``before`` those sent to it in the last round.
    """
    message = belief - told
    message -= message.min(axis=0)
    np.minimum(message, _SEAM, out=message)
    message = np.roll(message, step, axis=axis)
    edge = [slice(None)] * 3
    edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
    message[tuple(edge)] = 0.0
    # Half of the last round is kept: sent all at once, messages would swing between two states.
    message += before
    message *= 0.5
    return message


def _copied(plain: Uint8Array, hole: Uint8Array, shift: NDArray[np.int64]) -> Uint8Array:
    """The hole filled with full-size pixels, copied by the shifts that were found on the small copy.

    Pixels just outside of the hole are copied as well: by how much they differ from what is really there tells how the
    light must be corrected in the hole.
    """
    height, width = hole.shape
    rows, columns = shift.shape[:2]
    offset = shift * np.array([height / rows, width / columns])
    reach = round(_RING * height / rows)
    near = np.asarray(cv2.dilate(hole, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))) > 0
    y, x = np.nonzero(near)
    v = np.clip((y + 0.5) * rows / height - 0.5, 0, rows - 1)
    u = np.clip((x + 0.5) * columns / width - 0.5, 0, columns - 1)
    top, left = np.floor(v).astype(int), np.floor(u).astype(int)
    blend = np.zeros((len(y), 3), np.float32)
    for below, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.where(below, v - top, 1 - v + top) * np.where(right, u - left, 1 - u + left)
        row, column = np.minimum(top + below, rows - 1), np.minimum(left + right, columns - 1)
        take_y = np.clip(np.rint(y + offset[row, column, 0]).astype(int), 0, height - 1)
        take_x = np.clip(np.rint(x + offset[row, column, 1]).astype(int), 0, width - 1)
        blend += weight[:, None] * plain[take_y, take_x]
    copied = plain.copy()
    copied[y, x] = np.clip(np.rint(blend), 0, 255)
    return np.where(hole[..., None] > 0, match(copied, plain, as_mask(near & (hole == 0))), plain)
