"""Weights files: read as written, and every fault named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from animegen.avatar.checkpoint import load_generator, load_tensors, restore, save_generator, save_tensors
from animegen.avatar.config import AvatarConfig
from animegen.avatar.network import Generator
from animegen.errors import WeightsError
from animegen.pose.skeletons import AVATAR35

AVATARS = [{"name": "ann", "licence": "CC0", "traits": {"sleeves": 1.0}}, {"name": "ボブ"}]


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(AvatarConfig(AVATAR35, 2, {4: 8, 8: 8}, largest_stage=16, latent=4, width=8, map_size=16))


@pytest.fixture
def weights(generator: Generator, tmp_path: Path) -> Path:
    save_generator(
        tmp_path / "w.safetensors", generator, avatars=AVATARS, dtype=torch.bfloat16, notes={"recipe": "anime"}
    )
    return tmp_path / "w.safetensors"


def test_weights_are_read_as_written(generator: Generator, weights: Path) -> None:
    again, avatars = load_generator(weights)
    assert avatars == AVATARS
    assert again.config == generator.config
    for name, value in generator.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.bfloat16().float()), name
    assert load_tensors(weights)[1]["recipe"] == "anime"
    assert [path.name for path in weights.parent.iterdir()] == ["w.safetensors"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .*none\.safetensors"):
        load_generator(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"\xff" * 40 + data, lambda _: b""]
)
def test_a_damaged_file_is_named(weights: Path, damage) -> None:
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(WeightsError, match=r"cannot read .*w\.safetensors") as error:
        load_generator(weights)
    assert error.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [("config", "{}"), ("config", "no json"), ("avatars", "["), ("avatars", None), ("avatars", "[]")],
)
def test_damaged_metadata_is_named(weights: Path, key: str, value: str | None) -> None:
    tensors, metadata = load_tensors(weights)
    save_tensors(weights, tensors, {k: v for k, v in {**metadata, key: value}.items() if v is not None})
    with pytest.raises(WeightsError, match=r"w\.safetensors is damaged: its metadata"):
        load_generator(weights)


def test_another_format_is_named(weights: Path) -> None:
    tensors, metadata = load_tensors(weights)
    save_tensors(weights, tensors, {**metadata, "format": "other-9"})
    with pytest.raises(WeightsError, match="its format is 'other-9', expected 'animegen-avatar-1'"):
        load_generator(weights)


def test_tensors_that_do_not_fit_are_named(generator: Generator, weights: Path) -> None:
    tensors, _ = load_tensors(weights)
    with pytest.raises(WeightsError, match=r"tensor 'avatars\.weight' is \[5, 4\], expected \[2, 4\]"):
        restore(generator, {**tensors, "avatars.weight": torch.zeros(5, 4)}, weights)
    del tensors["avatars.weight"]
    with pytest.raises(WeightsError, match=r"w\.safetensors has no tensor 'avatars\.weight'"):
        restore(generator, tensors, weights)
