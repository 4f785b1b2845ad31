"""Smooth fields of the scanner: the coil's receive field, and what air does to the field beside it.

They are kept on a coarse grid and joined linearly wherever they are looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from meatus.geometry import Geometry, axis_weights
from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.render import TissueMap
from meatus_phantom.signal.texture import along_axes, draw_noise
from meatus_phantom.tissues import Tissue

COIL_STEP_MM = 8.0
HEAD_CENTRE_MM = (0.0, 10.0, 0.0)  # x left, y anterior, z up from the origin between the pori
HEAD_HALF_MM = (75.0, 95.0, 100.0)
OUTERMOST = 1.4  # squared radius, in heads, beyond which the profile stays level

AIR_STEP_MM = 2.5
INSIDE = 0.95  # squared radius, in heads: air beyond it is the room's, which shimming deals with
PADDING = 12  # samples round the grid, so that the periodic transform does not meet itself
NEAR_MM = 2.0  # kernel whose reach of about 3 mm has a short T2*
SMOOTH_MM = 60.0


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


def receive_field(
    geometry: Geometry, effects: Effects, rng: np.random.Generator, device: torch.device
) -> Sampled:
    """The gain over ``geometry``: about 1 at the head's centre, ``coil_gain`` at its surface."""
    grid = coarse(geometry, COIL_STEP_MM)
    gain = 1 + (effects.coil_gain - 1) * squared_radius(grid, device).clamp_max(OUTERMOST)
    width = effects.bias_mm
    bumps = draw_noise(rng, grid, (width, width, width), device).onto(grid)
    return Sampled(gain * torch.exp(effects.bias_sd * bumps), grid)


def squared_radius(geometry: Geometry, device: torch.device) -> Tensor:
    """Squared distance (Z, Y, X) from the head's centre: 1 at the surface of a mean head."""
    total = torch.zeros(geometry.shape, device=device)
    for axis in range(3):
        away = (world(geometry, axis, device) - HEAD_CENTRE_MM[axis]) / HEAD_HALF_MM[axis]
        total = total + away**2
    return total


def inner_air(tissues: TissueMap, geometry: Geometry) -> Sampled:
    """Share of air inside the head, on a coarse grid of ``geometry`` (the map's own grid)."""
    grid = coarse(geometry, AIR_STEP_MM)
    device = tissues.share.device
    z, y, x = (
        torch.linspace(0, n - 1, m, device=device).round().long()
        for n, m in zip(geometry.shape, grid.shape, strict=True)
    )
    first, second, share = (
        part[z][:, y][:, :, x] for part in (tissues.first, tissues.second, tissues.share)
    )
    air = (first == Tissue.AIR) * share + (second == Tissue.AIR) * (1 - share)
    return Sampled(air * (squared_radius(grid, device) < INSIDE), grid)


def off_resonance(air: Sampled, effects: Effects, rng: np.random.Generator) -> Sampled:
    """Field error in Hz: the dipoles' field of ``air`` and a smooth rest.

    ``air_field_hz`` is the largest error found outside the air itself.
    """
    dipoles = _dipole_field(air)
    largest = (dipoles.abs() * (air.values < 0.5)).max().clamp_min(1e-6)
    device = air.values.device
    smooth = draw_noise(rng, air.grid, (SMOOTH_MM,) * 3, device).onto(air.grid)
    field = dipoles * (effects.air_field_hz / largest) + effects.smooth_field_hz * smooth
    return Sampled(field, air.grid)


def signal_kept(air: Sampled, effects: Effects, echo_ms: float) -> Sampled:
    """Factor of a gradient echo's signal: ``air_t2_star_ms`` beside air, 1 far from it."""
    if effects.air_t2_star_ms <= 0:
        return Sampled(torch.ones_like(air.values), air.grid)
    near = air.values
    for axis, width in enumerate(air.grid.spacing_mm):
        near = _blurred(near, 2 - axis, NEAR_MM / width)
    rate = (2 * near).clamp(0, 1) / effects.air_t2_star_ms
    return Sampled(torch.exp(-echo_ms * rate), air.grid)


def _dipole_field(air: Sampled) -> Tensor:
    """Lorentz-corrected field of a susceptibility map: 1/3 - cos^2(angle to B0) in k-space."""
    source = pad(air.values[None, None], (PADDING,) * 6, mode="replicate")[0, 0]
    device = source.device
    shape = source.shape
    waves = [
        torch.fft.fftfreq(n, air.grid.spacing_mm[2 - dim], device=device).reshape(
            [-1 if other == dim else 1 for other in range(3)]
        )
        for dim, n in enumerate(shape)
    ]
    up = sum(
        (float(air.grid.axes[2, 2 - dim]) * wave for dim, wave in enumerate(waves)), waves[0] * 0
    )
    squared = sum((wave**2 for wave in waves), waves[0] * 0)
    kernel = torch.where(squared > 0, 1 / 3 - up**2 / squared.clamp_min(1e-12), 0.0)
    field: Tensor = torch.fft.ifftn(torch.fft.fftn(source) * kernel).real
    inner = slice(PADDING, -PADDING)
    return field[inner, inner, inner]


def _blurred(values: Tensor, dim: int, sd: float) -> Tensor:
    """Gaussian blur along ``dim``; the border is carried on."""
    at = torch.arange(values.shape[dim], dtype=torch.float32, device=values.device)
    weights = torch.exp(-(((at[:, None] - at) / max(sd, 1e-3)) ** 2) / 2)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.movedim(torch.tensordot(weights, values, dims=([1], [dim])), 0, dim)
