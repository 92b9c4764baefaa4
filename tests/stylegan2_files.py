"""Checkpoints as other tools write them, and pickles that try to do harm."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.synthesis import Generator


@contextmanager
def foreign_modules(**classes: Callable[..., Any]) -> Iterator[None]:
    """Modules of other tools for as long as something is pickled; ``a__b__C`` is the name C of the module a.b."""
    names = []
    for path, value in classes.items():
        *parents, name = path.split("__")
        module = ".".join(parents)
        for depth in range(1, len(parents) + 1):
            sys.modules.setdefault(".".join(parents[:depth]), types.ModuleType(".".join(parents[:depth])))
            names.append(".".join(parents[:depth]))
        value.__module__, value.__qualname__, value.__name__ = module, name, name
        setattr(sys.modules[module], name, value)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


class Pickled:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def nvidia_pickle(
    networks: Mapping[str, Generator | Discriminator], *, source: str = "raise SystemExit", protocol: int = 4
) -> bytes:
    """A pickle as NVIDIA's PyTorch tools write it: networks by ``G``, ``D`` and ``G_ema``, with their "source"."""

    def reconstruct(meta: Any) -> Any:
        raise AssertionError("a pickle was executed")

    class EasyDict(dict):
        pass

    def persistent(kind: str, fields: dict[str, Any]) -> Pickled:
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": kind, "state": fields}
        return Pickled(reconstruct, meta)

    with foreign_modules(
        torch_utils__persistence___reconstruct_persistent_obj=reconstruct, dnnlib__util__EasyDict=EasyDict
    ):
        data = {name: _module(network, type(network).__name__, persistent) for name, network in networks.items()} | {
            "augment_pipe": None,
            "training_set_kwargs": EasyDict(path="data"),
        }
        return pickle.dumps(data, protocol)


def _module(module: torch.nn.Module, kind: str, persistent: Callable[[str, dict[str, Any]], Pickled]) -> Pickled:
    """A module with the fields that NVIDIA's modules have, as far as they tell something."""
    config = getattr(module, "config", None)
    inner = OrderedDict(
        (name, _module(child, type(child).__name__, persistent)) for name, child in module.named_children()
    )
    group = getattr(module, "group_size", None)
    if group is not None:
        fields = {
            "_parameters": OrderedDict(),
            "_buffers": OrderedDict(),
            "_modules": OrderedDict(),
            "group_size": group,
        }
        inner["mbstd"] = persistent("MinibatchStdLayer", fields)
    fields = {
        "training": False,
        "_parameters": OrderedDict(module.named_parameters(recurse=False)),
        "_buffers": OrderedDict(module.named_buffers(recurse=False)),
        "_non_persistent_buffers_set": set(),
        "_modules": inner,
        "activation": getattr(module, "act", None),
        "conv_clamp": getattr(module, "clamp", None),
        "bias_gain": getattr(module, "lr_multiplier", None),
        "img_resolution": config.resolution if config else None,
        "w_avg_beta": 0.995,
        "use_fp16": False,
    }
    fields["_buffers"].pop("fir", None)
    return persistent(kind, fields)


