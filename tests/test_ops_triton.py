"""The rivals in Triton compute what the ops do, on a GPU or in Triton's interpreter, and compile without either."""

from __future__ import annotations

import importlib
import os

import pytest
import torch
from ops_tensors import close, in_double, random

from animegen.ops.bias_act import bias_act_reference
from animegen.ops.upfirdn2d import fir_bias_act_reference, fir_filter, upfirdn2d_reference

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAYER = {"act": "lrelu", "clamp": 1.5}
RESAMPLINGS = [
    {"up": 2, "padding": (2, 1, 2, 1), "gain": 4.0},
    {"up": 3, "down": 2, "padding": (0, 4, -1, 5)},
    {"down": 2, "padding": 1},
    {"down": 3, "padding": (3, 0, 1, 2)},
]


SLACK = 2.0
"""The interpreter cuts what does not fit into bfloat16 off."""


INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

pytestmark = pytest.mark.filterwarnings("ignore:.*FP_FUSION")  # which Triton tells of each time that it compiles


@pytest.fixture(scope="module")
def module():
    """The module of the rivals."""
    pytest.importorskip("triton", reason="Triton is not installed")
    return importlib.import_module("animegen.measure.ops_triton")


@pytest.fixture
def rivals(module):
    """The module, where it can compute."""
    if DEVICE == "cpu" and not INTERPRETED:
        pytest.skip("there is no GPU here, and TRITON_INTERPRET=1 does not ask for the interpreter")
    return module


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def x(request):
    return random(1, 2, 9, 140, dtype=request.param).to(DEVICE)


def wide(tensors):
    return {name: in_double(value) for name, value in tensors.items()}


def test_what_follows_a_convolution(rivals, x):
    bias, noise = random(2, dtype=x.dtype).to(DEVICE), random(1, 1, 9, 140, dtype=x.dtype).to(DEVICE)
    wanted = bias_act_reference(x.double(), bias.double(), noise=noise.double(), **LAYER)
    close(rivals.bias_act(x, bias, noise=noise, **LAYER), wanted, SLACK)


@pytest.mark.parametrize("options", RESAMPLINGS, ids=str)
def test_resampling(rivals, x, options):
    fir = fir_filter([1, 2, 3, 5]).to(DEVICE)
    wanted = upfirdn2d_reference(x.double(), fir, **options)
    close(rivals.upfirdn2d(x, fir, **options), wanted, SLACK)


def test_a_layer_with_its_filter(rivals, x):
    fir, same = fir_filter([1, 2, 3, 5]).to(DEVICE), {"padding": (2, 1, 2, 1), "gain": 4.0, **LAYER}
    like = {"bias": random(2, dtype=x.dtype), "noise": random(1, 1, 9, 140, dtype=x.dtype)}
    factors = {"demodulation": random(1, 2), "modulation": random(1, 2, seed=1)}
    tensors = {name: tensor.to(DEVICE) for name, tensor in (like | factors).items()}
    wanted = fir_bias_act_reference(x.double(), fir, **wide(tensors), **same)
    close(rivals.fir_bias_act(x, fir, **tensors, **same), wanted, SLACK)


@pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET=1 asks for the interpreter")
@pytest.mark.parametrize("case", [("fp32", 2, 1, False), ("bf16", 1, 2, False), ("fp16", 1, 1, True)], ids=str)
def test_kernels_compile_for_a_gpu_that_is_not_here(module, tmp_path, monkeypatch, case):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    dtype, up, down, layer = case
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = {"fir": "*fp32", "demodulation": "*fp32", "modulation": "*fp32"}
    types |= dict.fromkeys(("channels", "height", "width", "high", "wide", "left", "top", "area"), "i32")
    types |= dict.fromkeys(("fir_gain", "alpha", "gain", "clamp"), "fp32")
    sizes = {"up": up, "down": down, "taps": 4, "layer": layer, "rows": 8, "columns": 128, "cells": 1024}
    for kernel in (module._bias_act, module._resampled):
        constants = {name: sizes[name] for name in kernel.arg_names if name in sizes}
        signature = {n: "constexpr" if n in constants else types.get(n, f"*{dtype}") for n in kernel.arg_names}
        built = compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32))
        assert built.asm["cubin"]
