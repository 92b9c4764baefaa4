"""An evaluation of generators whose faults are known: figures of capsules, drawn well or with one thing wrong."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_inception import inception

from animegen.avatar.data import AvatarEntry, ClipEntry, Dataset, DatasetWriter, Header, Sample
from animegen.avatar.layers import LAYERS
from animegen.cli import cli, main
from animegen.errors import OutputError, UsageError
from animegen.pipeline.avatar_pairs import Pairs, canvas_points
from animegen.pipeline.avatar_report import check_report_folder, contact_sheet, write_report
from animegen.pipeline.evaluate_avatar import Evaluation, EvaluationOptions, evaluate_avatar
from animegen.pose.skeletons import AVATAR35

SIDE = 64
AVATARS = ("round", "slim", "tall")
CLIPS = (("walk", "train"), ("dance", "test"), ("jump", "test"))

UPRIGHT = {
    "nose": (0.5, 0.17), "left_eye": (0.52, 0.15), "right_eye": (0.48, 0.15), "left_ear": (0.55, 0.16),
    "right_ear": (0.45, 0.16), "mouth_left": (0.515, 0.2), "mouth_right": (0.485, 0.2), "left_shoulder": (0.6, 0.28),
    "right_shoulder": (0.4, 0.28), "left_elbow": (0.68, 0.4), "right_elbow": (0.32, 0.4), "left_wrist": (0.72, 0.52),
    "right_wrist": (0.28, 0.52), "left_hip": (0.56, 0.54), "right_hip": (0.44, 0.54), "left_knee": (0.58, 0.72),
    "right_knee": (0.42, 0.72), "left_ankle": (0.59, 0.9), "right_ankle": (0.41, 0.9),
}  # fmt: skip
LIMBS = (  # ends, part of the palette from 1, radius
    ("left_shoulder", "right_hip", 4, 0.07), ("right_shoulder", "left_hip", 4, 0.07), ("nose", "nose", 2, 0.08),
    ("left_ear", "right_ear", 1, 0.05), ("left_shoulder", "left_elbow", 4, 0.035),
    ("right_shoulder", "right_elbow", 4, 0.035), ("left_elbow", "left_wrist", 2, 0.03),
    ("right_elbow", "right_wrist", 2, 0.03), ("left_hip", "left_knee", 5, 0.05), ("right_hip", "right_knee", 5, 0.05),
    ("left_knee", "left_ankle", 6, 0.04), ("right_knee", "right_ankle", 6, 0.04),
)  # fmt: skip


def pose(rng: np.random.Generator) -> np.ndarray:
    """AVATAR35 points in canvas units: upright, with limbs swung at random; points not named lie at the wrists."""
    places = [UPRIGHT.get(name) or UPRIGHT[f"{name.split('_')[0]}_wrist"] for name in AVATAR35.points]
    points = np.array(places)
    named = np.array([name in UPRIGHT for name in AVATAR35.points])
    return (points + named[:, None] * rng.normal(0, 0.012, points.shape)).astype(np.float32)


def figure(points: np.ndarray, avatar: int, side: int) -> np.ndarray:
    """Capsules along the limbs with smooth edges: uint8 [side, side, 10]."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    layers = np.zeros((side, side, LAYERS), np.float32)
    for first, second, part, radius in LIMBS:
        a, b = (points[AVATAR35.index(end)] for end in (first, second))
        d = b - a
        along = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1]) / max(d @ d, 1e-9), 0, 1)
        away = np.hypot(x - a[0] - along * d[0], y - a[1] - along * d[1])
        cover = np.clip((radius * (1 - 0.15 * avatar) - away) * side + 0.5, 0, 1)[..., None]
        ink = np.zeros(LAYERS, np.float32)
        ink[0], ink[part] = 1, 0.7
        layers = layers * (1 - cover) + ink * cover
    return np.rint(layers * 255).astype(np.uint8)


class Draws:
    """Draws the capsules; ``fault`` may change what is asked or what is drawn."""

    avatars = tuple({"name": name} for name in AVATARS)
    stages = (16, 32, 64, 128)

    def __init__(self, move: float = 0.0, fault: Callable[[np.ndarray], np.ndarray] = lambda layers: layers) -> None:
        self.move, self.fault = np.array([move, 0], np.float32), fault

    def draw(self, xy, z, score, *, expression, avatar, stage):
        assert xy.shape[1:] == (35, 2) and z.shape == score.shape == xy.shape[:2] and expression.shape[1:] == (10,)
        assert xy.dtype == z.dtype == score.dtype == expression.dtype == np.float32
        return np.stack([self.fault(figure(p + self.move, int(a), stage)) for p, a in zip(xy, avatar, strict=True)])


