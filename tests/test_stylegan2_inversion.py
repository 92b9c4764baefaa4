"""Inversion of pictures and clips, and directions in latent space, on small random generators."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stylegan2_numbers import Case
from torch.utils._python_dispatch import TorchDispatchMode

from animegen.errors import InvalidValue, UsageError, WeightsError
from animegen.stylegan2 import inversion, training
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.directions import ganspace, load_directions, save_directions, sefa
from animegen.stylegan2.distance import Distance, Multiscale, Perceptual
from animegen.stylegan2.inversion import InversionOptions, invert, psnr, whiteness
from animegen.stylegan2.model import Inverted, StyleGan2, load_latent, save_latent
from animegen.stylegan2.synthesis import Generator
from animegen.stylegan2.video_inversion import VideoOptions, invert_video, spline_basis
from animegen.types import Latent

DEMO = Path(__file__).parent.parent / "weights" / "demo-heads-base.safetensors"

FOUND = 30.0
"""dB in W+ for a picture that the generator made itself."""
STORED = 1.0
"""dB that may be lost with other noise pictures, which move this generator's output a little by themselves."""
ANY = {"noise_gain": math.inf}
"""All that was found of the noise is kept, whatever it tells of the picture."""
ROUNDING = 1e-4
"""Of noise that has a mean of zero and a mean square of one, in float32."""
ALONE = 0.02
"""Of the latents: what is found alone and in a batch differs by rounding, which the search amplifies."""
SIXTEEN_BITS = 0.25
"""Of the distance that is left: roundings move a search that has not settled, as another seed does."""


@pytest.fixture(scope="module")
def model() -> StyleGan2:
    torch.manual_seed(0)
    config = GeneratorConfig(32, channel_base=512, channel_max=32, z_dim=32, w_dim=32, mapping_layers=2)
    generator = Generator(config)
    found = StyleGan2(generator, "a" * 64)
    with torch.no_grad():
        for layer in generator.synthesis.layers().values():
            layer.noise_strength.fill_(0.1)
        spread = found.draw(found.ws([found.z(seed) for seed in range(4)])).std()
        for side in config.resolutions:
            generator.synthesis.block(side).torgb.weight.mul_(0.4 / spread)  # pictures of -1..1 nearly
    return found


def own(model: StyleGan2, *seeds: int) -> np.ndarray:
    return model.draw(model.ws([model.z(seed) for seed in seeds]))


def drawing() -> np.ndarray:
    """A picture that no such generator makes: a disc, a spot and a line, f32 [1, 3, 32, 32]."""
    y, x = np.mgrid[0:32, 0:32] / 31
    disc = np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1, 0.8, x - 0.6)
    spot = np.where((x - 0.3) ** 2 + (y - 0.4) ** 2 < 0.02, -0.9, y - 0.2)
    return np.stack([disc, spot, np.where(abs(x - y) < 0.1, 0.9, -0.3)])[None].astype(np.float32)


def test_a_picture_of_its_own_is_found_from_a_random_start(model):
    target = own(model, 100)
    (found,) = invert(model, target, InversionOptions(steps=300, start_seed=3))
    assert found.psnr >= FOUND
    drawn = model.draw(model.ws([found.latent]))[0]
    assert np.array_equal(drawn, found.picture) and psnr(drawn, target[0]) == found.psnr
    assert found.latent.space == "w+" and found.latent.values.shape == (model.config.num_ws, model.config.w_dim)


def test_a_picture_of_the_demo_generator_is_found():
    model = StyleGan2.load(DEMO)
    (found,) = invert(model, own(model, 100), InversionOptions(steps=200, start_seed=3))
    assert found.psnr >= FOUND


def test_people_of_a_batch_do_not_influence_each_other(model):
    targets, options = (
        own(model, 100, 101),
        InversionOptions(steps=12, optimise_noise=True, noise_begins=0.5, space="w"),
    )
    together = invert(model, targets, options)
    for place in (0, 1):
        (alone,) = invert(model, targets[place : place + 1], options)
        apart = np.abs(alone.latent.values - together[place].latent.values).max()
        assert apart <= ALONE * np.abs(alone.latent.values).max()
    assert together[0].latent.values.shape == (model.config.w_dim,)


def test_people_are_found_the_same_one_after_the_other(model, monkeypatch):
    """As those are whose layers are too large to be drawn at once."""
    targets = own(model, 100, 101, 102)
    options = InversionOptions(steps=8, optimise_noise=True, noise_begins=0.5, good_enough=0.1)
    together = invert(model, targets, options)
    monkeypatch.setattr(inversion, "_NEAR", 1)
    for one, other in zip(together, invert(model, targets, options), strict=True):
        apart = np.abs(one.latent.values - other.latent.values).max()
        assert apart <= ALONE * np.abs(one.latent.values).max() and one.steps == other.steps


