"""NVIDIA's TensorFlow pickles (stylegan2 and stylegan2-ada), read without TensorFlow.

A pickled network is a :class:`Record` with ``static_kwargs``, ``variables`` (names and arrays) and ``components`` that
are networks again. Arrays are laid out [ky, kx, in, out], the kernels of upsampling layers turned by 180 degrees, and
the biases of modulations are stored less one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.errors import WeightsError
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.layout import discriminator_config, generator_config
from animegen.stylegan2.pickles import Record
from animegen.stylegan2.tensor_files import StoredArray

NETWORK = "dnnlib.tflib.network.Network"
"""What such a network's record is called."""

Array: TypeAlias = NDArray[np.float32]

_OLDEST = 4
_DEEPEST = 4
_HINT = "give a StyleGAN2 checkpoint of configuration E or F, or of StyleGAN2-ADA"


def _turned(array: Array) -> Array:
    return array[::-1, ::-1]


_CHANGES: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "": lambda array: array,
        "dense": lambda array: array.T,
        "conv": lambda array: array.transpose(3, 2, 0, 1),
        "up": lambda array: _turned(array).transpose(3, 2, 0, 1),
        "plus": lambda array: array + np.float32(1),
        "first": lambda array: array[0],
        "noise": lambda array: array[0, 0],
    }
)

_LAYER = (
    ("weight", "weight", "conv"),
    ("bias", "bias", ""),
    ("noise_strength", "noise_strength", ""),
    ("mod_weight", "affine.weight", "dense"),
    ("mod_bias", "affine.bias", "plus"),
)
_PLACES = (("4x4/Conv", "b4.conv1"), (r"(\d+)x\1/Conv0_up", r"b\1.conv0"), (r"(\d+)x\1/Conv1", r"b\1.conv1"))

Rules: TypeAlias = tuple[tuple[str, str, str], ...]
"""A pattern of their names, ours, and the change of the array."""

_GENERATOR: Rules = (
    ("dlatent_avg", "mapping.w_avg", ""),
    ("mapping/LabelEmbed/weight", "mapping.embed.weight", "dense"),
    ("mapping/LabelEmbed/bias", "mapping.embed.bias", ""),
    (r"mapping/Dense(\d+)/weight", r"mapping.fc\1.weight", "dense"),
    (r"mapping/Dense(\d+)/bias", r"mapping.fc\1.bias", ""),
    ("synthesis/4x4/Const/const", "synthesis.b4.const", "first"),
    *(
        (
            f"synthesis/{place}/{theirs}",
            f"synthesis.{to}.{ours}",
            "up" if "Conv0_up" in place and change == "conv" else change,
        )
        for place, to in (*_PLACES, (r"(\d+)x\1/ToRGB", r"b\1.torgb"))
        for theirs, ours, change in _LAYER
    ),
    (r"synthesis/(\d+)x\1/Skip/weight", r"synthesis.b\1.skip.weight", "up"),
)

_DISCRIMINATOR: Rules = (
    (r"(\d+)x\1/FromRGB/weight", r"b\1.fromrgb.weight", "conv"),
    (r"(\d+)x\1/FromRGB/bias", r"b\1.fromrgb.bias", ""),
    (r"(\d+)x\1/Conv0/weight", r"b\1.conv0.weight", "conv"),
    (r"(\d+)x\1/Conv0/bias", r"b\1.conv0.bias", ""),
    (r"(\d+)x\1/Conv1_down/weight", r"b\1.conv1.weight", "conv"),
    (r"(\d+)x\1/Conv1_down/bias", r"b\1.conv1.bias", ""),
    (r"(\d+)x\1/Skip/weight", r"b\1.skip.weight", "conv"),
    ("LabelEmbed/weight", "mapping.embed.weight", "dense"),
    ("LabelEmbed/bias", "mapping.embed.bias", ""),
    (r"Mapping(\d+)/weight", r"mapping.fc\1.weight", "dense"),
    (r"Mapping(\d+)/bias", r"mapping.fc\1.bias", ""),
    ("4x4/Conv/weight", "b4.conv.weight", "conv"),
    ("4x4/Conv/bias", "b4.conv.bias", ""),
    ("4x4/Dense0/weight", "b4.fc.weight", "dense"),
    ("4x4/Dense0/bias", "b4.fc.bias", ""),
    ("Output/weight", "b4.out.weight", "dense"),
    ("Output/bias", "b4.out.bias", ""),
)

