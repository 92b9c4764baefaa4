"""The layout of rosinality's ``stylegan2-pytorch`` checkpoints, read and written.

Both layouts hold the same numbers; only names and dimensions of size one differ, so one table serves both ways. The
blur kernels that those files carry are constants: they are checked when read and made anew when written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from animegen.errors import UsageError, WeightsError
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig, resolutions
from animegen.stylegan2.layout import discriminator_config, generator_config

LR_MULTIPLIER = 0.01
"""Of the mapping network; it is written nowhere in those files."""

_KERNEL = (1.0, 3.0, 3.0, 1.0)
_STYLE = re.compile(r"style\.(\d+)\.weight")
_NOISES = "noises.noise_"

Pairs = Iterator[tuple[str, str, tuple[int, ...]]]
"""Our name, their name, and the dimensions of size one that theirs has before (negative: after) ours."""


def _both(ours: str, theirs: str) -> Pairs:
    for kind in ("weight", "bias"):
        yield f"{ours}.{kind}", f"{theirs}.{kind}", ()


def _generator_pairs(resolution: int, layers: int) -> Pairs:
    for index in range(layers):
        yield from _both(f"mapping.fc{index}", f"style.{index + 1}")
    yield "synthesis.b4.const", "input.input", (0,)
    yield from _styled("synthesis.b4.conv1", "conv1", 0)
    yield from _to_rgb("synthesis.b4.torgb", "to_rgb1")
    for index, side in enumerate(resolutions(resolution)[1:]):
        for which in (0, 1):
            number = 2 * index + which
            yield from _styled(f"synthesis.b{side}.conv{which}", f"convs.{number}", number + 1)
        yield from _to_rgb(f"synthesis.b{side}.torgb", f"to_rgbs.{index}")


def _styled(ours: str, theirs: str, noise: int) -> Pairs:
    yield f"{ours}.weight", f"{theirs}.conv.weight", (0,)
    yield from _both(f"{ours}.affine", f"{theirs}.conv.modulation")
    yield f"{ours}.bias", f"{theirs}.activate.bias", ()
    yield f"{ours}.noise_strength", f"{theirs}.noise.weight", (0,)
    yield f"{ours}.noise_const", f"{_NOISES}{noise}", (0, 0)


def _to_rgb(ours: str, theirs: str) -> Pairs:
    yield f"{ours}.weight", f"{theirs}.conv.weight", (0,)
    yield from _both(f"{ours}.affine", f"{theirs}.conv.modulation")
    yield f"{ours}.bias", f"{theirs}.bias", (0, -1, -1)


def _discriminator_pairs(resolution: int) -> Pairs:
    yield f"b{resolution}.fromrgb.weight", "convs.0.0.weight", ()
    yield f"b{resolution}.fromrgb.bias", "convs.0.1.bias", ()
    for index, side in enumerate(reversed(resolutions(resolution)[1:]), 1):
        yield f"b{side}.conv0.weight", f"convs.{index}.conv1.0.weight", ()
        yield f"b{side}.conv0.bias", f"convs.{index}.conv1.1.bias", ()
        yield f"b{side}.conv1.weight", f"convs.{index}.conv2.1.weight", ()
        yield f"b{side}.conv1.bias", f"convs.{index}.conv2.2.bias", ()
        yield f"b{side}.skip.weight", f"convs.{index}.skip.1.weight", ()
    yield "b4.conv.weight", "final_conv.0.weight", ()
    yield "b4.conv.bias", "final_conv.1.bias", ()
    yield from _both("b4.fc", "final_linear.0")
    yield from _both("b4.out", "final_linear.1")


def _kernels(resolution: int, *, generator: bool) -> dict[str, Tensor]:
    """The blur kernels of a network under their names: f32 [4, 4] each."""
    flat = torch.tensor(_KERNEL)
    kernel = flat[None, :] * flat[:, None]
    kernel /= kernel.sum()
    steps = range(len(resolutions(resolution)) - 1)
    if generator:
        names = [f"{name}.kernel" for i in steps for name in (f"convs.{2 * i}.conv.blur", f"to_rgbs.{i}.upsample")]
        kernel = kernel * 4
    else:
        names = [f"convs.{i + 1}.{name}.0.kernel" for i in steps for name in ("conv2", "skip")]
    return {name: kernel.clone() for name in names}


def read_generator(stored: Mapping[str, Tensor], w_avg: Tensor | None) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Configuration and tensors, in our names, of one generator of a checkpoint.

    ``w_avg`` is the checkpoint's ``latent_avg`` [w_dim]; without it ``mapping.w_avg`` is left out. Files of the first
    versions hold no noise pictures: ``noise_const`` is left out of those. Raises WeightsError.
    """
    layers = sum(_STYLE.fullmatch(name) is not None for name in stored)
    resolution = 4 * 2 ** sum(re.fullmatch(r"to_rgbs\.\d+\.bias", name) is not None for name in stored)
    lacking = not any(name.startswith(_NOISES) for name in stored)
    pairs = [pair for pair in _generator_pairs(resolution, layers) if not (lacking and _NOISES in pair[1])]
    tensors = _renamed(stored, pairs, _kernels(resolution, generator=True))
    if w_avg is not None:
        tensors["mapping.w_avg"] = w_avg.flatten()
    return generator_config(tensors, lr_multiplier=LR_MULTIPLIER), tensors


