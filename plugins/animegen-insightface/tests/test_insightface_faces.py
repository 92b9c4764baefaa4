"""The face backend: where faces are, whose they are, and what is refused. With stand-ins for the networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from animegen_insightface.faces import make_backend
from animegen_insightface.models import check_insightface, fitted
from animegen_insightface.options import DETECTOR, EMBEDDER, FaceOptions, IdentityOptions
from stand_ins import Who, paint_face

from animegen.errors import InvalidValue, WeightsError
from animegen.protocols import PluginContext
from animegen.testing import check_face_backend
from animegen.types import Uint8Array

NEAR = 8.0
"""Pixels by which a stand-in's face may be off: half a step of the grid that finds it."""


def picture(*faces: tuple[float, float, float, Who], size: tuple[int, int] = (240, 320)) -> Uint8Array:
    image = np.full((*size, 3), 128, np.uint8)
    for x, y, radius, who in faces:
        paint_face(image, (x, y), radius, who)
    return image


def test_contract(context: PluginContext) -> None:
    check_face_backend(make_backend(None, context))
    check_face_backend(make_backend(FaceOptions(embed=False), context), [picture((100, 120, 30, "left"))])


def test_faces_are_found_where_they_are(context: PluginContext) -> None:
    seen = picture((90, 100, 40, "left"), (240, 150, 26, "right"))
    faces = make_backend(None, context).find([seen, picture()])
    assert [len(found) for found in faces] == [2, 0]
    for face in faces[0]:
        middle, told = (face.bbox[:2] + face.bbox[2:]) / 2, np.array([[90, 100], [240, 150]])
        assert np.abs(told - middle).max(axis=1).min() <= NEAR
        right_eye, left_eye, nose, mouth_right, mouth_left = face.points
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < mouth_right[1] == mouth_left[1]


def test_a_small_picture_is_enlarged_and_a_large_one_shrunk(context: PluginContext) -> None:
    backend = make_backend(None, context)
    for scale in (0.5, 3):
        image = picture((160 * scale, 120 * scale, 40 * scale, "left"), size=(int(240 * scale), int(320 * scale)))
        (face,) = backend.find([image])[0]
        middle = (face.bbox[:2] + face.bbox[2:]) / 2
        assert np.abs(middle - np.array([160, 120]) * scale).max() <= NEAR * scale


def test_embeddings_tell_people_apart(context: PluginContext) -> None:
    backend = make_backend(None, context)
    seen = [picture((x, 120, 40, who)) for x, who in ((90, "left"), (200, "left"), (140, "right"))]
    one, again, other = (faces[0].embedding for faces in backend.find(seen))
    assert one is not None and again is not None and other is not None
    assert one @ again > 0.95
    assert one @ other < 0.3
    bare = make_backend(FaceOptions(embed=False), context).find(seen[:1])
    assert bare[0][0].embedding is None


def test_a_strip_that_shows_no_face_is_taken(context: PluginContext) -> None:
    assert make_backend(None, context).find([np.zeros((1, 2000, 3), np.uint8)]) == [[]]


def test_fitting_finds_turn_scale_and_shift() -> None:
    template = np.array([[38, 51], [73, 51], [56, 71], [41, 92], [70, 92]], np.float32)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = (template @ turn.T * 1.7 + [5, -9]).astype(np.float32)
    back = fitted(moved, template)
    assert back is not None
    assert np.abs(moved @ back[:, :2].T + back[:, 2] - template).max() < 1e-3
    assert fitted(np.ones((5, 2), np.float32), template) is None


def test_files_of_ones_own_go_before_the_weights(models: dict[str, Path]) -> None:
    own = FaceOptions(detector=models[DETECTOR], embedder=models[EMBEDDER])
    elsewhere = PluginContext(weights={DETECTOR: Path("not-here"), EMBEDDER: Path("not-here")})
    assert len(make_backend(own, elsewhere).find([picture((100, 120, 40, "left"))])[0]) == 1


def test_files_that_are_something_else_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    swapped = PluginContext(weights={DETECTOR: models[EMBEDDER], EMBEDDER: models[EMBEDDER]})
    with pytest.raises(WeightsError, match=r"embedder\.onnx is no SCRFD detector"):
        make_backend(None, swapped)
    twice = PluginContext(weights={DETECTOR: models[DETECTOR], EMBEDDER: models[DETECTOR]})
    with pytest.raises(WeightsError, match=r"detector\.onnx is no ArcFace embedder"):
        make_backend(None, twice)
    broken = tmp_path / "broken.onnx"
    for data in (b"", b"not ONNX", models[DETECTOR].read_bytes()[:4000]):
        broken.write_bytes(data)
        with pytest.raises(WeightsError, match=r"broken\.onnx"):
            make_backend(FaceOptions(detector=broken), PluginContext(weights=models))
    with pytest.raises(WeightsError, match="not-here"):
        make_backend(FaceOptions(detector=tmp_path / "not-here.onnx"), PluginContext(weights=models))


def test_a_face_of_which_the_embedder_makes_nothing_has_none(models: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(models[EMBEDDER])
    values = model.graph.initializer[0]
    values.CopyFrom(onnx.numpy_helper.from_array(np.zeros((147, 512), np.float32), values.name))
    onnx.save(model, str(tmp_path / "dumb.onnx"))
    backend = make_backend(FaceOptions(embedder=tmp_path / "dumb.onnx"), PluginContext(weights=models))
    assert backend.find([picture((100, 120, 40, "left"))])[0][0].embedding is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": 100}, "multiple of 32, got 100"),
        ({"min_score": 1.0}, "min_score must be between 0 and 1, got 1.0"),
        ({"min_face": 0.0}, "min_face must be positive, got 0.0"),
        ({"min_cosine": 1.0}, "min_cosine must be between -1 and 1, got 1.0"),
        ({"max_distance": 0.0}, "max_distance must be between 0 and 1, got 0.0"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        replace(IdentityOptions(), **changes)


def test_the_doctor_names_versions_and_licence() -> None:
    ok, text = check_insightface()
    assert ok
    assert "insightface 2" in text
    assert "non-commercial" in text
