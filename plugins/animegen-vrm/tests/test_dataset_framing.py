"""Random cameras: the figure fills the picture, is seen mostly from the front, and distances stay natural."""

from __future__ import annotations

import numpy as np
import pytest
from animegen_vrm.framing import CHANCES, FRONT, FRONT_CHANCES, View, facing, frame, random_view, top_of_head

from animegen.avatar.data import FRAMINGS
from animegen.pose.canvas import hand_ends, head_ends
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array

SIZE = 256
CROWN = 0.8
FILL = 0.5  # pixels: what eight steps of aiming and zooming leave at most


def standing() -> Float32Array:
    """Somebody 1.6 m tall who faces +Z with the arms a little apart."""
    heights = {"nose": 1.45, "eye": 1.48, "ear": 1.47, "mouth": 1.4, "shoulder": 1.25, "elbow": 1.0, "wrist": 0.8,
               "hip": 0.8, "knee": 0.45, "ankle": 0.08, "heel": 0.03, "foot": 0.02}  # fmt: skip
    points = np.zeros((35, 3), np.float32)
    for i, name in enumerate(AVATAR35.points):
        words = name.split("_")
        joint = next((word for word in words if word in heights), "wrist")
        side = 1 if "left" in words else -1 if "right" in words else 0
        apart = {"eye": 0.03, "ear": 0.07, "mouth": 0.02, "elbow": 0.3, "wrist": 0.35}.get(joint, 0.13)
        points[i] = side * apart, heights[joint], 0.1 if joint in ("nose", "mouth", "foot") else 0.0
    return points


def view(framing: str, **changes: object) -> View:
    values = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "fov": 25.0, "margin": 0.1, "shift": (0.0, 0.0)}
    return View(FRAMINGS.index(framing), **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("yaw", [0.0, 80.0, 200.0])
@pytest.mark.parametrize("roll", [-10.0, 7.0])
def test_the_whole_figure_fills_the_picture(yaw: float, roll: float) -> None:
    points = standing()
    camera = frame(view("full", yaw=yaw, roll=roll, pitch=20.0), points, CROWN, SIZE)
    whole = np.concatenate([points, [top_of_head(points.astype(np.float64), CROWN)]])
    xy, _ = camera.project(whole)
    low, high = xy.min(axis=0), xy.max(axis=0)
    assert (high - low).max() == pytest.approx(SIZE / 1.2, abs=FILL)
    assert (low + high) / 2 == pytest.approx((SIZE - 1) / 2, abs=FILL)


def test_from_the_front_left_is_on_the_right() -> None:
    points = standing()
    xy, distance = frame(view("full"), points, CROWN, SIZE).project(points)
    left, right, nose = (AVATAR35.index(name) for name in ("left_wrist", "right_wrist", "nose"))
    assert xy[left, 0] > xy[right, 0]
    assert distance[nose] < distance[left]
    behind, _ = frame(view("full", yaw=180.0), points, CROWN, SIZE).project(points)
    assert behind[left, 0] < behind[right, 0]
    _, distance = frame(view("full", yaw=90.0), points, CROWN, SIZE).project(points)
    assert distance[left] < distance[right]


def test_half_and_head_leave_the_rest_outside() -> None:
    points = standing()
    names = ("nose", "left_hip", "left_knee", "left_ankle")
    visible = {}
    for framing, knees in (("head", False), ("half", False), ("half", True)):
        xy, _ = frame(view(framing, knees=knees), points, CROWN, SIZE).project(points)
        visible[framing, knees] = [bool(xy[AVATAR35.index(name), 1] < SIZE) for name in names]
    assert visible == {
        ("head", False): [True, False, False, False],
        ("half", False): [True, True, False, False],
        ("half", True): [True, True, True, False],
    }


def test_a_head_is_taken_by_zooming_in() -> None:
    points = standing()
    nose = points[AVATAR35.index("nose")][None]
    _, far = frame(view("full"), points, CROWN, SIZE).project(nose)
    _, near = frame(view("head"), points, CROWN, SIZE).project(nose)
    assert near == pytest.approx(far, rel=0.02)  # the camera stands where it stood


@pytest.mark.parametrize("yaw", [0.0, 90.0, 180.0])
@pytest.mark.parametrize("pitch", [-10.0, 25.0])
def test_a_face_is_as_large_however_it_is_turned(yaw: float, pitch: float) -> None:
    points = standing()
    ends = head_ends(points.astype(np.float64), CROWN)
    camera = frame(view("face", yaw=yaw, pitch=pitch, margin=0.25), points, CROWN, SIZE)
    length = float(np.linalg.norm(ends[0] - ends[1])) * camera.pixels_per_metre(ends.mean(axis=0))
    assert length == pytest.approx(SIZE / 1.5, abs=FILL)
    xy, _ = camera.project(ends)
    assert xy.mean(axis=0) == pytest.approx((SIZE - 1) / 2, abs=FILL)
    assert xy[0, 1] < xy[1, 1]


@pytest.mark.parametrize("yaw", [0.0, 90.0, 180.0])
@pytest.mark.parametrize("raised", [False, True])
def test_a_hand_is_as_large_however_it_is_turned(yaw: float, raised: bool) -> None:
    points = standing()
    wrist = AVATAR35.index("right_wrist")
    for finger, beside in (("index", 0.03), ("pinky", -0.03)):
        along = (beside, 0.0, 0.08) if raised else (0.0, -0.08, beside)
        points[AVATAR35.index(f"right_{finger}")] = points[wrist] + np.float32(along)
    ends = hand_ends(points.astype(np.float64))
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(0.16)
    camera = frame(view("hand", yaw=yaw, margin=0.3), points, CROWN, SIZE)
    assert 0.16 * camera.pixels_per_metre(ends.mean(axis=0)) == pytest.approx(SIZE / 1.6, abs=FILL)
    xy, _ = camera.project(ends)
    assert xy.mean(axis=0) == pytest.approx((SIZE - 1) / 2, abs=FILL)


def test_a_framing_may_be_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert {random_view(rng, 4).framing for _ in range(9)} == {4}


def test_facing_follows_the_body() -> None:
    points = standing().astype(np.float64)
    assert facing(points) == pytest.approx([0, 0, 1])
    assert facing(points[:, [2, 1, 0]] * [1, 1, -1]) == pytest.approx([1, 0, 0])


def test_views_are_as_often_as_they_should_be() -> None:
    rng = np.random.default_rng(0)
    views = [random_view(rng) for _ in range(4000)]
    shares = np.bincount([v.framing for v in views], minlength=len(FRAMINGS)) / len(views)
    assert shares == pytest.approx(CHANCES, abs=0.03)  # four standard deviations of 4000 draws
    in_front = np.dot(CHANCES, FRONT_CHANCES)
    assert np.mean([abs(v.yaw) <= FRONT for v in views]) == pytest.approx(in_front, abs=0.03)
