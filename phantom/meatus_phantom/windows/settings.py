"""How windows are drawn from tissue maps: settings, and the draws that the modules share.

The ranges' sources are in docs/phantom.md, section 9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

Range = tuple[float, float]


# In the metadata of fields that came after weights were trained, which were as if they had the
# default.
LATER = "later"


@dataclass(frozen=True)
class GeometrySettings:
    """Size, pose and shape of the anatomy in a window."""

    scale: Range = (0.8, 1.25)  # of the plane; log-uniform
    aspect: float = 1.07  # of x against y, at most
    yaw_deg: float = 9.0  # SD, as the next two; slices are tilted little
    pitch_deg: float = 5.0
    roll_deg: float = 4.0
    elastic_chance: float = 0.8
    elastic_mm: float = 2.2  # SD in the plane, at most; half of it along z
    slice_mm: tuple[Range, ...] = ((0.8, 1.1), (1.1, 1.7), (1.7, 3.0))
    slice_chances: tuple[float, ...] = (0.65, 0.25, 0.1)


@dataclass(frozen=True)
class LookSettings:
    """How bright and how rough tissues are."""

    random_share: float = 0.3  # of windows whose tissues have random levels; else physics
    per_subject: int = 0  # looks that a subject has; 0: a fresh one for each window
    tumour_chance: float = 0.75  # that physics' tumour gets a level of its own
    tumour_to_brain: Range = (0.7, 2.2)  # log-uniform; half of them reach for fluid instead
    nearly_fluid: float = 0.92  # of the fluid's level: as bright as a tumour may be
    plug_chance: float = 0.25  # that the part in the canal has a level of its own
    plug: Range = (0.35, 1.2)  # of the tumour's level
    # Of tumours with pockets of nearly fluid signal, as mixed and cystic ones have, of any form.
    pockets_chance: float = field(default=0.0, metadata={LATER: True})
    pocket_share: Range = field(default=(0.15, 0.75), metadata={LATER: True})  # of the tumour
    pocket_level: Range = field(default=(0.55, 1.05), metadata={LATER: True})
    # Of inner ears darker than fluid: thick slices, and tumours that fill the canal, leave little.
    dim_ear_chance: float = field(default=0.0, metadata={LATER: True})
    dim_ear: Range = field(default=(0.25, 1.0), metadata={LATER: True})  # of their level


@dataclass(frozen=True)
class ScannerSettings:
    """What a scanner and a picture's way leave in a window; chances of each."""

    bias_chance: float = 0.7
    bias: float = 0.35  # SD of the logarithm, at most
    blur_chance: float = 0.65
    coarse_chance: float = 0.3  # acquired coarsely and interpolated
    noise_chance: float = 0.75
    noise: Range = (0.004, 0.08)  # SD against fluid
    sharpen_chance: float = 0.25
    tone_chance: float = 0.6  # a window's upper end, a gamma
    steps_chance: float = 0.25  # few grey values


@dataclass(frozen=True)
class FieldSettings:
    """What of the anatomy a window shows; chances of each."""

    repeat_chance: float = 0.25  # slices that repeat: thick ones stored as thin ones
    narrow_chance: float = 0.35  # a field narrower than the network's
    narrowest_mm: float = 45.0
    slab_chance: float = 0.1  # few rows, as a coronal scan shows
    slab_mm: Range = (18.0, 45.0)
    ends_chance: float = 0.15  # of slices missing at both ends
    hole_chance: float = 0.1  # a box that is blanked out


@dataclass(frozen=True)
class RenderSettings:
    """Everything that is drawn for each window."""

    geometry: GeometrySettings = field(default_factory=GeometrySettings)
    look: LookSettings = field(default_factory=LookSettings)
    scanner: ScannerSettings = field(default_factory=ScannerSettings)
    field: FieldSettings = field(default_factory=FieldSettings)
    sites: tuple[str, ...] = ("ldn", "etz", "ukm")


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
