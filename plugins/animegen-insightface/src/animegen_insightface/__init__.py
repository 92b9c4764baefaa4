"""Faces by insightface for animegen: detection with five points, and people known by their faces."""

from __future__ import annotations

from collections.abc import Iterable

from animegen.hookspecs import hookimpl
from animegen.protocols import DoctorCheck, FaceBackendSpec, IdentityPreserverSpec, WeightSpec
from animegen_insightface.options import DETECTOR, EMBEDDER, FaceOptions, IdentityOptions

_PACK = "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip"
_LICENCE = "non-commercial research only"


@hookimpl
def animegen_face_backends() -> Iterable[FaceBackendSpec]:
    """Announces ``insightface``."""
    yield FaceBackendSpec(
        name="insightface",
        summary=f"SCRFD faces with ArcFace embeddings; models for {_LICENCE}",
        factory="animegen_insightface.faces:make_backend",
        options=FaceOptions,
        weights=(DETECTOR, EMBEDDER),
    )


@hookimpl
def animegen_identity_preservers() -> Iterable[IdentityPreserverSpec]:
    """Announces ``insightface``."""
    yield IdentityPreserverSpec(
        name="insightface",
        summary=f"people are known by their faces, and by their looks where no face is seen; models for {_LICENCE}",
        factory="animegen_insightface.preserver:make_preserver",
        options=IdentityOptions,
        weights=(DETECTOR, EMBEDDER),
    )


@hookimpl
def animegen_weights() -> Iterable[WeightSpec]:
    """Announces insightface's models of the pack ``buffalo_l``."""
    yield WeightSpec(
        name=DETECTOR,
        source=_PACK,
        member="det_10g.onnx",
        sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        bytes=16_923_827,
        licence=_LICENCE,
        credit="InsightFace (buffalo_l): SCRFD-10G face detector",
    )
    yield WeightSpec(
        name=EMBEDDER,
        source=_PACK,
        member="w600k_r50.onnx",
        sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        bytes=174_383_860,
        licence=_LICENCE,
        credit="InsightFace (buffalo_l): ArcFace ResNet-50 trained on WebFace600K",
    )


@hookimpl
def animegen_doctor_checks() -> Iterable[DoctorCheck]:
    """Announces whether insightface can be used here."""
    yield DoctorCheck("faces by insightface", "animegen_insightface.models:check_insightface")
