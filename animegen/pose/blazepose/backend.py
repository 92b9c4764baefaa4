"""Several people in every frame: detection at the start of a segment, regions followed from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from animegen.errors import WeightsError
from animegen.pose.blazepose.detector import Detections, Detector, merge, tiles
from animegen.pose.blazepose.landmarks import LandmarkModel, Landmarks
from animegen.pose.blazepose.options import BlazePoseOptions
from animegen.pose.blazepose.regions import Region
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.protocols import PluginContext
from animegen.types import Frame, Pose, Uint8Array

_SCALES = (1.0, 1.5, 2.5)
_OVERLAP = 0.5
_MERGE_IOU = 0.3
_SAME_PERSON = 0.5


def load_backend(options: BlazePoseOptions, context: PluginContext) -> BlazePose:
    """The backend with its two models loaded; raises WeightsError when one is missing or no such model."""

    def path(name: str) -> Path:
        try:
            return context.weights[name]
        except KeyError:
            raise WeightsError(f"the weights '{name}' were not given", "fetch them: `animegen weights pull`") from None

    detector = Detector(path("blazepose-detector"), context.threads)
    return BlazePose(detector, LandmarkModel(path("blazepose-landmark-full"), context.threads), options)


class BlazePose:
    """A pose backend (see :class:`animegen.protocols.PoseBackend`)."""

    skeleton = BLAZEPOSE33

    def __init__(self, detector: Detector, landmarks: LandmarkModel, options: BlazePoseOptions) -> None:
        self._detector = detector
        self._landmarks = landmarks
        self._options = options

    def estimate(self, frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        """Yield the poses of each frame of one segment, those longest in view first."""
        people: list[Landmarks] = []
        for i, frame in enumerate(frames):
            image = frame.image
            followed = [self._landmarks.look(image, person.next_region()) for person in people]
            people = self._distinct(followed)
            if i % self._options.detect_every == 0 or len(people) < len(followed):
                people = self._distinct(people + self._find(image, people))
            people = people[: self._options.max_people]
            yield [person.pose(*frame.size) for person in people]

    def _find(self, image: Uint8Array, known: list[Landmarks]) -> list[Landmarks]:
        """People in the picture who are not among the known ones."""
        found = self._detect(image)
        places = [person.next_region() for person in known]
        new = [region for region in found.regions() if not any(_alike(region, place) for place in places)]
        looks = (self._landmarks.look(image, region) for region in new)
        return [self._landmarks.look(image, look.next_region()) for look in looks if self._present(look)]

    def _detect(self, image: Uint8Array) -> Detections:
        height, width = image.shape[:2]
        squares = tiles(width, height, _SCALES, _OVERLAP)
        return merge([self._detector.look(image, tile, self._options.min_detection) for tile in squares], _MERGE_IOU)

    def _present(self, person: Landmarks) -> bool:
        return person.presence >= self._options.min_presence

    def _distinct(self, people: list[Landmarks]) -> list[Landmarks]:
        """Those who are there, each once: of two that are the same person the first is kept."""
        kept: list[Landmarks] = []
        for person in filter(self._present, people):
            if not any(likeness(person, other) > _SAME_PERSON for other in kept):
                kept.append(person)
        return kept


def _alike(a: Region, b: Region) -> bool:
    return bool(np.hypot(a.x - b.x, a.y - b.y) < 0.15 * b.side and 0.6 < a.side / b.side < 1.6)


def likeness(a: Landmarks, b: Landmarks) -> float:
    """How far two looks show one person, 0..1: the mean closeness of their points, weighted by their scores."""
    weight = a.score * b.score + 1e-6
    distance = np.hypot(*(a.xy[:33] - b.xy[:33]).T) / min(a.region.side, b.region.side)
    return float((weight * np.exp(-0.5 * (distance / 0.05) ** 2)).sum() / weight.sum())
