"""Recognises people: matches everyone of a clip with the people who are known from a cast file.

A step of the second pass, for casts that were written for another clip. Any identity preserver serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from animegen.protocols import ComparingPreserver, IdentityPreserver
from animegen.types import Identity

_NEVER = 1e6


def recognise(
    preserver: IdentityPreserver,
    people: Sequence[Identity],
    gallery: Sequence[Identity],
    together: Callable[[int, int], bool],
) -> list[int | None]:
    """Position in ``gallery`` of each of ``people``, or None for those who are not in it.

    The assignment with the most pairs, and of these the most similar ones, is taken (the Hungarian method). People who
    are left over may then be matched with an entry that is taken already, since one person may be several people of a
    clip, seen at different times. ``together(i, j)`` says whether two of the people are seen in one frame, and so
    cannot be the same. Entries of the gallery that have one key are one person.
    """
    unlike = np.array([[_difference(preserver, who, known) for known in gallery] for who in people])
    found: list[int | None] = [None] * len(people)

    def clashes(i: int, column: int) -> bool:
        keys = [None if place is None else gallery[place].key for place in found]
        return any(key == gallery[column].key and together(i, j) for j, key in enumerate(keys))

    while True:
        open_ = [i for i, place in enumerate(found) if place is None]
        cost = np.full((len(open_), len(gallery)), _NEVER)
        for row, i in enumerate(open_):
            for column in range(len(gallery)):
                if unlike[i, column] <= 1.0 and not clashes(i, column):
                    cost[row, column] = unlike[i, column]
        rows, columns = linear_sum_assignment(cost)
        pairs = sorted(
            (cost[r, c], open_[r], int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < _NEVER
        )
        if not pairs:
            return found
        for _, i, column in pairs:
            if not clashes(i, column):
                found[i] = column


def nearest(preserver: ComparingPreserver, identity: Identity, gallery: Sequence[Identity]) -> int | None:
    """Index of the most similar one in ``gallery``, or None where none is similar enough to be the same person."""
    unlike = [_difference(preserver, identity, other) for other in gallery]
    best = min(range(len(gallery)), key=lambda i: unlike[i], default=None)
    return best if best is not None and unlike[best] <= 1.0 else None


def _difference(preserver: IdentityPreserver, a: Identity, b: Identity) -> float:
    if isinstance(preserver, ComparingPreserver):
        told = preserver.difference(a, b)
        return _NEVER if told is None else min(told, _NEVER)
    return 0.0 if preserver.match(a, [b]) is not None else _NEVER
