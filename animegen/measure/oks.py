"""Object keypoint similarity: how well found poses fit annotated ones.

Source: Lin et al., "Microsoft COCO" (arXiv 1405.0312), with the keypoint sigmas of the COCO evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.types import Float64Array

COCO_SIGMAS: Float64Array = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], dtype=np.float64) / 1000
)
"""f64 [17]: standard deviation of annotators per COCO point, over the square root of the person's area."""

FOUND = 0.5
"""A person counts as found above this similarity."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPerson:
    """Ground truth of one person: ``xy`` [17, 2] pixels in COCO order, ``visible`` [17] (COCO's v, 0: not annotated).

    ``area`` is the person's area in square pixels. Raises InvalidValue when the shapes are others, the area is not
    positive or no point is annotated, since such a person has no similarity.
    """

    xy: NDArray[Any]
    visible: NDArray[Any]
    area: float

    def __post_init__(self) -> None:
        if self.xy.shape != (17, 2) or self.visible.shape != (17,):
            raise InvalidValue(f"a person has 17 COCO points, got {self.xy.shape} and {self.visible.shape}")
        if not self.area > 0:
            raise InvalidValue(f"a person's area must be positive, got {self.area}")
        if not (self.visible > 0).any():
            raise InvalidValue("a person without annotated points cannot be compared")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found of the annotated people of one or several pictures.

    ``oks`` is the similarity of the pose matched to each person (0: none). ``found_twice`` counts poses beyond the
    matched ones that fit a person above :data:`FOUND` too; ``unmatched`` counts all poses that match nobody
    annotated (the background may hold people whom nobody annotated).
    """

    oks: tuple[float, ...]
    found_twice: int = 0
    unmatched: int = 0

    @property
    def mean(self) -> float:
        """Mean similarity over the annotated people; those not found count 0."""
        return sum(self.oks) / len(self.oks) if self.oks else 0.0

    @property
    def found(self) -> int:
        """How many people have a pose that fits above :data:`FOUND`."""
        return sum(value > FOUND for value in self.oks)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.oks + other.oks, self.found_twice + other.found_twice, self.unmatched + other.unmatched)


def oks(xy: NDArray[Any], person: AnnotatedPerson) -> float:
    """Similarity 0..1 of a pose (``xy`` [17, 2] pixels in COCO order) to an annotated person, over annotated points."""
    squared = ((np.asarray(xy, np.float64) - person.xy) ** 2).sum(axis=1)
    closeness = np.exp(-squared / (2 * person.area * (2 * COCO_SIGMAS) ** 2))
    return float(closeness[person.visible > 0].mean())


def compare(poses: Sequence[NDArray[Any]], people: Sequence[AnnotatedPerson]) -> Comparison:
    """Match poses (each [17, 2]) to the annotated people of one picture, the most similar pair first.

    Each pose matches one person at most and each person one pose at most.
    """
    table = np.array([[oks(xy, person) for person in people] for xy in poses]).reshape(len(poses), len(people))
    values = [0.0] * len(people)
    free = table.copy()
    matched: set[int] = set()
    for _ in range(min(free.shape)):
        pose, person = np.unravel_index(int(free.argmax()), free.shape)
        if free[pose, person] <= 0:
            break
        values[int(person)] = float(free[pose, person])
        matched.add(int(pose))
        free[pose, :] = -1
        free[:, person] = -1
    spare = [i for i in range(len(poses)) if i not in matched]
    twice = sum(bool((table[i] > FOUND).any()) for i in spare)
    return Comparison(tuple(values), twice, len(spare))
