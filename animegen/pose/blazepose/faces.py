"""The face backend ``facemesh``: BlazeFace finds faces (Bazarevsky et al. 2019, arXiv 1907.05047), the face mesh their
points and their outline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from animegen.errors import WeightsError
from animegen.pose.blazepose.crops import Silhouette, cut
from animegen.pose.blazepose.detector import anchor_centres
from animegen.pose.blazepose.face import FaceModel
from animegen.pose.blazepose.model import PictureModel, sigmoid
from animegen.pose.blazepose.regions import Region
from animegen.protocols import PluginContext
from animegen.types import Face, Float32Array, Mask, Uint8Array

_SIZE, _GRIDS = 128, ((8, 2), (16, 6))
_ANCHORS, _POINTS = 896, 6
_MIN_DETECTION, _MIN_PRESENCE = 0.5, 0.5
_SAME = 0.5
"""Detections are of one face when their middles lie this close, in sides of the region."""
_FROM_EYES = 4.0
"""Side of a face's region over the distance from the eyes to the mouth."""

_CONTOURS = {
    "right_eye": (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    "left_eye": (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    "nose": (1,),
    "mouth_right": (61,),
    "mouth_left": (291,),
}
"""Points of the mesh whose mean is each of the five points, in their order."""
_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The mesh's outline, from the forehead around by the person's left."""
_MASK_SIDE = 96


class FaceDetector:
    """BlazeFace for close faces. Raises WeightsError when the file is missing or not this model."""

    def __init__(self, path: Path, threads: int) -> None:
        outputs = ((1, _ANCHORS, 4 + 2 * _POINTS), (1, _ANCHORS, 1))
        self._model = PictureModel(path, _SIZE, outputs, threads)
        self._centres = anchor_centres(_SIZE, _GRIDS)

    def detect(
        self, image: Uint8Array, square: Region | None = None, hidden: Sequence[Silhouette] = ()
    ) -> list[Region]:
        """The regions of faces that take a tenth of a square of a uint8 [H, W, 3] image or more, surest first.

        The square is not turned; without one, it is the whole image. People whose silhouettes are ``hidden`` are not
        seen.
        """
        height, width = image.shape[:2]
        whole = square or Region((width - 1) / 2, (height - 1) / 2, max(width, height))
        picture = np.multiply(cut(image, whole, _SIZE, hidden), np.float32(2 / 255), dtype=np.float32)
        picture -= 1
        boxes, logits = self._model(picture)
        score = sigmoid(logits[0, :, 0])
        seen = np.flatnonzero(score >= _MIN_DETECTION)
        offsets = boxes[0, seen, 4:].reshape(-1, _POINTS, 2)
        points = offsets + self._centres[seen, None] - np.float32(0.5)
        to_frame = whole.to_frame(_SIZE)
        return _merged(score[seen], (points * to_frame[0, 0] + to_frame[:, 2]).astype(np.float32))

    def detect_in(
        self, image: Uint8Array, squares: Sequence[Region], hidden: Sequence[Silhouette] = ()
    ) -> list[Region]:
        """The regions of faces seen in any of the squares, each once."""
        found: list[Region] = []
        for square in squares:
            looked = self.detect(image, square, hidden)
            found += [face for face in looked if not any(face.near(other) for other in found)]
        return found


class FaceMesh:
    """Faces by their mesh; implements :class:`animegen.protocols.FaceBackend`."""

    def __init__(self, detector: FaceDetector, model: FaceModel) -> None:
        self._detector, self._model = detector, model

    def find(self, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
        """The faces of each picture, surest first, with the mesh's outline as their mask."""
        return [self._faces(picture) for picture in pictures]

    def _faces(self, picture: Uint8Array) -> list[Face]:
        looks = [self._model.look(picture, region) for region in self._detector.detect(picture)]
        again = [self._model.look(picture, look.next) for look in looks if look.presence >= _MIN_PRESENCE]
        found = [_face(look.mesh[:, :2], look.presence) for look in again if look.presence >= _MIN_PRESENCE]
        return sorted(found, key=lambda face: -face.score)


def make_facemesh(options: None, context: PluginContext) -> FaceMesh:  # noqa: ARG001
    """The backend over the files that its spec names. Raises WeightsError when one is missing or not such a model."""
    files = context.weights
    try:
        detector = FaceDetector(files["face-detector"], context.threads)
        model = FaceModel(files["face-landmark"], files["iris-landmark"], context.threads)
    except KeyError as error:
        raise WeightsError(f"facemesh needs the weights {error}, which are not here") from error
    return FaceMesh(detector, model)


def _merged(score: Float32Array, points: Float32Array) -> list[Region]:
    """One region per face, around the mean, weighted by score, of the detections near each best one."""
    left = np.argsort(-score, kind="stable")
    regions = []
    while left.size:
        best = _region(points[left[0]])
        middles = points[left, :4].mean(axis=1)
        same = np.hypot(middles[:, 0] - best.x, middles[:, 1] - best.y) < _SAME * best.side
        same[0] = True
        group, left = left[same], left[~same]
        regions.append(_region(np.tensordot(score[group] / score[group].sum(), points[group], axes=1)))
    return regions


def _region(points: Float32Array) -> Region:
    """The region of an upright face by its points, [6, 2]: right eye, left eye, nose, mouth, ears."""
    x, y = points[:4].mean(axis=0).tolist()
    dx, dy = ((points[0] + points[1]) / 2 - points[3]).tolist()
    return Region(x, y, max(_FROM_EYES * math.hypot(dx, dy), 1.0), math.atan2(dx, -dy))


def _face(mesh: Float32Array, presence: float) -> Face:
    """The five points, the box and the outline of a mesh f32 [468, 2]."""
    points = np.stack([mesh[list(contour)].mean(axis=0) for contour in _CONTOURS.values()])
    outline = mesh[list(_OVAL)]
    low, high = outline.min(axis=0), np.maximum(outline.max(axis=0), outline.min(axis=0) + 1)
    return Face(np.concatenate([low, high]), presence, points.astype(np.float32), _outlined(outline, low, high))


def _outlined(outline: Float32Array, low: Float32Array, high: Float32Array) -> Mask:
    """What lies within a closed line, [N, 2] pixels, as a mask of one size that fills its box."""
    step = float((high - low).max()) / (_MASK_SIDE - 1)
    size = np.ceil((high - low) / step).astype(int) + 1
    alpha = np.zeros((int(size[1]), int(size[0])), np.uint8)
    cv2.fillPoly(alpha, [np.rint((outline - low) / step).astype(np.int32)], 255, cv2.LINE_AA)
    return Mask(alpha, np.array([[step, 0.0, low[0]], [0.0, step, low[1]]]))
