"""StyleGAN2 networks as safetensors, and the checkpoints of other tools.

A file holds the tensors of up to three networks, ``g_ema.`` (the generator to draw with, a running mean), ``g.`` (the
one that training goes on with) and ``d.`` (the discriminator); its metadata holds their configurations, and where the
numbers came from. NVIDIA's and rosinality's checkpoints are read as plain data: nothing in them is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from animegen.errors import InvalidValue, WeightsError
from animegen.jobs import artefact
from animegen.stylegan2 import nvidia, rosinality, tensorflow
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.pickles import Record
from animegen.stylegan2.synthesis import Generator
from animegen.stylegan2.tensor_files import StoredTensor, load_plain
from animegen.weights import sha256_of

FORMAT = "animegen-stylegan2-1"

_NETWORKS: Mapping[str, str] = MappingProxyType({"generator": "g_ema", "trained": "g", "discriminator": "d"})
_MEAN_SAMPLES, _MEAN_SEED = 10_000, 123
_DRAWN = "drawn"
_IMPORT_HINT = "`animegen stylegan2 import` reads NVIDIA's .pkl and rosinality's .pt, and writes .safetensors"

_STRANGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError)
"""What well-formed data of the wrong kinds raise on the way into a network."""

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Networks in float32 on the CPU, not to be trained further as they stand, and what is known of them.

    ``trained`` is the generator of which ``generator`` is the running mean. ``notes``: ``origin`` (format),
    ``origin_file``, ``origin_sha256``, and ``w_avg`` and ``noise_const``, which say "drawn" where the origin held none.
    """

    generator: Generator
    trained: Generator | None = None
    discriminator: Discriminator | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def networks(self) -> dict[str, Generator | Discriminator]:
        """The networks that are there, by the names of their tensors' prefixes."""
        found = {prefix: getattr(self, name) for name, prefix in _NETWORKS.items()}
        return {prefix: network for prefix, network in found.items() if network is not None}


def save_checkpoint(
    path: Path,
    checkpoint: Checkpoint,
    more: Mapping[str, Tensor] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write networks in a ``dtype``, and ``more`` tensors of other names, as safetensors, whole or not at all.

    Raises OutputError where the disk refuses it.
    """
    tensors = dict(more or {}) | {
        f"{prefix}.{name}": value.detach().to("cpu", dtype).contiguous()
        for prefix, network in checkpoint.networks.items()
        for name, value in network.state_dict().items()
    }
    configs = {f"config.{prefix}": network.config.to_json() for prefix, network in checkpoint.networks.items()}
    with artefact(path) as part:
        save_file(tensors, part, {"format": FORMAT, **configs, **checkpoint.notes})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote. Raises WeightsError naming the file and what is wrong with it."""
    tensors, metadata = open_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} holds no StyleGAN2 networks: its format is {metadata.get('format')!r}, expected {FORMAT!r}",
            _IMPORT_HINT,
        )
    try:
        networks: dict[str, Any] = {name: _restored(prefix, tensors, metadata) for name, prefix in _NETWORKS.items()}
    except (InvalidValue, WeightsError) as error:
        raise WeightsError(f"{path} is damaged: {error}", "fetch or make it again") from error
    if networks["generator"] is None:
        raise WeightsError(f"{path} holds no generator", _IMPORT_HINT)
    notes = {key: value for key, value in metadata.items() if key != "format" and not key.startswith("config.")}
    return Checkpoint(**networks, notes=notes)


def import_checkpoint(path: Path) -> Checkpoint:
    """The networks of another tool's checkpoint: NVIDIA's ``.pkl`` (PyTorch, TensorFlow) or rosinality's ``.pt``.

    Nothing in the file is executed. Raises WeightsError for a name the file may not ask for, a damaged file, and one
    that holds no StyleGAN2 networks.
    """
    data = load_plain(path)
    try:
        found, origin, drawn = _networks(data)
    except WeightsError as error:
        raise WeightsError(f"cannot import {path}: {error}", error.hint) from error
    except _STRANGE as error:
        raise WeightsError(f"cannot import {path}: {type(error).__name__}: {error}", _IMPORT_HINT) from error
    notes = {"origin": origin, "origin_file": path.name, "origin_sha256": sha256_of(path), **drawn}
    return Checkpoint(**found, notes=notes)


def export_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write networks in rosinality's layout, as ``torch.save`` does, whole or not at all.

    That layout knows no clamp, which matters in 16 bits only. Raises UsageError for a network that it has no place
    for, and OutputError where the disk refuses the file.
    """
    contents: dict[str, Any] = {}
    for prefix, network in checkpoint.networks.items():
        tensors = network.state_dict()
        if isinstance(network, Generator):
            contents[prefix] = rosinality.write_generator(network.config, tensors)
            if checkpoint.notes.get("noise_const") == _DRAWN:
                contents[prefix] = {n: t for n, t in contents[prefix].items() if not n.startswith("noises.")}
        else:
            contents[prefix] = rosinality.write_discriminator(network.config, tensors)
    if checkpoint.notes.get("w_avg") != _DRAWN:
        contents["latent_avg"] = checkpoint.generator.mapping.w_avg.clone()
    with artefact(path) as part:
        torch.save(contents, part)


def open_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises WeightsError."""
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a checkpoint", "name the .safetensors file in it")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file {path}", _IMPORT_HINT) from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", _IMPORT_HINT) from error


