"""Weights of the generator as safetensors, with everything needed to use them in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from animegen.avatar.config import AvatarConfig
from animegen.avatar.network import Generator
from animegen.errors import WeightsError
from animegen.jobs import artefact

FORMAT = "animegen-avatar-1"


def save_generator(
    path: Path, generator: Generator, *, avatars: list[dict[str, Any]], dtype: torch.dtype, notes: Mapping[str, str]
) -> None:
    """Write a generator's weights, whole or not at all.

    ``avatars`` describes each row of ``generator.avatars`` (name, licence, credit, palette, proportions, traits) as
    plain JSON values; ``notes`` are further metadata, such as how it was trained.
    """
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in generator.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "config": generator.config.to_json(),
        "avatars": json.dumps(avatars, ensure_ascii=False),
        **notes,
    }
    save_tensors(path, tensors, metadata)


def load_generator(path: Path) -> tuple[Generator, list[dict[str, Any]]]:
    """The generator of a weights file, in float32 on the CPU, and what is known of its avatars.

    Raises WeightsError naming the file and what is wrong with it.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is not an avatar generator: its format is {metadata.get('format')!r}, expected {FORMAT!r}",
            "`animegen train avatar` writes such a file",
        )
    try:
        generator = Generator(AvatarConfig.from_json(metadata.get("config", "")))
        avatars: list[dict[str, Any]] = json.loads(metadata.get("avatars", ""))
        if len(avatars) != generator.config.avatars:
            raise ValueError(f"it tells of {len(avatars)} avatars and draws {generator.config.avatars}")
    except ValueError as error:
        raise WeightsError(f"{path} is damaged: its metadata: {error}", "fetch or make it again") from error
    restore(generator, tensors, path)
    return generator, avatars


def restore(module: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill a module with tensors of a file; raises WeightsError naming what does not fit."""
    for name, own in module.state_dict().items():
        if name not in tensors:
            raise WeightsError(f"{path} has no tensor '{name}'", "it was made for another configuration")
        if tensors[name].shape != own.shape:
            raise WeightsError(
                f"{path}: tensor '{name}' is {list(tensors[name].shape)}, expected {list(own.shape)}",
                "it was made for another configuration",
            )
    module.load_state_dict({name: tensors[name].to(own.dtype) for name, own in module.state_dict().items()})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors under a name, whole or not at all; the same ones are the same bytes."""
    data = save(dict(tensors), dict(metadata))
    start = 8 + int.from_bytes(data[:8], "little")
    # The library writes what is told in any order.
    header = json.dumps(json.loads(data[8:start]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    with artefact(path) as part, part.open("wb") as file:
        for piece in (len(header).to_bytes(8, "little"), header, memoryview(data)[start:]):
            file.write(piece)


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; raises WeightsError when it is missing or damaged."""
    with _opened(path) as file:
        return file.metadata() or {}


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; raises WeightsError when it is missing or damaged."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file {path}", "give the path of a .safetensors file") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", "the file is damaged or no safetensors file") from error
