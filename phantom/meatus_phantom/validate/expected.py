"""What a cohort's numbers should be, from measured scans and published tables.

Sources are listed in docs/phantom.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Range = tuple[float, float]

RATIO_TOLERANCE = 0.25
VOLUME_TOLERANCE = 0.20
# A scan's brightness of one tissue against another varies by this much (SD of the logarithm):
# relaxation times, uptake and the receive field are drawn anew for each scan.
RATIO_SPREAD = 0.2
# SD of a normal variable's median over that of its mean, and of 95 % of draws.
MEDIAN_FACTOR, MOST = 1.2533, 1.96

# Medians inside each tissue over CSF (hrT2) or over pons and cerebellar white matter (ceT1), as
# measured on public pictures of the sites.
# For ukm no picture is public: the range of what its sequences give (signal equations).
CONTRASTS: dict[tuple[str, str], dict[str, Range]] = {
    ("etz", "hrT2"): {
        "brain": (0.32, 0.36),
        "tumour": (0.40, 0.53),
        "fat": (0.65, 0.88),
        "muscle": (0.09, 0.22),
        "marrow": (0.32, 0.50),
        "vitreous": (1.0, 1.0),
        "dentate": (0.26, 0.26),
        "bone": (0.03, 0.06),
    },
    ("ldn", "hrT2"): {
        "brain": (0.09, 0.18),
        "tumour": (0.17, 0.45),
        "fat": (0.30, 0.70),
        "muscle": (0.05, 0.14),
        "marrow": (0.10, 0.50),
    },
    ("ukm", "hrT2"): {
        "brain": (0.12, 0.31),
        "tumour": (0.20, 0.46),
        "fat": (0.29, 0.76),
        "muscle": (0.02, 0.10),
        "marrow": (0.20, 0.48),
    },
    ("etz", "ceT1"): {
        "CSF": (0.33, 0.45),
        "tumour": (2.0, 2.0),
        "fat": (1.8, 1.8),
        "vein": (2.2, 2.2),
        "artery": (2.8, 3.0),
        "muscle": (1.2, 1.4),
        "mucosa": (1.7, 1.7),
    },
    ("ldn", "ceT1"): {
        "CSF": (0.35, 0.35),
        "tumour": (1.4, 2.1),
        "fat": (2.1, 2.4),
        "artery": (2.2, 2.2),
        "muscle": (1.1, 1.1),
    },
    ("ukm", "ceT1"): {
        "CSF": (0.26, 0.31),
        "tumour": (1.74, 2.03),
        "fat": (2.1, 2.4),
        "muscle": (1.03, 1.09),
        "marrow": (1.62, 1.9),
        "mucosa": (1.76, 2.07),
    },
}
# London's CISS pictures were measured; a quarter of its hrT2 are spin echoes.
MEASURED_SEQUENCE = {("ldn", "hrT2"): "BalancedSsfp"}

# Medians of the challenge's 227 labelled scans (mm3), and the spread of the logarithm over heads
# (radiosurgery series for tumours; extremes of the challenge's table for the others).
EXTRA_MM3, EXTRA_SPREAD = 1050.0, 1.3
INTRA_MM3, INTRA_SPREAD = 230.0, 0.65
COCHLEA_MM3, COCHLEA_SPREAD = 210.0, 0.25
COCHLEA_SIDE_MM3: Range = (60.0, 150.0)
APART_MM: Range = (70.0, 78.0)
APART_SPREAD = 0.05
# Quartiles of whole tumours: radiosurgery patients (340, 740, 1770) and the public contours
# (628, 1405, 3189).
QUARTILES_MM3: dict[int, Range] = {25: (340.0, 628.0), 50: (740.0, 1405.0), 75: (1770.0, 3189.0)}
TUMOUR_SPREAD = 1.22
# Share of a tumour that lies in the canal, by Koos grade; an estimate of its own.
INTRA_SHARES: dict[str, Range] = {
    "I": (0.85, 1.0),
    "II": (0.30, 0.70),
    "III": (0.08, 0.25),
    "IV": (0.03, 0.12),
}
INTRA_SHARE_SPREAD = 0.4

EDGE_VOXELS: Range = (1.0, 2.0)
EDGE_SPREAD = 0.2
RAYLEIGH: Range = (1.84, 1.99)  # 1.913, less what ghosts and rounding do to corners
RAYLEIGH_SPREAD = 0.01
# SD in clear CSF: on ceT1 over the noise, since it is flat there; on hrT2 over CSF itself, since
# eddies mottle it by more than the noise: 0.028 to 0.051 in a real slice, by how clear it is.
CSF_NOISE: Range = (0.8, 1.5)
CSF_NOISE_SPREAD = 0.15
CSF_MOTTLE: Range = (0.015, 0.06)
CSF_MOTTLE_SPREAD = 0.4
SLOPE: Range = (-3.5, -2.5)
SLOPE_SD = 0.2
SNR: dict[tuple[str, str], Range] = {
    ("hrT2", "brain"): (8.0, 25.0),
    ("hrT2", "CSF"): (30.0, 80.0),
    ("ceT1", "brain"): (15.0, 40.0),
}
SNR_SPREAD = 0.35
LEAST_P = 0.01  # of a fair coin's result, for the sides of tumours


@dataclass(frozen=True)
class Check:
    """One line of the list: what was measured, what is wanted, what so few cases allow."""

    name: str
    measured: float | None  # none where no case shows it
    wanted: Range
    allowed: Range
    count: int  # cases that were measured

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        if not self.allowed[0] <= self.measured <= self.allowed[1]:
            return "OUT"
        return "ok" if self.wanted[0] <= self.measured <= self.wanted[1] else "within chance"


def about(value: float, tolerance: float) -> Range:
    return value * (1 - tolerance), value * (1 + tolerance)


def tolerant(wanted: Range, tolerance: float) -> Range:
    return wanted[0] * (1 - tolerance), wanted[1] * (1 + tolerance)


def by_chance(wanted: Range, spread: float, count: int) -> Range:
    """``wanted`` (positive) widened by what the median of ``count`` cases strays.

    ``spread`` is the known SD of a case's logarithm, not that of the cohort at hand: a cohort
    that scatters too much must not excuse itself. The median of n cases then lies within
    exp(+-1.96 * 1.25 * spread / sqrt(n)) of the true one in 95 of 100 cohorts.
    """
    factor = math.exp(MOST * MEDIAN_FACTOR * spread / math.sqrt(max(count, 1)))
    return wanted[0] / factor, wanted[1] * factor


def by_chance_added(wanted: Range, sd: float, count: int) -> Range:
    """The same for a number that may be negative, by its SD."""
    more = MOST * MEDIAN_FACTOR * sd / math.sqrt(max(count, 1))
    return wanted[0] - more, wanted[1] + more
