"""The networks against the official code: its reference tensors always, the code itself where a checkout is at hand."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from stylegan2_numbers import CASES, Case, filled
from stylegan2_official import ADA, REFERENCES, ada_outputs, ada_pair

from animegen.errors import InvalidValue, UsageError
from animegen.stylegan2.config import CONFIGS, DiscriminatorConfig, GeneratorConfig, published
from animegen.stylegan2.discriminator import Discriminator, minibatch_deviation
from animegen.stylegan2.synthesis import Generator

TOLERANCE = 1e-5
"""Of the largest value: what float32 leaves of sums in another order."""
TOLERANCE_1024 = 3e-5
"""The same after two more resolutions."""


def tolerance(case: Case) -> float:
    return TOLERANCE_1024 if case.resolution >= 1024 else TOLERANCE


@pytest.fixture(scope="module")
def references() -> dict[str, np.ndarray]:
    with np.load(REFERENCES, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def draw(case: Case) -> torch.Tensor:
    with torch.inference_mode():
        return case.generator()(case.z(), case.label(), psi=case.psi, cutoff=case.cutoff, noise=case.noise)


@pytest.mark.parametrize("name", CASES)
def test_the_generator_equals_the_official_one(name, references):
    case = CASES[name]
    ours = draw(case)[:, :, :: case.stride, :: case.stride].numpy()
    assert np.abs(ours - references[f"{name}.pictures"]).max() <= tolerance(case) * references[f"{name}.largest"]


@pytest.mark.parametrize("name", CASES)
def test_the_discriminator_equals_the_official_one(name, references):
    case = CASES[name]
    with torch.inference_mode():
        ours = case.discriminator()(case.pictures(), case.label()).numpy()
    wanted = references[f"{name}.scores"]
    assert np.abs(ours - wanted).max() <= tolerance(case) * np.abs(wanted).max()


@pytest.mark.skipif(ADA not in os.environ, reason=f"{ADA} names no checkout of the official code")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_both_equal_the_official_code_that_runs_beside_them(name):
    case = CASES[name]
    pictures, scores = ada_outputs(case)
    assert (draw(case) - pictures).abs().max() <= tolerance(case) * pictures.abs().max()
    ours = case.discriminator()(case.pictures(), case.label())
    assert (ours - scores).abs().max() <= tolerance(case) * scores.abs().max()


@pytest.mark.skipif(ADA not in os.environ, reason=f"{ADA} names no checkout of the official code")
@pytest.mark.filterwarnings("ignore")
def test_state_dicts_are_named_as_the_official_ones():
    case = CASES["conditional-rgba-resnet-64"]
    for ours, official in zip((case.generator(), case.discriminator()), ada_pair(case), strict=True):
        names = {name for name in official.state_dict() if not name.endswith("resample_filter")}
        assert set(ours.state_dict()) == names


@pytest.mark.parametrize("name", ["auto", *CONFIGS])
def test_published_configurations(name):
    resolution = {"cifar": 32, "paper512": 512, "paper1024": 1024}.get(name, 256)
    generator, discriminator = published(name, resolution, channels=4, c_dim=3)
    assert generator.width(resolution) == min(
        int(32768 * (1 if name not in {"auto", "paper256"} else 0.5)) // resolution, 512
    )
    assert generator.mapping_layers == (2 if name in {"auto", "cifar"} else 8)
    assert discriminator.architecture == ("orig" if name == "cifar" else "resnet")
    assert GeneratorConfig.from_json(generator.to_json()) == generator
    assert DiscriminatorConfig.from_json(discriminator.to_json()) == discriminator
    with torch.device("meta"):
        assert Generator(generator).state_dict()["mapping.fc0.weight"].shape == (512, 1024)
        assert Discriminator(discriminator).state_dict()[f"b{resolution}.fromrgb.weight"].shape[1] == 4


def test_a_configuration_that_is_none():
    with pytest.raises(UsageError, match="paper128"):
        published("paper128", 128)
    with pytest.raises(InvalidValue, match="resolution must be a power of two"):
        GeneratorConfig(100)
    with pytest.raises(InvalidValue, match="depth"):
        GeneratorConfig.from_json('{"resolution": 64, "depth": 3}')


def test_noise_modes():
    case = Case(64)
    generator = case.generator()
    ws = generator.latents(case.z())
    const, none = generator.synthesis(ws, "const"), generator.synthesis(ws, "none")
    assert not torch.equal(const, none)
    torch.manual_seed(0)
    random = generator.synthesis(ws, "random")
    assert not torch.equal(random, generator.synthesis(ws, "random"))
    layers = generator.synthesis.layers()
    stored = {name: layer.noise_const[None, None] for name, layer in layers.items()}
    assert torch.equal(generator.synthesis(ws, stored), const)
    silent = {name: torch.zeros_like(noise) for name, noise in stored.items()}
    assert torch.allclose(generator.synthesis(ws, silent), none, atol=1e-5)  # sums with zeros, in another order


def test_truncation_draws_to_the_mean_and_stops_at_its_cutoff():
    generator = Case(64).generator()
    z = Case(64).z()
    whole, mean = generator.latents(z), generator.latents(z, psi=0.0)
    assert torch.equal(mean, generator.mapping.w_avg.expand_as(mean))
    cut = generator.latents(z, psi=0.5, cutoff=3)
    assert torch.equal(cut[:, 3:], whole[:, 3:])
    assert torch.allclose(cut[:, :3], (whole[:, :3] + mean[:, :3]) / 2, atol=1e-6)  # rounding of the mean of two


def test_sixteen_bits_stay_near():
    case = Case(64, clamp=256.0)
    config = GeneratorConfig.from_json(
        case.generator().config.to_json().replace('"num_fp16_res": 0', '"num_fp16_res": 2')
    )
    generator = filled(Generator(config))
    ws = generator.latents(case.z())
    whole, half = generator.synthesis(ws), generator.synthesis(ws, half=torch.bfloat16)
    assert half.dtype == torch.float32
    assert 0 < (whole - half).abs().max() <= 0.1 * whole.abs().max()  # bfloat16 keeps 8 bits of every activation


@torch.inference_mode()
def test_prepared_weights_draw_the_same():
    generator, z = Case(64).generator(), Case(64).z()
    wanted = generator(z)
    generator.synthesis.prepare()
    assert (generator(z) - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
    generator.synthesis.b64.conv1.weight.zero_()
    changed = Case(64).generator()
    changed.synthesis.b64.conv1.weight.zero_()
    assert (generator(z) - changed(z)).abs().max() > 0.1 * wanted.abs().max()  # it is the prepared ones that draw


def test_wrong_shapes_are_told():
    case = Case(64, c_dim=3)
    with pytest.raises(InvalidValue, match="needs a label"):
        case.generator()(case.z())
    with pytest.raises(InvalidValue, match="latents must be"):
        case.generator().synthesis(torch.zeros(1, 3, 48))
    with pytest.raises(InvalidValue, match="picture must be"):
        case.discriminator()(torch.zeros(1, 3, 32, 32), case.label(1))
    with pytest.raises(InvalidValue, match="no groups of 4"):
        minibatch_deviation(torch.zeros(6, 8, 4, 4), 4, 1)


def test_gradients_flow_twice():
    """As R1 and path length regularisation need."""
    case = Case(64)
    generator, critic = case.generator(), case.discriminator()
    ws = generator.latents(case.z()).requires_grad_()
    pictures = generator.synthesis(ws)
    (first,) = torch.autograd.grad(pictures.square().mean(), ws, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), ws)
    shown = pictures.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(shown).sum(), shown, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), shown)
    assert second.abs().sum() > 0 and bend.abs().sum() > 0