def test_a_step_computes_no_gradients_of_weights(model):
    """Those of the generator's and of the features' convolutions would cost half as much again."""
    asked = []
    convolution = torch.ops.aten.convolution_backward

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is convolution.default:
                asked.append(args[-1])
            return function(*args, **(kwargs or {}))

    with Watching():
        invert(model, own(model, 100), InversionOptions(steps=1, optimise_noise=True), distance=Perceptual(vgg()))
    assert asked and not any(weights or biases for _, weights, biases in asked)


def test_noise_kept_white_does_not_store_the_picture(model):
    target = drawing()
    sought = InversionOptions(steps=150, optimise_noise=True, noise_begins=0, **ANY)
    (white,) = invert(model, target, sought)
    (free,) = invert(model, target, replace(sought, noise_weight=0))
    assert white.psnr - psnr(model.draw(model.ws([white.latent]), "random", 5)[0], target[0]) < STORED
    assert free.psnr - psnr(model.draw(model.ws([free.latent]), "random", 5)[0], target[0]) > 5 * STORED


def test_noise_that_joins_late_is_not_needed_for_its_own_picture(model):
    """Noise of strength 0.1 moves this generator's pictures to 24 dB: sought throughout, it is found, not white."""
    target = own(model, 100)
    (late,) = invert(model, target, InversionOptions(steps=150, optimise_noise=True, **ANY))
    (early,) = invert(model, target, InversionOptions(steps=150, optimise_noise=True, noise_begins=0, **ANY))
    others = [psnr(model.draw(model.ws([found.latent]), "random", 5)[0], target[0]) for found in (late, early)]
    assert late.psnr - others[0] < STORED < early.psnr - others[1]
    assert others[0] > others[1]


@pytest.mark.parametrize("drawn", ["const", "none"])
def test_no_other_noise_costs_much(drawn, model):
    """Of a picture that was drawn without noise, hardly anything is lost but by it: there, other noise costs most."""
    target = model.draw(model.ws([model.z(101)]), drawn)
    (found,) = invert(model, target, InversionOptions(steps=250, optimise_noise=True))
    others = [psnr(model.draw(model.ws([found.latent]), "random", seed)[0], target[0]) for seed in range(10)]
    assert found.psnr - min(others) < STORED


def test_of_noise_no_more_is_kept_than_can_be_lost(model):
    """Of a picture that was drawn without noise, noise from the beginning on would tell much."""
    target = model.draw(model.ws([model.z(100)]), "none")
    sought = InversionOptions(steps=60, optimise_noise=True, noise_begins=0)
    falls = []
    for options in (sought, replace(sought, **ANY)):
        (found,) = invert(model, target, options)
        others = [psnr(model.draw(model.ws([found.latent]), "random", seed)[0], target[0]) for seed in range(8)]
        falls.append(found.psnr - np.mean(others))
        for noise in found.noise.values():
            assert noise.dtype == np.float32
            assert abs(noise.mean()) < ROUNDING and abs(np.square(noise).mean() - 1) < ROUNDING
    assert falls[0] < STORED < falls[1]


def test_a_search_ends_early(model):
    target = own(model, 100)
    (found,) = invert(model, target, InversionOptions(steps=60, good_enough=0.1))
    assert found.steps < 60
    told: list[int] = []
    mixed = np.concatenate([target, drawing()])
    options = InversionOptions(steps=40, good_enough=0.1)
    found, other = invert(model, mixed, options, on_step=lambda step, _: told.append(step))
    assert found.steps < other.steps == 40 == len(told)
    still = InversionOptions(steps=60, exploration=0.0, patience=5, learning_rate=1e-9)
    assert invert(model, target, still)[0].steps == 6
    assert invert(model, target[:0]) == []


def test_a_picture_of_a_class():
    case = Case(64, base=256, most=8, c_dim=3)
    model = StyleGan2(case.generator(), "a" * 64)
    target = model.draw(model.ws([model.z(1)], label=2))
    (found,) = invert(model, target, InversionOptions(steps=2, space="w"), label=2)
    assert np.array_equal(model.draw(model.ws([found.latent]))[0], found.picture)
    with pytest.raises(UsageError, match="classes 0 to 2"):
        invert(model, target)


