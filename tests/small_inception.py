"""FID's Inception of two channels a convolution, for tests of what measures with it."""

from __future__ import annotations

import torch


def inception() -> dict[str, torch.Tensor]:
    """FID's Inception of two channels a convolution, with torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}

    def conv(name: str, inputs: int, height: int, width: int) -> None:
        tensors[f"{name}.conv.weight"] = torch.randn(2, inputs, height, width, generator=generator)
        for part in ("weight", "running_var"):
            tensors[f"{name}.bn.{part}"] = torch.ones(2)
        for part in ("bias", "running_mean"):
            tensors[f"{name}.bn.{part}"] = torch.zeros(2)

    def block(name: str, inputs: int, **branches: list[tuple[int, int]]) -> None:
        for branch, sizes in branches.items():
            for number, size in enumerate(sizes, 1):
                conv(f"{name}.{branch}" + (f"_{number}" if len(sizes) > 1 else ""), inputs if number == 1 else 2, *size)

    one, three, five, row, column = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)
    for name, inputs, size in (
        ("1a_3x3", 3, 3),
        ("2a_3x3", 2, 3),
        ("2b_3x3", 2, 3),
        ("3b_1x1", 2, 1),
        ("4a_3x3", 2, 3),
    ):
        conv(f"Conv2d_{name}", inputs, size, size)
    for name, inputs in (("Mixed_5b", 2), ("Mixed_5c", 8), ("Mixed_5d", 8)):
        block(name, inputs, branch1x1=[one], branch5x5=[one, five], branch3x3dbl=[one, three, three], branch_pool=[one])
    block("Mixed_6a", 8, branch3x3=[three], branch3x3dbl=[one, three, three])
    for name, inputs in (("Mixed_6b", 12), ("Mixed_6c", 8), ("Mixed_6d", 8), ("Mixed_6e", 8)):
        twice = [one, column, row, column, row]
        block(name, inputs, branch1x1=[one], branch7x7=[one, row, column], branch7x7dbl=twice, branch_pool=[one])
    block("Mixed_7a", 8, branch3x3=[one, three], branch7x7x3=[one, row, column, three])
    for name, inputs in (("Mixed_7b", 12), ("Mixed_7c", 12)):
        block(name, inputs, branch1x1=[one], branch3x3dbl=[one, three], branch_pool=[one])
        conv(f"{name}.branch3x3_1", inputs, 1, 1)
        for branch in ("branch3x3_2", "branch3x3dbl_3"):
            conv(f"{name}.{branch}a", 2, 1, 3)
            conv(f"{name}.{branch}b", 2, 3, 1)
    return tensors
