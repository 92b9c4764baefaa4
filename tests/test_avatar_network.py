"""The generator's parts: folded convolutions, gradients written out, stages that agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figures import pose
from torch.nn import functional

from animegen.avatar.blocks import UpConv, _NormModulateActivate
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION, AvatarConfig
from animegen.avatar.discriminator import Discriminator
from animegen.avatar.network import Generator
from animegen.avatar.recipes import RECIPES
from animegen.errors import InvalidValue
from animegen.pose.skeletons import AVATAR35

EXACT = 1e-5
"""float32 sums in another order."""


def tiny(stage: int = 32, avatars: int = 2) -> AvatarConfig:
    channels = {4: 12, 8: 12, 16: 8, 32: 8}
    return AvatarConfig(AVATAR35, avatars, channels, largest_stage=stage, latent=4, width=8, map_size=16)


def figures(count: int) -> PoseBatch:
    xy = np.stack([pose(np.random.default_rng(seed)) for seed in range(count)])
    return PoseBatch(torch.from_numpy(xy), torch.zeros(count, 35), torch.ones(count, 35))


@pytest.mark.parametrize("sides", [(5, 7), (1, 1), (8, 8)])
def test_upconv_is_nearest_upsampling_and_a_convolution(sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer, x = UpConv(6, 4, 8), torch.randn(2, 6, *sides)
    expected = functional.conv2d(functional.interpolate(x, scale_factor=2, mode="nearest"), layer.weight, padding=1)
    torch.testing.assert_close(layer(x), expected, atol=EXACT, rtol=EXACT)
    layer.prepare(torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected, atol=EXACT, rtol=EXACT)


def test_the_gradient_written_out_is_the_functions() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(2, 5, 1, 1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(_NormModulateActivate.apply, (x, scale, shift))


def test_modulation_normalises_pixels() -> None:
    torch.manual_seed(0)
    x = 7 * torch.randn(1, 16, 4, 4)
    y = _NormModulateActivate.apply(x, torch.ones(1, 16, 1, 1), torch.full((1, 16, 1, 1), 100.0))
    torch.testing.assert_close((y - 100).square().mean(dim=1), torch.ones(1, 4, 4), atol=1e-3, rtol=0)


def test_every_stage_is_drawn_and_neighbours_agree() -> None:
    torch.manual_seed(0)
    generator = Generator(tiny())
    drawn = generator(figures(2), generator.avatars(torch.tensor([0, 1])), torch.zeros(2, len(EXPRESSION)), [8, 16, 32])
    assert {stage: tuple(layers.shape) for stage, layers in drawn.items()} == {s: (2, 10, s, s) for s in (8, 16, 32)}
    for stage in (16, 32):
        # a stage adds to the one below, so that before the sigmoid their difference is the new grid's head alone
        below = functional.interpolate(drawn[stage // 2].logit(), scale_factor=2, mode="bilinear")
        added = (drawn[stage].logit() - below).abs().mean()
        assert added < 0.2


def test_a_stage_alone_is_what_it_is_among_others() -> None:
    torch.manual_seed(0)
    generator, asked = Generator(tiny()), figures(1)
    latent, face = generator.avatars(torch.tensor([1])), torch.zeros(1, len(EXPRESSION))
    together = generator(asked, latent, face, [16, 8])
    torch.testing.assert_close(generator(asked, latent, face, [16])[16], together[16], atol=EXACT, rtol=EXACT)


def test_a_configuration_is_read_as_written_and_checked() -> None:
    assert AvatarConfig.from_json(tiny().to_json()) == tiny()
    assert tiny().stages == (8, 16, 32)
    with pytest.raises(InvalidValue, match="power of two from 8, got 48"):
        tiny(48)
    with pytest.raises(InvalidValue, match="no channels for the grid of side 64"):
        tiny(128)
    with pytest.raises(InvalidValue, match="at least one avatar, got 0"):
        tiny(avatars=0)
    with pytest.raises(InvalidValue, match="not an avatar generator's configuration"):
        AvatarConfig.from_json('{"skeleton": 3}')


@pytest.mark.parametrize("stage", sorted({phase.stage for phase in RECIPES["anime"].phases}))
def test_every_stage_of_the_recipe_can_be_judged(stage: int) -> None:
    judge = Discriminator(tiny(), stage)
    with torch.inference_mode():
        logits = judge(torch.zeros(1, 4, stage, stage), figures(1), torch.tensor([1]))
    cells = {32: 8, 64: 8, 128: 16, 256: 32, 512: 64}[stage]
    assert logits.shape == (1, 1, cells, cells)
