"""Several processes that train one network, each on its share of every batch.

Fabric starts them and lets them talk. Its wrapper for modules is not used: one step runs parts
of the generator on their own, twice, and the wrapper expects each module's forward once per
backward. Gradients are averaged here instead, in one message.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from meatus_training.runs.launch import together


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the mean gradient."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    joined = mean(fabric, torch.cat([gradient.flatten() for gradient in gradients]))
    means = torch.split(joined, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, means, strict=True):
        gradient.copy_(part.view_as(gradient))


def mean(fabric: Fabric, values: Tensor) -> Tensor:
    """The mean of ``values`` over the processes; they may change in place."""
    if fabric.world_size == 1:
        return values
    found = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(found, Tensor)
    return found


def anyone(fabric: Fabric, mine: bool) -> bool:
    """Whether any process says so."""
    return bool(together(fabric, float(mine))[0])


def total(fabric: Fabric, *values: float) -> list[float]:
    """The sum of each value over the processes; it waits for all of them."""
    mine = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    found: list[float] = (mean(fabric, mine) * fabric.world_size).tolist()
    return found
