"""Curves over dates with their 95 % intervals, as drawings of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from meatus_evaluation.report.html.box_plots import scale
from meatus_evaluation.studies.follow_up import Course
from meatus_evaluation.studies.growth import GROWTH_MM, GROWTH_SHARE, Z95

# The drawing, in its own units.
WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, FOOT = 56, 24, 14, 34
LEAST_APART = 110  # between two dates on the axis, so that they do not run into one another


@dataclass(frozen=True)
class Mark:
    """One date's value and its interval, where the drawing has them."""

    x: float
    y: float
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Curve:
    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]  # y and text
    days: tuple[tuple[float, str, str], ...]  # x, text, and where the text is anchored
    limit: float | None  # y of what is growth since the first date
    limit_words: str

    @property
    def line(self) -> str:
        return " ".join(f"{mark.x},{mark.y}" for mark in self.marks)

    @property
    def band(self) -> str:
        upper = [f"{mark.x},{mark.high}" for mark in self.marks]
        lower = [f"{mark.x},{mark.low}" for mark in reversed(self.marks)]
        return " ".join((*upper, *lower))

    @property
    def words(self) -> str:
        """The curve for who cannot see it."""
        return f"{self.title}: {'; '.join(mark.words for mark in self.marks)}."


def curves(found: Course) -> tuple[Curve, Curve]:
    """Of volume and of diameter."""
    days = [visit.day for visit in found.visits]
    points = [visit.point for visit in found.visits]
    volumes = [(point.volume_mm3, point.volume_sd_mm3) for point in points]
    diameters = [(point.diameter_mm, point.diameter_sd_mm) for point in points]
    return (
        _curve(
            "Volume, mm³", days, volumes, 0, (1 + GROWTH_SHARE) * volumes[0][0],
            f"{GROWTH_SHARE:.0%} above the first",
        ),
        _curve(
            "Largest axial extra-meatal diameter, mm", days, diameters, 1,
            diameters[0][0] + GROWTH_MM, f"{GROWTH_MM:g} mm above the first",
        ),
    )  # fmt: skip


def _curve(
    title: str,
    days: Sequence[date],
    values: Sequence[tuple[float, float]],
    digits: int,
    limit: float,
    limit_words: str,
) -> Curve:
    """``values`` are means with one standard deviation each."""
    tops = [value + Z95 * sd for value, sd in values]
    limit_shown = values[0][0] > 0
    ticks = scale(0.0, max(*tops, limit if limit_shown else 0.0, 1e-6))

    def y(value: float) -> float:
        share = min(max(value, 0.0), ticks[-1]) / ticks[-1]
        return round(HEIGHT - FOOT - share * (HEIGHT - FOOT - TOP), 1)

    span = (days[-1] - days[0]).days

    def x(day: date) -> float:
        return round(LEFT + (day - days[0]).days / span * (WIDTH - LEFT - RIGHT), 1)

    marks = tuple(
        Mark(
            x(day), y(value), y(value - Z95 * sd), y(value + Z95 * sd),
            f"{day}: {value:.{digits}f}, 95 % from {max(value - Z95 * sd, 0):.{digits}f} "
            f"to {value + Z95 * sd:.{digits}f}",
        )
        for day, (value, sd) in zip(days, values, strict=True)
    )  # fmt: skip
    return Curve(
        title,
        marks,
        tuple((y(tick), f"{tick:g}") for tick in ticks),
        _labels([(x(day), str(day)) for day in days]),
        y(limit) if limit_shown else None,
        limit_words,
    )


def _labels(days: Sequence[tuple[float, str]]) -> tuple[tuple[float, str, str], ...]:
    """The first and the last date, and those between that have room."""
    shown = [days[0]]
    for one in days[1:-1]:
        if min(one[0] - shown[-1][0], days[-1][0] - one[0]) >= LEAST_APART:
            shown.append(one)
    anchors = ["start", *["middle"] * (len(shown) - 1), "end"]
    return tuple((x, text, how) for (x, text), how in zip([*shown, days[-1]], anchors, strict=True))
