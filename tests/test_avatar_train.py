"""Training: resumed is uninterrupted, a run belongs to its options, weights are taken over, and the command tells."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from figures import header, narrow_networks, write_figures

from animegen.avatar.anime_objective import AnimeObjective, r1_penalty
from animegen.avatar.checkpoint import load_generator, load_tensors
from animegen.avatar.objective import Setting
from animegen.avatar.psgan import load_psgan
from animegen.avatar.recipes import ANIME, RECIPES, Phase, Recipe
from animegen.avatar.train import Progress, TrainOptions, train_avatar
from animegen.cli import cli
from animegen.errors import Cancelled, InputError, JobError, UsageError, WeightsError
from animegen.parallel import Workers

TINY = replace(ANIME, phases=(Phase(8, 0.5, 4), Phase(16, 0.5, 2, adversarial=0.1)), warmup=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figures(tmp_path_factory.mktemp("figures") / "data", train=12, validation=2)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_networks(monkeypatch)


def options(data: Path, run: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{"data": data, "run": run, "recipe": TINY, "images": 16, "threads": 1, "every": 4} | changes)


def quiet(progress: Progress) -> None:
    pass


def after(count: int):
    """Says yes when asked for the ``count``-th time."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(run / "checkpoint.safetensors")[0]


def test_resumed_is_uninterrupted_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """Through both phases, with the discriminator, interrupted in the middle of each."""
    train_avatar(options(data, tmp_path / "whole"), quiet)
    for stops in (1, 2):
        train_avatar(options(data, tmp_path / "parts"), quiet, after(stops))
    again = train_avatar(options(data, tmp_path / "parts"), quiet)
    assert again.images == 16
    whole, parts = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert {name.split("/")[0] for name in whole} == {
        "generator", "average", "discriminator", "generator_adam", "generator_muon", "critic_adam",
    }  # fmt: skip
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_holds_what_is_promised(data: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    train_avatar(options(data, tmp_path, recipe=TINY.limited_to(8), images=8), told.append)
    assert [progress.images for progress in told] == [4, 8]
    last = told[-1]
    assert {"iou", "psnr", "plain8", "edges8"} <= last.terms.keys()
    assert (last.of, last.stage, last.seconds_left) == (8, 8, 0)
    assert 0 <= last.network_share <= 1
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in log] == [4, 8]
    assert log[-1]["terms"] == dict(last.terms)
    assert sorted(path.name for path in (tmp_path / "grids").iterdir()) == ["00000004.png", "00000008.png"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    generator, avatars = load_generator(tmp_path / "avatar.safetensors")
    assert generator.config.largest_stage == 8
    assert [entry["name"] for entry in avatars] == ["ann", "bob"]


def test_a_run_of_other_options_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    small = options(data, tmp_path, recipe=TINY.limited_to(8), images=4)
    train_avatar(small, quiet)
    for change, name in (({"seed": 3}, "seed was 0"), ({"augment": ("flip",)}, "augment was ")):
        with pytest.raises(JobError, match=name):
            train_avatar(replace(small, **change), quiet)
    # harmless ones are not
    assert train_avatar(replace(small, images=8, every=8), quiet).images == 8
    assert train_avatar(replace(small, seed=3, restart=True), quiet).images == 4


def test_a_checkpoint_without_options_beside_it_goes_on(data: Path, tmp_path: Path) -> None:
    small = options(data, tmp_path, recipe=TINY.limited_to(8), images=4)
    train_avatar(small, quiet)
    (tmp_path / "options.json").unlink()
    assert train_avatar(replace(small, images=8), quiet).steps == 2


def test_a_damaged_checkpoint_is_named(data: Path, tmp_path: Path) -> None:
    small = options(data, tmp_path, recipe=TINY.limited_to(8), images=4)
    train_avatar(small, quiet)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cannot read .*checkpoint\.safetensors"):
        train_avatar(replace(small, images=8), quiet)


def test_data_that_cannot_be_trained_on_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.json"):
        train_avatar(options(tmp_path, tmp_path / "run"), quiet)
    with pytest.raises(UsageError, match="pictures of 32 px, too small for a stage of 64"):
        train_avatar(options(data, tmp_path / "run", recipe=ANIME.limited_to(64)), quiet)
    empty = write_figures(tmp_path / "empty", train=0, validation=1)
    with pytest.raises(UsageError, match="no samples of the split 'train'"):
        train_avatar(options(empty, tmp_path / "run"), quiet)


def test_init_takes_over_matching_avatars_and_grids(data: Path, tmp_path: Path) -> None:
    train_avatar(options(data, tmp_path, recipe=TINY.limited_to(8), images=4), quiet)
    trained, _ = load_generator(tmp_path / "avatar.safetensors")
    begun = AnimeObjective(
        Setting(
            header(names=("cy", "bob", "dee")),
            TINY,
            torch.device("cpu"),
            Workers(),
            tmp_path / "avatar.safetensors",
        )
    ).generator
    assert torch.equal(begun.avatars.weight[1], trained.avatars.weight[1])
    assert not torch.equal(begun.avatars.weight[0], trained.avatars.weight[0])
    assert torch.equal(begun.state_dict()["grids.0.refine.weight"], trained.state_dict()["grids.0.refine.weight"])
    assert begun.config.stages == (8, 16)


def test_the_discriminator_may_learn_alone_first(data: Path, tmp_path: Path) -> None:
    """From where the adversarial phase begins, for as many images as were asked for."""
    recipe = replace(TINY, phases=(Phase(8, 0.5, 4), Phase(8, 0.5, 2, adversarial=0.1))).with_judge_first(4)
    kept = []
    for steps in (2, 2, 1):
        train_avatar(options(data, tmp_path, recipe=recipe), quiet, after(steps))
        kept.append(tensors_of(tmp_path))

    def changed(first: int, second: int, network: str) -> bool:
        names = [name for name in kept[first] if name.startswith(f"{network}/")]
        return not all(torch.equal(kept[first][name], kept[second][name]) for name in names)

    assert changed(0, 1, "discriminator") and not changed(0, 1, "generator") and not changed(0, 1, "average")
    assert changed(1, 2, "discriminator") and changed(1, 2, "generator") and changed(1, 2, "average")


def test_the_penalty_of_patches_does_not_grow_with_the_picture() -> None:
    """Four times as many patches of the same kind are as steep, each by itself."""
    random = torch.Generator().manual_seed(0)
    kernel, deep = torch.randn(1, 4, 8, 8, generator=random), torch.randn(1, 1, 1, 1, generator=random)
    small = torch.rand(3, 4, 32, 32, generator=random)
    penalties = []
    for picture in (small, small.tile(1, 1, 2, 2)):
        picture.requires_grad_(True)
        patches = torch.nn.functional.conv2d(picture, kernel, stride=8)
        penalties.append(r1_penalty(torch.nn.functional.conv2d(patches.tanh(), deep), picture))
    assert penalties[0] > 0 and penalties[0].requires_grad
    torch.testing.assert_close(*penalties)


def test_psgan_shares_the_loop(data: Path, tmp_path: Path) -> None:
    recipe = RECIPES["psgan-2018"].limited_to(4).with_batch(2)
    told: list[Progress] = []
    train_avatar(options(data, tmp_path / "whole", recipe=recipe, images=4, augment=()), told.append)
    assert {"distance", "penalty", "critic", "fooled", "iou"} <= told[-1].terms.keys()
    assert load_psgan(tmp_path / "whole" / "avatar.safetensors").config.largest_stage == 4
    train_avatar(options(data, tmp_path / "parts", recipe=recipe, images=4, augment=()), quiet, after(1))
    train_avatar(options(data, tmp_path / "parts", recipe=recipe, images=4, augment=()), quiet)
    whole, parts = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_phases_follow_one_another() -> None:
    recipe = Recipe("r", (Phase(8, 0.5), Phase(16, 0.25, fade=True), Phase(16, 0.25)), images=400)
    assert recipe.at(0, 100) == (recipe.phases[0], 0, 50)
    assert recipe.at(50, 100) == (recipe.phases[1], 50, 75)
    assert recipe.at(99, 100) == (recipe.phases[2], 75, 100)
    assert recipe.limited_to(8).images == 200
    assert [phase.share for phase in recipe.beginning_at(16).phases] == [0.5, 0.5]
    with pytest.raises(UsageError, match="no stage of 32 px") as error:
        recipe.limited_to(32)
    assert error.value.hint == "it has 8, 16"
    image, stages = 0, []
    while image < 165_000:
        phase, begin, end = ANIME.at(image, 165_000)
        assert begin == image
        image = end
        stages.append(phase.stage)
    assert (image, stages) == (165_000, [32, 64, 128, 256])


def command(*arguments: Any) -> list[str]:
    return ["train", "avatar", *map(str, arguments), "--threads", "1", "--device", "cpu"]


def test_the_command_trains_and_tells(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = (data, "-o", run, "--config", "psgan-2018", "--resolution", 4, "--batch", 2, "--every", 2)
    result = CliRunner().invoke(cli, command(*small, "--images", 4))
    assert result.exit_code == 0, result.output
    assert "4 of 4 images, 4 px, IoU " in result.stderr
    assert "in the network, 0 min left" in result.stderr
    assert result.stdout.strip() == str(run / "avatar.safetensors")
    result = CliRunner().invoke(cli, command(*small, "--images", 6, "--json"))
    assert [json.loads(line)["images"] for line in result.stdout.splitlines()] == [6]
    refused = CliRunner().invoke(cli, command(*small, "--seed", 1))
    assert isinstance(refused.exception, JobError)
    assert "seed was 0" in str(refused.exception)


def test_the_command_says_what_a_recipe_lacks(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, command(data, "-o", tmp_path / "run", "--resolution", 48))
    assert isinstance(result.exception, UsageError)
    assert result.exception.hint == "it has 32, 64, 128, 256, 512"


def test_ctrl_c_writes_a_checkpoint_and_tells_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    from animegen.avatar.psgan_objective import PsganObjective

    step = PsganObjective.step
    monkeypatch.setattr(PsganObjective, "step", interrupt)
    run = tmp_path / "run"
    small = (data, "-o", run, "--config", "psgan-2018", "--resolution", 4, "--batch", 2, "--images", 4)
    result = CliRunner().invoke(cli, command(*small))
    assert isinstance(result.exception, Cancelled)
    assert result.exception.exit_code == 130
    assert "stopped after 2 of 4 images" in str(result.exception)
    assert result.exception.hint == "the same command goes on from there"
    assert load_tensors(run / "checkpoint.safetensors")[1]["images"] == "2"
    monkeypatch.setattr(PsganObjective, "step", step)
    assert CliRunner().invoke(cli, command(*small, "--quiet")).exit_code == 0


def test_only_faces_are_learned(tmp_path: Path) -> None:
    data = write_figures(tmp_path / "data", train=4, validation=1, size=64)
    recipe = replace(TINY, phases=(Phase(64, 1.0, 2),)).with_only_faces()
    trainer = train_avatar(options(data, tmp_path / "run", recipe=recipe, images=4), quiet)
    weights = trainer.objective.networks["generator"].named_parameters()
    assert {name for name, weight in weights if weight.requires_grad} == {"face.texture.weight", "face.texture.bias"}
    assert set(trainer.objective.optimisers) == {"generator_adam"}
    with pytest.raises(UsageError, match="not drawn by themselves at 16 px"):
        train_avatar(options(data, tmp_path / "small", recipe=TINY.with_only_faces()), quiet)
