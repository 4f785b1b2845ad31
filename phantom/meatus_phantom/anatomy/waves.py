"""Smooth random fields for lumps and folds: sums of a few sinusoids, drawn at build time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Waves:
    """A field of zero mean and unit SD over points (3, ...) in mm."""

    numbers: tuple[tuple[float, float, float], ...]  # radians per mm along x, y, z
    phases: tuple[float, ...]

    def __call__(self, points: Tensor) -> Tensor:
        total = torch.zeros_like(points[0])
        for number, phase in zip(self.numbers, self.phases, strict=True):
            total += torch.sin_(_phase(points, number, phase))
        return total * math.sqrt(2 / len(self.phases))

    def with_slope(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The field and the length of its gradient (per mm)."""
        total = torch.zeros_like(points[0])
        slopes = [torch.zeros_like(total) for _ in range(3)]
        for number, phase in zip(self.numbers, self.phases, strict=True):
            angle = _phase(points, number, phase)
            total += torch.sin(angle)
            angle.cos_()
            for slope, k in zip(slopes, number, strict=True):
                slope.add_(angle, alpha=k)
        steep = (slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2).sqrt_()
        scale = math.sqrt(2 / len(self.phases))
        return total * scale, steep * scale


def _phase(points: Tensor, number: tuple[float, float, float], phase: float) -> Tensor:
    angle = points[0] * number[0]
    angle.add_(points[1], alpha=number[1]).add_(points[2], alpha=number[2])
    return angle.add_(phase)


def draw_waves(
    rng: np.random.Generator,
    wavelength_mm: float,
    count: int = 5,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Waves:
    """``count`` waves in random directions of about this length, longer by ``stretch`` per axis."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = wavelength_mm * rng.uniform(0.75, 1.35, (count, 1))
    numbers = 2 * np.pi * directions / lengths / np.array(stretch)
    phases = rng.uniform(0, 2 * np.pi, count)
    return Waves(
        tuple((float(a), float(b), float(c)) for a, b, c in numbers),
        tuple(float(phase) for phase in phases),
    )
