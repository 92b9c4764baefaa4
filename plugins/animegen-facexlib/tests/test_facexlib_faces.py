"""The face backend: what goes into facexlib's networks and what comes of it. Skipped where facexlib cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from animegen_facexlib.faces import make_backend
from animegen_facexlib.options import DETECTOR, PARSER, FaceOptions

from animegen.errors import WeightsError
from animegen.protocols import FaceBackend, PluginContext
from animegen.testing import check_face_backend
from animegen.types import Face, Uint8Array

NEAR = 8.0
"""Pixels by which a stand-in's face may be off: half a step of the grid that finds it."""
ALIKE = 0.9
"""Overlap over union of a disc and the outline found, which is kept at 128 pixels a side."""
DISCS = ((90.0, 100.0, 40.0), (240.0, 150.0, 20.0))


@pytest.fixture
def discs(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """facexlib's networks see discs."""
    import discs
    from facexlib.detection.retinaface import RetinaFace
    from facexlib.parsing import BiSeNet, ParseNet

    monkeypatch.setattr(RetinaFace, "forward", discs.detect)
    monkeypatch.setattr(BiSeNet, "forward", discs.parse)
    monkeypatch.setattr(ParseNet, "forward", discs.parse)
    return discs


def middles(faces: list[Face]) -> Iterator[tuple[float, float]]:
    for face in faces:
        x, y = (face.bbox[:2] + face.bbox[2:]) / 2
        yield float(x), float(y)


def test_contract_with_untrained_networks(context: PluginContext) -> None:
    """Untrained, RetinaFace is half sure of everything; it finds faces everywhere or nowhere."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for least in (0.3, 0.8):
        options = FaceOptions(min_score=least, size=64, outline=False)
        check_face_backend(make_backend(options, context), [noise])


def test_contract_with_faces(context: PluginContext, discs: Any) -> None:
    check_face_backend(make_backend(FaceOptions(outline=False), context), [discs.picture(*DISCS)])


def test_an_untrained_parser_runs(context: PluginContext, discs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    from facexlib.detection.retinaface import RetinaFace

    monkeypatch.setattr(RetinaFace, "forward", discs.detect)
    (face,) = make_backend(None, context).find([discs.picture(DISCS[0])])[0]
    assert face.mask is None or face.mask.alpha.shape == (128, 128)


def test_faces_are_found_where_they_are(context: PluginContext, discs: Any) -> None:
    backend = make_backend(FaceOptions(outline=False), context)
    found = backend.find([discs.picture(*DISCS), discs.picture()])
    assert [len(faces) for faces in found] == [2, 0]
    for x, y in middles(found[0]):
        assert min(max(abs(x - at[0]), abs(y - at[1])) for at in DISCS) <= NEAR
    for face in found[0]:
        right_eye, left_eye, nose, mouth_right, mouth_left = face.points
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < mouth_right[1]
        assert mouth_right[0] < mouth_left[0]


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_a_small_picture_is_enlarged_and_a_large_one_shrunk(context: PluginContext, discs: Any, scale: float) -> None:
    x, y, radius = (scale * value for value in DISCS[0])
    seen = discs.picture((x, y, radius), size=(int(240 * scale), int(320 * scale)))
    (middle,) = middles(make_backend(FaceOptions(outline=False), context).find([seen])[0])
    assert max(abs(middle[0] - x), abs(middle[1] - y)) <= NEAR * scale


def outline(backend: FaceBackend, seen: Uint8Array) -> Any:
    """The outline of the only face in the picture's pixels."""
    (face,) = backend.find([seen])[0]
    assert face.mask is not None
    return cv2.warpAffine(face.mask.alpha, face.mask.affine, seen.shape[1::-1]) > 127


@pytest.mark.parametrize("parser", ["BiSeNet", "ParseNet"])
def test_outlines_are_those_of_the_faces(
    context: PluginContext, discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    hair = {"BiSeNet": 17, "ParseNet": 13}[parser]
    monkeypatch.setattr(discs, "HAIR", hair)
    options = FaceOptions()
    if parser == "ParseNet":
        import torch
        from facexlib.parsing import ParseNet

        torch.save(ParseNet(512, 512, parsing_ch=19).state_dict(), tmp_path / "parsenet.pth")
        options = FaceOptions(parser=tmp_path / "parsenet.pth")
    backend = make_backend(options, context)
    seen, true = discs.picture(DISCS[0]), discs.disc((240, 320), *DISCS[0])
    found = outline(backend, seen)
    assert (found & true).sum() / (found | true).sum() >= ALIKE
    monkeypatch.setattr(discs, "SKIN", hair)
    assert backend.find([seen])[0][0].mask is None


def test_files_that_are_something_else_are_refused(
    context: PluginContext, files: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    with pytest.raises(WeightsError, match=r"facexlib-parser\.pth is no RetinaFace detector"):
        make_backend(FaceOptions(detector=files[PARSER]), context)
    with pytest.raises(WeightsError, match=r"facexlib-detector\.pth is no parser"):
        make_backend(FaceOptions(parser=files[DETECTOR]), context)
    broken = tmp_path / "broken.pth"
    for data in (b"", b"not a pickle", files[DETECTOR].read_bytes()[:4000], b"cos\nsystem\n(S'true'\ntR."):
        broken.write_bytes(data)
        with pytest.raises(WeightsError, match=r"cannot read .*broken\.pth"):
            make_backend(FaceOptions(detector=broken), context)
    torch.save([1, 2], broken)
    with pytest.raises(WeightsError, match=r"broken\.pth is no RetinaFace detector"):
        make_backend(FaceOptions(detector=broken), context)
