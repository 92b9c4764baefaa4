"""What PyTorch asks of every op alike: its compiler, autocast, memory of its own, far offsets, streams."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from ops_tensors import alias_free, close, each_example, in_double, random

from animegen.errors import OpsError
from animegen.ops import build, library
from animegen.ops.bias_act import bias_act, bias_act_reference
from animegen.ops.modulated_conv2d import modulated_conv2d
from animegen.ops.nearest_conv2d import PreparedKernel, nearest_conv2d
from animegen.ops.pose_maps import limb_maps, limb_maps_reference, point_maps
from animegen.ops.tensors import call
from animegen.ops.to_rgb_skip import to_rgb_skip, to_rgb_skip_reference
from animegen.ops.upfirdn2d import fir_bias_act, fir_filter, upfirdn2d

pytestmark = pytest.mark.usefixtures("native_ops")

needs_compiler = pytest.mark.skipif(build.cpu_compiler() is None, reason="there is no C++ compiler here")

FIR = fir_filter([1, 3, 3, 1])
EDGES = torch.tensor([[0, 1], [1, 2]])
WEIGHT, BIAS = random(4, 4, 3, 3), random(4, seed=1)
FAR = 2**31 + 6
"""Elements between two examples: an offset that 32 bits do not hold. Memory between them is never touched."""

COMPILED = {"rtol": 1e-5, "atol": 1e-5}
"""The compiler's own code around the ops sums in another order."""

SLACK = 20.0
"""As in the tests of the maps."""


def far(x: torch.Tensor) -> torch.Tensor:
    """Two examples with :data:`FAR` elements between their beginnings."""
    memory = torch.empty(FAR + x[0].numel(), dtype=x.dtype)
    return memory.as_strided(x.shape, (FAR, *x.contiguous().stride()[1:])).copy_(x)


def layers(x: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """Every op on tensors, one after the other: [B, 3, 16, 16] of x [B, 4, 8, 8] and xy [B, 3, 2]."""
    ones, styles = torch.ones(xy.shape[:2]), 1 + x.mean(dim=(2, 3))
    points = point_maps(xy, ones, side=8, sigma=0.1)
    limbs = limb_maps(xy, ones, 0 * ones, EDGES, side=8, sigma=0.1)
    x = bias_act(x + points.sum(1, keepdim=True) + limbs.sum(1, keepdim=True), BIAS, act="lrelu")
    x = modulated_conv2d(x, WEIGHT, styles, FIR, up=2, padding=1, act="lrelu")
    x = nearest_conv2d(upfirdn2d(x, FIR, down=2, padding=1), WEIGHT)
    x = fir_bias_act(x, FIR, padding=(2, 1, 2, 1), demodulation=styles, bias=BIAS, act="swish")
    return to_rgb_skip(x, WEIGHT[:3, :, :1, :1], styles, skip=points, fir=FIR)


@needs_compiler
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizers would watch the compiler too")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own modules
def test_all_ops_compile_into_one_graph_with_its_gradient():
    torch._dynamo.reset()
    x, xy = random(2, 4, 8, 8).requires_grad_(), torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(1))
    compiled = torch.compile(layers, fullgraph=True)
    wanted = layers(x, xy)
    found = compiled(x, xy)
    torch.testing.assert_close(found, wanted, **COMPILED)
    dx, wanted_dx = (torch.autograd.grad(y.square().mean(), x)[0] for y in (found, wanted))
    torch.testing.assert_close(dx, wanted_dx, **COMPILED)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(x, xy), wanted.detach(), **COMPILED)


