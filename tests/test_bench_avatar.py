"""The bench of avatar generators: what it tells, not how fast this machine is."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from animegen.avatar.checkpoint import save_generator
from animegen.avatar.config import AvatarConfig
from animegen.avatar.network import Generator
from animegen.avatar.options import AnimeOptions
from animegen.cli import cli
from animegen.errors import InputError, UsageError
from animegen.measure.timing import timed_in_turns
from animegen.pipeline.anime import make_style
from animegen.pipeline.anime_parts import FIGURES, HANDS, HEADS
from animegen.pipeline.bench_avatar import AvatarBench, DrawTime, SpriteTime, bench_avatar, network_share
from animegen.pipeline.bench_sprites import sprite_requests
from animegen.pose.head import HUMAN_FACE
from animegen.pose.limbs import USUAL_LENGTHS
from animegen.pose.retarget import Proportions
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext
from animegen.weights import fetch

MOST = 8.0
"""Billions of operations that a sprite of 256 px with everything on it may cost."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A generator small enough to be drawn in milliseconds."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = AvatarConfig(AVATAR35, avatars=1, channels={4: 8, 8: 8}, largest_stage=16)
    avatars = [{"name": "one", "proportions": Proportions(USUAL_LENGTHS, 0.2, 1.4 * HUMAN_FACE).to_dict()}]
    save_generator(path, Generator(config), avatars=avatars, dtype=torch.float32, notes={})
    return path


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """One round on one thread: threads that wait for each other on a busy machine take their time."""
    monkeypatch.setattr("animegen.pipeline.bench_avatar.ROUNDS", 1)
    monkeypatch.setattr("animegen.pipeline.bench_avatar.THREADS", 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_variants_take_turns_after_a_round_that_does_not_count():
    order = []
    timings = timed_in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    for timing in timings.values():
        assert 0 < timing.least <= timing.median <= timing.most
        median, slowest, fastest = timing.rate(10)
        assert slowest <= median <= fastest


def test_every_variant_is_told_beside_the_machines_rate(weights, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"network_share": share}) + "\n" for share in (0.5, 0.9, 0.92)))
    arguments = ["--weights", str(weights), "--sizes", "8,16", "--batches", "1,4", "--log", str(log)]
    found = CliRunner().invoke(cli, ["bench", "avatar", *arguments, "--json"])
    assert found.exit_code == 0, found.output
    figures = json.loads(found.stdout)
    formats = set(figures["gemm_gflops"])
    assert "fp32" in formats and figures["network_share"] == 0.9
    variants = {(draw["size"], draw["batch"], draw["precision"]) for draw in figures["draws"]}
    assert variants == {(size, batch, name) for size in (8, 16) for batch in (1, 4) for name in formats}
    gflop = {draw["size"]: draw["gflop"] for draw in figures["draws"]}
    assert 0 < gflop[8] < gflop[16]
    sprites = {(sprite["size"], sprite["batch"]) for sprite in figures["sprites"]}
    assert sprites == {(size, batch) for size in (8, 16) for batch in (1, 4)}
    assert {(part["name"], part["size"]) for part in figures["parts"]} == {
        (name, size) for name in ("conditioning", "colouring") for size in (8, 16)
    }


def test_lines_tell_what_was_not_measured(weights):
    found = CliRunner().invoke(cli, ["bench", "avatar", "--weights", str(weights), "--sizes", "8", "--batches", "1,2"])
    assert found.exit_code == 0, found.output
    assert "GEMM fp32" in found.stdout and "a picture in a batch of 2" in found.stdout
    assert "a sprite in a batch of 2" in found.stdout and "not measured (--log)" in found.stdout


def test_the_avatars_that_come_with_it_are_measured_without_a_name():
    told = []
    bench = bench_avatar(None, sizes=(32, 64), batches=(1, 2), device="cpu", log=None, tell=told.append)
    assert bench.weights == "avatar-anime.safetensors"
    assert set(bench.gemm_gflops) == {"fp32"}
    assert {(draw.size, draw.batch) for draw in bench.draws} == {(size, batch) for size in (32, 64) for batch in (1, 2)}
    assert all(0 < sprite.gflop <= MOST for sprite in bench.sprites)
    assert {(part.name, part.size, part.batch) for part in bench.parts} == {
        (name, size, 2) for name in ("solve", "placing", "filling", "colouring") for size in (32, 64)
    }


def test_sprites_are_asked_for_as_conversions_do():
    style = made(FIGURES)
    for size in (64, 256):
        sprites = style.render(sprite_requests(style, size, 2))
        assert [sprite.rgba.shape for sprite in sprites] == 2 * [(size, size, 4)]


def test_operations_are_counted_with_the_parts_that_are_laid_in():
    """Of the networks that come with it: figure, head and both hands."""
    styles = {
        "figure": made("avatar-anime-network"),
        "with parts": made("avatar-anime-network", AnimeOptions(heads=fetch(HEADS), hand_weights=fetch(HANDS))),
    }
    gflop = {
        (kind, size): style.flops(sprite_requests(style, size, 1)[0].prepared) / 1e9
        for kind, style in styles.items()
        for size in (64, 256)
    }
    assert gflop["figure", 64] < gflop["with parts", 64] < gflop["figure", 256] < gflop["with parts", 256] <= MOST


def made(weights, options=None):
    return make_style(options, PluginContext(weights={FIGURES: fetch(weights)}))


def test_a_batch_is_compared_with_single_sprites():
    draws = tuple(
        DrawTime(64, batch, "fp32", (rate, rate, rate), 2.0, 100.0) for batch, rate in ((1, 10.0), (16, 25.0))
    )
    sprites = tuple(SpriteTime(64, batch, (rate, rate, rate), 2.0) for batch, rate in ((1, 4.0), (4, 8.0)))
    bench = AvatarBench("CPU", "untrained", {"fp32": (100.0, 90.0, 110.0)}, draws, sprites, (), None)
    assert bench.batch_gain(64, "fp32") == (16, 1, 2.5)
    assert bench.batch_gain(64, "bf16") is None
    assert bench.sprite_gain(64) == (4, 1, 2.0)
    assert bench.sprite_gain(128) is None
    assert draws[1].gflops == 50 and draws[1].share == 0.5


def test_what_cannot_be_measured_is_refused(weights, tmp_path, monkeypatch):
    asked = {"batches": (1,), "log": None, "tell": lambda text: None}
    with pytest.raises(UsageError, match="no stage 32"):
        bench_avatar(weights, sizes=(16, 32), device="cpu", **asked)
    monkeypatch.setattr("animegen.pipeline.bench_avatar.has_cuda", lambda: False)
    with pytest.raises(UsageError, match="not measured"):
        bench_avatar(weights, sizes=(16,), device="cuda", **asked)
    other = tmp_path / "log.jsonl"
    other.write_text('{"loss": 1}\n')
    with pytest.raises(InputError, match=r"log\.jsonl is not the log"):
        network_share(other)
