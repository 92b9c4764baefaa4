"""The face backend ``insightface``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from animegen.protocols import FaceBackend, PluginContext
from animegen.types import Face, Uint8Array
from animegen_insightface.models import FaceModels
from animegen_insightface.options import FaceOptions


class InsightFaceBackend:
    """Implements :class:`animegen.protocols.FaceBackend`; each picture and each face goes through alone."""

    def __init__(self, options: FaceOptions, context: PluginContext) -> None:
        self._models = FaceModels(options, context)
        self._embed = options.embed

    def find(self, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
        """The faces of each picture uint8 [H, W, 3] RGB, surest first, with embeddings where they were asked for."""
        return [[self._known(picture, face) for face in self._models.detect(picture)] for picture in pictures]

    def _known(self, picture: Uint8Array, face: Face) -> Face:
        return replace(face, embedding=self._models.embedding(picture, face)) if self._embed else face


def make_backend(options: FaceOptions | None, context: PluginContext) -> FaceBackend:
    """Factory of the face backend ``insightface``."""
    return InsightFaceBackend(options or FaceOptions(), context)
