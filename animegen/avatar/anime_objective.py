"""The recipe ``anime``: shade layers by reconstruction, and a discriminator on coloured avatars where wanted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.batches import Batch
from animegen.avatar.checkpoint import load_generator, save_generator
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import CHANNELS, PATCH, AvatarConfig
from animegen.avatar.discriminator import Discriminator, coloured
from animegen.avatar.losses import reconstruction_loss
from animegen.avatar.network import Generator
from animegen.avatar.objective import Learner, Moment, Setting, Trial, follow, optimisers_of
from animegen.avatar.sheets import pairs
from animegen.errors import UsageError
from animegen.ops.precision import has_bfloat16

_GENERATOR_BETAS, _CRITIC_BETAS = (0.9, 0.99), (0.0, 0.99)
_R1_EVERY, _R1_WEIGHT = 16, 0.2

_ALIKE = 10.0
"""How much features that the discriminator sees in both weigh beside being fooled (Wang et al. 2018, equation 4)."""

_DRAWN_AT_ONCE = 16


class AnimeObjective:
    """Trains :class:`animegen.avatar.network.Generator`, in bfloat16 where the device has it."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._device = setting, setting.device
        self._half = torch.bfloat16 if has_bfloat16(setting.device) else None
        recipe, header = setting.recipe, setting.header
        config = AvatarConfig(
            header.skeleton,
            len(header.avatars),
            channels=dict(recipe.channels or CHANNELS),
            largest_stage=recipe.resolution,
            patch=dict(PATCH) if recipe.patch else {},
            sharp=recipe.phases[-1].adversarial > 0,
        )
        self.generator = Generator(config)
        if setting.init is not None:
            self._start_from(setting.init)
        self._place(self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        if recipe.only_faces:
            self._hold_all_but_faces()
        self._generator = Learner(
            self.generator,
            setting.workers,
            betas=_GENERATOR_BETAS,
            clip=recipe.clip,
            kernels=self.generator.kernels(),
            eager=self.generator.eager(),
        )
        self.discriminator: Discriminator | None = None
        self._critic: Learner | None = None
        if recipe.phases[-1].adversarial:
            self.discriminator = Discriminator(config, recipe.resolution)
            self._place(self.discriminator)
            self._critic = Learner(self.discriminator, setting.workers, betas=_CRITIC_BETAS, clip=recipe.clip)

    def _hold_all_but_faces(self) -> None:
        """Leave nothing to be learned but what faces are painted with."""
        if self.generator.face is None:
            raise UsageError(
                f"faces are not drawn by themselves at {self._setting.recipe.resolution} px", "train to a larger stage"
            )
        self.generator.requires_grad_(False)
        self.generator.face.texture.requires_grad_(True)

    def _place(self, network: nn.Module) -> None:
        network.to(self._device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _start_from(self, path: Path) -> None:
        """Take over what fits of another generator's weights: grids it has, avatars of the same names."""
        other, avatars = load_generator(path)
        own = self.generator.state_dict()
        taken = {
            name: value for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape and not name.startswith("avatars.")
        }  # fmt: skip
        latents = own["avatars.weight"].clone()
        if other.config.latent == self.generator.config.latent:
            rows = {entry["name"]: row for row, entry in enumerate(avatars)}
            for row, entry in enumerate(self._setting.header.avatars):
                if entry.name in rows:
                    latents[row] = other.avatars.weight[rows[entry.name]].detach()
        self.generator.load_state_dict({**own, **taken, "avatars.weight": latents})

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The generator, its average, and the discriminator where the recipe has one."""
        judge = {} if self.discriminator is None else {"discriminator": self.discriminator}
        return {"generator": self.generator, "average": self.average, **judge}

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The generator's and, where there is one, the discriminator's."""
        critic = {} if self._critic is None else {"critic": self._critic}
        return optimisers_of({"generator": self._generator, **critic})

    def step(self, batch: Batch, moment: Moment) -> Mapping[str, Tensor]:
        """Draw the phase's stage and the one below it, and bring both nearer to the render."""
        phase, critic = moment.phase, self._critic if moment.phase.adversarial else None
        with torch.set_grad_enabled(not moment.judging), self._autocast():
            latent = self.generator.avatars(batch.avatar)
            drawn = self.generator(batch.pose, latent, batch.expression, [phase.stage // 2, phase.stage])
        layers = {stage: planes.float() for stage, planes in drawn.items()}
        loss = reconstruction_loss(layers, batch.truth, batch.pose, self.generator.config.skeleton)
        total, terms = loss.total, dict(loss.terms)
        if critic is not None:
            colours = torch.rand(phase.batch, 6, 3, generator=moment.random())
            palette = self._setting.workers.share(colours).to(self._device)
            fake, real = coloured(layers[phase.stage], palette), coloured(batch.truth, palette)
            terms["judge"] = self._judge(critic, batch, fake.detach(), real, moment)
            if moment.judging:
                return terms
            fooled, alike = self._fool(batch, fake, real.detach())
            total = total + phase.adversarial * (fooled + _ALIKE * alike)
            terms |= {"fooled": fooled.detach(), "alike": alike.detach()}
        self._generator.descend(total, moment.rate)
        follow(self.average, self.generator, keep=self._setting.recipe.ema, step=moment.step)
        return terms

    def _fool(self, batch: Batch, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """How well the discriminator tells what is drawn, and how far its features are from the render's."""
        assert self.discriminator is not None
        judge = self.discriminator
        with self._autocast():
            with torch.no_grad():
                wanted = judge.features(real, batch.pose)
            seen = judge.features(fake, batch.pose)
            fooled = functional.softplus(-judge.logits(seen[-1], batch.avatar).float()).mean()
        far = [(drawn - truth).abs().mean(dtype=torch.float32) for drawn, truth in zip(seen, wanted, strict=True)]
        return fooled, torch.stack(far).mean()

    def _judge(self, critic: Learner, batch: Batch, fake: Tensor, real: Tensor, moment: Moment) -> Tensor:
        """One step of the discriminator: non-saturating logistic loss, with R1 every few steps (Karras et al. 2020)."""
        lazy = moment.step % _R1_EVERY == 0
        real.requires_grad_(lazy)
        with self._autocast(enabled=not lazy):
            seen = critic.network(real, batch.pose, batch.avatar)
            drawn = critic.network(fake, batch.pose, batch.avatar)
        loss = functional.softplus(-seen.float()).mean() + functional.softplus(drawn.float()).mean()
        if lazy:
            loss = loss + 0.5 * _R1_WEIGHT * _R1_EVERY * r1_penalty(seen, real)
        critic.descend(loss, moment.rate)
        return loss.detach()

    @torch.no_grad()
    def trial(self, batch: Batch, moment: Moment) -> Trial:
        """Alpha IoU and foreground PSNR under random palettes."""
        drawn = self._draw(batch, moment.phase.stage)
        inside, drawn_inside = batch.truth[:, :1] >= 0.5, drawn[:, :1] >= 0.5
        union = inside | drawn_inside
        size = union.sum(dim=(1, 2, 3)).clamp_min(1)
        iou = ((inside & drawn_inside).sum(dim=(1, 2, 3)) / size).mean()
        palette = torch.rand(len(drawn), 6, 3, generator=torch.Generator().manual_seed(0)).to(self._device)
        truth, drawn = coloured(batch.truth, palette), coloured(drawn, palette)
        error = (drawn - truth)[:, :3].square().mean(dim=1, keepdim=True)
        mse = (error * union).sum(dim=(1, 2, 3)) / size
        psnr = (-10 * mse.clamp_min(1e-6).log10()).mean()
        return Trial({"iou": iou.item(), "psnr": psnr.item()}, pairs(truth, drawn))

    def _draw(self, batch: Batch, stage: int) -> Tensor:
        """Layers by the averaged weights, a few at once, so that memory does not grow with the batch."""
        parts = []
        with self._autocast():
            for first in range(0, len(batch.avatar), _DRAWN_AT_ONCE):
                part = slice(first, first + _DRAWN_AT_ONCE)
                pose = PoseBatch(batch.pose.xy[part], batch.pose.z[part], batch.pose.score[part])
                latent = self.average.avatars(batch.avatar[part])
                parts.append(self.average(pose, latent, batch.expression[part], [stage])[stage].float())
        return torch.cat(parts)

    def _autocast(self, enabled: bool = True) -> torch.autocast:
        return torch.autocast(self._device.type, self._half, enabled=enabled and self._half is not None)

    def save(self, path: Path, notes: Mapping[str, str]) -> None:
        """The averaged weights in bfloat16, with what is known of the avatars."""
        avatars = [asdict(entry) for entry in self._setting.header.avatars]
        save_generator(path, self.average, avatars=avatars, dtype=torch.bfloat16, notes=notes)


def r1_penalty(logits: Tensor, picture: Tensor) -> Tensor:
    """Squared slope of the logits, itself differentiable (Mescheder et al. 2018, equation 9), a patch.

    ``logits`` [B, 1, h, w] were told of ``picture`` [B, C, H, W]. Each of them sees its own part, so that their sum is
    as steep as all together: divided by how many they are, the penalty is the same for small and large pictures.
    """
    (slope,) = torch.autograd.grad(logits.sum(), picture, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean() / logits[0].numel()
