"""Drawing: whole pictures of the right kind, the same in any batch, smooth in the pose; mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import pose
from torch import nn

from animegen.avatar.checkpoint import save_generator
from animegen.avatar.config import AvatarConfig
from animegen.avatar.generator import AvatarGenerator, load_avatar_generator
from animegen.avatar.network import Generator
from animegen.errors import InvalidValue
from animegen.pose.skeletons import AVATAR35
from animegen.weights.locations import shipped

ONE_LEVEL = 1
"""Of 255: sums in another order round a byte differently."""
MOST_OF_A_MOVE = 0.2
"""How much of the change over ten pixels one of the ten may make: an even move makes a tenth each."""


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> AvatarGenerator:
    """An untrained generator with livelier weights than it begins with, so that its pictures differ by pose."""
    torch.manual_seed(0)
    channels = {4: 16, 8: 16, 16: 12, 32: 8}
    network = Generator(AvatarConfig(AVATAR35, 3, channels, largest_stage=64, latent=4, width=8, map_size=16))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.out_channels == 40:
            nn.init.normal_(module.weight, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    avatars = [{"name": name} for name in ("ann", "bob", "cy")]
    save_generator(path, network, avatars=avatars, dtype=torch.float32, notes={})
    return load_avatar_generator(path, precision="fp32")


def asked(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "xy": np.stack([pose(rng) for _ in range(count)]),
        "z": rng.normal(0, 0.05, (count, 35)).astype(np.float32),
        "score": np.ones((count, 35), np.float32),
        "expression": rng.random((count, 10)).astype(np.float32),
        "avatar": np.arange(count) % 3,
    }


def test_it_draws_layers_of_every_stage(generator: AvatarGenerator) -> None:
    assert generator.stages == (8, 16, 32, 64)
    assert generator.skeleton == AVATAR35
    for stage in generator.stages:
        drawn = generator.draw(**asked(2), stage=stage)
        assert drawn.shape == (2, stage, stage, 10)
        assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, generator.draw(**asked(2), stage=64))


def test_nothing_asked_is_nothing_drawn(generator: AvatarGenerator) -> None:
    assert generator.draw(**asked(3) | {k: v[:0] for k, v in asked(3).items()}, stage=16).shape == (0, 16, 16, 10)


def test_a_drawing_does_not_depend_on_its_batch(generator: AvatarGenerator) -> None:
    many = asked(5)
    together = generator.draw(**many, stage=32).astype(int)
    for i in range(5):
        alone = generator.draw(**{name: array[i : i + 1] for name, array in many.items()}, stage=32)
        assert np.abs(together[i] - alone[0]).max() <= ONE_LEVEL


def test_a_drawing_does_not_depend_on_its_place_among_others(generator: AvatarGenerator) -> None:
    for seed in range(20):
        many = asked(4, seed)
        there = generator.draw(**many, stage=64)
        back = generator.draw(**{name: array[::-1] for name, array in many.items()}, stage=64)
        assert np.array_equal(there, back[::-1])


def test_avatars_differ(generator: AvatarGenerator) -> None:
    one = {name: array[:1].repeat(2, 0) for name, array in asked(1).items()}
    drawn = generator.draw(**one | {"avatar": np.array([0, 1])}, stage=32).astype(int)
    assert np.abs(drawn[0] - drawn[1]).max() > 3


def test_a_pose_moved_a_pixel_at_a_time_moves_the_picture_evenly(generator: AvatarGenerator) -> None:
    steps, stage = 10, 64
    path = {name: array[:1].repeat(steps + 1, 0) for name, array in asked(1).items()}
    path["xy"] = path["xy"].copy()
    path["xy"][:, :, 0] += np.arange(steps + 1, dtype=np.float32)[:, None] / stage
    drawn = generator.draw(**path, stage=stage).astype(np.float32)
    changes = np.abs(np.diff(drawn, axis=0)).mean(axis=(1, 2, 3))
    assert changes.min() > 0
    assert changes.max() < MOST_OF_A_MOVE * changes.sum()


def test_neighbouring_stages_agree(generator: AvatarGenerator) -> None:
    large = generator.draw(**asked(2), stage=64).astype(np.float32)
    small = generator.draw(**asked(2), stage=32).astype(np.float32)
    averaged = large.reshape(2, 32, 2, 32, 2, 10).mean(axis=(2, 4))
    unlike = small[::-1]
    assert np.abs(averaged - small).mean() < 40
    assert np.corrcoef(averaged.ravel(), small.ravel())[0, 1] > np.corrcoef(averaged.ravel(), unlike.ravel())[0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"xy": a["xy"][:, :17]}, r"xy must be \(2, 35, 2\), got \(2, 17, 2\)"),
        (lambda a: a | {"z": a["z"][:1]}, r"z must be \(2, 35\), got \(1, 35\)"),
        (lambda a: a | {"score": a["score"][..., None]}, r"score must be \(2, 35\), got \(2, 35, 1\)"),
        (lambda a: a | {"expression": a["expression"][:, :9]}, r"expression must be \(2, 10\), got \(2, 9\)"),
        (lambda a: a | {"avatar": np.array([0, 3])}, r"avatar must be from 0 to 2, got \[0, 3\]"),
        (lambda a: a | {"stage": 48}, r"stage must be one of \(8, 16, 32, 64\), got 48"),
    ],
)
def test_what_does_not_fit_is_named(
    generator: AvatarGenerator, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        generator.draw(**change({**asked(2), "stage": 16}))


def test_a_larger_stage_costs_more(generator: AvatarGenerator) -> None:
    costs = [generator.flops(stage) for stage in generator.stages]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_bfloat16_draws_nearly_the_same(generator: AvatarGenerator, tmp_path: Path) -> None:
    half = AvatarGenerator(generator.network, generator.avatars, generator.device, torch.bfloat16)
    exact, rounded = (g.draw(**asked(2), stage=16).astype(int) for g in (generator, half))
    assert np.abs(exact - rounded).mean() < 3


def test_the_shipped_weights_draw_the_same_natively(native_ops: Path, as_reference: Any) -> None:
    generator = load_avatar_generator(shipped("weights") / "avatar-anime-network.safetensors", precision="fp32")
    natively = generator.draw(**asked(2), stage=64).astype(int)
    with as_reference():
        by_reference = generator.draw(**asked(2), stage=64).astype(int)
    assert natively.std() > 10
    assert np.abs(natively - by_reference).max() <= ONE_LEVEL
