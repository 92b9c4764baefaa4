"""Expressions: measured on photographs, steadied over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from animegen.pose.blazepose import BlazePoseOptions, make_blazepose
from animegen.pose.expression import EYE_CORNERS, LEAST_SIDE, Eye, measure_expression
from animegen.pose.expression import steady_expressions as steady
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75
from animegen.protocols import PluginContext, PoseBackend
from animegen.types import Expression, Frame, Pose, Uint8Array

RATE = 30.0
SAME = 1e-3
"""Geometry in float32 pixels."""
CLOSED, OPEN = 0.7, 0.35
"""Lids of a photograph that anybody would call closed, and open (laughing narrows the eyes)."""
HALVED = 0.3
"""What half the size of a face may change in its expression: a lid of 4 pixels is told to one of them."""


def backend(weights: dict[str, Path], **options: bool) -> PoseBackend:
    return make_blazepose(BlazePoseOptions(**options), PluginContext(weights=weights))


def poses_of(image: Uint8Array, found_by: PoseBackend) -> list[Pose]:
    return next(iter(found_by.estimate([Frame(0, Fraction(0), image)])))


def picture(path: Path) -> Uint8Array:
    return np.asarray(Image.open(path).convert("RGB"))


def the_one_near(poses: Sequence[Pose], x: float) -> Expression:
    """The expression of whose nose lies nearest to a column of the picture."""
    pose = min(poses, key=lambda pose: abs(pose.xy[BLAZEPOSE33.index("nose"), 0] - x))
    assert pose.expression is not None
    return pose.expression


@pytest.fixture(scope="module")
def faces(blazepose_weights: dict[str, Path]) -> PoseBackend:
    return backend(blazepose_weights, hands=False)


def test_a_smile_with_open_eyes_that_look_ahead(faces: PoseBackend) -> None:
    (pose,) = poses_of(astronaut(), faces)
    face = pose.expression
    assert face is not None
    assert face.confidence > 0.9
    assert max(face.blink_l, face.blink_r) < OPEN
    assert face.ee > max(face.aa, face.ou, face.oh, 0.25), "teeth shown by a wide mouth"
    assert max(abs(face.gaze_x), abs(face.gaze_y)) < 0.5


def test_a_laugh_opens_the_mouth(faces: PoseBackend, shared: Path) -> None:
    image = picture(shared / "images" / "pexels-fauxels-3184419.jpg")
    laughing = [pose.expression for pose in poses_of(image, faces) if pose.expression is not None]
    assert len(laughing) == 5
    assert sum(face.aa > 0.5 for face in laughing) == 4
    assert all(max(face.aa, face.ee) > 0.4 for face in laughing), "the fifth laughs with his teeth together"
    assert all(max(face.blink_l, face.blink_r) < 0.5 for face in laughing)


EYES = {(156, 362): (197, 380), (922, 480): (960, 454), (1230, 422): (1274, 426)}
"""In the picture of five who laugh: the right and left eyes of three who hold their heads aslant, read off by hand."""


def test_the_points_of_a_face_are_where_it_is(faces: PoseBackend, shared: Path) -> None:
    poses = poses_of(picture(shared / "images" / "pexels-fauxels-3184419.jpg"), faces)
    right, left = (BLAZEPOSE33.index(f"{side}_eye") for side in ("right", "left"))
    for eyes in EYES.items():
        off = min(abs(pose.xy[[right, left]] - eyes).max() for pose in poses)
        assert off <= 6, "read off to two pixels, and an eye is 15 wide"


def test_closed_eyes_are_told_from_open_ones(faces: PoseBackend, shared: Path) -> None:
    poses = poses_of(picture(shared / "images" / "pexels-jack-sparrow-4046265.jpg"), faces)
    eyes = sorted((pose.expression.blink_l + pose.expression.blink_r) / 2 for pose in poses if pose.expression)
    assert len(eyes) == 2
    assert eyes[0] < OPEN
    assert eyes[1] > CLOSED


def test_a_mirrored_picture_has_the_mirrored_face(faces: PoseBackend) -> None:
    (one,), (other,) = poses_of(astronaut(), faces), poses_of(np.ascontiguousarray(astronaut()[:, ::-1]), faces)
    assert one.expression is not None
    assert other.expression is not None
    assert np.abs(np.subtract(astuple(one.expression), astuple(other.expression)))[:8].max() < HALVED
    assert abs(one.expression.gaze_x + other.expression.gaze_x) < HALVED


def test_small_faces_are_measured_alike_and_tiny_ones_not_at_all(faces: PoseBackend) -> None:
    (pose,) = poses_of(astronaut(), faces)
    side = 169  # of the face's region in this picture
    half = cv2.resize(astronaut(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    (small,) = poses_of(half, faces)
    assert pose.expression is not None
    assert small.expression is not None
    assert np.abs(np.subtract(astuple(pose.expression), astuple(small.expression))).max() < HALVED
    scale = 0.8 * LEAST_SIDE / side
    tiny = cv2.resize(astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    assert all(pose.expression is None for pose in poses_of(tiny, faces))


def test_faces_and_hands_can_be_switched_off_and_change_no_body_below_heads(blazepose_weights: dict[str, Path]) -> None:
    image = astronaut()
    plain = backend(blazepose_weights, face=False, hands=False)
    whole = backend(blazepose_weights)
    assert (plain.skeleton, whole.skeleton) == (BLAZEPOSE33, BLAZEPOSE75)
    (bare,), (full,) = poses_of(image, plain), poses_of(image, whole)
    assert bare.expression is None
    assert full.expression is not None
    assert full.skeleton == BLAZEPOSE75
    body = slice(BLAZEPOSE33.index("left_shoulder"), len(BLAZEPOSE33))
    assert np.array_equal(full.xy[body], bare.xy[body])
    assert np.array_equal(full.score[: len(BLAZEPOSE33)], bare.score)
    assert np.array_equal(full.bbox, bare.bbox)


def drawn_face(*, lids: float = 0.32, lips: float = 0.02, mouth: float = 0.56, gaze: float = 0.0) -> tuple[
    NDArray[np.float32], tuple[Eye, Eye]
]:  # fmt: skip
    """A face 100 pixels from eye to eye, looking at us: the few points that count."""
    mesh = np.zeros((468, 3), np.float32)
    eyes = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        outer, inner = EYE_CORNERS[side]
        mesh[outer, 0], mesh[inner, 0] = sign * 50, sign * 16
        mesh[334 if side == "left" else 105, :2] = sign * 33, -32.5
        angle = np.linspace(0, np.pi, 9)
        half = np.stack([33 * sign + 17 * sign * np.cos(angle), 17 * lids * 1.15 * np.sin(angle)], axis=1)
        ring = np.concatenate([half, half[1:8] * (1, -1)])
        eyes.append(Eye(ring.astype(np.float32), np.array([33 * sign + gaze * 34, -0.02 * 34], np.float32)))
    mesh[[13, 14], 1] = 60 - 50 * lips, 60 + 50 * lips
    mesh[[61, 291], 0], mesh[[61, 291], 1] = (-50 * mouth, 50 * mouth), 60
    return mesh, (eyes[0], eyes[1])


def measured(**face: float) -> Expression:
    mesh, eyes = drawn_face(**face)
    return measure_expression(mesh, eyes, presence=1.0, side=200.0)


def test_each_feature_moves_its_own_value() -> None:
    calm = measured()
    assert max(astuple(calm)[:7]) < 0.05
    assert calm.confidence == 1
    assert measured(lids=0.06).blink_l == measured(lids=0.06).blink_r == 1
    assert measured(lips=0.4).aa == 1
    assert measured(lips=0.4, mouth=0.4).oh == 1
    assert measured(mouth=0.4).ou > 0.9
    assert measured(lips=0.14, mouth=0.75).ee > 0.5
    assert measured(gaze=0.3).gaze_x == 0, "an iris outside of its eye was not seen"
    assert measured(gaze=0.15).gaze_x > 0.5 > -0.5 > measured(gaze=-0.15).gaze_x
    assert 0 < measured(gaze=0.15, lids=0.2).gaze_x < measured(gaze=0.15).gaze_x, "lids that come down hide it"


@settings(max_examples=30, deadline=None)
@given(
    lids=st.floats(0.05, 0.4), lips=st.floats(0, 0.4), mouth=st.floats(0.35, 0.8), gaze=st.floats(-0.2, 0.2),
    scale=st.floats(0.5, 4), angle=st.floats(-3, 3), shift=st.floats(-500, 2000),
)  # fmt: skip
def test_neither_size_nor_place_nor_tilt_matters(  # noqa: PLR0917
    lids: float, lips: float, mouth: float, gaze: float, scale: float, angle: float, shift: float
) -> None:
    mesh, eyes = drawn_face(lids=lids, lips=lips, mouth=mouth, gaze=gaze)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def moved(points: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(points @ turn.T + shift, np.float32)

    other = mesh * np.float32(scale)
    other[:, :2] = moved(mesh[:, :2])
    left, right = (Eye(moved(eye.lids), moved(eye.iris)) for eye in eyes)
    there = measure_expression(other, (left, right), presence=1.0, side=200.0)
    here = measure_expression(mesh, eyes, presence=1.0, side=200.0)
    # float32 pixels two thousand away from the origin
    assert np.allclose(astuple(there), astuple(here), atol=0.02)


def test_a_face_turned_aside_or_small_is_less_sure() -> None:
    mesh, eyes = drawn_face()
    turned = mesh.copy()
    turned[:, 0], turned[:, 2] = mesh[:, 0] * np.cos(1.0), mesh[:, 0] * np.sin(1.0)
    assert measure_expression(turned, eyes, presence=1.0, side=200.0).confidence < 0.5
    assert measure_expression(mesh, eyes, presence=1.0, side=LEAST_SIDE).confidence == 0
    assert measure_expression(mesh, eyes, presence=0.6, side=200.0).confidence == pytest.approx(0.6)


def lids_of(faces: Sequence[Expression | None]) -> NDArray[np.float64]:
    assert all(face is not None for face in faces)
    return np.array([face.blink_l for face in faces if face is not None])


def course(lids: Sequence[float], confidence: Sequence[float] | None = None) -> list[Expression | None]:
    sure = [1.0] * len(lids) if confidence is None else confidence
    return [Expression(blink_l=b, blink_r=b, confidence=c) for b, c in zip(lids, sure, strict=True)]


def seconds(frames: int) -> NDArray[np.float64]:
    return np.arange(frames) / RATE


def test_a_blink_survives_smoothing_and_noise_does_not() -> None:
    lids = np.full(90, 0.1)
    lids[40:45] = (0.5, 0.95, 1.0, 0.9, 0.4)
    noisy = np.clip(lids + np.random.default_rng(0).normal(0, 0.05, 90), 0, 1)
    smooth = lids_of(steady(seconds(90), course(noisy.tolist())))
    assert smooth[41:44].max() > 0.85
    assert smooth.argmax() in (41, 42, 43)
    rest = [*range(35), *range(52, 90)]
    assert smooth[rest].std() < 0.7 * noisy[rest].std()
    assert smooth[rest].mean() < 0.06, "what is usual for a person counts as open"


def test_smoothing_looks_both_ways() -> None:
    lids = np.random.default_rng(1).uniform(0, 1, 40).tolist()
    forwards, backwards = steady(seconds(40), course(lids)), steady(seconds(40), course(lids[::-1]))
    assert np.allclose(lids_of(forwards), lids_of(backwards)[::-1], atol=SAME)


def test_unsure_frames_follow_those_around_and_fade() -> None:
    for length in (2, 6):
        lids, sure = [0.0] * 30, [1.0] * 30
        lids[12 : 12 + length], sure[12 : 12 + length] = [1.0] * length, [0.02] * length
        shown = lids_of([face and face.calmed() for face in steady(seconds(30), course(lids, sure))])
        assert shown.max() < 0.1
    gone: list[Expression | None] = [*course([0.0] * 20), *[None] * 20]
    confidence = np.array([face.confidence for face in steady(seconds(40), gone) if face is not None])
    assert len(confidence) == 40
    assert confidence[-1] < 0.05
    assert np.abs(np.diff(confidence)).max() < 0.5, "confidence falls over several frames"


def test_whoever_sleeps_keeps_eyes_closed() -> None:
    assert lids_of(steady(seconds(60), course([0.95] * 60))).min() > CLOSED


def test_a_track_without_faces_gets_none() -> None:
    assert steady(seconds(5), [None] * 5) == [None] * 5
