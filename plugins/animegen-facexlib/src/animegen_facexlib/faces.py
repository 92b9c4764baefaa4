"""The face backend ``facexlib``: RetinaFace (Deng et al. 2019, arXiv 1905.00641), and outlines by parsing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from animegen.face.align import cut_square, face_square, side_of, to_source
from animegen.protocols import FaceBackend, PluginContext
from animegen.types import Face, Mask, Uint8Array
from animegen_facexlib.options import DETECTOR, PARSER, FaceOptions
from animegen_facexlib.usable import require_facexlib

if TYPE_CHECKING:
    from animegen_facexlib.networks import Detector, Parser

_PARSED_SIDE, _MASK_SIDE = 512, 128


class FacexlibBackend:
    """Implements :class:`animegen.protocols.FaceBackend`; each picture and each face goes through alone."""

    def __init__(self, detector: Detector, parser: Parser | None, options: FaceOptions) -> None:
        self._detector, self._parser, self._options = detector, parser, options

    def find(self, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
        """The faces of each picture uint8 [H, W, 3] RGB, surest first, with outlines where they were asked for."""
        return [[self._outlined(picture, face) for face in self._detect(picture)] for picture in pictures]

    def _detect(self, picture: Uint8Array) -> list[Face]:
        side = self._options.size
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted = np.zeros((side, side, 3), np.uint8)
        fitted[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=way)
        to_picture = np.array([width / size[0], height / size[1]])
        faces = []
        for row in self._detector(fitted, self._options.min_score):
            places = np.concatenate([row[:4], row[5:]]).reshape(-1, 2) * to_picture - 0.5  # pixels' middles are whole
            low, high = places[:2]
            if np.isfinite(places).all() and (high > low).all():
                box, points = places[:2].astype(np.float32).ravel(), places[2:].astype(np.float32)
                faces.append(Face(box, min(1.0, float(row[4])), points))
        return faces

    def _outlined(self, picture: Uint8Array, face: Face) -> Face:
        square = face_square(face.points)
        if self._parser is None or side_of(square) < 1:
            return face
        inside = self._parser(cut_square(picture, square, _PARSED_SIDE)) * np.uint8(255)
        alpha = np.asarray(cv2.resize(inside, (_MASK_SIDE, _MASK_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        return replace(face, mask=Mask(alpha, to_source(square, _MASK_SIDE))) if alpha.any() else face


def make_backend(options: FaceOptions | None, context: PluginContext) -> FaceBackend:
    """Factory of the face backend ``facexlib``; raises PluginError where facexlib or its torchvision is missing."""
    require_facexlib()
    import torch

    from animegen_facexlib.networks import Detector, Parser

    options = options or FaceOptions()
    if context.device == "cpu":
        torch.set_num_threads(context.threads)
    device, files = torch.device(context.device), {**context.weights, **options.weights}
    parser = Parser(files[PARSER], device) if options.outline else None
    return FacexlibBackend(Detector(files[DETECTOR], device), parser, options)
