"""Every op on tensors, native against float64, on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from ops_tensors import LAYOUTS, close, in_double, random

from animegen.measure.ops_bench import measured
from animegen.measure.ops_facets import facets_cases, skin_cases
from animegen.measure.ops_tensors import tensor_cases
from animegen.ops import build, library
from animegen.ops.bias_act import bias_act
from animegen.ops.modulated_conv2d import modulated_conv2d
from animegen.ops.nearest_conv2d import nearest_conv2d
from animegen.ops.pose_maps import limb_maps
from animegen.ops.to_rgb_skip import to_rgb_skip, to_rgb_skip_reference
from animegen.ops.upfirdn2d import fir_bias_act, fir_bias_act_reference, fir_filter
from animegen.weights.locations import shipped

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ROUNDED = {"float32": 1e-5, "float16": 2**-10, "bfloat16": 2**-7}
"""Inputs and results are rounded, relative to the largest result; gradients of gradients twice."""
PRODUCTS = 4.0
"""Sums over channels, in tolerances of one sum."""


@pytest.fixture(params=DEVICES)
def device(request, native_ops):
    """A device, whose library computes."""
    if request.param == "cuda":
        sources = shipped("ops").resolve()
        build.build(sources, native_ops, "cuda", architectures=build.native_architectures())
    kind = "cuda" if request.param == "cuda" else "cpu"
    assert library.native(kind) is not None
    return request.param


@pytest.fixture
def drawn(device):
    """Normal numbers in float64 on the device, with a gradient."""
    return lambda *shape, seed=0: random(*shape, dtype=torch.float64, seed=seed).to(device).requires_grad_()


def test_every_case_of_the_bench_at_odd_sizes(device, monkeypatch):
    monkeypatch.setattr("animegen.measure.ops_tensors._SHAPES", {device: (2, 5, 14, 14)})
    lines = measured(tensor_cases(device, compiled=False), 1)
    natives = [line for line in lines if line.variant == "native"]
    assert len(natives) == 8 * (2 if device == "cpu" else 3)
    for line in natives:
        assert line.error is not None
        assert line.error <= ROUNDED[line.op.rpartition(" ")[2]], line


def test_facets_are_drawn_to_the_byte(device):
    assert [line.error for line in measured(facets_cases(device), 1)] == [0, 0]


def test_vertices_are_posed_to_the_byte(device):
    assert [line.error for line in measured(skin_cases(device), 1)] == [0, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    fir = fir_filter([1, 2, 5]).to(device)
    x = LAYOUTS[layout](random(2, 3, 6, 8).to(device))
    factors, styles = random(2, 3).to(device), random(2, 3, seed=1).to(device)
    options = {"up": 2, "padding": (2, 1, 2, 1), "act": "swish", "demodulation": factors, "modulation": styles}
    double = {name: in_double(value) for name, value in options.items()}
    close(fir_bias_act(x, fir, **options), fir_bias_act_reference(x.double(), fir, **double), PRODUCTS)
    weight, skip = random(4, 3, 1, 1).to(device), random(2, 4, 3, 4).to(device)
    wanted = to_rgb_skip_reference(x.double(), weight.double(), styles.double(), skip=skip.double(), fir=fir)
    close(to_rgb_skip(x, weight, styles, skip=skip, fir=fir), wanted, PRODUCTS)


def test_gradients_of_gradients(device, drawn):
    bias, noise = drawn(3, seed=1), drawn(1, 1, 4, 5, seed=2)
    op = partial(bias_act, act="swish", clamp=2.0)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x, bias, noise: op(x, bias, noise=noise), (drawn(2, 3, 4, 5), bias, noise))
    fir = fir_filter([1, 3, 3, 1]).to(device)
    layer = partial(modulated_conv2d, fir=fir, up=2, padding=1, act="swish")
    tensors = (drawn(2, 2, 3, 3), drawn(2, 2, 3, 3, seed=1), drawn(2, 2, seed=2))
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(layer, tensors, atol=1e-4)
    assert torch.autograd.gradcheck(nearest_conv2d, tensors[:2])


def test_what_pytorch_asks_of_an_op(device):
    x, fir = random(2, 3, 4, 6).to(device), fir_filter([1, 3, 3, 1]).to(device)
    ops = torch.ops.animegen
    torch.library.opcheck(ops.bias_act.default, (x.requires_grad_(), None, None, 2, 0.2, 1.0, -1.0))
    resampling = (x, fir, [2, 2], [1, 1], [2, 1, 2, 1], False, 4.0)
    torch.library.opcheck(ops.upfirdn2d.default, resampling)
    torch.library.opcheck(
        ops.fir_bias_act.default, (*in_detached(resampling), None, None, None, None, 2, 0.2, 1.0, -1.0)
    )


def in_detached(values: tuple) -> tuple:
    """The same without gradients."""
    return tuple(value.detach() if isinstance(value, torch.Tensor) else value for value in values)


def test_empty_batches_and_a_stream_of_ones_own(device):
    assert bias_act(torch.empty(0, 3, 4, 4, device=device), act="lrelu").shape == (0, 3, 4, 4)
    xy, ones = torch.rand(1, 3, 2, device=device), torch.ones(1, 3, device=device)
    edges = torch.tensor([[0, 1], [1, 2]], device=device)
    wanted = limb_maps(xy, ones, ones, edges, side=8, sigma=0.1)
    if device == "cuda":
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found = limb_maps(xy, ones, ones, edges, side=8, sigma=0.1)
        torch.cuda.current_stream().wait_stream(stream)
        np.testing.assert_array_equal(found.cpu(), wanted.cpu())
