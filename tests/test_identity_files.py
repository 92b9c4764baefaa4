"""Crops: geometry, round trips and what is said about a bad file."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.errors import InputError, InvalidValue
from animegen.identity import load_crops, save_crops, take_crop
from animegen.pose.skeletons import BLAZEPOSE33, COCO17
from animegen.testing import synthetic_pose
from animegen.types import Frame, Mask, Pose


def frame_with_dot(width: int, height: int, x: float, y: float) -> Frame:
    """Black, with a soft white dot at (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    return Frame(3, Fraction(1, 10), np.repeat(dot.round().astype(np.uint8)[..., None], 3, axis=2))


def pose_at(x: float, y: float, box: tuple[float, float, float, float]) -> Pose:
    xy = np.full((17, 2), (x, y), np.float32)
    return Pose(COCO17, xy, np.ones(17, np.float32), np.array(box, np.float32), z=np.full(17, 10, np.float32))


def centre(image: np.ndarray) -> np.ndarray:
    weight = image.astype(np.float64)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(x=st.floats(150, 350), y=st.floats(150, 250), half=st.floats(40, 140), side=st.sampled_from([64, 100, 256, 999]))
def test_points_and_mask_stay_on_the_picture(x: float, y: float, half: float, side: int) -> None:
    frame = frame_with_dot(500, 400, x, y)
    alpha = frame.image[::2, ::2, 0].copy()
    mask = Mask(alpha, np.array([[2.0, 0, 0], [0, 2.0, 0]]))
    pose = replace(pose_at(x, y, (x - half, y - half, x + half, y + half)), mask=mask)
    crop = take_crop(frame, pose, max_side=side)
    assert max(crop.image.shape[:2]) <= side
    # A tenth of a crop pixel: rounding of 8-bit dots.
    assert np.allclose(centre(crop.image[..., 0]), crop.pose.xy[0], atol=0.1)
    assert crop.pose.mask is not None
    assert crop.pose.mask.alpha.shape == crop.image.shape[:2]
    assert np.allclose(centre(crop.pose.mask.alpha), crop.pose.xy[0], atol=0.25)
    shrunk = (crop.pose.bbox[2] - crop.pose.bbox[0]) / (2 * half)
    assert crop.pose.z is not None
    assert crop.pose.z[0] == pytest.approx(10 * shrunk, rel=0.02)


@pytest.mark.parametrize("box", [(-50, -50, 40, 40), (480, 380, 700, 600), (900, 900, 950, 950), (10, 10, 10, 10)])
def test_boxes_at_and_beyond_the_edge(box: tuple[float, float, float, float]) -> None:
    crop = take_crop(frame_with_dot(500, 400, 0, 0), pose_at(box[0], box[1], box))
    assert min(crop.image.shape[:2]) >= 1


def test_crops_survive_the_file(tmp_path: Path) -> None:
    frame = frame_with_dot(500, 400, 200, 200)
    mask = Mask(frame.image[..., 0].copy(), np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    bare = pose_at(200, 200, (100, 100, 300, 300))
    crops = [take_crop(frame, bare), take_crop(frame, replace(bare, mask=mask, z=None))]
    path = tmp_path / "crops.part"
    save_crops(path, crops)
    again = tmp_path / "again.npz"
    save_crops(again, crops)
    assert path.read_bytes() == again.read_bytes()
    back = load_crops(path)
    assert [crop.frame_index for crop in back] == [3, 3]
    for one, other in zip(crops, back, strict=True):
        assert other.pose.skeleton == COCO17
        assert np.array_equal(one.pose.xy, other.pose.xy)
        assert np.array_equal(one.pose.bbox, other.pose.bbox)
        assert np.abs(one.image.astype(int) - other.image).mean() < 2  # JPEG
    assert back[0].pose.mask is None
    assert back[1].pose.z is None
    assert back[1].pose.mask is not None
    assert crops[1].pose.mask is not None
    assert np.array_equal(back[1].pose.mask.alpha, crops[1].pose.mask.alpha)


def test_no_crops_are_a_file_too(tmp_path: Path) -> None:
    save_crops(tmp_path / "none.npz", [])
    assert load_crops(tmp_path / "none.npz") == []


def test_a_damaged_file_of_crops_is_named(tmp_path: Path) -> None:
    path = tmp_path / "crops.npz"
    save_crops(path, [take_crop(frame_with_dot(99, 99, 50, 50), pose_at(50, 50, (20, 20, 80, 80)))])
    for size in (0, 10, path.stat().st_size // 2):
        broken = tmp_path / "broken.npz"
        broken.write_bytes(path.read_bytes()[:size])
        with pytest.raises(InputError, match=r"broken\.npz is damaged"):
            load_crops(broken)


def test_crops_of_two_skeletons_are_refused(tmp_path: Path) -> None:
    frame = frame_with_dot(320, 240, 50, 50)
    crops = [take_crop(frame, synthetic_pose(skeleton)) for skeleton in (COCO17, BLAZEPOSE33)]
    with pytest.raises(InvalidValue, match="blazepose33 and coco17"):
        save_crops(tmp_path / "crops.npz", crops)
