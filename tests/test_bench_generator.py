"""The bench of StyleGAN2 generators: what it tells, not how fast this machine is."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from click.testing import CliRunner

from animegen.cli import cli
from animegen.errors import UsageError
from animegen.stylegan2 import bench
from animegen.stylegan2.bench import BenchedGenerator, error
from animegen.stylegan2.layers import Dense

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

MODEL = """
import op
from torch import nn
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.rosinality import read_generator, write_generator
from animegen.stylegan2.synthesis import Generator as Ours

class Generator(nn.Module):
    def __init__(self, size, style_dim, n_mlp, channel_multiplier):
        super().__init__()
        self.ours = Ours(GeneratorConfig(size, channel_base=16384 * channel_multiplier, mapping_layers=n_mlp))

    def state_dict(self):
        return write_generator(self.ours.config, self.ours.state_dict())

    def load_state_dict(self, weights):
        self.ours.load_state_dict(read_generator(weights, self.ours.mapping.w_avg)[1])

    def forward(self, styles, input_is_latent, randomize_noise):
        assert input_is_latent and not randomize_noise
        return self.ours.synthesis(styles[0]), None
"""
EXTENSION = """
from torch.utils.cpp_extension import load
fused = load("fused", sources=["no such file.cpp", "no such file.cu"])
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like an official checkout."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "networks.py").write_text(NETWORKS)
    return tmp_path


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr("animegen.pipeline.bench_generator.ROUNDS", 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_prepared_weights_and_peers_draw_the_same(native_ops, checkout):
    generator = BenchedGenerator(16, 128, batch=1, device="cpu", threads=1)
    official = generator.peers("stylegan2-ada-pytorch", checkout)["stylegan2-ada-pytorch, fp32"]()
    assert error(official, generator.exact()) < EXACT
    for by in ("ops", "references"):
        assert error(generator.draw("fp32", by=by)(), official) < EXACT
        assert 0 < error(generator.draw("bf16", by=by)(), official) < ROUNDED


@torch.no_grad()
def test_weights_that_are_scaled_once_give_the_same_bytes():
    layer, x = Dense(5, 4, lr_multiplier=0.01, bias=1.0), torch.randn(3, 5)
    wanted = layer(x)
    layer.prepare()
    assert torch.equal(layer(x), wanted)
    assert error(layer.double()(x.double()), wanted.double()) < EXACT


def test_rosinality_and_another_peer_with_modules_of_the_same_names(native_ops, checkout):
    (checkout / "model.py").write_text(MODEL)
    (checkout / "op").mkdir()
    (checkout / "op" / "__init__.py").write_text(EXTENSION)
    other = checkout / "other" / "training"
    other.mkdir(parents=True)
    plain = NETWORKS.replace("synthesis_kwargs):", "**synthesis_kwargs):")
    (other / "networks_stylegan2.py").write_text(plain)
    generator = BenchedGenerator(8, 16384, batch=1, device="cpu", threads=1)
    ours = generator.draw("fp32")()
    places = {"rosinality": checkout, "stylegan2-ada-pytorch": checkout, "stylegan3": checkout / "other"}
    for name, folder in places.items():
        (draw,) = generator.peers(name, folder).values()
        assert error(draw(), ours) < EXACT
    assert not {"op", "model", "training"} & set(sys.modules)
    with pytest.raises(UsageError, match="rosinality has no network of channel base 64"):
        BenchedGenerator(8, 64, batch=1, device="cpu", threads=1).peers("rosinality", checkout)


def test_on_a_gpu_official_code_is_drawn_with_in_every_format(native_ops, checkout, monkeypatch):
    seen = []

    def peer(name, checkout, ours, halved=0):
        seen.append((name, halved))
        return lambda ws: ws

    monkeypatch.setattr(bench, "peer", peer)
    generator = BenchedGenerator(8, 64, batch=1, device="cpu", threads=1)
    monkeypatch.setattr(generator, "device", torch.device("cuda"))
    assert [*generator.peers("stylegan3", checkout)] == [
        f"stylegan3, {f}" for f in ("fp32", "TF32", "as shipped", "fp16")
    ]
    assert [*generator.peers("rosinality", checkout)] == ["rosinality, fp32", "rosinality, TF32"]
    assert seen == [("stylegan3", 0), ("stylegan3", 4), ("stylegan3", 16), ("rosinality", 0)]
    before = torch.backends.cudnn.conv.fp32_precision
    with bench._on_gpu("tf32"):
        assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "tf32"
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.conv.fp32_precision == before
    assert not torch.backends.cudnn.benchmark


def test_the_command_tells_every_variant(native_ops, checkout):
    small = ["bench", "generator", "--resolution", "8", "--channel-base", "64", "--threads", "1"]
    peer = ["--peer", f"stylegan2-ada-pytorch={checkout}"]
    told = CliRunner().invoke(cli, [*small, *peer, "--json"], catch_exceptions=False)
    figures = json.loads(told.stdout)
    ours = [f"{by}, {precision}" for precision in ("fp32", "bf16") for by in ("animegen", "reference")]
    assert [time["name"] for time in figures["times"]] == ["stylegan2-ada-pytorch, fp32", *ours]
    assert [*figures["not_measured"]] == ["animegen, fp32, CUDA graph", "animegen, bf16, CUDA graph"]
    assert figures["library"].startswith("native")
    text = CliRunner().invoke(cli, [*small, *peer], catch_exceptions=False).stdout
    assert "animegen, bf16, CUDA graph           not measured: CUDA graphs are of GPUs" in text
    over = text[text.index("times as fast as") :].splitlines()
    assert over[0].split()[4:] == ["animegen,", "fp32", "animegen,", "bf16"]
    assert over[1].startswith("stylegan2-ada-pytorch, fp32") and len(over[1].split()) == 4
    assert "GEMM fp32" in text


def test_what_is_no_peer_is_named(tmp_path):
    small = ["bench", "generator", "--resolution", "8", "--channel-base", "64", "--threads", "1"]
    unknown = CliRunner().invoke(cli, [*small, "--peer", "pix2pix=here"])
    assert "'pix2pix' is no peer of this bench" in str(unknown.exception or unknown.output)
    empty = CliRunner().invoke(cli, [*small, "--peer", f"stylegan3={tmp_path}"])
    assert "holds no training/networks_stylegan2.py" in str(empty.exception or empty.output)
    assert "is not NAME=PATH" in CliRunner().invoke(cli, [*small, "--peer", "stylegan3"]).output
