"""Training on several processes: the few collectives that data-parallel training needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, distributed, nn

from animegen.errors import UsageError


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes of one training, this one being ``rank`` of ``world``; alone, nothing is exchanged."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @classmethod
    def from_environment(cls, device: str) -> Workers:
        """Join the others as ``torchrun`` says in the environment; alone where it says nothing.

        Raises UsageError where CUDA is asked for and there is none, or fewer devices than processes.
        """
        world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
        if device == "cuda":
            if local >= torch.cuda.device_count():
                raise UsageError(
                    f"--device cuda: process {local} of this machine needs a CUDA device of its own, torch finds "
                    f"{torch.cuda.device_count()}",
                    "use --device cpu, or fewer processes",
                )
            torch.cuda.set_device(local)
        if world == 1:
            return cls(device=device)
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(distributed.get_rank(), world, device)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.world > 1:
            if kind is None:
                self.wait()  # a process that leaves while another still hears from it can end that one
            distributed.destroy_process_group()

    def share(self, whole: Tensor) -> Tensor:
        """This process's part of a batch: every ``world``-th row."""
        return whole[self.rank :: self.world]

    def numbers(self, count: int) -> range:
        """The numbers of that part among ``count`` rows."""
        return range(self.rank, count, self.world)

    def split(self, batch: int) -> int:
        """How many rows of a batch each process has. Raises UsageError where it does not divide."""
        if batch % self.world:
            raise UsageError(
                f"a batch of {batch} does not divide among {self.world} processes",
                "choose another --batch, or another number of processes",
            )
        return batch // self.world

    def wait(self) -> None:
        """Go on when every process is here."""
        if self.world > 1:
            distributed.barrier()

    def any(self, mine: bool) -> bool:
        """Whether it holds in any of the processes."""
        return bool(mine) if self.world == 1 else self._agreed(int(mine), distributed.ReduceOp.MAX) > 0

    def least(self, mine: int) -> int:
        """The smallest of the processes' numbers."""
        return mine if self.world == 1 else self._agreed(mine, distributed.ReduceOp.MIN)

    def _agreed(self, mine: int, how: distributed.ReduceOp.RedOpType) -> int:
        number = torch.tensor(mine, device=self.device)
        distributed.all_reduce(number, how)
        return int(number.item())

    def mean(self, mine: Tensor) -> Tensor:
        """The mean of the processes' tensors, differentiable."""
        if self.world == 1:
            return mine
        total: Tensor = _Sum.apply(mine)  # type: ignore[no-untyped-call]
        return total / self.world

    @torch.no_grad()
    def same(self, network: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.world > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, 0)

    @torch.no_grad()
    def average(self, network: nn.Module) -> None:
        """Replace gradients by their mean over the processes, in one exchange."""
        if self.world == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


class _Sum(torch.autograd.Function):
    """The sum over the processes; what each one's loss asks of it is summed too."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        total = mine.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *slopes: Tensor) -> Tensor:
        total = slopes[0].clone()
        distributed.all_reduce(total)
        return total
