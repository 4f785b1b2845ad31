"""Box plots (Tukey, Exploratory Data Analysis, 1977) per structure, measure and site."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meatus_evaluation.report.labels import STRUCTURES, group_name
from meatus_evaluation.scoring.measures import ASSD, Measure
from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.summary import BOUNDARY, OVERALL

REACH = 1.5  # whiskers, in interquartile ranges
TICKS = 5  # about as many on a scale
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

# The drawing, in its own units: names of sites, then the scale, with room at both ends for counts
# of values beyond it.
WIDTH, NAMES, ENDS, ROW, AXIS = 340, 64, 28, 24, 22

Values = dict[str, float]  # by case


@dataclass(frozen=True)
class Box:
    """One site's values."""

    group: str
    count: int
    low: float  # end of the whisker
    lower: float  # quartile
    median: float
    upper: float
    high: float
    outliers: tuple[tuple[str, float], ...]  # case and value


@dataclass(frozen=True)
class Plot:
    """One structure and measure; a row per site, on one scale."""

    title: str
    measure: Measure
    boxes: tuple[Box, ...]
    ticks: tuple[float, ...]
    start: float  # of the scale
    end: float

    @property
    def height(self) -> int:
        return ROW * len(self.boxes) + AXIS

    def x(self, value: float) -> float:
        """Where a value lies in the drawing."""
        share = (value - self.start) / (self.end - self.start)
        return round(NAMES + ENDS + share * (WIDTH - NAMES - 2 * ENDS), 2)

    def drawn(self, box: Box) -> list[tuple[str, float]]:
        return [point for point in box.outliers if self.start <= point[1] <= self.end]

    def below(self, box: Box) -> list[tuple[str, float]]:
        return [point for point in box.outliers if point[1] < self.start]

    def beyond(self, box: Box) -> list[tuple[str, float]]:
        return [point for point in box.outliers if point[1] > self.end]

    @property
    def words(self) -> str:
        """The plot for who cannot see it."""
        text = self.measure.text
        told = (
            f"{box.group}: median {text(box.median)}, quartiles {text(box.lower)} to "
            f"{text(box.upper)}, {box.count} cases"
            for box in self.boxes
        )
        return f"{self.title}, {self.measure.head}. {'; '.join(told)}."


def box_plots(measure: Measure, scores: Sequence[CaseScore]) -> list[Plot]:
    """One plot per structure that has the measure."""
    structures = list(scores[0].structures)
    by_structure = {name: _values(measure, name, scores) for name in structures}
    if measure.name == ASSD:
        boundary = {e.case: e.boundary_assd_mm for e in scores if e.boundary_assd_mm is not None}
        by_structure[BOUNDARY] = boundary
    sites = {entry.case: entry.site for entry in scores}
    return [
        _plot(STRUCTURES[name], measure, values, sites)
        for name, values in by_structure.items()
        if values
    ]


def box(group: str, values: Values) -> Box:
    """Quartiles interpolated linearly, as in the summary; whiskers end no nearer than they."""
    ordered = np.sort(np.array(list(values.values())))
    lower, median, upper = (float(q) for q in np.percentile(ordered, [25, 50, 75]))
    reach = REACH * (upper - lower)
    inside = ordered[(ordered >= lower - reach) & (ordered <= upper + reach)]
    low, high = min(float(inside.min()), lower), max(float(inside.max()), upper)
    outliers = tuple((c, v) for c, v in values.items() if not low <= v <= high)
    return Box(group, len(values), low, lower, median, upper, high, outliers)


def scale(low: float, high: float) -> tuple[float, ...]:
    """About ``TICKS`` round numbers, the first at or below ``low``, the last at or above."""
    high = high if high > low else low + 1
    rough = (high - low) / (TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in STEPS if one * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 10) for number in range(first, last + 1))


def _values(measure: Measure, structure: str, scores: Sequence[CaseScore]) -> Values:
    found = {e.case: e.structures[structure][measure.name] for e in scores}
    return {case: value for case, value in found.items() if value is not None}


def _plot(title: str, measure: Measure, values: Values, sites: dict[str, str]) -> Plot:
    """The scale holds every whisker; one far value must not press all boxes flat."""
    names = sorted({sites[case] for case in values})
    groups = {OVERALL: values}
    if len(set(sites.values())) > 1:
        groups |= {n: {c: v for c, v in values.items() if sites[c] == n} for n in names}
    boxes = tuple(box(group_name(name), members) for name, members in groups.items())
    low, high = min(0.0, *(b.low for b in boxes)), max(0.0, *(b.high for b in boxes))
    ticks = scale(0, 1) if measure.is_share else scale(low, high)
    return Plot(title, measure, boxes, ticks, ticks[0], ticks[-1])