def tensorflow_pickle(generator: Generator, discriminator: Discriminator) -> bytes:
    """A pickle as NVIDIA's TensorFlow tools write it: a tuple of G, D and Gs."""

    class Network:
        pass

    def network(fields: dict[str, Any]) -> Any:
        made = Network()
        made.__dict__.update({"version": 4, "build_module_src": "raise SystemExit", "components": {}, **fields})
        return made

    config, critic = generator.config, discriminator.config
    shared = {"resolution": config.resolution, "label_size": config.c_dim, "fmap_base": config.channel_base // 2}
    tensors = generator.state_dict()
    whole = {"dlatent_avg": tensors["mapping.w_avg"].numpy()}
    mapping = {n.removeprefix("mapping/"): a for n, a in _tf_arrays(tensors) if n.startswith("mapping/")}
    synthesis = {n.removeprefix("synthesis/"): a for n, a in _tf_arrays(tensors) if n.startswith("synthesis/")}
    with foreign_modules(dnnlib__tflib__network__Network=Network):
        parts = {
            "mapping": network({"static_kwargs": {}, "variables": list(mapping.items())}),
            "synthesis": network({"static_kwargs": {}, "variables": list(synthesis.items())}),
        }
        settings = {
            **shared,
            "fmap_max": config.channel_max,
            "latent_size": config.z_dim,
            "dlatent_size": config.w_dim,
            "mapping_fmaps": config.w_dim,
            "mapping_layers": config.mapping_layers,
        }
        drawing = network({"static_kwargs": settings, "variables": list(whole.items()), "components": parts})
        judged = {**shared, "fmap_max": critic.channel_max, "mbstd_group_size": critic.group_size}
        judge = network({"static_kwargs": judged, "variables": list(_tf_critic(discriminator.state_dict()))})
        return pickle.dumps((drawing, judge, drawing), 4)


def _tf_conv(tensor: torch.Tensor, *, turned: bool = False) -> np.ndarray:
    array = tensor.numpy().transpose(2, 3, 1, 0)
    return np.ascontiguousarray(array[::-1, ::-1] if turned else array)


def _tf_arrays(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    """A generator's tensors as the TensorFlow code names and lays them out."""
    for name, tensor in tensors.items():
        first, *rest = name.split(".")
        if first == "mapping" and rest[0].startswith("fc"):
            dense = f"mapping/Dense{rest[0][2:]}/{rest[1]}"
            yield dense, tensor.numpy().T.copy() if rest[1] == "weight" else tensor.numpy()
        elif name == "synthesis.b4.const":
            yield "synthesis/4x4/Const/const", tensor.numpy()[None]
        elif first == "synthesis":
            side, layer, end = int(rest[0][1:]), rest[1], ".".join(rest[2:])
            place = {"conv0": "Conv0_up", "conv1": "Conv" if side == 4 else "Conv1", "torgb": "ToRGB"}[layer]
            if end == "noise_const":
                number = 2 * (side.bit_length() - 3) - (layer == "conv0")
                yield f"synthesis/noise{number}", tensor.numpy()[None, None]
            else:
                yield f"synthesis/{side}x{side}/{place}/{_TF_ENDS[end]}", _tf_end(tensor, end, layer)


_TF_ENDS = {
    "weight": "weight",
    "bias": "bias",
    "noise_strength": "noise_strength",
    "affine.weight": "mod_weight",
    "affine.bias": "mod_bias",
}


def _tf_end(tensor: torch.Tensor, end: str, layer: str) -> np.ndarray:
    if end == "weight":
        return _tf_conv(tensor, turned=layer == "conv0")
    if end == "affine.weight":
        return tensor.numpy().T.copy()
    return tensor.numpy() - np.float32(1) if end == "affine.bias" else tensor.numpy()


def _tf_critic(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    places = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip"}
    last = {"conv": "4x4/Conv", "fc": "4x4/Dense0", "out": "Output"}
    for name, tensor in tensors.items():
        block, layer, end = name.split(".")
        place = last[layer] if block == "b4" else f"{block[1:]}x{block[1:]}/{places[layer]}"
        if end == "bias":
            yield f"{place}/{end}", tensor.numpy()
        else:
            yield f"{place}/{end}", _tf_conv(tensor) if tensor.ndim == 4 else tensor.numpy().T.copy()


def malicious_files(folder: Path, canary: Path) -> dict[str, Path]:
    """Files that try to run something, to fill the memory, or that are no checkpoints, by what they try.

    Every one that can run something would write ``canary``.
    """
    touch = f"open({str(canary)!r}, 'w').close()"
    contents = {
        "os.system": pickle.dumps(Pickled(os.system, f"touch {canary}")),
        "eval": pickle.dumps({"G_ema": Pickled(eval, touch)}, 2),
        "exec, protocol 0": b"cbuiltins\nexec\n(V" + touch.encode() + b"\ntR.",
        "getattr of a module": pickle.dumps(Pickled(getattr, Pickled(__import__, "os"), "system")),
        "a call of data": _called_data(touch),
        "a state for a builder": b"\x80\x02ccollections\nOrderedDict\n}X\x08\x00\x00\x00__call__K\x01sb.",
        "code after persistent source": nvidia_pickle({}, source=touch)[:-1] + b"cposix\nsystem\n.",
        "truncated": nvidia_pickle({}, source=touch)[:60],
        "a zip bomb": _zip_bomb(touch),
        "wrong magic": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "a bomb of keys": _bomb_of_keys(),
        "an archive that executes": _zip_with_pickle(pickle.dumps(Pickled(exec, touch), 2)),
    }
    files = {}
    for number, (name, content) in enumerate(contents.items()):
        files[name] = folder / f"{number}.pkl"
        files[name].write_bytes(content)
    return files


def _called_data(touch: str) -> bytes:
    """REDUCE on what is no name at all: the text of a program."""
    return b"\x80\x02X" + len(touch).to_bytes(4, "little") + touch.encode() + b"(tR."


def _zip_bomb(touch: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Pickled(exec, touch), 2))
        archive.writestr("archive/data/0", bytes(100_000_000))
    return file.getvalue()


def _zip_with_pickle(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


def _bomb_of_keys() -> bytes:
    """A tuple of two tuples of two tuples ..., 200 deep, as a key: to hash it would take for ever."""
    return b"\x80\x02}N" + b"2\x86" * 200 + b"Ns."
