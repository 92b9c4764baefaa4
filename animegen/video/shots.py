"""Where a film is cut: cuts and dissolves between shots, found on small pictures of the frames.

A frame begins a shot where it and the next differ from both frames before by far more than frames beside the cut differ
from each other, and not as another light on the same scene would have it. So neither a flash, nor a light that is
switched on, nor fast movement is taken for a cut. In a dissolve every frame is a mix of the frames before and after it,
with shares that change evenly: nothing that moves looks like that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np

from animegen.types import Float32Array, Frame, Uint8Array

SMALL = (32, 18)
"""Width and height of the pictures that are compared."""

BEFORE, AFTER = 3, 2
"""How many frames before a cut and from it on are looked at."""

_LEAST_COLOUR = 0.06
"""Mean difference in colour, 0..1, from which two frames can be of two shots."""
_LEAST_STRUCTURE, _LEAST_REST = 0.2, 0.5
"""1 minus the correlation of the lightness, or the share of the difference that a gain of each colour leaves: from
there on two frames are not of one scene in two lights.
"""
_LEAST_JUMP = 3.0
"""By how many times a cut must differ more than the frames beside it do: who runs by differs in every frame."""

DISSOLVED = (8, 12, 16, 24)
"""Frames over which a dissolve, or the middle of one, is looked for."""

_MIXED = 0.25
"""Part of the difference between the frames around a dissolve that a mix of them may leave: dissolves leave up to 0.2,
movement of people and cameras 0.33 and more.
"""
_EVEN = 0.25
"""How far a frame's share in a dissolve may be from what an even change has it."""
_BLOCK = 1024
"""Frames whose pictures are looked at together."""


def small_picture(image: Uint8Array) -> Uint8Array:
    """A frame [H, W, 3] averaged down to the pictures [18, 32, 3] by which cuts are found."""
    return np.asarray(cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA), np.uint8)


def is_cut(before: Sequence[Uint8Array], after: Sequence[Uint8Array]) -> bool:
    """Whether a shot begins with the first of ``after``, from small pictures of the frames around in order.

    At most :data:`BEFORE` and :data:`AFTER` of them count; near an end of the film there are fewer.
    """
    if not before or not after:
        return False
    old, new = [_unit(p) for p in before[-BEFORE:]], [_unit(p) for p in after[:AFTER]]
    across = [(a, b) for a in old[-2:] for b in new]
    beside = [*pairwise(old), *pairwise(new)]
    jump = min(_colour_difference(a, b) for a, b in across)
    calm = max((_colour_difference(a, b) for a, b in beside), default=0.0)
    if jump < _LEAST_COLOUR or jump < _LEAST_JUMP * calm:
        return False
    if min(_structure_difference(a, b) for a, b in across) >= _LEAST_STRUCTURE:
        return True
    return all(_rest(a, b) >= _LEAST_REST * _colour_difference(a, b) for a, b in across)


def marked_shots(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Uint8Array, bool]]:
    """The frames with their small pictures, and whether each begins a shot; the first of all never does.

    Each is yielded when the next has been taken.
    """
    before: deque[Uint8Array] = deque(maxlen=BEFORE)
    waiting: deque[tuple[Frame, Uint8Array]] = deque()
    for frame in frames:
        waiting.append((frame, small_picture(frame.image)))
        if len(waiting) == AFTER:
            yield _marked(before, waiting)
    while waiting:
        yield _marked(before, waiting)


def tiny_picture(small: Uint8Array) -> Uint8Array:
    """A small picture averaged down to that [9, 16, 3] by which dissolves are found."""
    return np.asarray(cv2.resize(small, (SMALL[0] // 2, SMALL[1] // 2), interpolation=cv2.INTER_AREA), np.uint8)


def dissolves(pictures: Uint8Array) -> list[int]:
    """The frames, rising, that are the middles of dissolves in tiny pictures [T, 9, 16, 3] of consecutive frames."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(pictures), _BLOCK):
        block = _unit(pictures[start : start + _BLOCK + max(DISSOLVED)])
        for wide in DISSOLVED:
            apart = np.abs(block[wide:] - block[:-wide]).mean(axis=(1, 2, 3))
            for first in np.flatnonzero(apart[:_BLOCK] >= _LEAST_COLOUR).tolist():
                if _is_mix(block[first : first + wide + 1]):
                    found.append((start + first, start + first + wide))
    whole: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if whole and first <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(last, whole[-1][1])
        else:
            whole.append((first, last))
    return [(first + last + 1) // 2 for first, last in whole]


def _is_mix(frames: Float32Array) -> bool:
    """Whether the frames between the first and the last are mixes of the two, which show two scenes."""
    first, last, between = frames[0], frames[-1], frames[1:-1]
    if _structure_difference(first, last) < _LEAST_STRUCTURE:
        return False
    way = last - first
    shares = ((between - first) * way).sum(axis=(1, 2, 3)) / (way * way).sum()
    if np.abs(shares - np.arange(1, len(frames) - 1) / (len(frames) - 1)).max() > _EVEN:
        return False
    left = np.abs(between - first - shares[:, None, None, None] * way).mean(axis=(1, 2, 3))
    return bool(left.max() <= _MIXED * np.abs(way).mean())


def _marked(before: deque[Uint8Array], waiting: deque[tuple[Frame, Uint8Array]]) -> tuple[Frame, Uint8Array, bool]:
    begins = is_cut(tuple(before), [small for _, small in waiting])
    frame, small = waiting.popleft()
    if begins:
        before.clear()
    before.append(small)
    return frame, small, begins


def _unit(picture: Uint8Array) -> Float32Array:
    return np.asarray(picture, np.float32) / np.float32(255)


def _colour_difference(a: Float32Array, b: Float32Array) -> float:
    return float(np.abs(a - b).mean())


def _rest(a: Float32Array, b: Float32Array) -> float:
    """What is left of the difference when each channel of ``a`` is brought to the light of ``b``."""
    gain = (a * b).sum(axis=(0, 1)) / np.maximum((a * a).sum(axis=(0, 1)), 1e-6)
    return float(np.abs(b - gain * a).mean())


def _structure_difference(a: Float32Array, b: Float32Array) -> float:
    """1 minus the correlation of two pictures' lightness; 1 where one of them is of one colour."""
    first, second = (picture.mean(axis=-1) - picture.mean() for picture in (a, b))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return 1.0 - float((first * second).sum()) / size if size > 1e-6 else 1.0
