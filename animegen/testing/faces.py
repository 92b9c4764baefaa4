"""The contract of :class:`animegen.protocols.FaceBackend`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from animegen.protocols import FaceBackend
from animegen.testing.checks import require
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.types import Face, Uint8Array

_SIZES = ((320, 240), (97, 131), (640, 31), (8, 8), (1, 1))
_UNIT = 1e-3
"""How far the length of an embedding may be from one: it is computed in 32 bits."""


def check_face_backend(backend: FaceBackend, pictures: Sequence[Uint8Array] | None = None) -> None:
    """Raise AssertionError unless a face backend keeps its contract.

    ``pictures``: pictures uint8 [H, W, 3] to run on, best with faces in them; drawn heads where None. One list of faces
    per picture, surest first; what is found in a picture is the same alone, beside others and a second time; any size
    is taken, and the pictures are not written to.
    """
    require(list(backend.find([])) == [], "find([]) must return an empty list")
    given = list(pictures) if pictures is not None else [_head((320, 240))]
    looked_at = [_unwritable(picture) for picture in (*given, *map(_head, _SIZES))]
    found = _run(backend, looked_at)
    _check_same(found, _run(backend, looked_at), "the same pictures give other faces the second time")
    _check_same(found, _run(backend, looked_at[::-1])[::-1], "faces depend on the order of the pictures")
    alone = [_run(backend, [picture])[0] for picture in looked_at]
    _check_same(found, alone, "faces depend on the other pictures of the call")


def _head(size: tuple[int, int]) -> Uint8Array:
    """A drawn figure of which the picture shows head and shoulders."""
    width, height = size
    person = synthetic_pose(feet=(width / 2, 2.6 * height), height=2.4 * height)
    return synthetic_frame([(person, synthetic_identity())], size=size).image


def _unwritable(picture: Uint8Array) -> Uint8Array:
    copy = picture.copy()
    copy.flags.writeable = False
    return copy


def _run(backend: FaceBackend, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
    """The faces of each picture, checked one by one."""
    found = [list(faces) for faces in backend.find(pictures)]
    require(len(found) == len(pictures), f"{len(pictures)} pictures must give as many lists, got {len(found)}")
    for picture, faces in zip(pictures, found, strict=True):
        where = f"in a picture of {picture.shape[1]}x{picture.shape[0]}"
        for face in faces:
            require(isinstance(face, Face), f"find must return lists of faces, got {type(face).__name__} {where}")
            require(0 <= face.score <= 1, f"a score must be 0..1, got {face.score} {where}")
            require(bool((face.bbox[2:] > face.bbox[:2]).all()), f"a box must have an area, got {face.bbox} {where}")
            if face.embedding is not None:
                length = float(np.linalg.norm(face.embedding))
                require(abs(length - 1) < _UNIT, f"an embedding must be of unit length, got {length} {where}")
        scores = [face.score for face in faces]
        require(scores == sorted(scores, reverse=True), f"faces must come surest first, got {scores} {where}")
    return found


def _check_same(a: Sequence[Sequence[Face]], b: Sequence[Sequence[Face]], text: str) -> None:
    require([len(faces) for faces in a] == [len(faces) for faces in b], f"{text}: not as many of them")
    for one, other in zip((f for faces in a for f in faces), (f for faces in b for f in faces), strict=True):
        off = float(np.abs(one.points - other.points).max())
        require(off == 0, f"{text}: points differ by up to {off} pixels")
