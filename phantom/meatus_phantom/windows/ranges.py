"""Draws that the windows' modules share."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate


def chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def smooth_noise(
    generator: torch.Generator, shape: tuple[int, ...], knot: tuple[float, float, float]
) -> Tensor:
    """A field (Z, Y, X) of unit SD, its knots ``knot`` voxels apart along z, y, x."""
    if max(knot) <= 1:
        return torch.randn(shape, generator=generator)
    counts = [max(2, math.ceil(n / max(k, 1)) + 1) for n, k in zip(shape, knot, strict=True)]
    knots = torch.randn((1, 1, *counts), generator=generator)
    field = interpolate(knots, size=shape, mode="trilinear", align_corners=True)[0, 0]
    return field / field.std().clamp_min(1e-3)
