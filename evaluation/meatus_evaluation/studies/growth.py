"""Two time points of one tumour: what changed, and whether the change can be told from noise.

Growth is a volume that rises by more than 20 % or a largest extra-meatal axial diameter that
rises by more than 2 mm (Kanzaki et al., Otol Neurotol 2003, for the diameter). Two
measurements are taken as independent. One is uncertain from two causes, taken as independent too:

1. The grid. A label is the part of a voxel that the tumour fills, rounded to none or all. What
   rounding adds or takes is spread evenly over the voxel: a standard deviation of 1 / sqrt(12)
   of it, for each voxel that the surface cuts. For a diameter it moves either end by as much of
   a voxel's side.
2. The contour. Another reader, scan or network draws the whole boundary a little further in or
   out, by a distance of standard deviation ``boundary_sd_mm`` and mean zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meatus.errors import UsageError
from meatus.geometry import Geometry
from meatus.report.measure import Side, measure, structure_masks
from meatus.volumes import Labels
from meatus_evaluation.scoring.score import read_labels

GROWTH_SHARE = 0.20  # of the earlier volume
GROWTH_MM = 2.0  # of the diameter
DAYS_A_YEAR = 365.25
ROUNDING = 1e-9  # a change that equals the threshold on paper is not beyond it
Z95 = 1.96  # standard deviations to either end of a 95 % interval of a normal distribution

# Five readers' contours of 100 tumours (PubMed 38980343, 2024) had limits of agreement of 26.8 %
# in the quarter below 193 mm3 and of 7.3 % in the quarter above 3101 mm3. A sphere's boundary
# that shifts by d changes its volume by 3 d / r: 1.96 * 3 * 0.13 mm / r gives 26.6 % for
# 100 mm3 and 6.8 % for 6000 mm3, which lie within these quarters.
BOUNDARY_SD_MM = 0.13

Mask = NDArray[np.bool_]

Verdict = Literal["growth", "stable", "shrinkage", "new tumour", "tumour gone", "no tumour"]


@dataclass(frozen=True)
class TimePoint:
    """One label map's measurements with one standard deviation each."""

    volume_mm3: float  # whole tumour
    volume_sd_mm3: float
    diameter_mm: float  # largest extra-meatal, axial
    diameter_sd_mm: float
    side: Side


@dataclass(frozen=True)
class Change:
    """A later value less the earlier one, its 95 % interval, and what that means."""

    value: float
    low: float
    high: float
    per_year: float | None  # None without dates
    verdict: Verdict
    certain: bool  # the whole interval gives this verdict


@dataclass(frozen=True)
class Growth:
    earlier: TimePoint
    later: TimePoint
    years: float | None
    volume_mm3: Change
    volume_share: Change | None  # of the earlier volume; None where that is 0
    diameter_mm: Change
    verdict: Verdict
    certain: bool


def read_tumour(path: Path) -> Labels:
    """A label map of the 2023 scheme; only that knows the extra-meatal part.

    Raises ``InferenceError`` where it is none.
    """
    return Labels(*read_labels(path, "2023"))


def years_between(earlier: date, later: date) -> float:
    """Raises ``UsageError`` where ``later`` is not after ``earlier``."""
    days = (later - earlier).days
    if days <= 0:
        raise UsageError(f"{later} is not after {earlier}. Give the earlier scan's date first.")
    return days / DAYS_A_YEAR


def time_point(labels: Labels, boundary_sd_mm: float = BOUNDARY_SD_MM) -> TimePoint:
    """Measure one label map (Z, Y, X) of any axis order."""
    found = measure(labels)
    tumour = structure_masks(labels.voxels)["whole_vs"]
    return TimePoint(
        found.total.whole_vs_mm3,
        volume_sd_mm3(tumour, labels.geometry, boundary_sd_mm),
        found.extra_meatal_diameter_mm,
        diameter_sd_mm(found.extra_meatal_diameter_mm, found.spacing_mm, boundary_sd_mm),
        found.tumour_side,
    )


def exposed_faces(mask: Mask) -> tuple[int, int, int]:
    """Voxel faces between ``mask`` (Z, Y, X) and the rest, by the axis (z, y, x) they cross.

    Beyond the border of the array nothing belongs to the mask.
    """
    z, y, x = (
        int(np.count_nonzero(np.diff(mask, axis=axis, prepend=False, append=False)))
        for axis in range(3)
    )
    return z, y, x


def surface_mm2(mask: Mask, geometry: Geometry) -> float:
    """The surface's area: two thirds of that of the voxel faces that make its staircase.

    Faces across one axis have the area of the surface's shadow along it. Over all directions
    the three shadows have on average 3/2 of the surface (Cauchy 1832), whatever the spacing.
    """
    dx, dy, dz = geometry.spacing_mm
    z, y, x = exposed_faces(mask)
    return 2 / 3 * (z * dx * dy + y * dx * dz + x * dy * dz)


