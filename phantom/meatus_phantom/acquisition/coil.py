"""The receive field: brighter near the coil, with smooth bumps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from meatus.geometry import Geometry
from meatus_phantom.acquisition.sampled import Sampled, coarse, world
from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.signal.texture import draw_noise

STEP_MM = 8.0
HEAD_CENTRE_MM = (0.0, 10.0, 0.0)  # x left, y anterior, z up from the origin between the pori
HEAD_HALF_MM = (75.0, 95.0, 100.0)
OUTERMOST = 1.4  # squared radius, in heads, beyond which the profile stays level


def receive_field(
    geometry: Geometry, effects: Effects, rng: np.random.Generator, device: torch.device
) -> Sampled:
    """The gain over ``geometry``: about 1 at the head's centre, ``coil_gain`` at its surface."""
    grid = coarse(geometry, STEP_MM)
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
