"""How well people keep their identities: IDF1 and identity switches against a known truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

Box: TypeAlias = tuple[float, float, float, float]
Key = TypeVar("Key", bound=Hashable)
Other = TypeVar("Other", bound=Hashable)

LEAST_OVERLAP = 0.5
"""Intersection over union from which a found box is where a true one is."""


@dataclass(frozen=True, slots=True)
class IdentityScore:
    """Of all boxes: ``idf1`` 0..1, the share that bears one name for one person throughout; ``precision`` of the found
    and ``recall`` of the true ones; and how often the name of a person changed.
    """

    idf1: float
    precision: float
    recall: float
    switches: int


def identity_score(
    truth: Sequence[Mapping[Key, Box]], found: Sequence[Mapping[Other, Box]], least: float = LEAST_OVERLAP
) -> IdentityScore:
    """Compare who is where in each frame with who was found there; both by frame, boxes xyxy in pixels.

    IDF1 after Ristani et al. 2016 (arXiv 1609.01775, section 3): true people are matched one to one with found ones so
    that most boxes agree over the whole clip, 2 IDTP / (2 IDTP + IDFP + IDFN). A switch is counted after Bernardin and
    Stiefelhagen 2008: from frame to frame a match is kept while the boxes overlap by ``least``.
    """
    together: Counter[tuple[Key, Other]] = Counter()
    for true, seen in zip(truth, found, strict=True):
        together.update((a, b) for a in true for b in seen if overlap(true[a], seen[b]) >= least)
    people, names = sorted({a for a, _ in together}, key=str), sorted({b for _, b in together}, key=str)
    agree = np.array([[together[a, b] for b in names] for a in people]).reshape(len(people), len(names))
    right = int(agree[linear_sum_assignment(-agree)].sum())
    wanted, given = sum(map(len, truth)), sum(map(len, found))
    return IdentityScore(
        2 * right / (wanted + given) if wanted + given else 1.0,
        right / given if given else 1.0,
        right / wanted if wanted else 1.0,
        _switches(truth, found, least),
    )


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def _switches(truth: Sequence[Mapping[Key, Box]], found: Sequence[Mapping[Other, Box]], least: float) -> int:
    name_of: dict[Key, Other] = {}
    count = 0
    for true, seen in zip(truth, found, strict=True):
        kept = {a: name_of[a] for a in true if name_of.get(a) in seen and overlap(true[a], seen[name_of[a]]) >= least}
        left, free = [a for a in true if a not in kept], [b for b in seen if b not in kept.values()]
        near = np.array([[overlap(true[a], seen[b]) for b in free] for a in left]).reshape(len(left), len(free))
        for row, column in zip(*linear_sum_assignment(-near), strict=True):
            if near[row, column] >= least:
                count += left[row] in name_of
                kept[left[row]] = free[column]
        name_of |= kept
    return count