def _restored(prefix: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    config = metadata.get(f"config.{prefix}")
    if config is None:
        return None
    own = {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
    if prefix == "d":
        return _discriminator(DiscriminatorConfig.from_json(config), own)
    return _generator(GeneratorConfig.from_json(config), own)


def _generator(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> Generator:
    return _filled(lambda: Generator(config), tensors)


def _discriminator(config: DiscriminatorConfig, tensors: Mapping[str, Tensor]) -> Discriminator:
    return _filled(lambda: Discriminator(config), tensors)


class _Undrawn(TorchFunctionMode):
    """Lets a network be made without the random numbers that it would begin with.

    Nor is anything divided on the meta device, where drawing and dividing would import a compiler, for a second.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.div and args[0].is_meta:
            return args[0]
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


def _filled(make: Callable[[], N], tensors: Mapping[str, Tensor]) -> N:
    """A new network with these tensors, without gradients. Raises WeightsError naming what does not fit."""
    with torch.device("meta"), _Undrawn():  # shapes are compared before memory is taken for what a configuration claims
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise WeightsError(
                f"its tensors do not fit its configuration: {name} is {found.get(name)}, expected {wanted.get(name)}"
            )
    with _Undrawn():
        network = make()
    network.load_state_dict(dict(tensors))
    return network.eval().requires_grad_(requires_grad=False)


def _networks(data: Any) -> tuple[dict[str, Any], str, dict[str, str]]:
    """The networks of plain data, the name of their format, and what was drawn because the data lacked it."""
    if isinstance(data, dict) and isinstance(data.get("G_ema"), Record):
        records = {"generator": data["G_ema"], "trained": data.get("G"), "discriminator": data.get("D")}
        return _of_records(records, nvidia), "NVIDIA PyTorch pickle", {}
    if isinstance(data, Record) and data.kind in (nvidia.GENERATOR, tensorflow.NETWORK):
        reader = nvidia if data.kind == nvidia.GENERATOR else tensorflow
        return _of_records({"generator": data}, reader), "NVIDIA pickle of one generator", {}
    if isinstance(data, tuple) and len(data) == 3 and all(isinstance(network, Record) for network in data):
        records = dict(zip(("trained", "discriminator", "generator"), data, strict=True))
        return _of_records(records, tensorflow), "NVIDIA TensorFlow pickle", {}
    if isinstance(data, dict) and isinstance(data.get("g_ema", data.get("g")), dict):
        found, drawn = _of_rosinality(data)
        return found, "rosinality checkpoint", drawn
    raise WeightsError("it is no StyleGAN2 checkpoint of a known tool", _IMPORT_HINT)


def _of_records(records: Mapping[str, Any], reader: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, record in records.items():
        if isinstance(record, Record) and name == "discriminator":
            config, tensors = reader.read_discriminator(record)
            found[name] = _discriminator(config, tensors)
        elif isinstance(record, Record):
            config, tensors = reader.read_generator(record)
            found[name] = _generator(config, tensors)
    return found


def _of_rosinality(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    average = data.get("latent_avg")
    w_avg = average.tensor().float() if isinstance(average, StoredTensor) else None
    drawn: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, prefix in _NETWORKS.items():
        stored = data.get(prefix)
        if prefix == "g_ema" and stored is None:
            stored = data["g"]
        if not isinstance(stored, dict):
            continue
        tensors = {key: value.tensor().float() for key, value in stored.items() if isinstance(value, StoredTensor)}
        if name == "discriminator":
            discriminator, renamed = rosinality.read_discriminator(tensors)
            found[name] = _discriminator(discriminator, renamed)
        else:
            config, renamed = rosinality.read_generator(tensors, w_avg)
            found[name], lacking = _completed(config, renamed)
            drawn |= dict.fromkeys(lacking, _DRAWN)
    return found, drawn


def _completed(config: GeneratorConfig, tensors: dict[str, Tensor]) -> tuple[Generator, list[str]]:
    """A generator whose noise pictures and mean of w, where the file holds none, are drawn by fixed seeds."""
    lacking = []
    if not any(name.endswith(".noise_const") for name in tensors):
        lacking.append("noise_const")
        draw = np.random.RandomState(0)
        for number in range(2 * len(config.resolutions) - 1):
            side, which = 2 ** ((number + 5) // 2), (number + 1) % 2
            noise = torch.from_numpy(draw.randn(side, side).astype(np.float32))
            tensors[f"synthesis.b{side}.conv{which}.noise_const"] = noise
    if "mapping.w_avg" in tensors:
        return _generator(config, tensors), lacking
    generator = _generator(config, {**tensors, "mapping.w_avg": torch.zeros(config.w_dim)})
    z = np.random.RandomState(_MEAN_SEED).randn(_MEAN_SAMPLES, config.z_dim)
    generator.mapping.w_avg.copy_(generator.mapping(torch.from_numpy(z)).mean(dim=0))
    return generator, [*lacking, "w_avg"]
