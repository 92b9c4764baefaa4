"""Muon: steps of kernels along orthogonalised momentum (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

A kernel is a matrix from patches to channels. Adam scales each of its entries by itself; Muon makes all directions of
the matrix move equally far, so that rare ones (an eye, a finger) are learned as quickly as common ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, chosen there for steepness at zero: singular values end within 0.7..1.2."""

_ITERATIONS = 5
_ADAM_LIKE = 0.2
"""Brings the root mean square of a step to that of Adam's, so that both take one rate (Liu et al. 2025, eq. 4)."""


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for kernels f32 [outputs, inputs, k, k]; without weight decay."""

    def __init__(
        self, kernels: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step along the gradients that stand in ``.grad``; parameters without one stay."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is not None:
                    self._move(kernel, kernel.grad, group["lr"], group["momentum"])
        return loss

    def _move(self, kernel: nn.Parameter, slope: Tensor, rate: float, momentum: float) -> None:
        state = self.state[kernel]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(kernel)
        mean: Tensor = state["momentum"].lerp_(slope, 1 - momentum)
        direction = orthogonal(slope.lerp(mean, momentum).flatten(1))
        size = _ADAM_LIKE * max(direction.shape) ** 0.5
        kernel.add_(direction.view(kernel.shape), alpha=-rate * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values about 1, f32 [m, n], by Newton-Schulz iteration in bfloat16."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.mT if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    nearest: Tensor = (x.mT if tall else x).to(matrix.dtype)
    return nearest
