"""A network's configuration as its tensors tell it, whatever tool wrote them.

Tensors are named as in NVIDIA's PyTorch code, which this package's networks follow: ``mapping.fc0.weight``,
``synthesis.b8.conv0.affine.bias``, ``b4.out.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from animegen.errors import InvalidValue, WeightsError
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig

_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.")
_MAPPING = re.compile(r"mapping\.fc(\d+)\.weight")


def generator_config(tensors: Mapping[str, Tensor], **told: Any) -> GeneratorConfig:
    """The configuration of a generator with these tensors; ``told`` is what tensors cannot tell (activation, clamp).

    Raises WeightsError where the tensors are no StyleGAN2 generator's.
    """
    try:
        sides = _sides(tensors)
        base, most = _channels({side: tensors[f"synthesis.b{side}.conv1.weight"].shape[0] for side in sides})
        last = f"synthesis.b{sides[-1]}"
        c_dim = _inputs(tensors, "mapping.embed.weight")
        layers, width, embed = _mapping(tensors)
        resnet, skip = f"{last}.skip.weight" in tensors, "synthesis.b4.torgb.weight" in tensors
        return GeneratorConfig(
            resolution=sides[-1],
            channels=tensors[f"{last}.torgb.weight"].shape[0],
            c_dim=c_dim,
            channel_base=base,
            channel_max=most,
            mapping_layers=layers,
            mapping_width=width,
            embed_width=embed,
            z_dim=_inputs(tensors, "mapping.fc0.weight") - (tensors["mapping.embed.weight"].shape[0] if c_dim else 0),
            w_dim=tensors[f"{last}.torgb.affine.weight"].shape[1],
            architecture="resnet" if resnet else "skip" if skip else "orig",
            use_noise="synthesis.b4.conv1.noise_strength" in tensors,
            **told,
        )
    except (KeyError, IndexError, InvalidValue) as error:
        raise WeightsError(f"the tensors are no StyleGAN2 generator's: {error}", _KINDS) from error


def discriminator_config(tensors: Mapping[str, Tensor], **told: Any) -> DiscriminatorConfig:
    """The configuration of a discriminator with these tensors; ``told`` is what tensors cannot tell.

    Raises WeightsError where the tensors are no StyleGAN2 discriminator's.
    """
    try:
        sides = _sides(tensors)
        widths = {side: tensors[f"b{side}.conv0.weight"].shape[0] for side in sides[1:]}
        widths[4] = tensors["b4.conv.weight"].shape[0]
        base, most = _channels(widths)
        c_dim = _inputs(tensors, "mapping.embed.weight")
        layers, width, embed = _mapping(tensors)
        first = f"b{sides[-1]}"
        resnet, skip = f"{first}.skip.weight" in tensors, "b4.fromrgb.weight" in tensors
        return DiscriminatorConfig(
            resolution=sides[-1],
            channels=tensors[f"{first}.fromrgb.weight"].shape[1],
            c_dim=c_dim,
            channel_base=base,
            channel_max=most,
            mapping_layers=layers,
            mapping_width=width,
            embed_width=embed,
            architecture="resnet" if resnet else "skip" if skip else "orig",
            cmap_dim=tensors["b4.out.weight"].shape[0] if c_dim else None,
            group_channels=tensors["b4.conv.weight"].shape[1] - widths[4],
            **told,
        )
    except (KeyError, IndexError, InvalidValue) as error:
        raise WeightsError(f"the tensors are no StyleGAN2 discriminator's: {error}", _KINDS) from error


_KINDS = "give a StyleGAN2 or StyleGAN2-ADA checkpoint; StyleGAN1 and StyleGAN3 are other networks"


def _sides(tensors: Mapping[str, Tensor]) -> list[int]:
    sides = sorted({int(found.group(1)) for name in tensors if (found := _BLOCK.match(name))})
    if len(sides) < 2 or sides != [2**n for n in range(2, len(sides) + 2)]:
        raise KeyError(f"blocks of {sides} px")
    return sides


def _channels(widths: Mapping[int, int]) -> tuple[int, int]:
    """``channel_base`` and ``channel_max`` that give these widths; raises KeyError where none do."""
    most = max(widths.values())
    base = max(width * side for side, width in widths.items())
    if any(min(base // side, most) != width for side, width in widths.items()):
        raise KeyError(f"channels {dict(widths)}")
    return base, most


def _inputs(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[1] if name in tensors else 0


def _mapping(tensors: Mapping[str, Tensor]) -> tuple[int, int | None, int | None]:
    """Number of mapping layers, the width between them, and the width of the embedded label; None: as wide as w."""
    layers = sum(_MAPPING.fullmatch(name) is not None for name in tensors)
    width = tensors["mapping.fc0.weight"].shape[0] if layers > 1 else None
    embed = tensors["mapping.embed.weight"].shape[0] if "mapping.embed.weight" in tensors else None
    return layers, width, embed