def test_learning_rate_and_wandering_ramp():
    options = InversionOptions(steps=100)
    rates = [options.rate(step) for step in range(100)]
    assert rates[0] < rates[4] == max(rates) == 0.1 == rates[50] and rates[-1] < 0.001
    assert options.wander(0) == options.exploration and options.wander(75) == options.wander(99) == 0
    options = InversionOptions(steps=100, optimise_noise=True, noise_begins=0.8)
    assert [options.rate(step) for step in range(80)] == [InversionOptions(steps=80).rate(step) for step in range(80)]
    assert [options.rate(step) for step in range(80, 100)] == [InversionOptions(steps=20).rate(n) for n in range(20)]


def test_whiteness_tells_noise_from_pictures():
    draw = np.random.RandomState(0)
    noise = torch.from_numpy(draw.randn(1, 1, 64, 64))
    smooth = torch.nn.functional.avg_pool2d(noise, 9, 1, 4)
    smooth = smooth / smooth.std()
    assert whiteness([smooth]) > 100 * whiteness([noise])


def test_what_does_not_fit_is_told(model):
    with pytest.raises(InvalidValue, match=r"pictures must be float32 \(any, 3, 32, 32\)"):
        invert(model, np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(InvalidValue, match="needs steps"):
        InversionOptions(steps=0)
    with pytest.raises(InvalidValue, match="belongs to the generator"):
        model.ws([Latent("z", np.zeros(32, np.float32), "b" * 64)])
    with pytest.raises(InvalidValue, match=r"a latent w must be \(32,\)"):
        model.ws([Latent("w", np.zeros(3, np.float32), "a" * 64)])
    with pytest.raises(UsageError, match="no classes"):
        model.ws([model.z(0)], label=1)


def test_latents_are_saved_with_their_noise(model, tmp_path):
    noise = {"b8.conv0": np.ones((8, 8), np.float32)}
    save_latent(tmp_path / "x.npz", Inverted(model.mapped([model.z(4)])[0], noise))
    found = load_latent(tmp_path / "x.npz")
    assert np.array_equal(model.ws([found.latent]), model.ws([model.z(4)]))
    assert found.noise.keys() == noise.keys() and np.array_equal(found.noise["b8.conv0"], noise["b8.conv0"])


def vgg(channels: tuple[int, ...] = (4, 6, 8, 8, 8)) -> dict[str, torch.Tensor]:
    """A network of VGG16's layers, narrow and random."""
    generator = torch.Generator().manual_seed(0)
    tensors, inputs = {}, 3
    for stage, (numbers, width) in enumerate(
        zip(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), channels, strict=True)
    ):
        for number in numbers:
            tensors[f"features.{number}.weight"] = torch.randn(width, inputs, 3, 3, generator=generator) / 3
            tensors[f"features.{number}.bias"] = torch.zeros(width)
            inputs = width
        tensors[f"lin{stage}.model.1.weight"] = torch.full((1, width, 1, 1), 0.5)
    return tensors


