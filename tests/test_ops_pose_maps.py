"""Maps of points and limbs: native and reference against float64, gradients, and how PyTorch sees them."""

from __future__ import annotations

import pytest
import torch
from ops_tensors import close, each_example, random

from animegen.errors import InvalidValue
from animegen.ops.pose_maps import limb_maps, limb_maps_reference, point_maps

pytestmark = pytest.mark.usefixtures("native_ops")

EDGES = torch.tensor([[0, 1], [1, 2], [3, 0], [4, 4]])
LAYOUTS = (torch.contiguous_format, torch.channels_last)
SLACK = 20.0
"""Distances are differences of near numbers, and a Gaussian multiplies their errors by its exponent."""


def poses(batch: int = 3, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Points in and around the canvas; one is unknown, two are one."""
    xy = 0.5 + 0.4 * random(batch, 5, 2, dtype=dtype)
    score = random(batch, 5, seed=1, dtype=dtype).abs()
    if batch:
        score[0, 3] = 0
        xy[-1, 1] = xy[-1, 2]
    return {"xy": xy, "score": score, "z": 0.1 * random(batch, 5, seed=2, dtype=dtype)}


def doubled(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.double() for name, tensor in given.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("batch", "side", "sigma"), [(3, 1, 0.7), (2, 16, 0.05), (1, 33, 0.02), (0, 8, 0.1)])
def test_limbs_are_those_of_the_reference(layout, dtype, batch, side, sigma):
    given = poses(batch)
    found = limb_maps(**given, edges=EDGES, side=side, sigma=sigma, dtype=dtype, layout=layout)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    close(found, limb_maps_reference(**doubled(given), edges=EDGES, side=side, sigma=sigma), SLACK)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("batch", "side"), [(3, 1), (2, 16), (0, 8)])
def test_points_are_gaussians(layout, dtype, batch, side):
    given = poses(batch)
    found = point_maps(given["xy"], given["score"], side=side, sigma=0.1, dtype=dtype, layout=layout)
    assert found.dtype == dtype
    centres = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    x, y = given["xy"].double()[..., None, None, :].unbind(-1)
    squares = (centres[None, :] - x) ** 2 + (centres[:, None] - y) ** 2
    close(found, torch.exp(-squares / 0.02) * given["score"].double()[..., None, None], SLACK)


def test_limbs_in_float64():
    given = doubled(poses())
    found = limb_maps(**given, edges=EDGES, side=16, sigma=0.05)
    # natively a Gaussian below exp(-25) is 0
    torch.testing.assert_close(
        found, limb_maps_reference(**given, edges=EDGES, side=16, sigma=0.05), atol=1e-10, rtol=0
    )


def test_gradients():
    tensors = [tensor.requires_grad_() for tensor in doubled(poses(1)).values()]
    assert torch.autograd.gradcheck(lambda xy, score, z: limb_maps(xy, score, z, EDGES, side=4, sigma=0.2), tensors)
    assert torch.autograd.gradcheck(lambda xy, score: point_maps(xy, score, side=4, sigma=0.2), tensors[:2])


def test_how_pytorch_sees_it():
    given = poses()
    for inside in (False, True):
        rest = (given["xy"], given["score"], given["z"], EDGES, 8, 0.1, torch.bfloat16, inside)
        torch.library.opcheck(torch.ops.animegen.limb_maps.default, rest)

    def draw(xy):
        return limb_maps(xy, given["score"], given["z"], EDGES, side=8, sigma=0.1) + 1

    torch._dynamo.reset()
    wanted = draw(given["xy"])
    torch.testing.assert_close(torch.compile(draw, fullgraph=True, backend="aot_eager")(given["xy"]), wanted)
    with torch.inference_mode():
        torch.testing.assert_close(draw(given["xy"]), wanted, rtol=0, atol=0)
    each_example(draw, torch.stack([given["xy"], given["xy"].flip(0)]))


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_level_of_instructions(at_level, level):
    at_level(level)
    wanted = limb_maps_reference(**doubled(poses()), edges=EDGES, side=16, sigma=0.05)
    close(limb_maps(**poses(), edges=EDGES, side=16, sigma=0.05), wanted, SLACK)


def test_what_does_not_fit_is_named():
    given = poses()
    with pytest.raises(InvalidValue, match=r"score must be \(3, 5\), got \(3, 4\)"):
        point_maps(given["xy"], given["score"][:, :4], side=4, sigma=0.1)
    with pytest.raises(InvalidValue, match=r"xy must be float32 or float64 \[B, K, 2\], got torch.bfloat16"):
        point_maps(given["xy"].bfloat16(), given["score"], side=4, sigma=0.1)
    with pytest.raises(InvalidValue, match=r"edges must be int64 \[E, 2\], got torch.int32"):
        limb_maps(**given, edges=EDGES.int(), side=4, sigma=0.1)
    with pytest.raises(InvalidValue, match="side must be at least 1 and sigma above 0, got 4 and 0"):
        limb_maps(**given, edges=EDGES, side=4, sigma=0)
