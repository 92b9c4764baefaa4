"""upfirdn2d and the fused pass: native and reference against float64, gradients, and how PyTorch sees them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ops_tensors import LAYOUTS, alias_free, close, each_example, in_double, random
from scipy.signal import upfirdn

from animegen.errors import InvalidValue
from animegen.ops.bias_act import bias_act
from animegen.ops.upfirdn2d import fir_bias_act, fir_bias_act_reference, fir_filter, upfirdn2d, upfirdn2d_reference

pytestmark = pytest.mark.usefixtures("native_ops")

BINOMIAL = (1, 3, 3, 1)
FILTERS = {
    "none": None,
    "one": fir_filter([2.0], normalise=False),
    "binomial": fir_filter(BINOMIAL),
    "odd": fir_filter([1, 2, 5]),
    "long": fir_filter(list(range(1, 14))),
    "very_long": fir_filter(list(range(1, 71))),
    "square": fir_filter([[1, 2, 3], [4, 5, 7]]),
}
RESAMPLINGS = [
    {"padding": (1, 2)},
    {"up": 2, "padding": (2, 1, 2, 1), "gain": 4.0},
    {"down": 2, "padding": 1},
    {"up": (3, 1), "down": (2, 3), "padding": (-1, 4, 3, -1)},
    {"up": 5, "padding": (4, 4), "flip_filter": True},
    {"up": 3, "down": 2, "padding": (2, 3, 1, 4)},
    {"up": (4, 2), "down": (6, 5), "padding": 3},
]
STYLES = {"act": "lrelu", "act_gain": 1.3, "clamp": 1.0}


def widened(options: dict, fir: torch.Tensor | None) -> dict:
    """The options, with room for the filter on every side."""
    more = 0 if fir is None else max(fir.shape)
    padding = options["padding"]
    if isinstance(padding, int):
        padding = (padding, padding)
    left, right, top, bottom = padding if len(padding) == 4 else (padding[0], padding[0], padding[1], padding[1])
    return {**options, "padding": (left + more, right + more, top + more, bottom + more)}


@pytest.mark.parametrize("form", [upfirdn2d, upfirdn2d_reference])
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_it_is_what_scipy_computes_along_each_axis(form, up, down):
    x, taps = random(1, 1, 6, 7, dtype=torch.float64), np.array([1.0, 2.0, 4.0, 3.0])
    wanted = x[0, 0].numpy()
    for axis in (0, 1):
        wanted = np.apply_along_axis(lambda row: upfirdn(taps, row, up, down), axis, wanted)
    found = form(x, fir_filter(taps.tolist(), normalise=False), up=up, down=down, padding=3)[0, 0]
    rows, columns = (min(a, b) for a, b in zip(found.shape, wanted.shape, strict=True))
    assert rows >= wanted.shape[0] - 1
    close(found[:rows, :columns], torch.from_numpy(wanted[:rows, :columns].copy()))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("options", RESAMPLINGS, ids=str)
def test_native_is_the_reference(layout, filter_name, options):
    fir = FILTERS[filter_name]
    options = widened(options, fir)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = LAYOUTS[layout](random(2, 5, 9, 11, dtype=dtype))
        close(upfirdn2d(x, fir, **options), upfirdn2d_reference(x.double(), fir, **options))


@pytest.mark.parametrize(
    "size", [(1, 1, 1, 1), (0, 3, 4, 4), (2, 0, 4, 4), (1, 600, 3, 40), (1, 3, 2, 9000), (2, 1500, 2, 3)]
)
def test_any_size(size):
    x, fir = random(*size), FILTERS["binomial"]
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        for options in (
            {"padding": 2},
            {"up": 2, "padding": (2, 1, 2, 1)},
            {"down": 2, "padding": 2},
            {"up": 3, "down": 5, "padding": 2},
        ):
            close(upfirdn2d(given, fir, **options), upfirdn2d_reference(x.double(), fir, **options))


@pytest.mark.parametrize("options", RESAMPLINGS, ids=str)
@pytest.mark.parametrize("filter_name", ["binomial", "square"])
def test_gradients_of_both_orders(options, filter_name):
    x, fir = random(1, 2, 4, 5, dtype=torch.float64).requires_grad_(), FILTERS[filter_name]
    options = widened(options, fir)
    assert torch.autograd.gradcheck(lambda x: upfirdn2d(x, fir, **options), (x,))
    assert torch.autograd.gradgradcheck(lambda x: upfirdn2d(x, fir, **options), (x,))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("filter_name", ["none", "binomial", "square"])
def test_the_fused_pass_is_its_steps(layout, dtype, filter_name):
    fir = FILTERS[filter_name]
    padding = 0 if fir is None else 2
    x = LAYOUTS[layout](random(2, 21, 8, 9, dtype=dtype))
    size = upfirdn2d(x, fir, padding=padding).shape
    tensors = {
        "demodulation": random(2, 21, seed=1),
        "noise": random(1, 1, *size[2:], dtype=dtype, seed=2),
        "bias": random(21, dtype=dtype, seed=3),
        "modulation": random(2, 21, seed=4),
    }
    wide = {name: in_double(tensor) for name, tensor in tensors.items()}
    found = fir_bias_act(x, fir, padding=padding, gain=4.0, **tensors, **STYLES)
    wanted = fir_bias_act_reference(x.double(), fir, padding=padding, gain=4.0, **wide, **STYLES)
    close(found, wanted)
    by_hand = upfirdn2d(x.double(), fir, padding=padding, gain=4.0) * wide["demodulation"][:, :, None, None]
    by_hand = bias_act(by_hand, wide["bias"], noise=wide["noise"], act="lrelu", gain=1.3, clamp=1.0)
    close(wanted, by_hand * wide["modulation"][:, :, None, None])
    for name in tensors:
        left = {key: value for key, value in tensors.items() if key != name}
        wide_left = {key: value for key, value in wide.items() if key != name}
        wanted = fir_bias_act_reference(x.double(), fir, padding=padding, **wide_left, **STYLES)
        close(fir_bias_act(x, fir, padding=padding, **left, **STYLES), wanted)


@pytest.mark.parametrize("act", ["lrelu", "swish"])
def test_the_fused_pass_has_gradients_of_both_orders(act):
    shapes = [(1, 2, 3, 4), (1, 2), (1, 1, 2, 3), (2,), (1, 2)]
    tensors = [random(*shape, dtype=torch.float64, seed=i).requires_grad_() for i, shape in enumerate(shapes)]

    def op(x, demodulation, noise, bias, modulation):
        return fir_bias_act(
            *(x, FILTERS["binomial"]), padding=1, demodulation=demodulation, noise=noise, bias=bias, act=act,
            modulation=modulation,
        )  # fmt: skip

    assert torch.autograd.gradcheck(op, tensors)
    assert torch.autograd.gradgradcheck(op, tensors)


def test_pytorch_finds_nothing_amiss():
    fir = FILTERS["binomial"]
    for x in (random(2, 3, 4, 5), random(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)):
        resampling = (fir, [2, 2], [1, 1], [2, 1, 2, 1], False, 4.0)
        torch.library.opcheck(torch.ops.animegen.upfirdn2d.default, (x.clone().requires_grad_(), *resampling))
        tensors = (random(2, 3), random(1, 1, 8, 10), random(3), random(2, 3))
        fused = torch.ops.animegen.fir_bias_act.default
        torch.library.opcheck(fused, (x, *resampling, *tensors, 2, 0.2, 1.0, -1.0))


def test_it_compiles_whole():
    torch._dynamo.reset()
    x, fir = random(2, 3, 4, 5).requires_grad_(), FILTERS["binomial"]

    def layer(x):
        return fir_bias_act(upfirdn2d(x * 2, fir, up=2, padding=(2, 1, 2, 1)), fir, padding=1, act="lrelu").sum()

    found, wanted = torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, x), torch.autograd.grad(wanted, x))
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), wanted.detach())


def test_autocast_inference_and_vmap():
    x, fir, bias = random(2, 3, 4, 5, dtype=torch.bfloat16), FILTERS["binomial"], random(3)
    with torch.autocast("cpu", torch.bfloat16):
        found = fir_bias_act(x, fir, padding=1, bias=bias, demodulation=random(2, 3))
    with torch.inference_mode():
        again = fir_bias_act(x, fir, padding=1, bias=bias.bfloat16(), demodulation=random(2, 3))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, again, rtol=0, atol=0)
    each_example(lambda part: upfirdn2d(part, fir, up=2, padding=2), random(3, 2, 3, 4, 5))


def test_nothing_is_aliased():
    for form in (upfirdn2d, upfirdn2d_reference, fir_bias_act, fir_bias_act_reference):
        alias_free(lambda x, form=form: form(x, None), random(2, 3, 4, 5))


def test_offsets_beyond_32_bits():
    far = 2**31 + 6
    memory = torch.empty(far + 64, dtype=torch.bfloat16)  # never touched but at its ends
    x = memory.as_strided((1, 3, 2, 4), (64, 4, far, 1))
    x.copy_(random(1, 3, 2, 4))
    wanted = upfirdn2d_reference(x.double(), FILTERS["odd"], padding=2)
    close(upfirdn2d(x, FILTERS["odd"], padding=2), wanted)
    backwards = memory.as_strided((1, 3, 2, 2), (64, 4, far, 2))
    wanted = upfirdn2d_reference(backwards.double(), FILTERS["odd"], padding=2)
    close(upfirdn2d(backwards, FILTERS["odd"], padding=2), wanted)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    x, fir = random(2, 19, 7, 33), FILTERS["binomial"]
    wanted = fir_bias_act_reference(x.double(), fir, padding=1, act="lrelu")
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        close(fir_bias_act(given, fir, padding=1, act="lrelu"), wanted)


def test_what_does_not_fit_is_named():
    x, fir = random(2, 3, 4, 5), FILTERS["binomial"]
    with pytest.raises(InvalidValue, match="too small for a filter of 13 x 13 taps"):
        upfirdn2d(x, FILTERS["long"])
    with pytest.raises(InvalidValue, match="up must be one or two whole numbers from 1, got 0"):
        upfirdn2d(x, fir, up=0)
    with pytest.raises(InvalidValue, match="padding must be one, two or four"):
        upfirdn2d(x, fir, padding=(1, 2, 3))
    with pytest.raises(InvalidValue, match=r"filter must be float32 \[n\] or \[ny, nx\], got torch.float64"):
        upfirdn2d(x, fir.double())
    with pytest.raises(InvalidValue, match="the filter has no gradient"):
        upfirdn2d(x, fir.clone().requires_grad_())
    with pytest.raises(InvalidValue, match=r"x must be of floats \[B, C, H, W\], got torch.float32 \(3, 4\)"):
        upfirdn2d(random(3, 4), fir)
    with pytest.raises(InvalidValue, match=r"demodulation must be \(2, 3\), got \(3,\)"):
        fir_bias_act(x, fir, demodulation=random(3))
    with pytest.raises(InvalidValue, match=r"bias is torch.bfloat16, it must be torch.float32"):
        fir_bias_act(x, fir, bias=random(3, dtype=torch.bfloat16))
