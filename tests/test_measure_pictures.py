"""Figures compared: shape, picture, colours, features and motion, on pictures whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animegen.errors import InvalidValue, WeightsError
from animegen.measure.features import FeatureExtractor, frechet_distance, kernel_distance
from animegen.measure.motion import moved, optical_flow, warp_error
from animegen.measure.pictures import (
    BEST_PSNR,
    GREY,
    alpha_iou,
    difference,
    foreground_psnr,
    foreground_ssim,
    over_grey,
    part_colour_errors,
    soft_iou,
    summary,
)

SIZE = 64
ROUNDING = 1e-9
"""Sums of a few float64 numbers are exact to this."""

FLOW_ERROR = 0.35
"""Pixels: what dense inverse search is off by on a smooth texture moved by a few pixels, away from the edges."""


def square(x: int, y: int, side: int, colour: tuple[int, int, int] = (200, 60, 30), alpha: int = 255) -> np.ndarray:
    """A square figure, premultiplied."""
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[y : y + side, x : x + side] = (*(np.array(colour) * alpha // 255), alpha)
    return rgba


def texture(seed: int = 0, size: int = 128) -> np.ndarray:
    noise = np.random.default_rng(seed).random((size, size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.asarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX), np.float32).astype(np.uint8)


@given(st.integers(0, 20))
@settings(deadline=None)
def test_overlap_of_two_squares_is_what_geometry_says(shift):
    a, b = square(10, 10, 20), square(10 + shift, 10, 20)
    common = 20 * (20 - shift)
    assert alpha_iou(a, b) == pytest.approx(common / (800 - common), abs=ROUNDING)
    assert soft_iou(a, b) == pytest.approx(alpha_iou(a, b), abs=ROUNDING)


def test_half_coverage_counts_and_less_does_not():
    whole = square(10, 10, 20)
    assert alpha_iou(whole, square(10, 10, 20, alpha=128)) == 1
    assert alpha_iou(whole, square(10, 10, 20, alpha=127)) == 0
    assert soft_iou(whole, square(10, 10, 20, alpha=127)) == pytest.approx(127 / 255, abs=ROUNDING)


def test_pictures_lie_on_grey():
    laid = over_grey(square(0, 0, 8, alpha=128))
    assert laid[40, 40].tolist() == [GREY] * 3
    assert laid[4, 4].tolist() == [100 + 64, 30 + 64, 15 + 64]


def test_psnr_is_over_the_figures_alone():
    truth = square(10, 10, 20, (100, 100, 100))
    assert foreground_psnr(truth, truth) == BEST_PSNR
    # off by 10 steps at every pixel of the figure, however much ground there is
    assert foreground_psnr(truth, square(10, 10, 20, (110, 110, 110))) == pytest.approx(20 * math.log10(25.5), abs=1e-6)
    # what is missing counts as grey: 28 steps off
    assert foreground_psnr(truth, square(0, 0, 0)) == pytest.approx(20 * math.log10(255 / 28), abs=1e-6)


def test_what_is_drawn_beside_the_figure_counts():
    truth = square(10, 10, 20, (100, 100, 100))
    ghost = np.maximum(truth, square(40, 40, 12, (255, 255, 255)))
    assert foreground_psnr(truth, ghost) < 15
    assert foreground_ssim(truth, ghost) < foreground_ssim(truth, truth) == pytest.approx(1)


def test_empty_pictures_have_a_shape_but_no_picture():
    empty = square(0, 0, 0)
    assert alpha_iou(empty, empty) == soft_iou(empty, empty) == 1
    assert math.isnan(foreground_psnr(empty, empty)) and math.isnan(foreground_ssim(empty, empty))


def test_part_colours_are_compared_where_the_truth_has_them():
    truth = np.maximum(square(0, 0, 10, (200, 60, 30)), square(20, 20, 4, (10, 10, 250)))
    parts = np.zeros((SIZE, SIZE), np.uint8)
    parts[:10, :10] = 4
    parts[20:24, 20:24] = 3
    same = part_colour_errors(truth, truth, parts)
    assert same[3] == 0 and np.isnan(np.delete(same, 3)).all()  # the 16 pixels of the eyes are too few
    assert part_colour_errors(truth, truth, parts, min_pixels=16)[2] == 0
    other = part_colour_errors(truth, square(0, 0, 10, (30, 60, 200)), parts)
    assert other[3] > 40
    outlier = truth.copy()
    outlier[:4, :10] = (0, 255, 0, 255)  # a lock across the part does not move its median
    assert part_colour_errors(truth, outlier, parts)[3] == 0


def test_part_colours_want_one_size():
    with pytest.raises(InvalidValue, match="one size"):
        part_colour_errors(square(0, 0, 9), square(0, 0, 9), np.zeros((8, 8), np.uint8))


def test_the_difference_shows_where_pictures_differ():
    a = square(10, 10, 20, (100, 100, 100))
    assert not difference(a, a).any()
    assert difference(a, square(10, 10, 20, (110, 100, 100)))[15, 15].tolist() == [20, 0, 0]


def test_a_summary_leaves_out_what_was_not_measured():
    values = np.array([1.0, np.nan, 2.0, 6.0])
    assert summary(values, higher_is_better=True) == {"mean": 3.0, "median": 2.0, "worst": 1.0, "count": 3}
    assert summary(values, higher_is_better=False)["worst"] == 6.0
    assert summary(np.array([np.nan]), higher_is_better=True) == {
        "mean": None, "median": None, "worst": None, "count": 0
    }  # fmt: skip


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((4000, 3)) * [1.0, 2.0, 0.5]
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + np.array([3.0, 0.0, 4.0])) == pytest.approx(25, abs=1e-6)
    # of the same mean, the distance is the sum of squared differences of the deviations
    scaled = (a - a.mean(axis=0)) * [2.0, 1.0, 1.0] + a.mean(axis=0)
    assert frechet_distance(a, scaled) == pytest.approx(a[:, 0].var(ddof=1), rel=0.1)


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(2)
    draws = [kernel_distance(rng.standard_normal((20, 8)), rng.standard_normal((25, 8))) for _ in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / math.sqrt(len(draws))
    assert min(draws) < 0
    assert kernel_distance(rng.standard_normal((20, 8)), 2 + rng.standard_normal((25, 8))) > max(draws)


def test_features_of_other_shapes_or_too_few_are_refused():
    with pytest.raises(InvalidValue, match=r"\(5, 3\) and \(5, 4\)"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(InvalidValue, match="two pictures"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))


def test_any_picture_model_gives_features(shared):
    extractor = FeatureExtractor(shared / "models" / "blazeface_short_128.tflite")
    pictures = [texture(seed, 96) for seed in range(3)]
    features = extractor(pictures)
    assert features.shape[0] == 3 and features.ndim == 2
    assert np.array_equal(features, extractor(pictures))
    assert extractor.name in str(extractor) and extractor.sha256 in str(extractor)


def test_what_is_no_picture_model_is_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match="missing"):
        FeatureExtractor(tmp_path / "none.tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model at all" * 10)
    with pytest.raises(WeightsError, match=r"broken\.tflite"):
        FeatureExtractor(broken)


def test_flow_finds_a_shift():
    first = texture()
    second = moved(first, np.array([[1.0, 0, 3], [0, 1, -2]]))
    flow = optical_flow(first, second)[16:-16, 16:-16]
    assert np.abs(flow - [3, -2]).mean() < FLOW_ERROR


def test_warp_error_of_what_moves_with_the_truth_is_the_truths_own():
    first = texture()
    second = moved(first, np.array([[1.0, 0, 3], [0, 1, -2]]))
    steady = warp_error((first, second), (first, second))
    assert steady.output == steady.truth
    flicker = np.clip(second.astype(int) + 20, 0, 255).astype(np.uint8)
    assert warp_error((first, second), (first, flicker)).output > 3 * steady.truth
