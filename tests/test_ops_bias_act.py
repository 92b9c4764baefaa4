"""bias_act: native and reference against float64, its gradients, and how PyTorch sees it."""

from __future__ import annotations

import math

import pytest
import torch
from ops_tensors import LAYOUTS, alias_free, close, each_example, in_double, random

from animegen.errors import InvalidValue
from animegen.ops.bias_act import ACTIVATIONS, bias_act, bias_act_reference

pytestmark = pytest.mark.usefixtures("native_ops")

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
CLAMP = 0.9
"""Reached by every activation that can."""

DEFINITIONS = {
    "linear": lambda u: u,
    "relu": lambda u: max(u, 0.0),
    "lrelu": lambda u: u if u > 0 else 0.2 * u,
    "tanh": math.tanh,
    "sigmoid": lambda u: 1 / (1 + math.exp(-u)),
    "elu": lambda u: u if u > 0 else math.exp(u) - 1,
    "selu": lambda u: 1.0507009873554805 * (u if u > 0 else 1.6732632423543772 * (math.exp(u) - 1)),
    "softplus": lambda u: math.log(1 + math.exp(u)),
    "swish": lambda u: u / (1 + math.exp(-u)),
}
ROOT = {"relu", "lrelu", "swish"}
"""Activations whose default gain is sqrt(2)."""


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("form", [bias_act, bias_act_reference])
def test_it_is_what_its_definition_says(form, act):
    x, bias = random(1, 2, 3, 5, dtype=torch.float64), random(2, dtype=torch.float64, seed=1)
    gain = math.sqrt(2) if act in ROOT else 1.0
    wanted = [
        max(-CLAMP, min(CLAMP, gain * DEFINITIONS[act](value + bias[channel].item())))
        for channel in range(2)
        for value in x[0, channel].flatten().tolist()
    ]
    close(form(x, bias, act=act, clamp=CLAMP), torch.tensor(wanted, dtype=torch.float64).view(1, 2, 3, 5))


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_native_is_the_reference(act, dtype):
    x, bias, noise = random(2, 19, 7, 9, dtype=dtype), random(19, dtype=dtype, seed=1), random(2, 1, 7, 9, dtype=dtype)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        found = bias_act(given, bias, noise=noise, act=act, gain=1.3, clamp=1.1)
        wanted = bias_act_reference(given.double(), bias.double(), noise=noise.double(), act=act, gain=1.3, clamp=1.1)
        assert found.dtype == dtype
        close(found, wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(2, 5, 7, 3), (1, 1, 1, 1), (3, 1, 2, 2), (2, 3, 1, 301), (0, 3, 4, 4), (2, 3, 0, 4)])
def test_any_size_and_layout(layout, size):
    x = LAYOUTS[layout](random(*size))
    bias, noise = random(size[1], seed=1), random(1, 1, *size[2:], seed=2)
    found = bias_act(x, bias, noise=noise, act="lrelu")
    close(found, bias_act_reference(x.double(), bias.double(), noise=noise.double(), act="lrelu"))


@pytest.mark.parametrize(
    ("size", "dim"), [((4, 6), 1), ((6,), 0), ((2, 6, 5), 1), ((2, 3, 4, 6), -1), ((2, 3, 6, 2, 5), 2)]
)
def test_bias_along_any_dimension(size, dim):
    x, bias = random(*size), random(6, seed=1)
    wanted = bias_act_reference(x.double(), bias.double(), dim=dim, act="swish")
    close(bias_act(x, bias, dim=dim, act="swish"), wanted)


def test_special_values():
    x = torch.tensor([math.inf, -math.inf, math.nan, -0.0, 3e38]).view(1, 1, 1, 5)
    for act in ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "softplus"):
        for clamp in (None, 2.0):
            found, wanted = bias_act(x, act=act, clamp=clamp), bias_act_reference(x, act=act, clamp=clamp)
            torch.testing.assert_close(found, wanted, equal_nan=True)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("clamp", [None, CLAMP])
def test_gradients_of_both_orders(act, clamp):
    tensors = [
        random(*shape, dtype=torch.float64, seed=i) for i, shape in enumerate([(2, 3, 2, 3), (3,), (1, 1, 2, 3)])
    ]
    for tensor in tensors:
        tensor.requires_grad_()

    def op(x, bias, noise):
        return bias_act(x, bias, noise=noise, act=act, clamp=clamp)

    assert torch.autograd.gradcheck(op, tensors)
    assert torch.autograd.gradgradcheck(op, tensors)