def read_discriminator(stored: Mapping[str, Tensor]) -> tuple[DiscriminatorConfig, dict[str, Tensor]]:
    """Configuration and tensors, in our names, of a checkpoint's discriminator. Raises WeightsError."""
    resolution = 4 * 2 ** sum(re.fullmatch(r"convs\.\d+\.conv1\.0\.weight", name) is not None for name in stored)
    tensors = _renamed(stored, list(_discriminator_pairs(resolution)), _kernels(resolution, generator=False))
    return discriminator_config(tensors), tensors


def _renamed(stored: Mapping[str, Tensor], pairs: list[Any], kernels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wanted = {theirs for _, theirs, _ in pairs}
    missing, unknown = wanted - set(stored), set(stored) - wanted - set(kernels)
    if missing or unknown:
        raise WeightsError(
            f"tensors not laid out as rosinality's: missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}",
            "give a checkpoint of rosinality's stylegan2-pytorch, without changes to its networks",
        )
    for name, kernel in kernels.items():
        if name in stored and not torch.equal(stored[name].float(), kernel):
            raise WeightsError(f"{name} is not the blur [1, 3, 3, 1]", "such a checkpoint cannot be read")
    return {ours: _without(stored[theirs], ones, theirs) for ours, theirs, ones in pairs}


def _without(tensor: Tensor, ones: tuple[int, ...], name: str) -> Tensor:
    """A tensor without the dimensions of size one that rosinality's layout adds."""
    for place in ones:
        if not tensor.ndim or tensor.shape[place] != 1:
            raise WeightsError(f"{name} has the shape {tuple(tensor.shape)}", "the file is damaged, or of another tool")
        tensor = tensor.squeeze(place)
    return tensor.clone()


def _with(tensor: Tensor, ones: tuple[int, ...]) -> Tensor:
    for place in ones:
        tensor = tensor.unsqueeze(place)
    return tensor.clone()


def write_generator(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A generator's tensors in rosinality's names. Raises UsageError where that tool has no such network."""
    _check(
        config,
        {
            "architecture": "skip",
            "c_dim": 0,
            "channels": 3,
            "z_dim": config.w_dim,
            "lr_multiplier": LR_MULTIPLIER,
            "use_noise": True,
        },
    )
    pairs = _generator_pairs(config.resolution, config.mapping_layers)
    return {theirs: _with(tensors[ours], ones) for ours, theirs, ones in pairs} | _kernels(
        config.resolution, generator=True
    )


def write_discriminator(config: DiscriminatorConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A discriminator's tensors in rosinality's names. Raises UsageError where that tool has no such network."""
    _check(config, {"architecture": "resnet", "c_dim": 0, "channels": 3, "group_channels": 1})
    pairs = _discriminator_pairs(config.resolution)
    return {theirs: _with(tensors[ours], ones) for ours, theirs, ones in pairs} | _kernels(
        config.resolution, generator=False
    )


def _check(config: GeneratorConfig | DiscriminatorConfig, needed: Mapping[str, Any]) -> None:
    needed = {**needed, "activation": "lrelu", "resample_filter": (1, 3, 3, 1)}
    for name, value in needed.items():
        if getattr(config, name) != value:
            raise UsageError(
                f"rosinality's layout has no network with {name} = {getattr(config, name)!r}",
                f"it knows {name} = {value!r} only",
            )
