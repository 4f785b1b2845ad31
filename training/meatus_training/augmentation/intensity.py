"""Contrast, brightness and gamma, of the whole image and of the targets; a tumour's whole look."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from meatus.intensity import BLACK
from meatus.structures import Structure
from meatus_phantom.windows.look import cyst_level, tumour_level, tumour_roughness
from meatus_phantom.windows.settings import LookSettings, smooth_noise
from meatus_training.augmentation.chances import chance, log_uniform
from meatus_training.augmentation.quality import TRUNCATED, gaussian
from meatus_training.augmentation.settings import AugmentSettings, Intensities, Range

Factors = tuple[float, float, float]  # contrast, brightness, gamma
UNCHANGED: Factors = (1.0, 1.0, 1.0)

BRAIN_RING = 12  # voxels about a tumour in the plane that its brain is looked for in
FLUID_SHARE = 0.98  # of a window's voxels are darker than fluid
DARK_SHARE = 0.15  # of the fluid's level: darker ones are bone and air, not brain
PHANTOM_LOOK = LookSettings()
FINE_VOXELS, COARSE_VOXELS = (2.0, 4.0), (5.0, 16.0)  # between the knots of a texture


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


def draw_tumour_look(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Give the window's tumours one new look: level, texture, cysts, fading out at the edge.

    Draws nothing where it is off, so that other steps see the random numbers that they saw
    before there was this one.
    """
    rules = settings.tumour_look
    if rules.chance == 0:
        return image, labels
    own = np.random.default_rng(rng.integers(2**62))
    tumour = (labels == Structure.EXTRA_MEATAL) | (labels == Structure.INTRA_MEATAL)
    if not chance(own, rules.chance) or not bool(tumour.any()):
        return image, labels
    box = _box(tumour, settings.targets.edge_voxels)
    unit, inside = (image[box] + 1) / 2, tumour[box]
    brain, fluid = brain_and_fluid((image + 1) / 2, tumour)
    level = tumour_level(own, brain / fluid, PHANTOM_LOOK)
    fine, coarse = tumour_roughness(own)
    texture = fine * _noise(unit, FINE_VOXELS, own) + coarse * _noise(unit, COARSE_VOXELS, own)
    kept = own.uniform(*rules.own_share) * (unit - mean_within(unit, inside)) / fluid
    look = level * (1 + texture) + kept
    if chance(own, rules.cyst_chance):
        field = _noise(unit, COARSE_VOXELS, own)
        dry = 1 - own.uniform(*rules.cyst_share)
        cysts = (field > torch.quantile(field[inside].float(), dry)).to(unit.dtype)
        wall = gaussian(cysts, settings.targets.edge_voxels)
        look = torch.lerp(look, look.new_tensor(cyst_level(own, level)), wall)
    share = gaussian(inside.to(unit.dtype), settings.targets.edge_voxels)
    changed = image.clone()
    changed[box] = to_range(torch.lerp(unit, look * fluid, share))
    return torch.where(image > BLACK, changed, image), labels


def brain_and_fluid(unit: Tensor, tumour: Tensor) -> tuple[float, float]:
    """Levels in [0, 1] of a window (Z, Y, X): of the tissue about its tumours, of its fluid.

    Fluid is what few voxels of the window exceed; brain the median of what lies next to a tumour
    and is neither as dark as bone nor as bright as fluid.
    """
    fluid = max(float(torch.quantile(_some(unit[unit > 0]), FLUID_SHARE)), 1e-3)
    places = torch.nonzero(tumour)
    low, high = places.amin(0).tolist(), places.amax(0).tolist()
    margins = (0, BRAIN_RING, BRAIN_RING)
    around = tuple(
        slice(max(a - m, 0), b + m + 1) for a, b, m in zip(low, high, margins, strict=True)
    )
    ring = unit[around][~tumour[around]]
    brain = ring[(ring > DARK_SHARE * fluid) & (ring < (1 - DARK_SHARE) * fluid)]
    return (float(brain.median()) if len(brain) else fluid / 2), fluid


def _some(values: Tensor) -> Tensor:
    """At most a million of ``values`` (N,), evenly: as many as ``torch.quantile`` takes in."""
    step = max(len(values) // 1_000_000, 1)
    return values[::step].float() if len(values) else values.new_zeros(1)


def _noise(like: Tensor, knots: Range, rng: np.random.Generator) -> Tensor:
    """A field of unit SD of the shape of ``like`` (Z, Y, X), drawn on the processor."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    knot = log_uniform(rng, knots)
    field = smooth_noise(generator, tuple(like.shape), (max(1.0, knot / 2), knot, knot))
    return field.to(like)


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
