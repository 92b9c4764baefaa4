"""Vertices on bones as a camera sees them: what the formulas say, and native and reference to the same bytes."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from animegen.errors import InvalidValue, OpsError
from animegen.ops import library
from animegen.ops.skin import Surface, View, skin, skin_reference
from animegen.ops.tensors import call

pytestmark = pytest.mark.usefixtures("native_ops")

ROUNDED = 2e-5
"""What float32 may be off from float64, of the largest number."""
VIEW = View((0.36, -0.48, -0.8), 96, 0.05, 1.5)


def rig(vertices: int = 200, bones: int = 7, pictures: int = 3, seed: int = 0) -> dict[str, Any]:
    """What :func:`skin` takes: vertices around the camera's axis, some of them behind the camera."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(vertices, 3))
    weights = rng.dirichlet((1.0, 1.0, 1.0), vertices)
    turns, _ = np.linalg.qr(rng.normal(size=(pictures, bones, 3, 3)))
    matrices = np.concatenate([0.4 * turns, rng.normal((0, 0, 0.5), 0.3, (pictures, bones, 3))[..., None]], axis=3)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.int64 if values.dtype.kind == "i" else np.float32))

    surface = Surface(
        tensor(normals / np.linalg.norm(normals, axis=1, keepdims=True)), tensor(rng.integers(0, bones, (vertices, 3))),
        tensor(weights), tensor(rng.uniform(0, 255, (2, vertices, 4))), tensor(rng.choice([0, 0.02, 0.2], vertices)),
    )  # fmt: skip
    positions = tensor(rng.normal(0, 0.5, (pictures, vertices, 3)))
    focal = tensor(rng.uniform(1, 3, pictures))
    return {"surface": surface, "positions": positions, "matrices": tensor(matrices), "focal": focal, "view": VIEW}


def both(given: dict[str, Any]) -> Tensor:
    """What is computed natively, which must be what the reference computes."""
    found, wanted = skin(**given), skin_reference(**given)
    assert found.shape == wanted.shape
    assert torch.equal(found.view(torch.int32), wanted.view(torch.int32))
    return found


def test_vertices_are_where_the_formulas_say():
    given = rig()
    found = both(given).double().numpy()
    surface, matrices, positions = given["surface"], given["matrices"].double().numpy(), given["positions"].double()
    behind = 0
    for n, focal in enumerate(given["focal"].tolist()):
        for v, (bones, weights) in enumerate(zip(surface.bones.numpy(), surface.weights.double().numpy(), strict=True)):
            matrix = sum(weight * matrices[n, bone] for bone, weight in zip(bones, weights, strict=True))
            place = matrix @ [*positions[n, v].tolist(), 1.0]
            normal = matrix[:, :3] @ surface.normals[v].double().numpy()
            normal /= np.linalg.norm(normal)
            width = float(surface.widths[v]) * np.linalg.norm(matrices[n, 0, :, 0])
            off = place + normal * max(width, place[2] * VIEW.least / (focal * VIEW.samples))
            for at, spot, cosine, colours in zip(
                found[n, :, v], (place, off), (normal @ VIEW.light, 0.0), surface.colours[:, v], strict=True
            ):
                x, y, z = spot
                deep = max(z, VIEW.nearest)
                seen = [(0.5 + focal * along / deep) * VIEW.samples - 0.5 for along in (x, y)]
                wanted = [*seen, z if z > VIEW.nearest else -np.inf, cosine, *colours.tolist()]
                largest = np.abs(seen).max() * (1 + abs(z) / deep) + VIEW.samples
                np.testing.assert_allclose(at[:2], wanted[:2], rtol=0, atol=ROUNDED * largest)
                np.testing.assert_allclose(at[2:], wanted[2:], rtol=ROUNDED, atol=ROUNDED)
                behind += z <= VIEW.nearest
    assert 0 < behind < found[..., 0].size / 2


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_level_of_instructions_and_number_of_threads(at_level, level, threads):
    at_level(level)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for pictures in (1, 2, 3):
            both(rig(pictures=pictures, seed=pictures))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("vertices", "pictures"), [(0, 2), (3, 0), (1, 1)])
def test_few_vertices_and_pictures(vertices, pictures):
    assert both(rig(vertices=vertices, pictures=pictures)).shape == (pictures, 2, vertices, 8)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 3e38, 1e-42, 0.0])
def test_numbers_that_are_extreme(value):
    for name in ("positions", "matrices", "focal"):
        given = rig()
        given[name].view(-1)[5 % given[name].numel()] = value
        found, wanted = skin(**given), skin_reference(**given)
        assert torch.equal(found.nan_to_num(), wanted.nan_to_num())


def test_memory_that_is_not_dense():
    given = rig(pictures=4)
    wanted = both(given)[::2]
    some = {name: given[name][::2] for name in ("positions", "matrices", "focal")}
    assert torch.equal(both(given | some), wanted)


def test_what_does_not_fit_is_named():
    given = rig()
    for name in ("positions", "matrices", "focal"):
        for wrong in (given[name].double(), given[name][:2], given[name][..., :-1]):
            with pytest.raises(InvalidValue, match="must be"):
                skin(**given | {name: wrong})
    for field in fields(Surface):
        own = getattr(given["surface"], field.name)
        for wrong in (own.half(), own[:-1], own[None]):
            with pytest.raises(InvalidValue, match=f"{field.name} must be"):
                skin(**given | {"surface": replace(given["surface"], **{field.name: wrong})})


def test_the_library_itself_refuses_what_does_not_fit():
    native = library.native("cpu")
    assert native is not None
    given = rig()
    own = given["surface"]
    out = torch.empty(3, 2, 200, 8)
    right = [
        out, given["positions"], own.normals, own.bones, own.weights, own.colours, own.widths, given["matrices"],
        given["focal"],
    ]  # fmt: skip
    options = struct.pack("@6f", *VIEW.light, VIEW.samples, VIEW.nearest, VIEW.least)
    with pytest.raises(OpsError, match="number of tensors"):
        call(native, "skin", right[:8], options)
    for i, tensor in enumerate(right):
        wrong = {
            "dtype does not fit": tensor.int(),
            "shape does not fit": tensor[..., :-1].contiguous(),
            "strides do not fit": torch.stack([tensor, tensor], dim=-1)[..., 0],
        }
        for words, other in wrong.items():
            with pytest.raises(OpsError, match=rf"{words} .* detail "):
                call(native, "skin", [*right[:i], other, *right[i + 1 :]], options)
    for bone in (-1, 7):
        strange = own.bones.clone()
        strange[5, 1] = bone
        with pytest.raises(OpsError, match=r"shape does not fit .* detail 3"):
            call(native, "skin", [*right[:3], strange, *right[4:]], options)
