"""The modulated convolution and the resampled one against their definitions in float64."""

from __future__ import annotations

import pytest
import torch
from ops_tensors import close, random
from torch import Tensor
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.bias_act import bias_act
from animegen.ops.modulated_conv2d import PreparedWeight, conv2d_resample, modulated_conv2d
from animegen.ops.upfirdn2d import fir_filter, upfirdn2d

pytestmark = pytest.mark.usefixtures("native_ops")

FIR = fir_filter([1, 3, 3, 1])
PRODUCTS = {torch.float64: 4.0, torch.float32: 4.0, torch.bfloat16: 4.0, torch.float16: 8.0}
"""How many roundings of the dtype a result may be off: weights, modulated activations and sums are each rounded."""

FROZEN = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 0.25}
"""Of the norm: sixteen bits turn the sign of what is near zero or the clamp, and with it gradients."""

RESAMPLINGS = [{}, {"up": 2}, {"down": 2}]


def defined(x: Tensor, weight: Tensor, *, up: int = 1, down: int = 1, flip_weight: bool = True) -> Tensor:
    """Zero insertion, all taps, decimation, one after the other, centred."""
    size = weight.shape[-1]
    kernel = weight if flip_weight else weight.flip(2, 3)
    if up == 2:
        x = upfirdn2d(x, None, up=2, padding=(2 + size // 2, 1 + size // 2) * 2)
        x = upfirdn2d(functional.conv2d(x, kernel), FIR, gain=4)
        return x
    if down == 2:
        x = upfirdn2d(x, FIR, padding=1 + size // 2)
        return functional.conv2d(x, kernel)[:, :, ::2, ::2]
    return functional.conv2d(x, kernel, padding=size // 2)


@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=str)
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("flip_weight", [True, False])
def test_resampling_is_centred(resampling, size, flip_weight):
    x, weight = random(2, 4, 6, 8, dtype=torch.float64), random(5, 4, size, size, dtype=torch.float64, seed=1)
    found = conv2d_resample(x, weight, FIR, padding=size // 2, flip_weight=flip_weight, **resampling)
    scale = {"up": 2.0, "down": 0.5}.get(next(iter(resampling), ""), 1.0)
    assert found.shape == (2, 5, int(6 * scale), int(8 * scale))
    close(found, defined(x, weight, flip_weight=flip_weight, **resampling), 4.0)


@pytest.mark.parametrize("dtype", PRODUCTS)
@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=str)
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_a_convolution_by_modulated_weights(dtype, resampling, demodulate, batch):
    x, weight = random(batch, 9, 6, 8, dtype=dtype), random(5, 9, 3, 3, seed=1)
    styles = 1 + 0.5 * random(batch, 9, seed=2)
    bias, scale = random(5, dtype=dtype, seed=4), {"up": 2, "down": 0.5}.get(next(iter(resampling), ""), 1)
    noise = random(1, 1, int(6 * scale), int(8 * scale), dtype=dtype, seed=3)
    finish = {"noise": noise, "bias": bias, "act": "lrelu"}
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        found = modulated_conv2d(given, weight, styles, FIR, padding=1, demodulate=demodulate, **resampling, **finish)
        assert found.dtype == dtype
        wanted = []
        for i in range(batch):
            own = weight.double() * styles[i].double()[:, None, None]
            if demodulate:
                own = own * torch.rsqrt(own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
            wanted.append(defined(x[i : i + 1].double(), own, **resampling))
        whole = bias_act(torch.cat(wanted), bias.double(), noise=noise.double(), act="lrelu")
        close(found, whole, PRODUCTS[dtype])


def test_float16_holds_large_styles():
    x, weight, styles = random(1, 8, 4, 4, dtype=torch.float16), 300 * random(4, 8, 3, 3), 3000 * random(1, 8, seed=2)
    wanted = modulated_conv2d(x.double(), weight.double(), styles.double(), padding=1)
    close(modulated_conv2d(x, weight, styles, padding=1), wanted, PRODUCTS[torch.float16])


@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_prepared_weights_give_the_same(resampling, dtype):
    x, weight, styles = random(2, 9, 6, 8, dtype=dtype), random(5, 9, 3, 3, seed=1), random(2, 9, seed=2)
    prepared = PreparedWeight.of(weight, dtype, up=resampling.get("up", 1))
    found = modulated_conv2d(x, prepared, styles, FIR, padding=1, **resampling)
    close(found, modulated_conv2d(x.double(), weight, styles, FIR, padding=1, **resampling), PRODUCTS[dtype])
    with pytest.raises(InvalidValue, match="weights for float16 cannot be prepared"):
        PreparedWeight.of(weight, torch.float16)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("clamp", [None, 1.0])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", FROZEN)
def test_gradients_beside_frozen_weights_are_the_same(dtype, batch, clamp, up):
    """A layer of prepared weights finds them from its result; what it is compared with, as PyTorch does."""
    weight, bias = random(5, 9, 3, 3, seed=1), random(5, seed=4)
    x, styles = random(batch, 9, 8, 8), 1 + 0.5 * random(batch, 9, seed=2)
    noise, gradient = random(1, 1, 8 * up, 8 * up, seed=3), random(batch, 5, 8 * up, 8 * up, seed=5)
    prepared = PreparedWeight.of(weight, dtype, up=up)
    for layout in (torch.contiguous_format, torch.channels_last):
        found = []
        for kind, kernel in ((torch.float64, weight), (dtype, prepared)):
            given = [part.to(kind) for part in (x.contiguous(memory_format=layout), noise)]
            given = [part.detach().clone().requires_grad_() for part in (*given, styles)]
            options = {"padding": 1, "flip_weight": up == 1, "bias": bias.to(kind), "act": "lrelu", "clamp": clamp}
            y = modulated_conv2d(given[0], kernel, given[2], FIR, up=up, noise=given[1], **options)
            found.append([y.detach(), *torch.autograd.grad(y, given, gradient.to(kind))])
        for one, other in zip(*found, strict=True):
            assert (one - other).norm() <= FROZEN[dtype] * one.norm()


def test_no_pictures():
    weight, styles = random(5, 4, 3, 3), random(0, 4)
    assert modulated_conv2d(random(0, 4, 6, 8), weight, styles, FIR, up=2, padding=1).shape == (0, 5, 12, 16)


@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=str)
def test_gradients_of_both_orders(resampling):
    shapes = [(2, 2, 4, 4), (2, 2, 3, 3), (2, 2), (2,)]
    tensors = [random(*shape, dtype=torch.float64, seed=i).requires_grad_() for i, shape in enumerate(shapes)]

    def op(x, weight, styles, bias):
        return modulated_conv2d(x, weight, styles, FIR, padding=1, bias=bias, act="lrelu", **resampling)

    assert torch.autograd.gradcheck(op, tensors)
    assert torch.autograd.gradgradcheck(op, tensors, atol=1e-4)


def test_how_pytorch_sees_it():
    x, weight, styles = random(2, 4, 6, 8), random(5, 4, 3, 3, seed=1), random(2, 4, seed=2)

    def layer(x):
        return modulated_conv2d(x, weight, styles, FIR, up=2, padding=1, act="lrelu")

    torch._dynamo.reset()
    wanted = layer(x)
    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        close(modulated_conv2d(x.bfloat16(), weight, styles, FIR, up=2, padding=1, act="lrelu"), wanted.double(), 4.0)
    several = random(3, 2, 4, 6, 8)
    torch.testing.assert_close(torch.vmap(layer)(several), torch.stack([layer(part) for part in several]))


def test_what_does_not_fit_is_named():
    x, weight = random(2, 4, 6, 8), random(5, 4, 3, 3)
    with pytest.raises(InvalidValue, match=r"styles must be \(2, 4\), got \(2, 5\)"):
        modulated_conv2d(x, weight, random(2, 5))
    with pytest.raises(InvalidValue, match="of which one is 1, got 2 and 2"):
        conv2d_resample(x, weight, up=2, down=2)
    with pytest.raises(InvalidValue, match=r"weight \(5, 4, 3, 3\) does not go with x \(2, 3, 6, 8\)"):
        conv2d_resample(x[:, :3], weight)
