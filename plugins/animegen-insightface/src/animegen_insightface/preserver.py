"""The identity preserver ``insightface``: people are known by their faces, and by their looks where none is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from animegen.identity.body import Body
from animegen.identity.options import AppearanceOptions
from animegen.identity.preserver import AppearancePreserver
from animegen.identity.recognise import nearest
from animegen.protocols import IdentityPreserver, PluginContext
from animegen.types import Crop, Face, Float32Array, Float64Array, Identity, Track
from animegen_insightface.models import FaceModels
from animegen_insightface.options import IdentityOptions

_HEAD = ("nose", "left_eye", "right_eye")
"""Points of a pose that lie inside a face's box."""


class FacePreserver:
    """Implements :class:`animegen.protocols.ComparingPreserver`.

    The embedding is the face's, all zeros where no face was seen, and after it the look as ``appearance`` has it.
    """

    def __init__(self, options: IdentityOptions, context: PluginContext) -> None:
        self._options = options
        self._models = FaceModels(options, context)
        self._appearance = AppearancePreserver(AppearanceOptions(options.max_distance), context.seed)

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        """The identity of a track with palette, traits, face and look; without crops it has neither face nor look."""
        identity = self._appearance.enroll(track, crops)
        if identity.embedding is None:
            return identity
        return replace(identity, embedding=np.concatenate([self._mean_face(crops), identity.embedding]))

    def difference(self, a: Identity, b: Identity) -> float | None:
        """How far two people are apart, 1 the most that one person may be from themselves; None where it is not known.

        Faces decide where both were seen: 1 less their cosine, in units of what ``min_cosine`` leaves. Looks do
        otherwise.
        """
        if a.embedding is None or b.embedding is None or len(a.embedding) != len(b.embedding):
            return None
        (face, look), (other_face, other_look) = (
            np.split(e, [self._models.dimension]) for e in (a.embedding, b.embedding)
        )
        if face.any() and other_face.any():
            cosine = float(face @ other_face) / float(np.linalg.norm(face) * np.linalg.norm(other_face))
            return max(0.0, (1 - cosine) / (1 - self._options.min_cosine))
        return self._appearance.difference(replace(a, embedding=look), replace(b, embedding=other_look))

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        """Position of the likest person of ``gallery``, or None when none is like enough."""
        return nearest(self, identity, gallery)

    def _mean_face(self, crops: Sequence[Crop]) -> Float32Array:
        """The mean of a person's faces, weighted by how sure they are, f32 [D] of unit length or all zeros."""
        total = np.zeros(self._models.dimension)
        for crop in crops:
            face = self._own_face(crop)
            embedding = self._models.embedding(crop.image, face) if face is not None else None
            if face is not None and embedding is not None:
                total += face.score * embedding
        length = float(np.linalg.norm(total))
        return (total / length if length > 0 else total).astype(np.float32)

    def _own_face(self, crop: Crop) -> Face | None:
        """The surest face of the crop that lies where the person's head does and is large enough; None without one."""
        body = Body(crop)
        seen = [point for point in map(body.point, _HEAD) if point is not None]
        if not seen:
            return None
        head = np.mean(seen, axis=0)
        faces = (face for face in self._models.detect(crop.image) if _holds(face, head))
        return next((face for face in faces if face.bbox[3] - face.bbox[1] >= self._options.min_face), None)


def _holds(face: Face, point: Float64Array) -> bool:
    return bool((face.bbox[:2] <= point).all() and (point <= face.bbox[2:]).all())


def make_preserver(options: IdentityOptions | None, context: PluginContext) -> IdentityPreserver:
    """Factory of the identity preserver ``insightface``."""
    return FacePreserver(options or IdentityOptions(), context)
