"""Generated pictures beside real ones: figures whose answer is known, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_inception import inception
from stylegan2_numbers import Case, filled

from animegen.cli import main
from animegen.errors import InputError, InvalidValue, UsageError, WeightsError
from animegen.measure.features import precision_recall
from animegen.measure.random_features import RandomFeatures
from animegen.pipeline import evaluate_gan as module
from animegen.pipeline.evaluate_gan import GanOptions, evaluate_gan
from animegen.stylegan2.checkpoint import Checkpoint, save_checkpoint
from animegen.stylegan2.distance import Perceptual
from animegen.stylegan2.inception import Inception
from animegen.stylegan2.model import StyleGan2
from animegen.stylegan2.path_length import perceptual_path_length
from animegen.types import Face

SAME = 1e-3
"""FID of a set beside itself: rounding of the largest singular values."""
SIDE = 64


def discs(folder: Path, count: int, seed: int, spread: int = 60) -> Path:
    """Pictures of a disc on a ground, both of random colours."""
    folder.mkdir()
    draw = np.random.RandomState(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(count):
        disc = (x - draw.randint(20, 44)) ** 2 + (y - draw.randint(20, 44)) ** 2 < 200
        colours = 128 + draw.randint(-spread, spread, (2, 3))
        image = np.where(disc[..., None], colours[0], colours[1]).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def test_precision_and_recall_are_shares_of_what_lies_near():
    draw = np.random.RandomState(0)
    real = draw.randn(200, 4)
    narrow = np.concatenate([draw.randn(90, 4) * 0.1, draw.randn(10, 4) + 50])
    precision, recall = precision_recall(real, narrow)
    assert precision == 0.9
    assert recall < 0.2
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(narrow, real) == (recall, precision)
    with pytest.raises(InvalidValue, match="3 neighbours need more pictures than 3"):
        precision_recall(real, real[:3])


def test_a_folder_beside_itself_and_beside_another(tmp_path):
    real, alike, odd = discs(tmp_path / "a", 40, 0), discs(tmp_path / "b", 40, 1), discs(tmp_path / "c", 40, 2, 5)
    options = GanOptions(size=SIDE)
    same, near, far = (evaluate_gan(real, folder, options)["features"] for folder in (real, alike, odd))
    assert same["fid"] == pytest.approx(0, abs=SAME * far["fid"])
    assert same["precision"] == same["recall"] == 1
    assert near["fid"] < far["fid"] and near["kid"] < far["kid"] and near["recall"] > far["recall"]
    assert same["model"] == "animegen-random-features-1" and same["sha256"] == RandomFeatures().sha256
    few = evaluate_gan(real, alike, GanOptions(size=SIDE, count=5))
    assert few["real"] == {"folder": "a", "pictures": 5, "of": 40} and few["generated"]["pictures"] == 5
    assert few["path_length"] == {"measured": False, "why": "it is a generator's, not a folder's"}
    with pytest.raises(UsageError, match="3 pictures are too few"):
        evaluate_gan(real, discs(tmp_path / "d", 3, 0), options)
    with pytest.raises(InputError, match="nowhere is missing"):
        evaluate_gan(real, tmp_path / "nowhere", options)


def test_inception_is_read_from_a_state_dictionary(tmp_path):
    torch.save(inception(), tmp_path / "inception.pth")
    network = Inception(tmp_path / "inception.pth")
    pictures = np.random.RandomState(0).randint(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)
    features = network(pictures)
    assert features.shape == (2, 12) and np.isfinite(features).all() and not np.array_equal(*features)
    broken = {name: tensor for name, tensor in inception().items() if "Mixed_7c" not in name}
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"broken.pth is not FID's Inception: 'Mixed_7c"):
        Inception(tmp_path / "broken.pth")


def test_path_length_is_the_slope_of_the_pictures():
    """Of a generator that draws twice as far from its mean picture, pictures move twice as far: four times squared."""
    lengths = []
    for gain in (1.0, 2.0):
        model = StyleGan2(filled(Case(64, base=256, most=8).generator()), "a" * 64)
        with torch.no_grad():
            for side in model.config.resolutions:
                model.generator.synthesis.block(side).torgb.weight.mul_(gain)
        lengths.append(perceptual_path_length(model, None, 4))
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=0.01)


def test_the_command_measures_a_checkpoint(tmp_path, capsys):
    case = Case(64, base=256, most=8, c_dim=3)
    save_checkpoint(tmp_path / "g.safetensors", Checkpoint(filled(case.generator())))
    real = discs(tmp_path / "real", 6, 0)
    asked = ["evaluate", "gan", str(real), str(tmp_path / "g.safetensors"), "--count", "5", "--paths", "2"]
    assert main([*asked, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["generated"] == {"name": "g.safetensors", "pictures": 5, "psi": 1.0} and figures["size"] == 64
    assert figures["path_length"]["measured"] and figures["path_length"]["value"] > 0
    assert "no LPIPS" in figures["path_length"]["distance"]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "by animegen-random-features-1" in told and "identity: not measured" in told


def test_faces_of_one_name_are_compared(tmp_path, monkeypatch):
    """A backend that knows people by the mean colour of their picture."""

    def find(pictures):
        found = []
        for picture in pictures:
            mean = picture.mean(axis=(0, 1)).astype(np.float32)
            box, points = np.array([0, 0, 9, 9], np.float32), np.zeros((5, 2), np.float32)
            found.append([Face(box, 1.0, points, embedding=mean / np.linalg.norm(mean))])
        return found

    backend = SimpleNamespace(face_backend=lambda: SimpleNamespace(find=find))
    monkeypatch.setattr(module, "resolve", lambda *_, **__: backend)
    real, other = discs(tmp_path / "a", 6, 0), discs(tmp_path / "b", 5, 1)
    own = evaluate_gan(real, real, GanOptions(size=SIDE, faces="colours"))["identity"]
    assert own["cosine"] == pytest.approx(1) and own["pairs"] == own["of"] == 6
    strange = evaluate_gan(real, other, GanOptions(size=SIDE, faces="colours"))["identity"]
    assert strange["cosine"] < own["cosine"] and strange["of"] == 5


def test_lpips_is_the_perceptual_distance_without_colours():
    tensors, inputs = {}, 3
    for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
        tensors[f"features.{number}.weight"] = torch.randn(4, inputs, 3, 3) / 3
        tensors[f"features.{number}.bias"] = torch.zeros(4)
        inputs = 4
    distance, (a, b) = Perceptual(tensors), torch.rand(2, 1, 3, 32, 32)
    described = distance.describe(b)
    whole, part = distance.between(a, described), distance.lpips(a, described)
    torch.testing.assert_close(whole - part, (a - b).square().mean(dim=(1, 2, 3)))
