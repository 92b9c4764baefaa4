"""The folded convolution after nearest upsampling is exactly the unfolded one."""

from __future__ import annotations

import pytest
import torch
from ops_tensors import LAYOUTS, close, random

from animegen.errors import InvalidValue
from animegen.ops.nearest_conv2d import PreparedKernel, nearest_conv2d, nearest_conv2d_reference

pytestmark = pytest.mark.usefixtures("native_ops")

PRODUCTS = 4.0
"""Sums of taps are rounded to the dtype before they are multiplied, and long sums after."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [(2, 6, 5, 7), (1, 3, 1, 1), (1, 64, 8, 8), (0, 3, 4, 4)])
def test_it_is_nearest_upsampling_and_a_convolution(layout, dtype, size):
    x, weight = LAYOUTS[layout](random(*size, dtype=dtype)), random(5, size[1], 3, 3, dtype=dtype, seed=1)
    bias = random(5, dtype=dtype, seed=2)
    for given in (bias, None):
        wanted = nearest_conv2d_reference(x.double(), weight.double(), None if given is None else given.double())
        close(nearest_conv2d(x, weight, given), wanted, PRODUCTS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [(2, 6, 5, 7), (1, 3, 1, 1), (1, 64, 8, 8), (0, 3, 4, 4)])
def test_a_prepared_kernel_is_the_kernel(layout, dtype, size):
    x, weight = LAYOUTS[layout](random(*size, dtype=dtype)), random(5, size[1], 3, 3, dtype=dtype, seed=1)
    bias, kernel = random(5, dtype=dtype, seed=2), PreparedKernel.of(weight, dtype, 8)
    for given in (bias, None):
        wanted = nearest_conv2d_reference(x.double(), weight.double(), None if given is None else given.double())
        close(nearest_conv2d(x, kernel, given), wanted, PRODUCTS)


def test_a_prepared_kernel_passes_gradients_on_and_compiles():
    x, weight = random(2, 4, 5, 6).requires_grad_(), random(3, 4, 3, 3, seed=1)
    kernel = PreparedKernel.of(weight, torch.float32, 5)
    found, wanted = (torch.autograd.grad(nearest_conv2d(x, w).square().sum(), x) for w in (kernel, weight))
    torch.testing.assert_close(found, wanted)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: nearest_conv2d(x, kernel), fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), nearest_conv2d(x, weight))
        assert nearest_conv2d(x.bfloat16(), kernel).dtype == torch.float32


def test_gradients_of_both_orders():
    tensors = [random(*shape, dtype=torch.float64).requires_grad_() for shape in [(1, 2, 2, 3), (2, 2, 3, 3), (2,)]]
    assert torch.autograd.gradcheck(nearest_conv2d, tensors)
    assert torch.autograd.gradgradcheck(nearest_conv2d, tensors)


def test_how_pytorch_sees_it():
    x, weight = random(2, 4, 5, 6), random(3, 4, 3, 3, seed=1)
    torch._dynamo.reset()
    wanted = nearest_conv2d(x, weight)
    torch.testing.assert_close(torch.compile(nearest_conv2d, fullgraph=True, backend="aot_eager")(x, weight), wanted)
    with torch.inference_mode():
        torch.testing.assert_close(nearest_conv2d(x, weight), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert nearest_conv2d(x, weight).dtype == torch.bfloat16


def test_what_does_not_fit_is_named():
    with pytest.raises(InvalidValue, match=r"weight \(3, 4, 5, 5\) is no 3x3 kernel for x \(2, 4, 5, 6\)"):
        nearest_conv2d(random(2, 4, 5, 6), random(3, 4, 5, 5))
    with pytest.raises(InvalidValue, match=r"prepared for 4 channels does not go with x \(2, 3, 5, 6\)"):
        nearest_conv2d(random(2, 3, 5, 6), PreparedKernel.of(random(3, 4, 3, 3), torch.float32, 5))
