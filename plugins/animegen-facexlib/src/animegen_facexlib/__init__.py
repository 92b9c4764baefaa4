"""Faces by facexlib for animegen: detection with five points, and outlines by parsing."""

from __future__ import annotations

from collections.abc import Iterable

from animegen.hookspecs import hookimpl
from animegen.protocols import DoctorCheck, FaceBackendSpec, WeightSpec
from animegen_facexlib.options import DETECTOR, PARSER, FaceOptions
from animegen_facexlib.usable import require_installed

_RELEASES = "https://github.com/xinntao/facexlib/releases/download"


@hookimpl
def animegen_face_backends() -> Iterable[FaceBackendSpec]:
    """Announces ``facexlib``. Raises PluginError, which `animegen plugins` shows, where torchvision is missing."""
    require_installed()
    return [
        FaceBackendSpec(
            name="facexlib",
            summary="RetinaFace faces with outlines by ParseNet; models for non-commercial research only",
            factory="animegen_facexlib.faces:make_backend",
            options=FaceOptions,
            weights=(DETECTOR, PARSER),
        )
    ]


@hookimpl
def animegen_weights() -> Iterable[WeightSpec]:
    """Announces the models of facexlib's releases."""
    yield WeightSpec(
        name=DETECTOR,
        source=f"{_RELEASES}/v0.1.0/detection_Resnet50_Final.pth",
        sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        bytes=109_497_761,
        licence="MIT; trained on WIDER FACE, for non-commercial research only",
        credit="biubug6 (Pytorch_Retinaface), by facexlib: RetinaFace with ResNet-50",
    )
    yield WeightSpec(
        name=PARSER,
        source=f"{_RELEASES}/v0.2.2/parsing_parsenet.pth",
        sha256="3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        bytes=85_331_193,
        licence="trained on CelebAMask-HQ, for non-commercial research only",
        credit="Chaofeng Chen (PSFR-GAN), by facexlib: ParseNet",
    )


@hookimpl
def animegen_doctor_checks() -> Iterable[DoctorCheck]:
    """Announces whether facexlib can be used here."""
    yield DoctorCheck("faces by facexlib", "animegen_facexlib.usable:check_facexlib")