def volume_sd_mm3(mask: Mask, geometry: Geometry, boundary_sd_mm: float = BOUNDARY_SD_MM) -> float:
    """The standard deviation of the volume of ``mask`` (Z, Y, X).

    sqrt(n v^2 / 12 + (S b)^2) with v the voxel's volume, n the voxels that the surface cuts, S
    the surface's area and b the boundary's shift. As many voxels are cut as faces are exposed:
    a plane with normal (l, m, k) cuts l / (dy dz) + m / (dx dz) + k / (dx dy) voxels per area,
    and has that many faces.
    """
    cut = sum(exposed_faces(mask))
    grid = geometry.voxel_mm3 * math.sqrt(cut / 12)
    return math.hypot(grid, surface_mm2(mask, geometry) * boundary_sd_mm)


def diameter_sd_mm(
    diameter_mm: float,
    spacing_mm: tuple[float, float, float],
    boundary_sd_mm: float = BOUNDARY_SD_MM,
) -> float:
    """The standard deviation of the largest diameter in an axial slice; 0 where there is none.

    sqrt(2 p^2 / 12 + (2 b)^2 + m^2): two ends on pixels of side p (the root mean square of
    both), both ends shifted outwards by b, and the missed depth m. The slice nearest to a
    sphere's widest place is u <= s / 2 off it and shows 2 u^2 / D less than its diameter D: a
    root mean square of m = s^2 / (sqrt(20) D) for slices s apart, at most D.
    """
    if diameter_mm <= 0:
        return 0.0
    x, y, between = spacing_mm
    pixel = math.sqrt((x**2 + y**2) / 2)
    missed = min(between**2 / (math.sqrt(20) * diameter_mm), diameter_mm)
    return math.sqrt(pixel**2 / 6 + (2 * boundary_sd_mm) ** 2 + missed**2)


def growth(earlier: TimePoint, later: TimePoint, years: float | None) -> Growth:
    """The change from ``earlier`` to ``later``, and the verdict on the tumour.

    Either sign of growth is enough; without one, either sign of shrinkage is.
    """
    difference = _difference(earlier, later)
    share = _share(earlier, later) if earlier.volume_mm3 and later.volume_mm3 else None
    volume = _change(*difference, years, GROWTH_SHARE * earlier.volume_mm3)
    relative = _change(*share, years, GROWTH_SHARE) if share else None
    diameter_sd = math.hypot(earlier.diameter_sd_mm, later.diameter_sd_mm)
    diameter = _change(later.diameter_mm - earlier.diameter_mm, diameter_sd, years, GROWTH_MM)
    verdict, certain = _overall(earlier, later, relative, diameter)
    return Growth(earlier, later, years, volume, relative, diameter, verdict, certain)


def judge(change: float, threshold: float) -> Verdict:
    """Beyond the threshold, not on it."""
    if change > threshold + ROUNDING:
        return "growth"
    return "shrinkage" if change < -threshold - ROUNDING else "stable"


def _difference(earlier: TimePoint, later: TimePoint) -> tuple[float, float]:
    sd = math.hypot(earlier.volume_sd_mm3, later.volume_sd_mm3)
    return later.volume_mm3 - earlier.volume_mm3, sd


def _share(earlier: TimePoint, later: TimePoint) -> tuple[float, float]:
    """The relative change V2 / V1 - 1 and its sd by propagation: (V2/V1) * hypot(s1/V1, s2/V2)."""
    ratio = later.volume_mm3 / earlier.volume_mm3
    parts = (point.volume_sd_mm3 / point.volume_mm3 for point in (earlier, later))
    return ratio - 1, ratio * math.hypot(*parts)


def _change(value: float, sd: float, years: float | None, threshold: float) -> Change:
    low, high = value - Z95 * sd, value + Z95 * sd
    verdict = judge(value, threshold)
    certain = judge(low, threshold) == verdict == judge(high, threshold)
    return Change(value, low, high, None if years is None else value / years, verdict, certain)


def _overall(
    earlier: TimePoint, later: TimePoint, share: Change | None, diameter: Change
) -> tuple[Verdict, bool]:
    """The tumour's verdict; growth and shrinkage are certain where one sign of them is."""
    if share is None:
        if not earlier.volume_mm3 and not later.volume_mm3:
            return "no tumour", True
        return ("tumour gone" if earlier.volume_mm3 else "new tumour"), False
    signs = (share, diameter)
    wanted: tuple[Verdict, Verdict] = ("growth", "shrinkage")
    for verdict in wanted:
        agreeing = [sign for sign in signs if sign.verdict == verdict]
        if agreeing:
            return verdict, any(sign.certain for sign in agreeing)
    return "stable", all(sign.certain for sign in signs)
