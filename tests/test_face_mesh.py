"""The face backend facemesh on a photograph and a drawing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from animegen.builtin import animegen_face_backends
from animegen.errors import InvalidValue, WeightsError
from animegen.plugins import PluginHost
from animegen.protocols import FaceBackend, PluginContext
from animegen.testing import check_face_backend
from animegen.types import FACE_POINTS, Face

EYES = np.array([[204, 101], [246, 103]])
"""The middles of the astronaut's eyes, by hand."""
MOUTH = np.array([[201, 139], [245, 141]])
BY_HAND = 4.0
"""Pixels by which a point set by hand may be off, of an eye 20 pixels wide."""


@pytest.fixture(scope="module")
def backend(face_weights) -> FaceBackend:
    host = PluginHost.load()
    return host.create(host.find("face", "facemesh"), None, PluginContext(weights=face_weights))


def test_the_contract(backend):
    check_face_backend(backend)
    check_face_backend(backend, [astronaut()[:256, 64:384]])


def test_the_five_points_of_a_photograph(backend):
    ((found,),) = backend.find([astronaut()])
    assert found.score > 0.9
    assert np.abs(found.points[:2] - EYES).max() < BY_HAND
    assert np.abs(found.points[3:] - MOUTH).max() < BY_HAND
    assert (found.bbox[:2] < found.points.min(axis=0)).all()
    assert (found.bbox[2:] > found.points.max(axis=0)).all()


def test_the_outline_holds_the_face_and_not_the_hair(backend):
    ((found,),) = backend.find([astronaut()])
    mask = found.mask
    inside = cv2.warpAffine(mask.alpha, mask.affine, (512, 512))
    columns, rows = found.points.round().astype(int).T
    assert (inside[rows, columns] == 255).all()
    assert inside[40, 225] == inside[100, 160] == inside[220, 225] == 0


def test_it_finds_a_tilted_head_and_several_faces(backend):
    image = astronaut()
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((225, 110), 25, 1.0), (512, 300))
    ((found,),) = backend.find([turned])
    wanted = np.deg2rad(-25) + np.arctan2(*(EYES[1] - EYES[0])[::-1])
    across = found.points[1] - found.points[0]
    assert np.arctan2(across[1], across[0]) == pytest.approx(wanted, abs=0.08)
    both = np.hstack([image[:300, 80:370], image[:300, 80:370][:, ::-1]])
    (found,) = backend.find([both])
    assert sorted(face.bbox[0] > 290 for face in found) == [False, True]


def test_a_drawing_without_a_face_has_none(backend):
    yy, xx = np.mgrid[:200, :200]
    assert backend.find([np.dstack(3 * [(xx + yy).astype(np.uint8)])]) == [[]]


def test_it_is_announced_with_its_weights_and_refuses_others(tmp_path, face_weights):
    (spec,) = animegen_face_backends()
    assert set(spec.weights) == set(face_weights)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    host = PluginHost.load()
    context = PluginContext(weights={**face_weights, "face-detector": broken})
    with pytest.raises(WeightsError, match=r"broken\.tflite"):
        host.create(spec_of(host), None, context)


def spec_of(host):
    return host.find("face", "facemesh")


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("points", np.zeros((4, 2), np.float32), r"Face\.points must be \(5, 2\), got \(4, 2\)"),
        ("bbox", np.zeros(4), r"Face\.bbox must be float32"),
        ("embedding", np.full(3, np.nan, np.float32), r"Face\.embedding holds a value that is not finite"),
    ],
)
def test_a_face_that_is_none_is_refused(field, value, refusal):
    whole = {"bbox": np.array([0, 0, 9, 9], np.float32), "score": 1.0, "points": np.zeros((5, 2), np.float32)}
    assert len(FACE_POINTS) == len(whole["points"])
    with pytest.raises(InvalidValue, match=refusal):
        Face(**{**whole, field: value})
