"""The bench of StyleGAN2 generators: what it tells, not how fast this machine is."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from animegen.cli import cli
from animegen.stylegan2.bench import BenchedGenerator, difference

ROUNDED = 0.05
"""Relative difference that bfloat16 makes to a picture of random weights."""
EXACT = 1e-5
"""float32 sums in another order."""

NETWORKS = """
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.synthesis import Generator as Ours

class Generator(Ours):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, synthesis_kwargs):
        super().__init__(GeneratorConfig(img_resolution, **synthesis_kwargs))
        draw = self.synthesis.forward
        self.synthesis.forward = lambda ws, noise_mode, force_fp32: draw(ws, noise_mode)
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like an official checkout."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "networks.py").write_text(NETWORKS)
    for name in ("training", "training.networks"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr("animegen.pipeline.bench_generator.ROUNDS", 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_prepared_weights_and_peers_draw_the_same(native_ops, checkout):
    generator = BenchedGenerator(16, 128, batch=1, device="cpu", threads=1)
    official = generator.peer("stylegan2-ada-pytorch", checkout)()
    assert difference(generator.draw(half=False)(), official) < EXACT
    assert 0 < difference(generator.draw(half=True)(), official) < ROUNDED


def test_the_command_tells_every_variant(native_ops, checkout):
    small = ["bench", "generator", "--resolution", "8", "--channel-base", "64", "--threads", "1"]
    peer = ["--peer", f"stylegan2-ada-pytorch={checkout}"]
    told = CliRunner().invoke(cli, [*small, *peer, "--json"], catch_exceptions=False)
    times = json.loads(told.stdout)["times"]
    assert [time["name"] for time in times] == ["stylegan2-ada-pytorch, fp32", "animegen, fp32", "animegen, bf16"]
    text = CliRunner().invoke(cli, [*small, *peer], catch_exceptions=False).stdout
    assert "x stylegan2-ada-pytorch, fp32" in text
    assert "GEMM fp32" in text


def test_what_is_no_peer_is_named(tmp_path):
    small = ["bench", "generator", "--resolution", "8", "--channel-base", "64", "--threads", "1"]
    unknown = CliRunner().invoke(cli, [*small, "--peer", "pix2pix=here"])
    assert "'pix2pix' is no peer of this bench" in str(unknown.exception or unknown.output)
    empty = CliRunner().invoke(cli, [*small, "--peer", f"stylegan3={tmp_path}"])
    assert "holds no training/networks_stylegan2.py" in str(empty.exception or empty.output)
    assert "is not NAME=PATH" in CliRunner().invoke(cli, [*small, "--peer", "stylegan3"]).output
