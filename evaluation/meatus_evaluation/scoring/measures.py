"""What is measured of a structure: each measure with its formula, unit, direction and wording.

To add one, write its entry in ``MEASURES`` and its definition in ``docs/evaluation.md``: tables on
the terminal, CSV, JSON, the report, ``rank`` and ``compare`` take it from here.

Empty masks, for every measure with a ``failed`` value: where one of the two is empty, that value
stands, as crossMoDA scores an empty prediction (Dice 0, distances ``EMPTY_MM``). Where both are
empty they agree: 1 where more is better, 0 where less is. (MedPy gives Dice 1 there since 0.5, 0
before, and refuses distances to empty masks.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from meatus_evaluation.scoring.surface import (
    EMPTY_MM,
    Distances,
    Mask,
    Spacing,
    mean_mm,
    mean_of_means_mm,
    percentile_95_mm,
    share_within,
    surface_distances,
)

NONE = "-"  # stands for an undefined number
DICE, ASSD = "dice", "assd_mm"  # what the challenge ranks by


@dataclass(frozen=True)
class MaskPair:
    """One structure's two masks (Z, Y, X); what several measures need is computed once."""

    found: Mask  # of the prediction
    truth: Mask  # of the reference
    spacing_mm: Spacing

    @cached_property
    def voxels(self) -> tuple[int, int]:
        return int(np.count_nonzero(self.found)), int(np.count_nonzero(self.truth))

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    @property
    def found_mm3(self) -> float:
        return self.voxels[0] * self.voxel_mm3

    @property
    def truth_mm3(self) -> float:
        return self.voxels[1] * self.voxel_mm3

    @cached_property
    def distances(self) -> Distances:
        """Between the surfaces of two masks that are not empty."""
        apart = surface_distances(self.found, self.truth, self.spacing_mm)
        assert apart is not None, "asked for where a mask is empty"
        return apart


@dataclass(frozen=True)
class Measure:
    """One number of a structure, and all that the tables have to know of it."""

    name: str  # in files
    title: str
    unit: str  # empty: a share from 0 to 1
    better: Literal["higher", "lower", "neither"]
    function: Callable[[MaskPair], float | None]  # None: undefined
    failed: float | None = None  # of an empty prediction; None: as the function says
    digits: int = 3
    definition: str = ""  # in the foot of the report; the whole is in docs/evaluation.md
    short: str = ""  # on a terminal, where that differs
    columns: tuple[str, ...] = ()  # as score tables call it; rank and compare by the first
    is_ranked: bool = False  # by the challenge; printed of each site too
    is_main: bool = True  # in the report's summary and box plots
    is_printed: bool = True  # on the terminal; files have all measures

    @property
    def head(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def terminal_head(self) -> str:
        return self.short or self.head

    @property
    def is_share(self) -> bool:
        return not self.unit

    def text(self, value: float | None) -> str:
        """The number alone; the unit stands in the column's head."""
        if value is None or math.isnan(value):
            return NONE
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"  # 0, not -0

    def of(self, pair: MaskPair) -> float | None:
        """The measure, or what stands for it where a mask, or both, are empty."""
        if self.failed is not None and not all(pair.voxels):
            agreed = 1.0 if self.better == "higher" else 0.0
            return self.failed if any(pair.voxels) else agreed
        return self.function(pair)


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the shared voxels over the sum of both masks' voxels (Dice 1945), in [0, 1]."""
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(prediction & reference)) / total


def volume_error_percent(pair: MaskPair) -> float | None:
    """Of the reference; None where that is empty."""
    if not pair.truth_mm3:
        return None
    return 100 * (pair.found_mm3 - pair.truth_mm3) / pair.truth_mm3


_ALL = (
    Measure(
        DICE, "Dice", "", "higher", lambda pair: dice(pair.found, pair.truth), failed=0.0,
        definition="twice the shared voxels over the voxels of both masks; 1 is best.",
        columns=("dice", "dsc", "dc"), is_ranked=True,
    ),
    Measure(
        ASSD, "ASSD", "mm", "lower", lambda pair: mean_mm(pair.distances), failed=EMPTY_MM,
        definition="average symmetric surface distance: the mean of the distances from each "
        "surface voxel of either mask to the nearest one of the other; as MedPy 0.5.2.",
        columns=("assd", "assd_mm"), is_ranked=True,
    ),
    Measure(
        "assd_means_mm", "ASSD, mean of means", "mm", "lower",
        lambda pair: mean_of_means_mm(pair.distances), failed=EMPTY_MM,
        definition="the mean of both directions' means; as MedPy up to 0.4.0, with which the "
        "challenges were scored.",
        is_main=False, is_printed=False,
    ),
    Measure(
        "hd95_mm", "HD95", "mm", "lower", lambda pair: percentile_95_mm(pair.distances),
        failed=EMPTY_MM, digits=2, definition="the 95th percentile of the same distances.",
        columns=("hd95", "hd95_mm"),
    ),
    Measure(
        "surface_dice", "surface Dice at 1 mm", "", "higher",
        lambda pair: share_within(pair.distances), failed=0.0, short="surface Dice, 1 mm",
        definition="the share of both masks' surface voxels that lie within 1 mm of the other "
        "surface.",
        columns=("nsd", "nsd_1mm", "surface_dice", "surface_dice_1mm", "normalised_surface_dice"),
    ),
    Measure(
        "volume_mm3", "volume", "mm³", "neither", lambda pair: pair.found_mm3, digits=0,
        is_main=False, is_printed=False,
    ),
    Measure(
        "reference_mm3", "reference volume", "mm³", "neither", lambda pair: pair.truth_mm3,
        digits=0, is_main=False, is_printed=False,
    ),
    Measure(
        "volume_error_mm3", "volume error", "mm³", "neither",
        lambda pair: pair.found_mm3 - pair.truth_mm3, digits=0, short="volume error, mm3",
        definition="result minus reference; in per cent of the reference.", is_main=False,
    ),
    Measure(
        "volume_error_percent", "volume error", "%", "neither", volume_error_percent, digits=1,
    ),
)  # fmt: skip
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}


def ranked_by(metric: str) -> Measure:
    """The measure that score tables call ``metric``; see ``Measure.columns``."""
    return next(one for one in MEASURES.values() if one.columns[:1] == (metric,))
