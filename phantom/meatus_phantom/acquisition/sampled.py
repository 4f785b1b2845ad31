"""Smooth fields kept on a coarse grid and joined linearly wherever they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from meatus.geometry import Geometry, axis_weights
from meatus_phantom.signal.texture import along_axes


@dataclass(frozen=True)
class Sampled:
    """Values (Z, Y, X) at the voxels of ``grid``."""

    values: Tensor
    grid: Geometry

    def onto(self, target: Geometry) -> Tensor:
        """Linear interpolation at a grid that shares the axes; the border is carried on."""
        x, y, z = (
            torch.from_numpy(axis_weights(self.grid, target, axis)).to(self.values.device)
            for axis in range(3)
        )
        return along_axes(self.values, x, y, z)


def coarse(geometry: Geometry, step_mm: float) -> Geometry:
    """A grid over the same box, ends included, with voxels of about ``step_mm`` and not finer."""
    counts = [
        max(2, math.ceil((n - 1) * width / step_mm) + 1) if n > 1 else 1
        for n, width in zip(geometry.size, geometry.spacing_mm, strict=True)
    ]
    sizes = [min(count, n) for count, n in zip(counts, geometry.size, strict=True)]
    steps = [
        (n - 1) / max(size - 1, 1) if n > 1 else 1.0
        for size, n in zip(sizes, geometry.size, strict=True)
    ]
    return geometry.regrid(
        start=(0.0, 0.0, 0.0),
        step=(steps[0], steps[1], steps[2]),
        size=(sizes[0], sizes[1], sizes[2]),
    )


def world(geometry: Geometry, axis: int, device: torch.device) -> Tensor:
    """Position (Z, Y, X) of each voxel along world axis 0 left, 1 anterior or 2 up, in mm."""
    sign = -1.0 if axis == 1 else 1.0  # LPS to x left, y anterior, z up
    total = torch.full((1, 1, 1), sign * geometry.origin_mm[axis], device=device)
    for line in range(3):
        step = sign * float(geometry.axes[axis, line]) * geometry.spacing_mm[line]
        shape = [1, 1, 1]
        shape[2 - line] = geometry.size[line]
        ramp = torch.arange(geometry.size[line], dtype=torch.float32, device=device)
        total = total + (step * ramp).reshape(shape)
    return total
