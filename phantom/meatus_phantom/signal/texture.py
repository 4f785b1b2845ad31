"""Smooth random fields of unit variance that are the same on whatever grid they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meatus.geometry import Geometry, positions

REACH = 3.5  # standard deviations at which the kernel ends


@dataclass(frozen=True)
class Noise:
    """White noise at knots, one standard deviation of its kernel apart along each axis."""

    knots: Tensor  # (z, y, x)
    grid: Geometry  # where the knots lie

    def onto(self, target: Geometry) -> Tensor:
        """Values (Z, Y, X), mean 0 and SD 1, at the voxels of a grid that shares the axes."""
        x, y, z = (self._weights(target, axis).to(self.knots.device) for axis in range(3))
        return along_axes(self.knots, x, y, z)

    def _weights(self, target: Geometry, axis: int) -> Tensor:
        """Gaussian weights (target, knots) whose squares sum to one: no row is quieter."""
        at = positions(self.grid, target, axis)
        distance = at[:, None] - np.arange(self.grid.size[axis])
        weights = np.exp(-(distance**2) / 2) * (np.abs(distance) <= REACH)
        weights /= np.sqrt((weights**2).sum(1, keepdims=True))
        return torch.tensor(weights, dtype=torch.float32)


def along_axes(values: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Apply weights (target, source) along each axis of ``values`` (Z, Y, X), the longest last."""
    planes = (z @ values.flatten(1)).reshape(len(z), *values.shape[1:])
    return torch.matmul(torch.matmul(y, planes), x.T)


def draw_noise(
    rng: np.random.Generator,
    geometry: Geometry,
    sd_mm: tuple[float, float, float],
    device: torch.device,
) -> Noise:
    """Noise over ``geometry`` with a kernel of ``sd_mm`` along its axes x, y, z.

    Its correlation falls to exp(-1/4) at a distance of one standard deviation.
    """
    margin = math.ceil(REACH)
    sizes = [
        math.ceil((n - 1) * step / sd) + 1 + 2 * margin
        for n, step, sd in zip(geometry.size, geometry.spacing_mm, sd_mm, strict=True)
    ]
    steps = [sd / step for sd, step in zip(sd_mm, geometry.spacing_mm, strict=True)]
    grid = geometry.regrid(
        start=(-margin * steps[0], -margin * steps[1], -margin * steps[2]),
        step=(steps[0], steps[1], steps[2]),
        size=(sizes[0], sizes[1], sizes[2]),
    )
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    return Noise(knots=torch.from_numpy(white).to(device), grid=grid)