@pytest.mark.parametrize("act", ["lrelu", "softplus"])
def test_gradients_in_16_bits_are_those_of_the_reference(act):
    x = random(2, 9, 5, 4, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last).requires_grad_()
    dy = random(2, 9, 5, 4, dtype=torch.bfloat16, seed=1)
    bias = random(9, dtype=torch.bfloat16, seed=2)
    (found,) = torch.autograd.grad(bias_act(x, bias, act=act, clamp=1.0), x, dy)
    wide = x.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(bias_act_reference(wide, bias.double(), act=act, clamp=1.0), wide, dy.double())
    close(found, wanted)


def test_pytorch_finds_nothing_amiss():
    x, bias, noise = (random(*shape).requires_grad_() for shape in [(2, 3, 4, 5), (3,), (2, 1, 4, 5)])
    for act in (2, 6):
        torch.library.opcheck(torch.ops.animegen.bias_act.default, (x, bias, noise, act, 0.2, 1.5, 1.0))
        dy = random(2, 3, 4, 5, seed=3).requires_grad_()
        torch.library.opcheck(torch.ops.animegen.bias_act_gradient.default, (dy, x, bias, noise, act, 0.2, 1.5, 1.0))


def test_it_compiles_whole():
    torch._dynamo.reset()
    x, bias = random(2, 3, 4, 5).requires_grad_(), random(3, seed=1)

    def layer(x, bias):
        return bias_act(x * 2, bias, act="lrelu", clamp=1.0).sum()

    found, wanted = torch.compile(layer, fullgraph=True, backend="aot_eager")(x, bias), layer(x, bias)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, x), torch.autograd.grad(wanted, x))


def test_autocast_inference_and_vmap():
    x, bias = random(2, 3, 4, 5, dtype=torch.bfloat16), random(3)
    with torch.autocast("cpu", torch.bfloat16):
        found = bias_act(x, bias, act="lrelu")
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, bias_act(x, bias.bfloat16(), act="lrelu"), rtol=0, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(bias_act(x, bias.bfloat16(), act="lrelu"), found, rtol=0, atol=0)
    each_example(lambda part: bias_act(part, bias, act="tanh"), random(3, 2, 3, 4, 5))


def test_nothing_is_aliased():
    for form in (bias_act, bias_act_reference):
        alias_free(form, random(2, 3, 4, 5))
        alias_free(form, random(3, 4))


def test_offsets_beyond_32_bits():
    far = 2**31 + 6
    memory = torch.empty(far + 8, dtype=torch.bfloat16)  # never touched but at its ends
    x = memory.as_strided((2, 3, 1, 2), (far, 2, 2, 1))
    x.copy_(random(2, 3, 1, 2))
    close(bias_act(x, act="lrelu"), bias_act_reference(x.double(), act="lrelu"))


def test_threads_change_nothing():
    x, bias = random(2, 40, 33, 31), random(40, seed=1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = bias_act(x, bias, act="swish")
        torch.set_num_threads(3)
        assert torch.equal(bias_act(x, bias, act="swish"), alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    x, bias = random(2, 19, 7, 33), random(19, seed=1)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        close(bias_act(given, bias, act="lrelu"), bias_act_reference(in_double(x), in_double(bias), act="lrelu"))


def test_what_does_not_fit_is_named():
    x = random(2, 3, 4, 5)
    with pytest.raises(InvalidValue, match=r"bias must be \(3,\), got \(4,\)"):
        bias_act(x, random(4))
    with pytest.raises(InvalidValue, match=r"bias is torch.bfloat16, it must be torch.float32"):
        bias_act(x, random(3, dtype=torch.bfloat16))
    with pytest.raises(InvalidValue, match=r"x must be of floats, got torch.int64"):
        bias_act(torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(InvalidValue, match="no activation 'gelu'"):
        bias_act(x, act="gelu")
    with pytest.raises(InvalidValue, match=r"noise \(3, 1, 4, 5\) does not go with x"):
        bias_act(x, noise=random(3, 1, 4, 5))
    with pytest.raises(InvalidValue, match=r"noise must be \(2, 1, 4, 5\)"):
        bias_act(x, noise=random(2, 1, 5, 4))
    with pytest.raises(InvalidValue, match="no dimension 4"):
        bias_act(x, random(3), dim=4)
    with pytest.raises(InvalidValue, match="clamp must be at least 0, got -1"):
        bias_act(x, clamp=-1)
