"""Several processes that train one network: torch.distributed, however it was started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """This process among ``world``; alone, everything below leaves its argument as it is."""

    rank: int = 0
    world: int = 1

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the mean gradient, in one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        means = torch.split(self.mean(together), [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of ``values`` over the processes, in their place."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether any process says so."""
        return bool(self.mean(torch.tensor(float(mine), device=device)).item())


def this_team() -> Team:
    """One process unless torch.distributed was initialised, by torchrun's variables or Fabric."""
    if dist.is_available() and dist.is_initialized():
        return Team(dist.get_rank(), dist.get_world_size())
    return Team()
