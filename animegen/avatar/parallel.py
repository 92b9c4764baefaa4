"""Training on several processes: the few collectives that data-parallel training needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes of one training, this one being ``rank`` of ``world``; alone, nothing is exchanged."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls, device: str) -> Workers:
        """Join the others as ``torchrun`` says in the environment; alone where it says nothing."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(distributed.get_rank(), world)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.world > 1:
            distributed.destroy_process_group()

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