def test_importing_the_ops_does_not_import_the_compiler():
    script = "import sys, animegen.ops.modulated_conv2d, animegen.ops.pose_maps; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_autocast_brings_pictures_and_convolutions_together():
    x, weight, styles = random(2, 4, 6, 6), random(3, 4, 3, 3), random(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        half = nearest_conv2d(x, weight)
        assert half.dtype == modulated_conv2d(x.bfloat16(), weight, styles, padding=1).dtype == torch.bfloat16
        prepared = nearest_conv2d(x, PreparedKernel.of(weight, torch.bfloat16, 6))
        close(prepared, nearest_conv2d(x.double(), weight.double()), 4.0)
        assert to_rgb_skip(half, random(3, 3, 1, 1), random(2, 3), random(3)).dtype == torch.float32


def test_results_have_memory_of_their_own():
    x, weight, styles = random(2, 4, 6, 6), random(4, 4, 1, 1), torch.ones(2, 4)
    for form in (to_rgb_skip, to_rgb_skip_reference):
        alias_free(lambda x, form=form: form(x, weight, styles), x)
        alias_free(lambda skip, form=form: form(0 * x, weight, styles, skip=skip), random(2, 4, 3, 3))
    alias_free(lambda x: modulated_conv2d(x, weight, styles, demodulate=False), x)
    alias_free(lambda x: nearest_conv2d(x, random(4, 4, 3, 3)), x)
    alias_free(lambda xy: point_maps(xy, torch.ones(1, 2), side=1, sigma=1.0), random(1, 2, 2))
    alias_free(lambda xy: limb_maps(xy, torch.ones(1, 3), torch.ones(1, 3), EDGES, side=1, sigma=1.0), random(1, 3, 2))


def test_vmap_goes_through_what_has_no_kernel_of_its_own():
    each_example(lambda x: nearest_conv2d(x, WEIGHT), random(3, 1, 4, 5, 6))
    each_example(lambda xy: point_maps(xy, torch.ones(2, 3), side=4, sigma=0.1), random(3, 2, 3, 2))


def test_offsets_beyond_32_bits():
    x = random(2, 3, 2, 2, dtype=torch.bfloat16)
    weight, styles = random(3, 3, 1, 1), random(2, 3)
    wanted = to_rgb_skip_reference(x.double(), in_double(weight), in_double(styles))
    close(to_rgb_skip(far(x), weight, styles), wanted, 4.0)

    leaf, dy = far(x).requires_grad_(), random(2, 3, 2, 2, dtype=torch.bfloat16, seed=1)
    (found,) = torch.autograd.grad(bias_act(leaf, act="lrelu"), leaf, far(dy))
    wide = x.double().requires_grad_()
    (wanted,) = torch.autograd.grad(bias_act_reference(wide, act="lrelu"), wide, dy.double())
    close(found, wanted)


def test_maps_are_drawn_far_apart():
    native, xy, ones = library.native("cpu"), random(2, 3, 2).sigmoid(), torch.ones(2, 3)
    assert native is not None
    out = far(torch.zeros(2, 8, 4, 4, dtype=torch.bfloat16))
    call(native, "limb_maps", (out, xy, ones, 0 * ones, EDGES), struct.pack("@4d", 0.1, 3.0, 4.0, 1e-4))
    wanted = limb_maps_reference(xy.double(), ones.double(), 0 * ones.double(), EDGES, side=4, sigma=0.1)
    close(out, wanted, SLACK)


def test_float16_is_left_to_the_reference_on_the_cpu():
    x = random(2, 3, 4, 5, dtype=torch.float16)
    close(upfirdn2d(x, FIR, up=2, padding=2), upfirdn2d(x.double(), FIR, up=2, padding=2))
    close(fir_bias_act(x, FIR, padding=2), fir_bias_act(x.double(), FIR, padding=2))
    native = library.native("cpu")
    assert native is not None
    with pytest.raises(OpsError, match=r"dtype does not fit .* detail 1"):
        call(native, "to_rgb_skip", (torch.empty(2, 3, 4, 5), x, torch.ones(2, 3, 3), None, None, None), bytes(8))


def test_an_empty_batch_of_a_layer():
    empty = fir_bias_act(random(0, 3, 4, 4), FIR, padding=(2, 1, 2, 1), bias=random(3), demodulation=random(0, 3))
    assert empty.shape == (0, 3, 4, 4)


def test_calls_go_to_the_tensors_device_and_its_current_stream(monkeypatch):
    streams = {1: SimpleNamespace(cuda_stream=77)}
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: streams[index])
    seen = []
    native = SimpleNamespace(call=lambda op, tensors, options, place: seen.append((op, place)))
    tensor = SimpleNamespace(
        device=torch.device("cuda", 1), data_ptr=lambda: 64, dtype=torch.float32, shape=(1,), stride=lambda: (1,)
    )
    call(native, "bias_act", (tensor,), b"")
    assert seen == [("bias_act", library.place(1, stream=77))]
