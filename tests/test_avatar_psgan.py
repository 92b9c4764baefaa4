"""PSGAN as published: its parts, its gradient penalty, its weights, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from figures import header, narrow_networks, tiny_psgan, write_figures
from torch import nn

from animegen.avatar.batches import BatchSource, plain_batch
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.data import Dataset
from animegen.avatar.objective import Moment, Setting
from animegen.avatar.psgan import (
    KEYPOINTS,
    Equalised,
    PsganDiscriminator,
    PsganGenerator,
    heat_maps,
    load_psgan,
    minibatch_deviation,
    pixel_norm,
    save_psgan,
)
from animegen.avatar.psgan_objective import PsganObjective, gradient_penalty
from animegen.avatar.recipes import RECIPES, Phase
from animegen.errors import WeightsError
from animegen.parallel import Workers
from animegen.pose.skeletons import AVATAR35

EXACT = 1e-5
"""float32 sums in another order."""
HALF_A_CELL = 0.1
"""How much a Gaussian of 0.012 changes over half a cell of 1/512 in both directions, at most."""
STEPS = 280
LEAST_CONTRAST = 0.25
"""Renders have 0.5; an untrained network has about 0."""


def poses(count: int, seed: int = 0) -> PoseBatch:
    random = torch.Generator().manual_seed(seed)
    xy = torch.rand(count, 35, 2, generator=random)
    return PoseBatch(xy, torch.zeros(count, 35), torch.ones(count, 35))


def test_there_are_twenty_keypoints_of_the_avatars_skeleton() -> None:
    assert len(set(KEYPOINTS)) == 20
    assert set(KEYPOINTS) <= set(AVATAR35.points)


def test_heat_maps_are_the_maximum_of_a_finer_drawing() -> None:
    config, pose = tiny_psgan(), poses(1)
    fine = (torch.arange(512) + 0.5) / 512
    xy = pose.xy[:, config.indices]
    gaussian = torch.exp(-((fine - xy[..., None]) ** 2) / (2 * config.point_sigma**2))
    drawn = gaussian[:, :, 1, :, None] * gaussian[:, :, 0, None, :]
    for side in (4, 16):
        pooled = nn.functional.max_pool2d(drawn, 512 // side)
        torch.testing.assert_close(heat_maps(pose, config, side), pooled, atol=HALF_A_CELL, rtol=0)


def test_an_unknown_point_has_an_empty_map() -> None:
    pose = poses(1)
    pose.score[0, AVATAR35.index("left_wrist")] = 0
    maps = heat_maps(pose, tiny_psgan(), 8)[0]
    assert maps[KEYPOINTS.index("left_wrist")].abs().max() == 0
    assert maps[KEYPOINTS.index("right_wrist")].max() == 1


def test_pixel_norm_deviation_and_equalised_weights() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(4, 8, 5, 5)
    torch.testing.assert_close(pixel_norm(x).square().mean(dim=1), torch.ones(4, 5, 5), atol=EXACT, rtol=0)
    widened = minibatch_deviation(x)
    assert widened.shape == (4, 9, 5, 5)
    expected = torch.from_numpy(x.numpy().std(axis=0)).mean()
    torch.testing.assert_close(widened[:, 8], expected.expand(4, 5, 5), atol=EXACT, rtol=0)
    layer = Equalised(64, 32, 3)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.05)
    assert layer.scale == pytest.approx(math.sqrt(2 / (64 * 9)))


@pytest.mark.parametrize("fade", [0.0, 0.3, 1.0])
def test_a_stage_is_blended_in(fade: float) -> None:
    torch.manual_seed(0)
    generator, critic, pose, z = (
        PsganGenerator(tiny_psgan()),
        PsganDiscriminator(tiny_psgan()),
        poses(2),
        torch.randn(2, 8),
    )
    new, old = generator(z, pose, 8), generator(z, pose, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(generator(z, pose, 8, fade), fade * new + (1 - fade) * old, atol=EXACT, rtol=0)
    if fade == 0:
        pooled = nn.functional.avg_pool2d(new, 2)
        torch.testing.assert_close(critic(new, pose, 0.0), critic(pooled, pose), atol=EXACT, rtol=0)


def test_the_gradient_penalty_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    critic, pose = PsganDiscriminator(tiny_psgan(4)).double(), poses(2)
    pose = PoseBatch(pose.xy.double(), pose.z.double(), pose.score.double())
    picture = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    steps = 1e-6 * torch.eye(picture.numel(), dtype=torch.float64).view(-1, *picture.shape)
    with torch.no_grad():
        # of the sum of scores: the batch's deviation ties each score to every picture
        slopes = [(critic(picture + step, pose).sum() - critic(picture - step, pose).sum()) / 2e-6 for step in steps]
    lengths = torch.stack(slopes).view(2, -1).norm(dim=1)
    expected = (lengths - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, picture, pose), expected, atol=1e-6, rtol=0)


def test_the_gradient_penalty_is_differentiable_itself() -> None:
    torch.manual_seed(0)
    critic, pose = PsganDiscriminator(tiny_psgan(4)).double(), poses(2)
    pose = PoseBatch(pose.xy.double(), pose.z.double(), pose.score.double())
    picture = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    weight = critic.score.weight
    (slope,) = torch.autograd.grad(gradient_penalty(critic, picture, pose), weight)
    h, place = 1e-6, (0, 3, 0, 0)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * h
        values.append(gradient_penalty(critic, picture, pose).item())
        with torch.no_grad():
            weight[place] -= sign * h
    assert slope[place].item() == pytest.approx((values[0] - values[1]) / (2 * h), abs=1e-6)


def test_the_recipe_has_the_published_rates() -> None:
    recipe = RECIPES["psgan-2018"]
    assert [phase.stage for phase in recipe.phases] == [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512]
    assert [phase.fade for phase in recipe.phases] == [False, *[True, False] * 7]
    rates = {phase.stage: phase.rate for phase in recipe.phases}
    assert rates == {4: 1e-3, 8: 1e-3, 16: 1e-3, 32: 1e-3, 64: 1e-3, 128: 8e-4, 256: 6e-4, 512: 2e-4}
    assert recipe.rate_at(0, recipe.images) == recipe.rate_at(1000, recipe.images) == 1e-3
    assert recipe.augment == ()


def test_weights_are_read_as_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, pose, z = PsganGenerator(tiny_psgan()), poses(1), torch.randn(1, 8)
    save_psgan(tmp_path / "psgan.safetensors", generator, {"images": "3"})
    again = load_psgan(tmp_path / "psgan.safetensors")
    assert torch.equal(generator(z, pose, 8), again(z, pose, 8))
    from animegen.avatar.checkpoint import load_generator

    with pytest.raises(WeightsError, match=r"psgan\.safetensors is not an avatar generator"):
        load_generator(tmp_path / "psgan.safetensors")


def contrast(pictures: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """How much darker drawings are where the render's figure is than elsewhere, 0..1."""
    truth, drawn = (np.stack(rgba)[..., :3].astype(np.float32) / 255 for rgba in zip(*pictures, strict=True))
    figure = truth.min(axis=-1) < 0.5
    return float(drawn[~figure].mean() - drawn[figure].mean())


def test_it_learns_to_draw_figures_where_the_poses_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_networks(monkeypatch)
    data = Dataset(write_figures(tmp_path / "data", train=32, size=16), "train")
    torch.manual_seed(0)
    recipe = RECIPES["psgan-2018"].limited_to(8)
    objective = PsganObjective(Setting(header(16), recipe, torch.device("cpu"), Workers(), None))
    shown, source = plain_batch(data, range(16), 8), BatchSource(data, size=8, seed=0, augment=())

    def moment(step: int) -> Moment:
        return Moment(Phase(8, 1.0, batch=8), 1.0, 2e-3, step, 0)

    before, terms = objective.trial(shown, moment(0)), []
    for step in range(STEPS):
        terms.append(objective.step(source.batch(step, 8), moment(step)))
    after = objective.trial(shown, moment(STEPS))
    assert all(torch.isfinite(value) for step in terms for value in step.values())
    first, last = terms[0], terms[-1]
    # the critic's slope has become 1, as the penalty asks, and renders no longer score far from drawings
    assert last["penalty"] < 0.2 * first["penalty"]
    assert abs(last["distance"]) < 5
    assert abs(contrast(before.pictures)) < 0.1
    assert contrast(after.pictures) > LEAST_CONTRAST
