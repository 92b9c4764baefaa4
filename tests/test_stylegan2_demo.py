"""Checkpoints that only draw, and the pair of them that is shipped: small heads, soft and as anime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stylegan2_numbers import Case

from animegen.cli import main
from animegen.stylegan2.blend import blend, blend_files
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from animegen.stylegan2.model import StyleGan2, to_image
from animegen.weights import fetch

CASE = Case(16, base=128, most=8)
HALF = 2e-3
"""Of the largest value: float16 keeps eleven bits of every weight."""
PAIR = ("demo-heads-base", "demo-heads-anime")
MOST_BYTES = 8_000_000
SEEDS = range(6)
ALIKE = 0.5
"""Correlation of the two looks of a seed, at least; those of two seeds are about as often above 0 as below."""
VARIED = 20.0
"""Grey levels by which the pictures of the seeds spread around their mean, at least."""


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "g.safetensors", Checkpoint(CASE.generator(), CASE.generator()))
    return tmp_path / "g.safetensors"


def test_a_shrunk_checkpoint_draws_the_same(parent, tmp_path):
    small = tmp_path / "small.safetensors"
    assert main(["stylegan2", "shrink", str(parent), "-o", str(small)]) == 0
    assert small.stat().st_size < parent.stat().st_size / 3
    assert set(load_checkpoint(small).networks) == {"g_ema"}
    drawn = [model.draw(model.ws([model.z(0)])) for model in map(StyleGan2.load, (parent, small))]
    assert np.abs(drawn[0] - drawn[1]).max() <= HALF * np.abs(drawn[0]).max()


def test_a_shrunk_checkpoint_understands_its_base(parent, tmp_path, capsys):
    child, base, small = (tmp_path / f"{name}.safetensors" for name in ("child", "base", "small"))
    network = load_checkpoint(parent).generator
    network.synthesis.block(16).conv1.weight.mul_(2)
    save_checkpoint(child, Checkpoint(network))
    shrink = ["stylegan2", "shrink"]
    assert main([*shrink, str(parent), "-o", str(base)]) == 0
    assert main([*shrink, str(child), "--base", str(base), "-o", str(small)]) == 0
    assert StyleGan2.load(small).understands(StyleGan2.load(base).sha256)
    network.mapping.get_submodule("fc0").bias.add_(1)
    save_checkpoint(child, Checkpoint(network))
    assert main([*shrink, str(child), "--base", str(base), "-o", str(small)]) == 2
    assert "another mapping network" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pair() -> tuple[StyleGan2, StyleGan2]:
    base, anime = (StyleGan2.load(fetch(name)) for name in PAIR)
    return base, anime


def test_the_pair_is_small_and_shares_its_latents(pair):
    base, anime = pair
    assert sum(fetch(name).stat().st_size for name in PAIR) <= MOST_BYTES
    assert anime.understands(base.sha256)
    assert anime.config == base.config
    assert np.array_equal(base.ws([base.z(0)]), anime.ws([base.z(0)]))


def test_a_seed_is_one_head_in_two_looks(pair):
    ws = pair[0].ws([pair[0].z(seed) for seed in SEEDS], psi=0.7)
    soft, toon = (np.stack([to_image(one) for one in model.draw(ws)]).astype(np.float64) for model in pair)
    assert soft.std(axis=0).mean() > VARIED
    for one, other in zip(soft, toon, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > ALIKE


def test_the_pair_blends_at_every_legal_layer(pair):
    base, anime = (model.generator for model in pair)
    ws = torch.from_numpy(pair[0].ws([pair[0].z(0)]))
    ends = [network.synthesis(ws) for network in (base, anime)]
    for side in base.config.resolutions[1:]:
        picture = blend(base, anime, side).synthesis(ws)
        assert torch.isfinite(picture).all()
        assert not any(torch.equal(picture, end) for end in ends)
    blended = blend_files(fetch(PAIR[0]), fetch(PAIR[1]), 16)
    assert blended.notes["base_sha256"] == pair[0].sha256
