"""Contrast, brightness and gamma, of the whole image and of the targets alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inference.intensity import BLACK
from inference.structures import Structure
from training.target_augment.draws import chance, log_uniform
from training.target_augment.filters import gaussian
from training.target_augment.settings import AugmentSettings, Intensities


def vary_image(
    image: Tensor, labels: Tensor, draw: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Contrast, brightness and gamma of everything that is not black."""
    shown = image > BLACK
    unit = (image + 1) / 2
    count = shown.sum().clamp(min=1)
    varied = vary_unit(unit, (unit * shown).sum() / count, draw, settings.image)
    return torch.where(shown, to_range(varied), image), labels


def vary_targets(
    image: Tensor, labels: Tensor, draw: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """The same of the tumour (both parts as one) and of the cochlea, each with its own draws.

    The change fades out across the labels' edge, from all of it inside a structure wider than
    the fade to none outside.
    """
    unit = (image + 1) / 2
    tumour = (labels == Structure.EXTRA_MEATAL) | (labels == Structure.INTRA_MEATAL)
    for mask, ranges in (
        (tumour, settings.targets.tumour),
        (labels == Structure.COCHLEA, settings.targets.cochlea),
    ):
        count = mask.sum().clamp(min=1)
        varied = vary_unit(unit, (unit * mask).sum() / count, draw, ranges)
        share = gaussian(mask.to(unit.dtype), settings.targets.edge_voxels)
        unit = unit + share * (varied - unit)
    return torch.where(image > BLACK, to_range(unit), image), labels


def vary_unit(unit: Tensor, mean: Tensor, draw: np.random.Generator, ranges: Intensities) -> Tensor:
    """Contrast about ``mean``, then brightness, then gamma of ``unit`` in [0, 1], unclipped.

    The same number of draws whatever happens, so that the steps that follow are not disturbed.
    """
    factors = [
        (chance(draw, ranges.chance), log_uniform(draw, limits))
        for limits in (ranges.contrast, ranges.brightness, ranges.gamma)
    ]
    contrast, brightness, gamma = (value if used else 1.0 for used, value in factors)
    varied = (mean + contrast * (unit - mean)) * brightness
    return varied.clamp(min=0) ** gamma if gamma != 1 else varied


def to_range(unit: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], clipped as preprocessing clips."""
    return (2 * unit - 1).clamp(-1, 1)
