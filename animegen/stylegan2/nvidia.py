"""NVIDIA's PyTorch pickles (stylegan2-ada-pytorch, and the StyleGAN2 configurations of stylegan3), as plain data.

A pickled network is a :class:`Record` of the fields its module had. Names of tensors are kept; what tensors do not
tell (activation, clamp, learning rate multiplier) stands in the fields of the layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from animegen.errors import WeightsError
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig, resolutions
from animegen.stylegan2.layout import discriminator_config, generator_config
from animegen.stylegan2.pickles import Record
from animegen.stylegan2.tensor_files import StoredTensor

GENERATOR, DISCRIMINATOR = "Generator", "Discriminator"
"""Names of the classes in those pickles."""

_DEEPEST = 8
_FILTER = "resample_filter"
_HINT = "give a StyleGAN2 or StyleGAN2-ADA checkpoint; StyleGAN3's own configurations are other networks"


def read_generator(network: Record) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Configuration and tensors of a pickled generator. Raises WeightsError for another network."""
    tensors = _tensors(network, GENERATOR)
    layer, mapping = _module(network, "synthesis.b4.conv1"), _module(network, "mapping")
    config = generator_config(
        tensors,
        **_told(network, layer, mapping),
        num_fp16_res=_halves(_module(network, "synthesis")),
        w_avg_beta=float(_field(mapping, "w_avg_beta") or 1.0),
    )
    return config, tensors


def read_discriminator(network: Record) -> tuple[DiscriminatorConfig, dict[str, Tensor]]:
    """Configuration and tensors of a pickled discriminator. Raises WeightsError for another network."""
    tensors = _tensors(network, DISCRIMINATOR)
    epilogue = _module(network, "b4")
    mapping = _module(network, "mapping") if "mapping" in _modules(network) else None
    group = _modules(epilogue).get("mbstd")
    config = discriminator_config(
        tensors,
        **_told(network, _module(epilogue, "conv"), mapping),
        num_fp16_res=_halves(network),
        group_size=_field(group, "group_size") if isinstance(group, Record) else None,
    )
    return config, tensors


def _told(network: Record, layer: Record, mapping: Record | None) -> dict[str, Any]:
    """What tensors cannot tell of a network, from one of its layers and the first of its mapping."""
    clamp, activation = _field(layer, "conv_clamp"), _field(layer, "activation")
    told: dict[str, Any] = {"activation": activation, "clamp": None if clamp is None else float(clamp)}
    taps = _taps(network)
    if taps is not None:
        told["resample_filter"] = taps
    if mapping is not None and "fc0" in _modules(mapping):
        first = _module(mapping, "fc0")
        told["lr_multiplier"] = float(_field(first, "bias_gain"))
        if _field(first, "activation") != activation:
            raise WeightsError(f"the mapping network has another activation than {activation}", _HINT)
    return told


def _tensors(network: Record, kind: str) -> dict[str, Tensor]:
    if network.kind != kind:
        raise WeightsError(f"a network of class {network.kind!r} stands where a {kind} should be", _HINT)
    return {name: stored.tensor().float() for name, stored in _stored(network) if not name.endswith(_FILTER)}


def _stored(module: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, StoredTensor]]:
    """Parameters and buffers of a module and those inside it, with their dotted names."""
    if depth > _DEEPEST:
        raise WeightsError("the network's modules are nested without end", _HINT)
    for kind in ("_parameters", "_buffers"):
        for name, stored in _dictionary(module, kind).items():
            if isinstance(stored, StoredTensor):
                yield f"{prefix}{name}", stored
    for name, inner in _modules(module).items():
        if isinstance(inner, Record):
            yield from _stored(inner, f"{prefix}{name}.", depth + 1)


def _halves(network: Record) -> int:
    """How many of a network's largest blocks run in 16 bits."""
    sides = resolutions(int(_field(network, "img_resolution")))
    return sum(bool(_modules(network)[f"b{side}"].fields.get("use_fp16")) for side in sides if side > 4)


def _taps(network: Record) -> tuple[float, ...] | None:
    """The taps of the low-pass filter, as small whole numbers where they are such; None where no block has one."""
    found = next((stored for name, stored in _stored(network) if name.endswith(_FILTER)), None)
    if found is None:
        return None
    kernel = found.tensor().double()
    taps = (kernel.sum(0) if kernel.ndim == 2 else kernel.flatten()).tolist()
    least = min(abs(tap) for tap in taps)
    scaled = [tap / least for tap in taps] if least > 0 else taps
    whole = all(abs(tap - round(tap)) < 1e-4 for tap in scaled)
    return tuple(float(round(tap)) if whole else tap for tap in (scaled if whole else taps))


def _module(network: Record, path: str) -> Record:
    for name in path.split("."):
        inner = _modules(network).get(name)
        if not isinstance(inner, Record):
            raise WeightsError(f"the network has no {path}", _HINT)
        network = inner
    return network


def _modules(module: Record) -> dict[str, Any]:
    return _dictionary(module, "_modules")


def _dictionary(module: Record, name: str) -> dict[str, Any]:
    value = module.fields.get(name)
    if not isinstance(value, dict):
        raise WeightsError(f"the module {module.kind!r} has no {name}", _HINT)
    return value


def _field(module: Record, name: str) -> Any:
    if name not in module.fields or isinstance(module.fields[name], (Record, dict, list)):
        raise WeightsError(f"the module {module.kind!r} has no {name}", _HINT)
    return module.fields[name]
