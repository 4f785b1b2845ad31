"""What structures and measures are called in the report, and how their numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meatus_evaluation.summary import BOUNDARY, OVERALL

NONE = "-"  # stands for an undefined number

STRUCTURES = {
    "extra_meatal": "extra-meatal VS",
    "intra_meatal": "intra-meatal VS",
    "whole_vs": "whole VS",
    "cochlea": "cochlea",
    BOUNDARY: "boundary",
}


@dataclass(frozen=True)
class Measure:
    """A field of ``StructureScore``."""

    field: str
    title: str
    unit: str
    digits: int

    @property
    def head(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def text(self, value: float | None) -> str:
        """The number alone; the unit stands in the column's head."""
        if value is None or math.isnan(value):
            return NONE
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"  # 0, not -0


DICE = Measure("dice", "Dice", "", 3)
ASSD = Measure("assd_mm", "ASSD", "mm", 3)
HD95 = Measure("hd95_mm", "HD95", "mm", 2)
SURFACE_DICE = Measure("surface_dice", "surface Dice at 1 mm", "", 3)
VOLUME_PERCENT = Measure("volume_error_percent", "volume error", "%", 1)
MEASURES = (
    DICE,
    ASSD,
    Measure("assd_means_mm", "ASSD, mean of means", "mm", 3),
    HD95,
    SURFACE_DICE,
    Measure("volume_mm3", "volume", "mm³", 0),
    Measure("reference_mm3", "reference volume", "mm³", 0),
    Measure("volume_error_mm3", "volume error", "mm³", 0),
    VOLUME_PERCENT,
)

# In the foot of the report; the whole is in docs/evaluation.md.
DEFINITIONS = {
    "Dice": "twice the shared voxels over the voxels of both masks; 1 is best.",
    "ASSD": "average symmetric surface distance: the mean of the distances from each surface "
    "voxel of either mask to the nearest one of the other; as MedPy 0.5.2.",
    "ASSD, mean of means": "the mean of both directions' means; as MedPy up to 0.4.0, with which "
    "the challenges were scored.",
    "HD95": "the 95th percentile of the same distances.",
    "Surface Dice at 1 mm": "the share of both masks' surface voxels that lie within 1 mm of the "
    "other surface.",
    "Volume error": "result minus reference; in per cent of the reference.",
    "Boundary": "ASSD between the predicted and the true border of intra- and extra-meatal part.",
    "Found, missed": "the reference has the structure, and the result shares a voxel with it, or "
    "none. Falsely found: the reference lacks it. Absent: both lack it.",
    "False positives": "connected parts of the result that share no voxel with the reference.",
    "Empty masks": "where one mask is empty, Dice is 0 and distances are 350 mm, as in the "
    "challenge; where both are, Dice is 1 and distances are 0.",
    "Failures": "cases without a usable result. They count as empty results, also for structures "
    "that the reference lacks.",
    "95 % of the mean": "bootstrap interval of the mean over cases, percentile method, 2000 "
    "resamples.",
    "Box plots": "quartiles and median; whiskers to the furthest value within 1.5 interquartile "
    "ranges of the box; further values are dots, and those beyond the scale are counted at its "
    "end.",
}


def group_name(group: str) -> str:
    """Of a site, or of all of them together."""
    return "all sites" if group == OVERALL else group


def counted(number: int, one: str, more: str = "") -> str:
    """``2 cases``"""
    return f"{number} {one if number == 1 else more or one + 's'}"
