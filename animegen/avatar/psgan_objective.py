"""The recipe ``psgan-2018``: PSGAN as published, by the improved Wasserstein loss (Gulrajani et al. 2017).

Published (Hamada et al. 2018, and Karras et al. 2018, appendix A, on which it stands): one step of the critic for each
of the generator, gradient penalty of weight 10, drift of 0.001, Adam with beta 0 and 0.99 at 1e-3 up to 64 px, 8e-4 at
128, 6e-4 at 256, 2e-4 at 512, pictures on a plain background, a latent drawn for each picture.

Left open, and chosen here: 800,000 images for blending a stage in and as many for training it, as Karras has it; the
optimisers' state is kept from stage to stage; real pictures are blended with their own coarse version while a stage is
blended in; the minibatch's deviation is one number over the process's share of the batch; no augmentation. A costume is
an avatar under its own palette or, as often, under a random one: what it wears is for the latent to find out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.batches import Batch
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.discriminator import coloured
from animegen.avatar.objective import Learner, Moment, Setting, Trial, follow, optimisers_of
from animegen.avatar.psgan import PsganConfig, PsganDiscriminator, PsganGenerator, load_psgan, save_psgan
from animegen.avatar.sheets import pairs
from animegen.types import PARTS

_BETAS = (0.0, 0.99)
_PENALTY, _DRIFT = 10.0, 0.001
_GREY = (0.5, 0.5, 0.5)
_INK = 0.1
"""How far from white, of 1, a pixel has to be to belong to the figure."""


class PsganObjective:
    """Trains :class:`animegen.avatar.psgan.PsganGenerator`, in float32."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._device = setting, setting.device
        config = PsganConfig.of(setting.header.skeleton, setting.recipe.resolution)
        generator, critic = PsganGenerator(config), PsganDiscriminator(config)
        if setting.init is not None:
            own = generator.state_dict()
            other = load_psgan(setting.init).state_dict()
            taken = {n: v for n, v in other.items() if n in own and own[n].shape == v.shape}
            generator.load_state_dict({**own, **taken})
        self.generator, self.critic = generator.to(self._device), critic.to(self._device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        clip = setting.recipe.clip
        self._generator = Learner(self.generator, setting.workers, betas=_BETAS, clip=clip)
        self._critic = Learner(self.critic, setting.workers, betas=_BETAS, clip=clip)
        own_colours = [[colour or _GREY for colour in entry.palette] for entry in setting.header.avatars]
        self._palettes = torch.tensor(own_colours, device=self._device)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Generator, its average, and critic."""
        return {"generator": self.generator, "average": self.average, "critic": self.critic}

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Of the generator and of the critic."""
        return optimisers_of({"generator": self._generator, "critic": self._critic})

    def step(self, batch: Batch, moment: Moment) -> Mapping[str, Tensor]:
        """One step of the critic, then one of the generator."""
        random, count, stage = moment.random(), moment.phase.batch, moment.phase.stage
        real = _blended(self._dressed(batch, random, count), moment.fade)
        with torch.no_grad():
            fake = self.generator(self._latent(random, count), batch.pose, stage, moment.fade)
        between = self._share(torch.rand(count, 1, 1, 1, generator=random))
        seen = self.critic(real, batch.pose, moment.fade)
        drawn = self.critic(fake, batch.pose, moment.fade)
        penalty = gradient_penalty(self.critic, torch.lerp(real, fake, between), batch.pose, moment.fade)
        distance = seen.mean() - drawn.mean()
        loss = -distance + _PENALTY * penalty + _DRIFT * seen.square().mean()
        self._critic.descend(loss, moment.rate)

        picture = self.generator(self._latent(random, count), batch.pose, stage, moment.fade)
        fooled = self.critic(picture, batch.pose, moment.fade).mean()
        self._generator.descend(-fooled, moment.rate)
        follow(self.average, self.generator, keep=self._setting.recipe.ema, step=moment.step)
        terms = {"distance": distance, "penalty": penalty, "critic": loss, "fooled": fooled}
        return {name: value.detach() for name, value in terms.items()}

    def _latent(self, random: torch.Generator, count: int) -> Tensor:
        return self._share(torch.randn(count, self.generator.config.latent, generator=random))

    def _share(self, whole: Tensor) -> Tensor:
        return self._setting.workers.share(whole).to(self._device)

    def _dressed(self, batch: Batch, random: torch.Generator, count: int) -> Tensor:
        """The renders in costumes, over white: f32 [B, 3, s, s] in -1..1."""
        drawn = self._share(torch.rand(count, len(PARTS), 3, generator=random))
        own = self._share(torch.rand(count, generator=random)) < 0.5
        palette = torch.where(own[:, None, None], self._palettes[batch.avatar], drawn)
        return _over_white(coloured(batch.truth, palette)) * 2 - 1

    @torch.no_grad()
    def trial(self, batch: Batch, moment: Moment) -> Trial:
        """IoU of the silhouettes: whether the pose is followed. Costumes are the latent's, so no colour is compared."""
        count = len(batch.avatar)
        z = torch.randn(count, self.average.config.latent, generator=torch.Generator().manual_seed(0))
        drawn = self.average(z.to(self._device), batch.pose, moment.phase.stage, moment.fade)
        drawn = (drawn.clamp(-1, 1) + 1) / 2
        truth = _over_white(coloured(batch.truth, self._palettes[batch.avatar]))
        figures = [(picture < 1 - _INK).any(dim=1) for picture in (truth, drawn)]
        both, either = figures[0] & figures[1], figures[0] | figures[1]
        iou = (both.sum(dim=(1, 2)) / either.sum(dim=(1, 2)).clamp_min(1)).mean()
        opaque = torch.ones_like(truth[:, :1])
        return Trial({"iou": iou.item()}, pairs(*(torch.cat([rgb, opaque], dim=1) for rgb in (truth, drawn))))

    def save(self, path: Path, notes: Mapping[str, str]) -> None:
        """The averaged generator in float32."""
        save_psgan(path, self.average, notes)


def gradient_penalty(critic: nn.Module, picture: Tensor, pose: PoseBatch, fade: float = 1.0) -> Tensor:
    """Mean of (|d score / d picture| - 1)^2, itself differentiable (Gulrajani et al. 2017, equation 3)."""
    picture = picture.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(picture, pose, fade).sum(), picture, create_graph=True)
    return (slope.square().sum(dim=(1, 2, 3)).sqrt() - 1).square().mean()


def _over_white(rgba: Tensor) -> Tensor:
    return rgba[:, :3] + (1 - rgba[:, 3:])


def _blended(real: Tensor, fade: float) -> Tensor:
    """Real pictures as coarse as the generator's are while a stage is blended in."""
    if fade >= 1:
        return real
    coarse = functional.interpolate(functional.avg_pool2d(real, 2), scale_factor=2, mode="nearest")
    return torch.lerp(coarse, real, fade)
