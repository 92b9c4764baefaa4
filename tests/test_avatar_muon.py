"""Steps along orthogonalised momentum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from animegen.avatar.muon import Muon, orthogonal

LEAST, MOST = 0.5, 1.3
"""Where the iteration leaves singular values: it is steep rather than exact, and works in bfloat16."""

STEP_TOLERANCE = 0.25
"""A step's root mean square against 0.2 of the rate: singular values are only about 1."""


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (72, 8), (1, 9)])
def test_all_directions_of_a_matrix_come_out_about_equally_long(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > LEAST
    assert values.max() < MOST


def test_a_matrix_keeps_its_directions() -> None:
    u, values, v = torch.linalg.svd(
        torch.randn(12, 20, generator=torch.Generator().manual_seed(1)), full_matrices=False
    )
    turned = u.mT @ orthogonal(u @ torch.diag(values) @ v) @ v.mT
    off_diagonal = turned - torch.diag(torch.diag(turned))
    assert off_diagonal.abs().max() < 0.05  # bfloat16's rounding, five times over
    assert torch.diag(turned).min() > LEAST


def test_nothing_to_learn_is_no_step() -> None:
    kernel = nn.Parameter(torch.ones(4, 4, 3, 3))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], lr=0.1).step()
    assert torch.equal(kernel, torch.ones_like(kernel))


def test_a_step_is_as_long_as_adams_whatever_the_gradient() -> None:
    lengths = []
    for size in (1e-6, 1.0, 1e3):
        kernel = nn.Parameter(torch.zeros(32, 16, 3, 3))
        kernel.grad = size * torch.randn(kernel.shape, generator=torch.Generator().manual_seed(2))
        Muon([kernel], lr=0.01).step()
        lengths.append(kernel.detach().square().mean().sqrt().item())
    assert lengths == pytest.approx([0.01 * 0.2] * 3, rel=STEP_TOLERANCE)


def test_a_parameter_without_gradient_stays() -> None:
    kernel = nn.Parameter(torch.ones(4, 4, 3, 3))
    Muon([kernel], lr=0.1).step()
    assert torch.equal(kernel, torch.ones_like(kernel))


def test_it_descends() -> None:
    torch.manual_seed(3)
    network = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    goal = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    x = torch.randn(4, 3, 8, 8)
    optimiser = Muon(network.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(x) - goal(x)).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
