"""to_rgb_skip: native and reference against float64, and how PyTorch sees it."""

from __future__ import annotations

import pytest
import torch
from ops_tensors import LAYOUTS, close, each_example, in_double, random
from torch.nn import functional

from animegen.errors import InvalidValue
from animegen.ops.to_rgb_skip import to_rgb_skip, to_rgb_skip_reference
from animegen.ops.upfirdn2d import fir_filter

pytestmark = pytest.mark.usefixtures("native_ops")

FIR = fir_filter([1, 3, 3, 1])
PRODUCTS = 4.0
"""Sums of many products are allowed this many times a single rounding."""


def arguments(dtype: torch.dtype = torch.float32, channels: int = 37, side: int = 6, batch: int = 2) -> dict:
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return {
        "x": random(batch, channels, side, side + 2, dtype=dtype),
        "weight": random(3, channels, 1, 1, seed=1, dtype=wide),
        "styles": random(batch, channels, seed=2, dtype=wide),
        "bias": random(3, seed=3, dtype=wide),
        "skip": random(batch, 3, side // 2, side // 2 + 1, seed=4, dtype=wide),
    }


@pytest.mark.parametrize("form", [to_rgb_skip, to_rgb_skip_reference])
def test_it_is_a_convolution_and_an_upsampled_picture(form):
    given = arguments(torch.float64)
    colours = functional.conv2d(given["x"] * given["styles"][:, :, None, None], given["weight"], given["bias"])
    taps = 4 * FIR.double()[:, None] * FIR.double()  # gain 4: a quarter of the pixels is not 0
    below = functional.conv_transpose2d(given["skip"].flatten(0, 1)[:, None], taps[None, None], stride=2, padding=1)
    wanted = colours.clamp(-1, 1) + below.view(colours.shape)
    close(form(**given, fir=FIR, clamp=1.0), wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
@pytest.mark.parametrize("absent", ["nothing", "bias", "skip"])
def test_native_is_the_reference(layout, dtype, absent):
    given = {name: tensor for name, tensor in arguments(dtype).items() if name != absent}
    given["x"] = LAYOUTS[layout](given["x"])
    found = to_rgb_skip(**given, fir=FIR, clamp=2.0)
    assert found.dtype == given["weight"].dtype
    wanted = to_rgb_skip_reference(**{name: in_double(tensor) for name, tensor in given.items()}, fir=FIR, clamp=2.0)
    close(found, wanted, PRODUCTS)


@pytest.mark.parametrize(("batch", "channels", "side"), [(0, 3, 4), (1, 1, 2), (3, 512, 4), (1, 16, 1100)])
def test_any_size(batch, channels, side):
    given = arguments(channels=channels, side=side, batch=batch)
    given["x"] = given["x"][:, :, :2]
    given["skip"] = given["skip"][:, :, :1]
    for layout in (torch.contiguous_format, torch.channels_last):
        given["x"] = given["x"].contiguous(memory_format=layout)
        wanted = to_rgb_skip_reference(**{name: in_double(tensor) for name, tensor in given.items()}, fir=FIR)
        close(to_rgb_skip(**given, fir=FIR), wanted, PRODUCTS)


def test_gradients_of_both_orders():
    tensors = [tensor.requires_grad_() for tensor in arguments(torch.float64, channels=2, side=2, batch=1).values()]

    def op(x, weight, styles, bias, skip):
        return to_rgb_skip(x, weight, styles, bias, skip=skip, fir=FIR)

    assert torch.autograd.gradcheck(op, tensors)
    assert torch.autograd.gradgradcheck(op, tensors)


def test_how_pytorch_sees_it():
    given = arguments()
    weight = random(2, 3, 37)
    rest = (given["bias"], given["skip"], FIR, -1.0)
    torch.library.opcheck(torch.ops.animegen.to_rgb_skip.default, (given["x"], weight, *rest))
    torch._dynamo.reset()
    compiled = torch.compile(to_rgb_skip, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        wanted = to_rgb_skip(**given, fir=FIR)
        torch.testing.assert_close(compiled(**given, fir=FIR), wanted, rtol=0, atol=0)
    each_example(lambda x: to_rgb_skip(x, given["weight"], given["styles"]), random(3, 2, 37, 4, 5))


def test_what_does_not_fit_is_named():
    given = arguments()
    with pytest.raises(InvalidValue, match=r"weight \(3, 5, 1, 1\) does not go with x"):
        to_rgb_skip(**{**given, "weight": random(3, 5, 1, 1)})
    with pytest.raises(InvalidValue, match=r"skip must be \(2, 3, 3, 4\), got \(2, 3, 6, 8\)"):
        to_rgb_skip(**{**given, "skip": random(2, 3, 6, 8)})
    with pytest.raises(InvalidValue, match=r"skip must be torch.float32, got torch.bfloat16"):
        to_rgb_skip(**{**given, "skip": given["skip"].bfloat16()})
    with pytest.raises(InvalidValue, match=r"styles must be \(2, 37\)"):
        to_rgb_skip(**{**given, "styles": random(1, 37)})
