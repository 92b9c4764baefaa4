"""Other implementations of StyleGAN2, loaded from checkouts for the bench and given our weights. Nothing is copied."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import cpp_extension

from animegen.errors import InputError, UsageError
from animegen.stylegan2.rosinality import write_generator
from animegen.stylegan2.synthesis import Generator

Draw = Callable[[Tensor], Tensor]
"""Pictures of latents ``ws`` [B, num_ws, w_dim]."""

_ROSINALITY_BASE = 16384
"""The channel base that a multiplier of 1 means there."""


def peer(name: str, checkout: Path, ours: Generator, *, halved: int = 0) -> Draw:
    """Draws with the implementation in ``checkout`` and our weights, on our device.

    ``halved``: how many of the largest blocks compute in float16 (NVIDIA's configurations ship 4). Raises UsageError
    for a name that is not among :data:`PEERS` or a network that a peer does not have, and InputError for a folder that
    holds something else.
    """
    if name not in PEERS:
        raise UsageError(f"'{name}' is no peer of this bench", f"it is one of {', '.join(PEERS)}")
    network, draw = PEERS[name](checkout, ours, halved)
    network.to(ours.mapping.w_avg.device).eval().requires_grad_(requires_grad=False)
    return draw


def _ada(checkout: Path, ours: Generator, halved: int) -> tuple[nn.Module, Draw]:
    with module_of(checkout, "training.networks") as networks:
        return _official(networks, ours, halved, synthesis_kwargs=_synthesis(ours, halved))


def _stylegan3(checkout: Path, ours: Generator, halved: int) -> tuple[nn.Module, Draw]:
    with module_of(checkout, "training.networks_stylegan2") as networks:
        return _official(networks, ours, halved, **_synthesis(ours, halved))


def _synthesis(ours: Generator, halved: int) -> dict[str, Any]:
    widths = {"channel_base": ours.config.channel_base, "channel_max": ours.config.channel_max}
    return {**widths, "num_fp16_res": halved, "conv_clamp": 256} if halved else widths


def _official(networks: Any, ours: Generator, halved: int, **keywords: Any) -> tuple[nn.Module, Draw]:
    config = ours.config
    sizes = {"z_dim": config.z_dim, "c_dim": 0, "w_dim": config.w_dim, "img_resolution": config.resolution}
    network = networks.Generator(**sizes, img_channels=3, **keywords)
    network.load_state_dict({**network.state_dict(), **ours.state_dict()})
    return network, lambda ws: network.synthesis(ws, noise_mode="const", force_fp32=not halved)


def _rosinality(checkout: Path, ours: Generator, halved: int) -> tuple[nn.Module, Draw]:
    config = ours.config
    if halved:
        raise UsageError("rosinality computes in float32 only", "compare with it in that")
    if config.channel_base not in {_ROSINALITY_BASE, 2 * _ROSINALITY_BASE} or config.channel_max != 512:
        raise UsageError(f"rosinality has no network of channel base {config.channel_base}", "it has 16384 and 32768")
    multiplier = config.channel_base // _ROSINALITY_BASE
    with module_of(checkout, "model") as model:
        network = model.Generator(config.resolution, config.w_dim, config.mapping_layers, channel_multiplier=multiplier)
    network.load_state_dict(write_generator(config, ours.state_dict()))
    return network, lambda ws: network([ws], input_is_latent=True, randomize_noise=False)[0]


PEERS: Mapping[str, Callable[[Path, Generator, int], tuple[nn.Module, Draw]]] = MappingProxyType(
    {"stylegan2-ada-pytorch": _ada, "stylegan3": _stylegan3, "rosinality": _rosinality}
)
"""What can be drawn with, by the name of the repository (rosinality's is called after its author)."""

HALVES = ("stylegan2-ada-pytorch", "stylegan3")
"""Those that compute in float16 too."""


@contextmanager
def module_of(checkout: Path, name: str) -> Iterator[Any]:
    """A module of a checkout, importable meanwhile. Its modules are not kept by name: two checkouts have namesakes."""
    if not (checkout / f"{name.replace('.', '/')}.py").is_file():
        raise InputError(f"{checkout} holds no {name.replace('.', '/')}.py", "give the folder of a checkout")
    before = set(sys.modules)
    sys.path.insert(0, str(checkout))
    stand_ins = _stand_ins()
    sys.modules.update(stand_ins)
    try:
        with _without_extensions():
            yield importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{checkout} does not load: {error}") from error
    finally:
        sys.path.remove(str(checkout))
        for added in set(sys.modules) - before:
            if added in stand_ins or _lies_in(sys.modules[added], checkout):
                del sys.modules[added]


def _stand_ins() -> dict[str, types.ModuleType]:
    """What checkouts import that is not here: of ``requests`` they use nothing, and old setuptools had the others."""
    names = ("requests", "pkg_resources", "distutils", "distutils.util")
    modules = {
        name: types.ModuleType(name) for name in names if importlib.util.find_spec(name.partition(".")[0]) is None
    }
    for module in modules.values():
        vars(module).update(parse_version=_version, strtobool=bool)
    return modules


def _version(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def _lies_in(module: types.ModuleType, folder: Path) -> bool:
    places = [module.__file__] if getattr(module, "__file__", None) else getattr(module, "__path__", [])
    return any(place is not None and Path(place).is_relative_to(folder) for place in places)


@contextmanager
def _without_extensions() -> Iterator[None]:
    """Where PyTorch has no CUDA, rosinality's modules load without the extensions that they would build at once."""
    build = cpp_extension.load
    if not torch.cuda.is_available():
        cpp_extension.load = lambda *_, **__: None
    try:
        yield
    finally:
        cpp_extension.load = build
