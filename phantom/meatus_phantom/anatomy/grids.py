"""Values on a grid of points: one trilinear look-up, however intricate the shape.

``Grid`` keeps a tumour's signed distance at full sharpness; ``LookupGrid`` keeps slow but smooth
fields, computed once and looked up wherever they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from meatus_phantom.parts import Box, Distance
from meatus_phantom.shapes import Vec, vec

CHUNK = 400_000  # points computed at a time, so that the intermediate tensors stay in the cache

CLOSED_MM = 2.0  # outside the surface by more than any part is grown

Fields = Callable[[Tensor], Tensor]  # points (3, ...) to values (C, ...)


@dataclass(frozen=True, eq=False)
class Grid:
    """Values (C, Z, Y, X) at ``low + step_mm * index``; x, y and z are the axes of the head."""

    values: Tensor
    low: Vec
    step_mm: float

    @property
    def box(self) -> Box:
        """From the first voxel's centre to the last one's."""
        x, y, z = (
            at + self.step_mm * (count - 1)
            for at, count in zip(self.low, reversed(self.values.shape[1:]), strict=True)
        )
        return Box(self.low, (x, y, z))

    def at(self, points: Tensor) -> Tensor:
        """The values (C, ...) at ``points`` (3, ...); the border's value is carried on outside."""
        counts = [float(n - 1) * self.step_mm for n in reversed(self.values.shape[1:])]
        spans = vec((counts[0], counts[1], counts[2]), points)
        where = ((points - vec(self.low, points)) * (2 / spans) - 1).movedim(0, -1)
        found = grid_sample(
            self.values.to(points.device, points.dtype)[None],
            where.reshape(1, 1, 1, -1, 3),
            padding_mode="border",
            align_corners=True,
        )
        return found.reshape(self.values.shape[0], *points.shape[1:])

    def near(self, points: Tensor) -> Tensor:
        """Channel 0 as a signed distance, good within the grid and its margin beyond it."""
        return self.at(points)[0]

    def distance(self, points: Tensor) -> Tensor:
        """The same anywhere: outside the grid the way to it is added."""
        low, high = vec(self.box.low, points), vec(self.box.high, points)
        away = (low - points).clamp_min(0) + (points - high).clamp_min(0)
        return self.at(points)[0] + length(away)


def length(away: Tensor) -> Tensor:
    """Length of vectors (3, ...); torch's own norm along the first axis is 20 times slower."""
    squared = away[0] * away[0]
    return squared.addcmul_(away[1], away[1]).addcmul_(away[2], away[2]).sqrt_()


def lattice(box: Box, step_mm: float) -> Tensor:
    """Points (3, Z, Y, X) that fill ``box``."""
    x, y, z = (
        low + step_mm * torch.arange(max(2, int((high - low) / step_mm) + 2), dtype=torch.float32)
        for low, high in zip(box.low, box.high, strict=True)
    )
    planes = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack((planes[2], planes[1], planes[0]))


def evaluate(distance: Distance, points: Tensor) -> Tensor:
    """``distance`` at ``points``, a chunk at a time."""
    flat = points.reshape(3, -1)
    pieces = [distance(flat[:, i : i + CHUNK]) for i in range(0, flat.shape[1], CHUNK)]
    return torch.cat(pieces).reshape(points.shape[1:])


def distance_grid(distance: Distance, box: Box, step_mm: float, margin_mm: float) -> Grid:
    """``distance`` on a grid over the part of ``box`` within ``margin_mm`` of the shape."""
    rough = lattice(box, 4 * step_mm)
    near = evaluate(distance, rough) < margin_mm + 4 * step_mm
    if near.any():
        inside = rough[:, near]
        low, high = inside.amin(1).tolist(), inside.amax(1).tolist()
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).grown(2 * step_mm)
    return Grid(evaluate(distance, lattice(box, step_mm))[None], box.low, step_mm)


def volume_mm3(values: Tensor, step_mm: float) -> float:
    """Volume inside a signed distance given on a grid; surface voxels count in part."""
    return float((0.5 - values / step_mm).clamp(0, 1).sum()) * step_mm**3


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