_NOISE = re.compile(r"synthesis/noise(\d+)")
_LOD = re.compile(r"(.*)(ToRGB|FromRGB)_lod(\d+)/(.*)")


def read_generator(network: Record) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Configuration and tensors of a pickled generator. Raises WeightsError for another network."""
    settings, arrays = _opened(network)
    tensors = _translated(arrays, _GENERATOR)
    for name, array in arrays.items():
        if found := _NOISE.fullmatch(name):
            side, which = 2 ** ((int(found.group(1)) + 5) // 2), (int(found.group(1)) + 1) % 2
            tensors[f"synthesis.b{side}.conv{which}.noise_const"] = _tensor(_CHANGES["noise"](array))
    beta = settings.get("w_avg_beta", 0.995)
    told = _told(settings, {"lr_multiplier": ("mapping_lrmul", 0.01)})
    return generator_config(tensors, **told, w_avg_beta=1.0 if beta is None else float(beta)), tensors


def read_discriminator(network: Record) -> tuple[DiscriminatorConfig, dict[str, Tensor]]:
    """Configuration and tensors of a pickled discriminator. Raises WeightsError for another network."""
    settings, arrays = _opened(network)
    told = _told(settings, {"lr_multiplier": ("mapping_lrmul", 0.1)})
    tensors = _translated(arrays, _DISCRIMINATOR)
    return discriminator_config(tensors, **told, group_size=settings.get("mbstd_group_size", 4)), tensors


def _told(settings: Mapping[str, Any], more: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    names = {"activation": ("nonlinearity", "lrelu"), "clamp": ("conv_clamp", None), **more}
    told = {ours: settings.get(theirs, default) for ours, (theirs, default) in names.items()}
    told["num_fp16_res"] = int(settings.get("num_fp16_res") or 0)
    told["resample_filter"] = tuple(float(tap) for tap in settings.get("resample_kernel") or (1, 3, 3, 1))
    if settings.get("mapping_nonlinearity", told["activation"]) != told["activation"]:
        raise WeightsError("the mapping network has an activation of its own", _HINT)
    return told


def _opened(network: Record) -> tuple[Mapping[str, Any], dict[str, Array]]:
    """The settings of a network, and its arrays with those of its components."""
    settings = network.fields.get("static_kwargs")
    version = network.fields.get("version")
    if not isinstance(settings, dict) or not isinstance(version, int) or version < _OLDEST:
        raise WeightsError(f"a TensorFlow network of version {version!r} cannot be read", _HINT)
    arrays: dict[str, Array] = {}
    _collect(network, "", arrays, 0)
    side = int(settings.get("resolution", 1024))
    for name in list(arrays):
        if found := _LOD.fullmatch(name):
            resolution = side >> int(found.group(3))
            arrays[f"{found.group(1)}{resolution}x{resolution}/{found.group(2)}/{found.group(4)}"] = arrays.pop(name)
    return settings, arrays


def _collect(network: Any, prefix: str, arrays: dict[str, Array], depth: int) -> None:
    if depth > _DEEPEST or not isinstance(network, Record) or network.kind != NETWORK:
        raise WeightsError("the TensorFlow network has strange components", _HINT)
    for entry in network.fields.get("variables") or ():
        if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], StoredArray)):
            raise WeightsError("the TensorFlow network has a strange variable", _HINT)
        arrays[f"{prefix}{entry[0]}"] = entry[1].array()
    for name, inner in (network.fields.get("components") or {}).items():
        _collect(inner, f"{prefix}{name}/", arrays, depth + 1)


def _translated(arrays: Mapping[str, Array], rules: Rules) -> dict[str, Tensor]:
    tensors = {}
    for name, array in arrays.items():
        for theirs, ours, change in rules:
            if found := re.fullmatch(theirs, name):
                try:
                    tensors[found.expand(ours)] = _tensor(_CHANGES[change](array))
                except (ValueError, IndexError) as error:
                    raise WeightsError(f"{name} has the shape {array.shape}", _HINT) from error
                break
    return tensors


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
