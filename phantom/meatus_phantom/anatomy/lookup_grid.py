"""Slow but smooth fields, computed once on a grid and looked up wherever they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from meatus_phantom.parts import Box, Distance

CLOSED_MM = 2.0  # outside the surface by more than any part is grown

Fields = Callable[[Tensor], Tensor]  # points (3, ...) to values (C, ...)


@dataclass(frozen=True)
class LookupGrid:
    """Fields (C, Z, Y, X) on a grid of ``box``, joined linearly; its edge goes on outside."""

    table: Tensor
    box: Box

    def __call__(self, points: Tensor) -> Tensor:
        where = torch.empty((*points.shape[1:], 3), dtype=points.dtype, device=points.device)
        for axis in range(3):
            low, high = self.box.low[axis], self.box.high[axis]
            torch.mul(points[axis] - low, 2 / (high - low), out=where[..., axis])
        where -= 1
        flat = where.reshape(1, 1, 1, -1, 3)
        table = self.table.to(points.device)[None]
        found = grid_sample(table, flat, padding_mode="border", align_corners=True)
        return found.reshape(len(self.table), *points.shape[1:])


def tabulate(fields: Fields, box: Box, step_mm: float) -> LookupGrid:
    """Evaluate ``fields`` every ``step_mm`` of ``box``, both of whose ends are included."""
    axes = [
        torch.linspace(low, high, max(2, round((high - low) / step_mm) + 1))
        for low, high in zip(box.low, box.high, strict=True)
    ]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return LookupGrid(fields(torch.stack((x, y, z))), box)


def as_distance(grid: LookupGrid, channel: int) -> Distance:
    """One channel of ``grid`` as a distance of its own."""
    alone = LookupGrid(grid.table[channel : channel + 1], grid.box)
    return lambda points: alone(points)[0]


def looked_up(distance: Distance, box: Box, step_mm: float) -> Distance:
    """``distance``, looked up: quicker where it has many pieces; closed at the sides of ``box``.

    The table's edge goes on outside the box, so a shape that reached it would run on for ever.
    """
    grid = tabulate(lambda points: distance(points)[None], box, step_mm)
    table = grid.table[0]
    for axis in range(3):
        for end in (0, table.shape[axis] - 1):
            table.select(axis, end).clamp_min_(CLOSED_MM)
    return as_distance(grid, 0)
