"""Two time points of one tumour: what changed, and whether the change can be told from noise.

Growth is a volume that rises by more than 20 % or a largest extra-meatal axial diameter that
rises by more than 2 mm (Kanzaki et al., Otol Neurotol 2003, for the diameter). The uncertainty
of one measurement is in ``meatus_evaluation.uncertainty``; two are taken as independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from meatus.errors import UsageError
from meatus.measure import Side, measure, structure_masks
from meatus.volumes import Labels
from meatus_evaluation.score import read_labels
from meatus_evaluation.uncertainty import BOUNDARY_SD_MM, diameter_sd_mm, volume_sd_mm3

GROWTH_SHARE = 0.20  # of the earlier volume
GROWTH_MM = 2.0  # of the diameter
DAYS_A_YEAR = 365.25
ROUNDING = 1e-9  # a change that equals the threshold on paper is not beyond it
Z95 = 1.96  # standard deviations to either end of a 95 % interval of a normal distribution

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
