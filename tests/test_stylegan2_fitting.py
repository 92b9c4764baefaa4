"""Fitting: a generator learns what the seeds that name pictures are to show, and keeps what is frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from animegen.cli import main
from animegen.errors import InputError
from animegen.stylegan2.fitting import FitOptions, SeededPictures, fit
from animegen.stylegan2.model import StyleGan2, to_image
from animegen.stylegan2.training import fresh

SIDE, SEEDS, LATENT = 8, 40, 8
NEAR = 0.35
"""Of the pictures' own spread: how far fitted pictures are from what seeds that were never shown are to show."""


def shown(seed: int) -> np.ndarray:
    """A colour on each half, of the first numbers of a seed's latent."""
    z = np.random.RandomState(seed).randn(LATENT)
    picture = np.empty((SIDE, SIDE, 3))
    picture[:, : SIDE // 2], picture[:, SIDE // 2 :] = z[:3], z[3:6]
    return np.clip(128 + 40 * picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    for seed in range(400):
        Image.fromarray(shown(seed)).save(folder / f"{seed:06d}.png")
    return folder


def fitted(data: Path, output: Path, *more: str, images: int = 4_000) -> StyleGan2:
    asked = [
        "stylegan2",
        "fit",
        str(data),
        "-o",
        str(output),
        "--images",
        str(images),
        "--learning-rate",
        "0.01",
        *more,
    ]
    assert main(asked) == 0
    return StyleGan2.load(output)


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> StyleGan2:
    output = tmp_path_factory.mktemp("fitted") / "g.safetensors"
    return fitted(data, output, "--resolution", str(SIDE), "--width", "0.02", "--latent", str(LATENT))


def test_seeds_that_were_never_shown_are_drawn_as_they_should_be(model):
    ws = model.ws([model.z(seed) for seed in range(1000, 1000 + SEEDS)])
    drawn = np.stack([to_image(picture) for picture in model.draw(ws, "none")]).astype(float)
    wanted = np.stack([shown(seed) for seed in range(1000, 1000 + SEEDS)]).astype(float)
    assert (drawn - wanted).std() < NEAR * wanted.std()
    assert np.array_equal(model.draw(ws, "none"), model.draw(ws, "const"))  # noise was never learnt
    assert np.abs(model.generator.mapping.w_avg.numpy()).max() > 0


def test_a_frozen_mapping_stays_and_the_rest_changes(data, model, tmp_path):
    start = tmp_path / "start.safetensors"
    first = fitted(data, start, "--resolution", str(SIDE), "--width", "0.02", "--latent", str(LATENT), images=64)
    second = fitted(data, tmp_path / "g.safetensors", "--start", str(start), "--freeze-mapping", images=64)
    old, new = (one.generator.state_dict() for one in (first, second))
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("mapping."))
    assert not torch.equal(old["synthesis.b8.conv1.weight"], new["synthesis.b8.conv1.weight"])


def test_two_runs_give_the_same_numbers(data, tmp_path):
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for path in files:
        start = fresh("auto", SIDE, width=0.02, z_dim=LATENT)
        fit(start, SeededPictures(data, SIDE, 3), path, FitOptions(48), every=16, on_step=lambda *_: None)
    first, second = map(load_file, files)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_pictures_that_no_seed_names_are_refused(tmp_path):
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "face.png")
    with pytest.raises(InputError, match="'face' is not named by a seed"):
        SeededPictures(tmp_path, SIDE, 3)
