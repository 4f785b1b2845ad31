"""What air does to the field beside it: off-resonance and a short T2*."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from meatus.geometry import Geometry
from meatus_phantom.acquisition.coil import squared_radius
from meatus_phantom.acquisition.sampled import Sampled, coarse
from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.render import TissueMap
from meatus_phantom.signal.texture import draw_noise
from meatus_phantom.tissues import Tissue

STEP_MM = 2.5
INSIDE = 0.95  # squared radius, in heads: air beyond it is the room's, which shimming deals with
PADDING = 12  # samples round the grid, so that the periodic transform does not meet itself
NEAR_MM = 2.0  # kernel whose reach of about 3 mm has a short T2*
SMOOTH_MM = 60.0


def inner_air(tissues: TissueMap, geometry: Geometry) -> Sampled:
    """Share of air inside the head, on a coarse grid of ``geometry`` (the map's own grid)."""
    grid = coarse(geometry, STEP_MM)
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
