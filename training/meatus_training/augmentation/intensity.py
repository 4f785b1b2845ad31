"""Contrast, brightness and gamma, of the whole image and of the targets alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from meatus.intensity import BLACK
from meatus.structures import Structure
from meatus_training.augmentation.chances import chance, log_uniform
from meatus_training.augmentation.quality import TRUNCATED, gaussian
from meatus_training.augmentation.settings import AugmentSettings, Intensities

Factors = tuple[float, float, float]  # contrast, brightness, gamma
UNCHANGED: Factors = (1.0, 1.0, 1.0)


def vary_image(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Contrast, brightness and gamma of everything that is not black."""
    factors = draw_factors(rng, settings.image)
    if factors == UNCHANGED:
        return image, labels
    shown = image > BLACK
    unit = (image + 1) / 2
    augmented = vary_unit(unit, mean_within(unit, shown), factors)
    return torch.where(shown, to_range(augmented), image), labels


def vary_targets(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """The same of the tumour (both parts as one) and of the cochlea, each with its own draws.

    The change fades out across the labels' edge, from all of it inside a structure wider than
    the fade to none outside.
    """
    rules = settings.targets
    tumour = (labels == Structure.EXTRA_MEATAL) | (labels == Structure.INTRA_MEATAL)
    augmented = image
    for mask, ranges in ((tumour, rules.tumour), (labels == Structure.COCHLEA, rules.cochlea)):
        factors = draw_factors(rng, ranges)
        if factors == UNCHANGED or not bool(mask.any()):
            continue
        box = _box(mask, rules.edge_voxels)
        unit, inside = (augmented[box] + 1) / 2, mask[box]
        share = gaussian(inside.to(unit.dtype), rules.edge_voxels)
        unit = torch.lerp(unit, vary_unit(unit, mean_within(unit, inside), factors), share)
        augmented = augmented.clone()
        augmented[box] = to_range(unit)
    return torch.where(image > BLACK, augmented, image), labels


def draw_factors(rng: np.random.Generator, ranges: Intensities) -> Factors:
    """Contrast, brightness, gamma; 1 where not used.

    The same number of draws whatever happens, so that the steps that follow are not disturbed.
    """
    drawn = [
        (chance(rng, ranges.chance), log_uniform(rng, limits))
        for limits in (ranges.contrast, ranges.brightness, ranges.gamma)
    ]
    contrast, brightness, gamma = (value if used else 1.0 for used, value in drawn)
    return contrast, brightness, gamma


def mean_within(unit: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``unit`` where ``mask``, both (Z, Y, X), a scalar; 0 where it is empty."""
    return (unit * mask).sum() / mask.sum().clamp(min=1)


def vary_unit(unit: Tensor, mean: Tensor, factors: Factors) -> Tensor:
    """Contrast about ``mean``, then brightness, then gamma of ``unit`` in [0, 1], unclipped."""
    contrast, brightness, gamma = factors
    augmented = (mean + contrast * (unit - mean)) * brightness
    return augmented.clamp(min=0) ** gamma if gamma != 1 else augmented


def to_range(unit: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], clipped as preprocessing clips."""
    return (2 * unit - 1).clamp(-1, 1)


def _box(mask: Tensor, sigmas: tuple[float, float, float]) -> tuple[slice, ...]:
    """The box about ``mask`` that holds all of its fade."""
    places = torch.nonzero(mask)
    ends = zip(places.amin(0).tolist(), places.amax(0).tolist(), sigmas, strict=True)
    margins = ((low, high, math.ceil(TRUNCATED * sigma) + 1) for low, high, sigma in ends)
    return tuple(slice(max(low - m, 0), high + m + 1) for low, high, m in margins)