def between(distance: Distance, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return distance.between(a, distance.describe(b))


def test_a_picture_is_found_by_features(model, tmp_path):
    save_file(vgg(), tmp_path / "vgg.safetensors")
    target, distance = own(model, 100, 101), Perceptual.load(tmp_path / "vgg.safetensors")
    told: list[float] = []
    invert(model, target, InversionOptions(steps=20), distance=distance, on_step=lambda _, apart: told.append(apart))
    assert told[-1] < 0.5 * told[0]


def test_distances(model, tmp_path):
    save_file(vgg(), tmp_path / "vgg.safetensors")
    torch.save(vgg(), tmp_path / "vgg.pth")
    a, b = (torch.from_numpy(own(model, seed)) for seed in (1, 2))
    loaded = [Perceptual.load(tmp_path / name) for name in ("vgg.safetensors", "vgg.pth")]
    assert torch.equal(between(loaded[0], a, b), between(loaded[1], a, b))
    for distance in (Multiscale(), loaded[0]):
        assert between(distance, a, a).abs().max() == 0
        assert torch.equal(between(distance, a, b), between(distance, b, a)) and between(distance, a, b).shape == (1,)
        assert between(distance, a, b) > between(distance, a, a.lerp(b, 0.1))
    with pytest.raises(WeightsError, match="not VGG16's"):
        Perceptual({})


def test_splines_sum_to_one_and_are_local():
    for frames in (1, 2, 5, 17):
        basis = spline_basis(frames, 4)
        assert basis.shape[0] == frames and torch.allclose(basis.sum(dim=1), torch.ones(frames))
        assert (basis > 0).sum(dim=1).max() <= 4


def test_a_clip_flickers_less_than_its_frames(model):
    """Frames of a slow walk with the noise of footage: as near to the truth, and nearer in how it changes."""
    ends = model.ws([model.z(100), model.z(101)])
    walk = np.stack([ends[0] + (ends[1] - ends[0]) * part for part in np.linspace(0, 0.1, 8, dtype=np.float32)])
    truth = model.draw(walk)
    footage = truth + np.random.RandomState(0).randn(*truth.shape).astype(np.float32) * np.float32(0.1)
    search = InversionOptions(steps=80)
    clip = invert_video(model, footage, VideoOptions(search, batch=8))
    drawn = model.draw(clip.ws)
    frames = np.stack([found.picture for found in invert(model, footage, search)])
    flickers = [float(np.abs(np.diff(pictures - truth, axis=0)).mean()) for pictures in (drawn, frames)]
    fidelity = [psnr(pictures, truth) for pictures in (drawn, frames)]
    told = f"flicker {flickers[0]:.4f} against {flickers[1]:.4f}, PSNR {fidelity[0]:.2f} against {fidelity[1]:.2f} dB"
    sys.stdout.write(told)  # the figures: pytest -rP shows them
    assert flickers[0] < 0.7 * flickers[1] and fidelity[0] >= fidelity[1], told


def test_sefa_directions_change_the_modulations_most(model):
    found = sefa(model, 5, range(6))
    affine = [layer.affine.weight.detach().numpy() for layer in list(model.generator.synthesis.layers().values())[:6]]
    weights = np.concatenate(affine)
    changes = np.linalg.norm(weights @ found.vectors.T, axis=0)
    random = np.random.RandomState(0).randn(32, 100)
    assert np.all(np.diff(changes) <= 1e-4)
    assert changes[0] > np.linalg.norm(weights @ (random / np.linalg.norm(random, axis=0)), axis=0).max()
    assert np.allclose(found.vectors @ found.vectors.T, np.eye(5), atol=1e-5)  # orthonormal in float32


def test_ganspace_directions_are_the_widest(model, tmp_path):
    found = ganspace(model, 4)
    assert np.all(np.diff(found.scales) <= 0)
    save_directions(tmp_path / "d.npz", found)
    back = load_directions(tmp_path / "d.npz", model)
    assert np.array_equal(back.vectors, found.vectors) and back.layers == found.layers
    ws = np.repeat(model.ws([model.z(0)]), 3, axis=0)
    moved = back.moved(ws, 1, [-1.0, 0.0, 1.0])
    assert np.array_equal(moved[1], ws[1]) and np.allclose(moved[2] - ws[2], ws[0] - moved[0], atol=1e-5)
    with pytest.raises(InvalidValue, match="directions are 0 to 3"):
        back.moved(ws, 4, [0.0, 0.0, 0.0])
    with pytest.raises(InvalidValue, match="belong to the generator"):
        load_directions(tmp_path / "d.npz", StyleGan2(model.generator, "c" * 64))
    with pytest.raises(UsageError, match="1 to 32 directions"):
        sefa(model, 33)
    with pytest.raises(InvalidValue, match="layers are 0 to 7"):
        sefa(model, 1, [8])


def test_the_precision_is_the_quickest_that_the_device_has(monkeypatch):
    for has, wanted in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(training, "has_bfloat16", lambda device, has=has: has and device.type == "cpu")
        assert training.precision("auto", "cpu") == wanted
    assert training.precision("float32") is None and training.precision("bfloat16") == torch.bfloat16
    with pytest.raises(UsageError, match="no precision 'float8'"):
        training.precision("float8")


def test_a_search_in_sixteen_bits_finds_the_same(model, tmp_path):
    """The largest blocks and the features in bfloat16: as near to the target when both are judged in float32."""
    save_file(vgg((16, 24, 32, 32, 32)), tmp_path / "vgg.safetensors")
    target, judge = own(model, 100), Perceptual.load(tmp_path / "vgg.safetensors")
    whole = model.generator.synthesis.config
    model.generator.synthesis.config = replace(whole, num_fp16_res=2)
    left = []
    for half in (None, torch.bfloat16):
        distance = Perceptual.load(tmp_path / "vgg.safetensors", half=half)
        (found,) = invert(model, target, InversionOptions(steps=60, half=half), distance=distance)
        left.append(between(judge, torch.from_numpy(found.picture[None]), torch.from_numpy(target)).item())
    model.generator.synthesis.config = whole
    assert left[0] != left[1] == pytest.approx(left[0], rel=SIXTEEN_BITS)
