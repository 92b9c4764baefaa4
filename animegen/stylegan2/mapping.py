"""The mapping network: from a normal latent z, and a label, to the intermediate latent w."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from animegen.errors import InvalidValue
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.layers import Dense, unit_length


class Mapping(nn.Module):
    """Dense layers over the normalised latent and the normalised embedding of the label.

    ``z_dim`` 0: there is no latent, as in a discriminator that maps labels only.
    """

    def __init__(self, config: GeneratorConfig | DiscriminatorConfig, z_dim: int, w_dim: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.layers = z_dim, config.c_dim, config.mapping_layers
        embed = (config.embed_width or w_dim) if config.c_dim else 0
        between = config.mapping_width or w_dim
        widths = [z_dim + embed, *[between] * (self.layers - 1), w_dim][: self.layers + 1]
        if config.c_dim:
            self.embed = Dense(config.c_dim, embed)
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layer = Dense(inputs, outputs, act=config.activation, lr_multiplier=config.lr_multiplier)
            self.add_module(f"fc{index}", layer)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.parameters()).dtype

    def forward(self, z: Tensor | None, label: Tensor | None = None) -> Tensor:
        """w f32 [B, w_dim] of z [B, z_dim] and label [B, c_dim] (one-hot), either as far as the network has it.

        Raises InvalidValue where a conditional network gets no label of its width.
        """
        parts = []
        if z is not None and self.z_dim:
            parts.append(unit_length(z.to(self.dtype)))
        if self.c_dim:
            if label is None or label.shape[1:] != (self.c_dim,):
                raise InvalidValue(f"the network is conditional: it needs a label [B, {self.c_dim}]")
            parts.append(unit_length(self.embed(label.to(self.dtype))))
        x = torch.cat(parts, dim=1)
        for index in range(self.layers):
            x = self.get_submodule(f"fc{index}")(x)
        return x


class GeneratorMapping(Mapping):
    """The mapping network of a generator, which knows the mean of w for truncation."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config, config.z_dim, config.w_dim)
        self.num_ws = config.num_ws
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def truncated(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """One w [B, w_dim] for every layer, drawn towards the mean by ``psi`` (1: not at all) in the first ``cutoff``.

        Returns f32 [B, num_ws, w_dim]. Source: Karras et al. 2019, arXiv 1812.04948, appendix B.
        """
        ws = w[:, None].repeat(1, self.num_ws, 1)
        if psi == 1:
            return ws
        near = self.w_avg.lerp(ws[:, :cutoff], psi)
        return torch.cat([near, ws[:, near.shape[1] :]], dim=1)