def sample(points: np.ndarray, avatar: int, clip: int) -> Sample:
    pixels = (points * SIDE - 0.5).astype(np.float32)
    visible = np.array([name in UPRIGHT for name in AVATAR35.points], np.float32)
    none = np.zeros(10, np.float32)
    return Sample(figure(points, avatar, SIDE), pixels, np.zeros(35, np.float32), visible, none, avatar, clip, 0)


def header() -> Header:
    palette = ((0.9, 0.7, 0.2), (0.9, 0.75, 0.65), None, (0.2, 0.3, 0.8), (0.3, 0.3, 0.3), (0.5, 0.2, 0.1))
    return Header(
        SIDE,
        AVATAR35,
        tuple(AvatarEntry(name, "CC0", "", palette) for name in AVATARS),
        tuple(ClipEntry(name, split) for name, split in CLIPS),
        {"made_by": "capsules"},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("capsules")
    rng = np.random.default_rng(0)
    samples = [sample(pose(rng), k % 3, k % 5 % 3) for k in range(60)]
    DatasetWriter(folder, header()).write(0, samples)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Two films: a figure that walks to the right by a pixel a frame."""
    folder = tmp_path_factory.mktemp("films")
    shift = np.array([1 / SIDE, 0], np.float32)
    rng = np.random.default_rng(5)
    walks = [(pose(rng), avatar) for avatar in (0, 1)]
    samples = [sample(points + k * shift, avatar, 1) for points, avatar in walks for k in range(4)]
    DatasetWriter(folder, header()).write(0, samples)
    return folder


def options(**changes) -> EvaluationOptions:
    return EvaluationOptions(**{"size": SIDE, "pose": "", "count": 24, **changes})


@pytest.fixture(scope="module")
def perfect(data) -> Evaluation:
    return evaluate_avatar(Draws(), data, options())


def overall(evaluation: Evaluation, metric: str) -> dict:
    return evaluation.figures["metrics"][metric]["overall"]


def test_a_generator_that_draws_the_truth_is_perfect(perfect):
    assert overall(perfect, "iou")["worst"] == overall(perfect, "soft_iou")["worst"] == 1
    assert overall(perfect, "ssim")["worst"] == pytest.approx(1)
    assert overall(perfect, "psnr")["worst"] > 58
    assert overall(perfect, "colour")["worst"] == 0
    assert perfect.figures["samples"] == 24 and perfect.figures["stage"] == SIDE


def test_only_the_splits_own_motions_are_measured_and_avatars_take_turns(perfect, data):
    assert perfect.figures["data"]["clips"] == ["dance", "jump"]
    records = Dataset(data, "test").records[list(perfect.indices)]
    assert np.bincount(records["avatar"]).tolist() == [8, 8, 8]
    assert set(perfect.figures["metrics"]["iou"]["avatars"]) == set(AVATARS)
    assert set(perfect.figures["metrics"]["iou"]["framings"]) == {"full"}


def test_a_figure_in_the_wrong_place_loses_shape_and_picture_but_not_colour(data, perfect):
    aside = evaluate_avatar(Draws(move=2 / SIDE), data, options())
    assert overall(aside, "iou")["mean"] < 0.9
    assert overall(aside, "psnr")["mean"] < 25
    assert overall(aside, "colour")["median"] < 3
    assert overall(aside, "iou")["worst"] <= overall(aside, "iou")["median"]


def test_a_part_in_the_wrong_colour_shows_in_that_part_alone(data):
    def pale_hair(layers: np.ndarray) -> np.ndarray:
        layers = layers.copy()
        layers[..., 1] //= 3
        return layers

    found = evaluate_avatar(Draws(fault=pale_hair), data, options()).figures["part_colours"]
    assert found["hair"]["median"] > 10
    assert found["upper"]["worst"] == 0
    assert found["eyes"]["count"] == 0 and found["eyes"]["median"] is None


def test_a_perfect_generator_moves_as_it_is_asked_to(perfect):
    moves = perfect.figures["steadiness"]["moves"]
    for name in ("1 px right", "1 px down"):
        assert moves[name]["max"]["worst"] <= 1  # what rounding does
        assert moves[name]["change"]["mean"] > 1
    turned = moves["1 degree"]
    assert turned["mean"]["mean"] < 2 * turned["resampling"]["mean"] + 1
    assert perfect.figures["steadiness"]["steps"]["worst"] < 1.2


def test_a_picture_that_pops_is_found_out(data):
    class Snaps(Draws):
        """Draws on a grid of one and a half pixels."""

        def draw(self, xy, *others, **more):
            grid = np.float32(1.5 / SIDE)
            return super().draw(np.round(xy / grid) * grid, *others, **more)

    found = evaluate_avatar(Snaps(), data, options()).figures["steadiness"]
    assert found["moves"]["1 px right"]["mean"]["mean"] > 3
    assert found["steps"]["mean"] > 1.5


def test_films_are_compared_with_the_renders_own_motion(data, films):
    class Flickers(Draws):
        def draw(self, *asked, **more):
            layers = super().draw(*asked, **more)
            dim = np.where(np.arange(len(layers)) % 2, 0.7, 1.0)[:, None, None, None]
            return np.concatenate([layers[..., :1], np.rint(layers[..., 1:] * dim)], axis=-1).astype(np.uint8)

    steady = evaluate_avatar(Draws(), data, options(count=2, films=films)).figures["films"]
    assert (steady["films"], steady["neighbours"]) == (2, 6)
    assert steady["ratio"] == pytest.approx(1)
    assert evaluate_avatar(Flickers(), data, options(count=2, films=films)).figures["films"]["ratio"] > 1.5


def test_smaller_pictures_are_compared_at_a_scale_that_the_generator_has(data):
    found = evaluate_avatar(Draws(), data, options(size=48))
    assert (found.figures["size"], found.figures["stage"]) == (48, 64)
    assert overall(found, "iou")["mean"] == 1


def test_feature_distances_are_measured_when_a_model_is_named(data, perfect, shared):
    assert perfect.figures["features"]["measured"] is False
    model = shared / "models" / "blazeface_short_128.tflite"
    same = evaluate_avatar(Draws(), data, options(count=8, features=model)).figures["features"]
    assert same["fid"] == pytest.approx(0, abs=1e-3 * same["dimensions"]) and same["model"] == model.name
    other = evaluate_avatar(Draws(fault=lambda x: x // 2), data, options(count=8, features=model)).figures["features"]
    assert other["fid"] > 10 * same["fid"] + 1e-6 and other["kid"] > same["kid"]


def test_fids_inception_is_named_in_the_report(data, tmp_path, capsys, monkeypatch):
    """By a network of its shape with weights of chance, from the command line on."""
    torch.save(inception(), tmp_path / "inception.pth")
    fault = Draws(fault=lambda layers: layers // 2)
    monkeypatch.setattr("animegen.avatar.loading.load_drawing", lambda *_, **__: fault)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"not looked at")
    asked = ["evaluate", "avatar", str(weights), str(data), "-o", str(tmp_path / "report"), "--size", str(SIDE)]
    asked += ["--count", "6", "--pose-backend", "none", "--features", str(tmp_path / "inception.pth")]
    assert main([*asked, "--fail-under", "fid=1e-9"]) == 1
    told = capsys.readouterr()
    digest = hashlib.sha256((tmp_path / "inception.pth").read_bytes()).hexdigest()
    assert f"by inception.pth (SHA-256 {digest})" in told.out and "fid is " in told.err
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["features"]
    assert (figures["measured"], figures["output"], figures["dimensions"]) == (True, "pool3", 12)
    assert figures["fid"] > 0 and digest in (tmp_path / "report" / "report.html").read_text()


def test_limits_say_what_is_worse(perfect):
    assert perfect.worse_than({"iou": 0.93, "psnr": 23, "colour": 6}) == []
    assert perfect.worse_than({"psnr": 70}) == ["psnr is 58.92, 70 at least was asked for"]
    assert perfect.worse_than({"colour": -1}) == ["colour is 0, -1 at most was asked for"]
    assert perfect.worse_than({"fid": 10}) == ["fid was not measured, 10 was asked for"]
    assert perfect.worse_than({"keypoints": 1.25}) == ["keypoints was not measured, 1.25 was asked for"]


def test_samples_are_ranked_from_best_to_worst(data):
    rng = np.random.default_rng(3)
    noisy = evaluate_avatar(Draws(fault=lambda x: x // rng.integers(1, 4, dtype=np.uint8)), data, options())
    psnr = dict(zip(noisy.indices, noisy.values["psnr"], strict=True))
    ranked = {name: [psnr[index] for index in indices] for name, indices in noisy.ranked().items()}
    assert min(ranked["best"]) >= max(ranked["median"]) and min(ranked["median"]) >= max(ranked["worst"])


def test_what_cannot_be_compared_is_refused(data):
    with pytest.raises(UsageError, match="64 px wide, fewer than 256"):
        evaluate_avatar(Draws(), data, options(size=256))
    with pytest.raises(UsageError, match="validation split"):
        evaluate_avatar(Draws(), data, options(split="validation"))

    class Strangers(Draws):
        avatars = ({"name": "somebody"},)

    with pytest.raises(UsageError, match="somebody"):
        evaluate_avatar(Strangers(), data, options())


def test_canvas_units_end_at_the_pictures_edges(data):
    one = Dataset(data, "test")[0]
    assert np.allclose(canvas_points(one, SIDE) * SIDE - 0.5, one.xy, atol=1e-4)


def test_the_report_needs_no_other_file(perfect, tmp_path):
    folder = tmp_path / "report"
    check_report_folder(folder, overwrite=False)
    write_report(perfect, folder)
    figures = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert figures["metrics"]["iou"]["overall"]["mean"] == 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 3 * 6 + 1 and 'src="data:image/png' in page and "http" not in page
    assert "58.9" in page
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert sheet.size == (8 * (2 * 192 + 8) - 8, 3 * 200 - 8)
    with pytest.raises(OutputError, match="stands in"):
        check_report_folder(folder, overwrite=False)
    check_report_folder(folder, overwrite=True)
    first = (folder / "report.html").read_bytes()
    write_report(perfect, folder)
    assert (folder / "report.html").read_bytes() == first


def test_the_contact_sheet_shows_truth_beside_output(data):
    sheet = np.asarray(contact_sheet(Pairs(Dataset(data, "test"), Draws(), SIDE), 0))
    truth, output = sheet[20:192, :192], sheet[20:192, 192:384]
    assert np.array_equal(truth, output) and len(np.unique(truth)) > 20


def test_keypoints_are_sought_in_both_pictures(data, blazepose_weights, shared):
    found = evaluate_avatar(Draws(), data, options(count=3, pose="blazepose")).figures["keypoints"]
    assert set(found) == {"found", "given region"}
    for way in found.values():
        assert way["pictures"] == 3
        if way["compared"]:  # the same pictures give the same points
            assert way["ratio"] == pytest.approx(1) and way["between"] == 0
            assert math.isfinite(way["truth_error"]) and way["truth_detected"] == way["output_detected"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """An untrained generator of the three avatars, small enough to draw in milliseconds."""
    import torch

    from animegen.avatar.checkpoint import save_generator
    from animegen.avatar.config import AvatarConfig
    from animegen.avatar.network import Generator

    torch.manual_seed(0)
    config = AvatarConfig(AVATAR35, avatars=3, channels={4: 8, 8: 8, 16: 8, 32: 8}, largest_stage=64)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    avatars = [{"name": name} for name in AVATARS]
    save_generator(path, Generator(config), avatars=avatars, dtype=torch.float32, notes={})
    return path


def test_the_command_measures_a_weights_file_and_tells_what_is_too_bad(data, weights, tmp_path):
    arguments = ["evaluate", "avatar", str(weights), str(data), "-o", str(tmp_path / "report"), "--count", "3"]
    arguments += ["--size", str(SIDE), "--pose-backend", "none"]
    found = CliRunner().invoke(cli, [*arguments, "--json", "--fail-under", "iou=0.93"])
    assert found.exit_code == 1 and "0.93 at least was asked for" in found.stderr
    figures = json.loads(found.stdout)
    assert figures["weights"] == {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    again = CliRunner().invoke(cli, [*arguments, "--overwrite", "--fail-under", "iou=0"])
    assert again.exit_code == 0, again.output
    assert "Foreground PSNR dB" in again.stdout and "FID, KID: not measured" in again.stdout
    written = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert written["metrics"] == figures["metrics"]


@pytest.mark.parametrize("limit", ["beauty=1", "iou", "iou=good"])
def test_a_limit_that_means_nothing_is_refused_before_any_work(limit, tmp_path):
    arguments = ["evaluate", "avatar", "none", "none", "-o", str(tmp_path / "report"), "--fail-under", limit]
    assert CliRunner().invoke(cli, arguments).exit_code == 2
    assert not (tmp_path / "report").exists()
