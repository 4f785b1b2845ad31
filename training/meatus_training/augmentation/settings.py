"""How often and how far a window is varied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from meatus.spec import Flips
from meatus_training.settings_files import later

Range = tuple[float, float]
MODEST: Range = (0.6, 1.5)  # of the paper


@dataclass(frozen=True)
class Intensities:
    """Factors of contrast about the mean and of brightness, and the exponent gamma.

    All draws are even on a logarithmic scale: a half is as likely as a double.
    """

    contrast: Range = MODEST
    brightness: Range = MODEST
    gamma: Range = MODEST
    chance: float = 0.3  # of each of the three, on its own


@dataclass(frozen=True)
class TumourLook:
    """Tumours of every look that real ones have on hrT2, in the place of the translated one.

    Brightness and texture are drawn as for phantoms (``meatus_phantom.windows.look``), against
    brain and fluid of the window. Not in the paper.
    """

    chance: float = 0.0  # that a window's tumours get another look
    cyst_chance: float = 0.3  # of those, with cysts
    cyst_share: Range = (0.1, 0.5)  # of the tumour that they fill
    own_share: Range = (0.0, 1.0)  # of the translation's own texture that stays


@dataclass(frozen=True)
class Targets:
    """Tumour and cochlea, each varied on its own."""

    tumour: Intensities = field(default_factory=Intensities)
    cochlea: Intensities = field(default_factory=Intensities)
    # (z, y, x) of the Gaussian that fades the change out, in voxels: a step at the labels' edge
    # would tell the network where it is. Slices are thick, so less along z.
    edge_voxels: tuple[float, float, float] = (0.5, 1.5, 1.5)


@dataclass(frozen=True)
class Borders:
    """Fields that were cut short, or whose borders were painted out."""

    blank_chance: float = 0.15
    blank_share: float = 0.25  # of the window's extent along the axis, at most
    blank_sides: int = 2  # at most
    blank: Literal["sides", "rows"] = later("sides")  # any of six; both ends of y, as published
    slab_chance: float = 0.0  # of all but a slab from front to back; not in the paper
    slab_share: Range = (0.15, 0.5)  # of the window's rows that it keeps
    expand_chance: float = 0.5  # of windows of incomplete scans
    expand_limit: float = 2.0  # factor


@dataclass(frozen=True)
class Quality:
    """Resolution, sharpness, noise and shading; chances and greatest strengths."""

    low_chance: float = 0.15
    low_factor: Range = (1.0, 2.0)  # voxel size in the plane; along z with the same chance
    repeat_chance: float = 0.0  # of slices shown several times each; not in the paper
    blur_chance: float = 0.2
    blur_voxels: Range = (0.3, 1.2)  # SD of the Gaussian in the plane
    noise_chance: float = 0.4
    noise: Range = (0.0, 0.12)  # SD on the scale of [-1, 1]
    bias_chance: float = 0.3
    bias: float = 0.3  # SD of the logarithm of the shading at its few supports


@dataclass(frozen=True)
class Shape:
    """Flips, scale, rotation, shear and elastic displacement."""

    flip_chance: float = 0.5  # of each axis
    flips: Flips = later("all")  # "left-right": no head upside down; not in the paper
    affine_chance: float = 0.5
    scale: Range = (0.8, 1.2)
    turn_degrees: float = 15.0  # in the plane, either way
    tilt_degrees: float = 5.0  # out of it
    shear: float = 0.05
    elastic_chance: float = 0.3
    elastic_mm: float = 2.0  # SD of the displacement at its supports
    supports: tuple[int, int, int] = (3, 6, 6)  # (z, y, x) of the elastic displacement
    spacing_mm: tuple[float, float, float] = (1.0, 0.5, 0.5)  # (z, y, x) of the window
    labels: Literal["nearest", "linear"] = "linear"  # linear: per class, then the largest


@dataclass(frozen=True)
class AugmentSettings:
    """All of it."""

    image: Intensities = field(default_factory=Intensities)
    targets: Targets = field(default_factory=Targets)
    tumour_look: TumourLook = later(TumourLook())
    borders: Borders = field(default_factory=Borders)
    quality: Quality = field(default_factory=Quality)
    shape: Shape = field(default_factory=Shape)


PAPER = AugmentSettings()
PUBLISHED = AugmentSettings(
    targets=Targets(
        tumour=Intensities((0.8, 1.2), (0.8, 1.2), (0.8, 1.2)),
        cochlea=Intensities((0.5, 1.5), (0.3, 2.0), (0.5, 2.0)),
    )
)
