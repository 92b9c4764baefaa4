"""Training: regularisations against slow references, what stays frozen, and a training that was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from stylegan2_numbers import filled

from animegen.cli import main
from animegen.errors import InputError, InvalidValue, UsageError
from animegen.stylegan2.augment import augmented, next_probability
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from animegen.stylegan2.config import CONFIGS, DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.losses import path_lengths, r1_penalty
from animegen.stylegan2.model import StyleGan2
from animegen.stylegan2.pictures import PictureFolder
from animegen.stylegan2.recipes import Recipe, recipe
from animegen.stylegan2.synthesis import Generator
from animegen.stylegan2.training import Trainer, Transfer, fresh, train

SIDE = 16
QUICK = Recipe(4, 0.002, 1.0, 1000, r1_every=2, path_every=2, ada_images=500)
CLOSE = 1e-6
"""Of the value: float64 against finite differences of float64."""


def networks() -> Checkpoint:
    shape = {"channel_base": 128, "channel_max": 8, "mapping_layers": 2}
    generator = filled(Generator(GeneratorConfig(SIDE, z_dim=16, w_dim=16, **shape)))
    return Checkpoint(generator, discriminator=filled(Discriminator(DiscriminatorConfig(SIDE, group_size=2, **shape))))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of discs on grounds of two colours, in two folders."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.RandomState(0)
    y, x = np.mgrid[:20, :20]
    for number in range(12):
        disc = (x - draw.randint(6, 14)) ** 2 + (y - draw.randint(6, 14)) ** 2 < 25
        image = np.where(disc[..., None], [240, 230, 200], [[30, 60, 120], [120, 40, 40]][number % 2]).astype(np.uint8)
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


def trainer(data: Path, **options: object) -> Trainer:
    return Trainer(networks(), PictureFolder(data, SIDE, 3), options.pop("recipe", QUICK), **options)


def slope(function, tensor: torch.Tensor, place: tuple[int, ...], step: float = 1e-5) -> float:
    """The derivative of a number with respect to one entry of a tensor, by central differences."""
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            tensor[place] += sign * step
        values.append(float(function().detach()))
        with torch.no_grad():
            tensor[place] -= sign * step
    return (values[0] - values[1]) / (2 * step)


def test_r1_and_its_gradient_equal_finite_differences():
    critic = networks().discriminator.double()
    pictures = torch.from_numpy(np.random.RandomState(0).randn(2, 3, SIDE, SIDE) * 0.5)

    def penalty() -> torch.Tensor:
        leaf = pictures.clone().requires_grad_()
        return r1_penalty(critic(leaf), leaf).mean()

    weight = critic.get_submodule("b16").conv0.weight.requires_grad_()
    (found,) = torch.autograd.grad(penalty(), weight)
    place = (1, 2, 0, 1)
    assert float(found[place]) == pytest.approx(slope(penalty, weight, place), rel=1e-4)
    leaf = pictures.clone().requires_grad_()
    whole = r1_penalty(critic(leaf), leaf)[0]
    # the first picture's own gradient, entry by entry, through the sum of the scores of its group
    entries = [slope(lambda: critic(pictures).sum(), pictures, (0, c, y, x)) for c, y, x in ((0, 3, 4), (2, 9, 1))]
    (gradient,) = torch.autograd.grad(critic(leaf).sum(), leaf)
    assert [float(gradient[0, 0, 3, 4]), float(gradient[0, 2, 9, 1])] == pytest.approx(entries, rel=1e-4)
    assert float(whole.detach()) == pytest.approx(float(gradient[0].square().sum()), rel=CLOSE)


def test_path_lengths_and_their_gradient_equal_the_whole_jacobian():
    side = 8
    config = GeneratorConfig(side, z_dim=16, w_dim=16, channel_base=128, channel_max=8, mapping_layers=2)
    generator = filled(Generator(config)).double()
    ws = generator.latents(torch.from_numpy(np.random.RandomState(0).randn(2, 16))).requires_grad_()
    directions = torch.from_numpy(np.random.RandomState(1).randn(2, 3, side, side))
    lengths = path_lengths(generator.synthesis(ws), ws, directions)
    jacobian = torch.autograd.functional.jacobian(generator.synthesis, ws[1:].detach())
    pulled = torch.einsum("chw,chwld->ld", directions[1] / side, jacobian[0, :, :, :, 0])
    wanted = float(pulled.square().sum(dim=1).mean().sqrt())
    assert float(lengths[1].detach()) == pytest.approx(wanted, rel=CLOSE)
    weight = generator.synthesis.b8.conv0.weight.requires_grad_()

    def mean() -> torch.Tensor:
        return path_lengths(generator.synthesis(ws), ws, directions).mean()

    (found,) = torch.autograd.grad(mean(), weight)
    assert float(found[0, 1, 2, 0]) == pytest.approx(slope(mean, weight, (0, 1, 2, 0)), rel=1e-4)


def test_a_training_that_was_stopped_goes_on_bit_for_bit(data, tmp_path):
    told: list[dict[str, float]] = []
    whole = train(trainer(data), tmp_path / "whole", images=24, every=24, on_step=lambda _, losses: told.append(losses))
    for images in (12, 24):
        parts = train(trainer(data), tmp_path / "parts", images=images, every=12, on_step=lambda *_: None)
    one, other = load_file(whole), load_file(parts)
    assert set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)
    assert len(told) == 6 and {"generator", "discriminator", "path", "r1"} == set(told[0])
    assert all(np.isfinite(list(losses.values())).all() for losses in told)
    before, after = networks().generator.state_dict(), load_checkpoint(whole).trained.state_dict()
    assert all(not torch.equal(before[n], after[n]) for n in before if not n.endswith("noise_const"))
    assert not torch.equal(load_checkpoint(whole).generator.synthesis.b4.const, after["synthesis.b4.const"])


def test_freezing_leaves_what_is_frozen_and_changes_the_rest(data):
    kept = Transfer(freeze_mapping=True, freeze_blocks=4, freeze_discriminator=1, structure_weight=1.0)
    training = trainer(data, transfer=kept)
    for _ in range(2):
        training.step()
    start = networks()
    frozen = {"g": ("mapping.", "synthesis.b4."), "d": ("b16.",)}
    for key, own, before in (
        ("g", training.generator, start.generator),
        ("d", training.discriminator, start.discriminator),
    ):
        for name, tensor in own.state_dict().items():
            same = torch.equal(tensor, before.state_dict()[name])
            assert same == (name.startswith(frozen[key]) or name.endswith("noise_const")), name
    with pytest.raises(UsageError, match="everything is frozen"):
        trainer(data, transfer=Transfer(freeze_mapping=True, freeze_blocks=SIDE))


def test_only_singular_values_change(data):
    training = trainer(data, transfer=Transfer(singular_values=True))
    for _ in range(2):
        training.step()
    for name, begun in networks().generator.synthesis.named_parameters():
        if begun.ndim == 4:
            left, _, right = torch.linalg.svd(begun.flatten(1), full_matrices=False)
            now = training.generator.synthesis.get_parameter(name).detach()
            change = left.T @ (now - begun).flatten(1) @ right.T
            others = change - torch.diag(change.diag())
            assert change.diag().abs().max() > 1e3 * others.abs().max(), name
            torch.testing.assert_close(left @ change @ right, (now - begun).flatten(1), atol=1e-5, rtol=0, msg=name)
    assert not torch.equal(training.generator.mapping.fc0.weight, networks().generator.mapping.fc0.weight)


def test_half_precision_trains_the_largest_blocks(data):
    start = networks()
    for network in (start.generator, start.discriminator):
        network.config = replace(network.config, num_fp16_res=1)
    plain, half = (Trainer(start, PictureFolder(data, SIDE, 3), QUICK, half=dtype) for dtype in (None, torch.bfloat16))
    losses = [training.step() for training in (plain, half)]
    assert losses[0] != losses[1] and np.isfinite(list(losses[1].values())).all()
    assert half.generator.synthesis.b16.conv1.weight.dtype == torch.float32


def test_augmentation_at_probability_zero_and_one():
    pictures = torch.rand(3, 4, SIDE, SIDE) * 2 - 1
    draws = lambda: [np.random.RandomState(n) for n in range(3)]  # noqa: E731
    assert augmented(pictures, 0.0, draws()) is pictures
    once, again = augmented(pictures, 1.0, draws()), augmented(pictures, 1.0, draws())
    assert torch.equal(once, again) and once.shape == pictures.shape and not torch.allclose(once, pictures)
    alone = augmented(pictures[1:2], 1.0, draws()[1:2])
    assert torch.allclose(alone, once[1:2], atol=1e-6)  # a batch of one takes another path through the resampling
    leaf = pictures.clone().requires_grad_()
    augmented(leaf, 0.7, draws()).sum().backward()
    assert leaf.grad.abs().sum() > 0
    rare = augmented(pictures, 1e-9, draws())
    assert torch.allclose(rare, pictures, atol=1e-5)  # resampled at its own places


def test_probability_follows_the_discriminator():
    assert next_probability(0.5, 0.9, target=0.6, images=64, speed=640) == pytest.approx(0.6)
    assert next_probability(0.05, 0.1, target=0.6, images=64, speed=640) == 0.0


def test_folders_of_pictures(data, tmp_path):
    folder = PictureFolder(data, SIDE, 3, classes=2)
    pictures, labels = folder.batch([0, 11], [False, True])
    assert pictures.shape == (2, 3, SIDE, SIDE) and labels.tolist() == [[1, 0], [0, 1]]
    plain, _ = folder.batch([11], [False])
    assert np.array_equal(plain[0, :, :, ::-1], pictures[1])
    with pytest.raises(UsageError, match="the networks have 3"):
        PictureFolder(data, SIDE, 3, classes=3)
    with pytest.raises(InputError, match="holds no pictures"):
        PictureFolder(tmp_path, SIDE, 3)


def test_recipes():
    assert all(recipe(name, 256).batch in {32, 64} for name in CONFIGS)
    assert recipe("auto", 256).gamma == pytest.approx(0.0002 * 256**2 / 16)
    with pytest.raises(UsageError, match="paper128"):
        recipe("paper128", 128)


def test_narrow_networks_may_be_wider_where_that_is_cheap():
    config = fresh("auto", 64, width=1 / 16, most=64).generator.config
    assert [config.width(side) for side in config.resolutions] == [64, 64, 64, 32, 16]
    assert fresh("auto", 64, width=1 / 16).discriminator.config.width(4) == 32


def test_commands(data, tmp_path, capsys):
    asked = ["--images", "4", "--batch", "2", "--no-mirror"]
    new = ["train", str(data), "--resolution", "16", "--width", "0.02", "--classes", "2", "-o", str(tmp_path / "run")]
    assert main(["stylegan2", *new, *asked]) == 0
    checkpoint = Path(capsys.readouterr().out.strip())
    assert checkpoint == tmp_path / "run" / "checkpoint.safetensors"
    on = ["finetune", str(checkpoint), str(data), "--freeze-mapping", "-o", str(tmp_path / "on")]
    assert main(["stylegan2", *on, *asked]) == 0
    child, parent = (StyleGan2.load(path) for path in (tmp_path / "on" / "checkpoint.safetensors", checkpoint))
    assert np.array_equal(child.ws([parent.z(0)], label=1), parent.ws([parent.z(0)], label=1))
    save_checkpoint(tmp_path / "g.safetensors", Checkpoint(parent.generator))
    on[1] = str(tmp_path / "g.safetensors")
    assert main(["stylegan2", *on, *asked]) == 2
    with pytest.raises(InvalidValue, match="no checkpoint of a training"):
        trainer(data).resume(tmp_path / "g.safetensors")
