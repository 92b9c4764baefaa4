"""The cases of the bench that work on tensors; rivals are PyTorch's eager mode, its compiler, Triton, and peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from animegen.measure.ops_bench import NOT_ASKED, Case, Variant
from animegen.ops.bias_act import bias_act, bias_act_reference
from animegen.ops.library import choice
from animegen.ops.pose_maps import limb_maps, limb_maps_reference
from animegen.ops.tensors import native_for
from animegen.ops.to_rgb_skip import to_rgb_skip, to_rgb_skip_reference
from animegen.ops.upfirdn2d import fir_bias_act, fir_bias_act_reference, fir_filter, upfirdn2d, upfirdn2d_reference

Operation: TypeAlias = Callable[..., Tensor]
Operations: TypeAlias = Mapping[str, Operation]
"""By the names of the ops that compute the same."""

Shape = tuple[int, ...]

_SHAPES: Mapping[str, Shape] = MappingProxyType({"cpu": (1, 64, 128, 128), "cuda": (16, 64, 512, 512)})
"""What a layer works on: [B, C, H, W]; on a GPU 1 GiB in float32, far more than its caches hold."""

_DTYPES: Mapping[str, tuple[torch.dtype, ...]] = MappingProxyType(
    {"cpu": (torch.float32, torch.bfloat16), "cuda": (torch.float32, torch.float16, torch.bfloat16)}
)

_IN_TRITON = ("bias_act", "upfirdn2d", "fir_bias_act")
"""What is written in Triton, without gradients."""


@dataclass(frozen=True, slots=True)
class _Op:
    """An op, its reference, and what they are given: tensors by shape, of the case's dtype or (``wide``) float32.

    ``gradient``: not the op is measured, but the op and the gradient of half the square of its result in ``x``.
    """

    name: str
    native: Operation
    reference: Operation
    tensors: Mapping[str, Shape]
    wide: Mapping[str, Shape] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    gradient: bool = False


def tensor_cases(
    device: str, *, compiled: bool, peers: Mapping[str, Operations] = MappingProxyType({})
) -> Iterator[Case]:
    """A layer's worth of every op, in every dtype that is fast on ``device``; ``compiled``: torch.compile too."""
    for dtype in _DTYPES[device]:
        for op in _ops(device, _SHAPES[device]):
            yield _case(op, device, dtype, compiled=compiled, peers=peers)


def _ops(device: str, shape: Shape) -> Iterator[_Op]:
    batch, channels, height, width = shape
    fir = fir_filter([1, 3, 3, 1]).to(device)
    act: dict[str, Any] = {"act": "lrelu", "clamp": 256.0}
    layer = {"x": shape, "bias": (channels,), "noise": (1, 1, height, width)}
    yield _Op("bias_act", bias_act, bias_act_reference, layer, options=act)
    half = {"x": (batch, channels, height // 2, width // 2)}
    up: dict[str, Any] = {"fir": fir, "up": 2, "padding": (2, 1, 2, 1), "gain": 4.0}
    down: dict[str, Any] = {"fir": fir, "down": 2, "padding": 1}
    yield _Op("upfirdn2d up", upfirdn2d, upfirdn2d_reference, half, options=up)
    yield _Op("upfirdn2d down", upfirdn2d, upfirdn2d_reference, {"x": shape}, options=down)
    yield _Op("upfirdn2d up, gradient", upfirdn2d, upfirdn2d_reference, half, options=up, gradient=True)
    yield _Op("upfirdn2d down, gradient", upfirdn2d, upfirdn2d_reference, {"x": shape}, options=down, gradient=True)
    factors = {"demodulation": shape[:2], "modulation": shape[:2]}
    same: dict[str, Any] = {"fir": fir, "padding": (2, 1, 2, 1), "gain": 4.0, **act}
    yield _Op("fir_bias_act", fir_bias_act, fir_bias_act_reference, layer, factors, same)
    rgb = {"x": shape, "weight": (3, channels, 1, 1), "styles": shape[:2], "bias": (3,)}
    skip = {"skip": (batch, 3, height // 2, width // 2)}
    yield _Op("to_rgb_skip", to_rgb_skip, to_rgb_skip_reference, rgb, skip, {"fir": fir})
    pose = {"xy": (batch, 17, 2), "score": (batch, 17), "z": (batch, 17)}
    edges = torch.tensor([(i, i + 1) for i in range(16)], device=device)
    limbs: dict[str, Any] = {"edges": edges, "side": height, "sigma": 0.02}
    yield _Op("limb_maps", limb_maps, limb_maps_reference, {}, pose, limbs)


def _case(op: _Op, device: str, dtype: torch.dtype, *, compiled: bool, peers: Mapping[str, Operations]) -> Case:
    def make(rng: np.random.Generator) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

        def draw(shapes: Mapping[str, Shape], of: torch.dtype) -> dict[str, Tensor]:
            return {name: torch.rand(shape, generator=generator).to(device, of) for name, shape in shapes.items()}

        return draw(op.tensors, dtype) | draw(op.wide, torch.float32)

    def calling(operation: Operation) -> Callable[[dict[str, Tensor]], Tensor]:
        def run(tensors: dict[str, Tensor]) -> Tensor:
            with torch.inference_mode(not op.gradient):
                return _gradient(operation, tensors, op) if op.gradient else operation(**tensors, **op.options)

        return run

    def error(tensors: dict[str, Tensor], result: Tensor) -> float:
        exact = calling(op.reference)({name: tensor.double() for name, tensor in tensors.items()})
        return float((result.double() - exact).abs().max() / exact.abs().max())

    sample = make(np.random.default_rng(0))
    library = native_for(next(iter(sample.values())))
    moved = sum(tensor.nbytes for tensor in (*sample.values(), op.reference(**sample, **op.options)))
    variants: dict[str, Variant] = {
        "native": str(choice("cuda" if device == "cuda" else "cpu")) if library is None else calling(op.native),
        "reference": calling(op.reference),
        "torch.compile": calling(torch.compile(op.reference, fullgraph=True)) if compiled else NOT_ASKED,
    }
    rivals = {"Triton": _triton(device)} | {name: _peer(ops, device, dtype) for name, ops in peers.items()}
    for name, ops in rivals.items():
        found = ops.get(op.native.__name__)
        if found is not None and not (op.gradient and name == "Triton"):
            variants[name] = found if isinstance(found, str) else calling(found)
    name = f"{op.name} {str(dtype).removeprefix('torch.')}"
    return Case(name, 2 * moved if op.gradient else moved, make, variants, error)


def _triton(device: str) -> Mapping[str, Operation | str]:
    """What is written in Triton, or why it cannot be had."""
    if device == "cuda" and find_spec("triton") is not None:
        from animegen.measure import ops_triton

        return {name: getattr(ops_triton, name) for name in _IN_TRITON}
    return dict.fromkeys(_IN_TRITON, "Triton is not installed" if device == "cuda" else "Triton compiles for GPUs")


def _peer(ops: Operations, device: str, dtype: torch.dtype) -> Mapping[str, Operation | str]:
    if device == "cuda" and dtype == torch.bfloat16:
        return dict.fromkeys(ops, "its kernels know no bfloat16")
    return ops


def _gradient(operation: Operation, tensors: Mapping[str, Tensor], op: _Op) -> Tensor:
    x = tensors["x"].detach().requires_grad_()
    y = operation(**{**tensors, "x": x}, **op.options)
    (dx,) = torch.autograd.grad(y, x, y.detach())
    return dx
