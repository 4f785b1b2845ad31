"""The course of one patient's tumour on a sheet of paper.

Loads matplotlib, so import it only where it is wanted.
"""

from __future__ import annotations

from pathlib import Path

from meatus.atomic import written_whole
from meatus.report.plotting import Axes, Figure, pdf_pages
from meatus_evaluation.report.growth_tables import course_lines, verdict_words
from meatus_evaluation.studies.follow_up import Course
from meatus_evaluation.studies.growth import GROWTH_MM, GROWTH_SHARE, Z95

WIDTH, HEIGHT = 8.27, 11.69  # inches, A4
LEFT, LINE = 0.09, 0.019  # shares of the page
ROWS = 17  # dates that fit below the curves; more are on the page and in JSON
INK, BAND, LIMIT = "#0b3d73", "#bcd6f2", "#a31621"
COLUMNS = {"date": 0.09, "volume, mm³": 0.24, "diameter, mm": 0.42, "side": 0.58, "verdict": 0.68}
FOOTER = "Research software, not for clinical use. Bars and band: 95 % of each measurement."


def write_growth_pdf(found: Course, out: Path) -> None:
    """Write one page, whole or not at all. Raises ``OutputError`` where it cannot be written."""
    figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    figure.text(LEFT, 0.95, "Growth of the tumour", size=16)
    for number, line in enumerate(course_lines(found)):
        figure.text(LEFT, 0.925 - number * LINE, line, size=9)
    points = [visit.point for visit in found.visits]
    volumes = [(point.volume_mm3, point.volume_sd_mm3) for point in points]
    diameters = [(point.diameter_mm, point.diameter_sd_mm) for point in points]
    _draw(figure, 0.63, found, volumes, "Volume, mm³", (1 + GROWTH_SHARE) * volumes[0][0])
    name = "Largest axial\nextra-meatal diameter, mm"
    _draw(figure, 0.39, found, diameters, name, diameters[0][0] + GROWTH_MM)
    _table(figure, found)
    figure.text(LEFT, 0.03, FOOTER, size=8, color="0.35")
    with written_whole(out) as unfinished, pdf_pages(unfinished, "Growth") as pages:
        pages.savefig(figure)


def _draw(
    figure: Figure,
    foot: float,
    found: Course,
    values: list[tuple[float, float]],
    name: str,
    limit: float,
) -> None:
    axes: Axes = figure.add_axes((0.13, foot, 0.8, 0.19))
    years = [visit.day.toordinal() for visit in found.visits]
    middle = [value for value, _ in values]
    reach = [Z95 * sd for _, sd in values]
    low = [max(value - half, 0) for value, half in zip(middle, reach, strict=True)]
    high = [value + half for value, half in zip(middle, reach, strict=True)]
    axes.fill_between(years, low, high, color=BAND, linewidth=0)
    below = [value - end for value, end in zip(middle, low, strict=True)]
    axes.errorbar(years, middle, [below, reach], color=INK, marker="o", capsize=3, linewidth=1.5)
    if middle[0] > 0:
        axes.axhline(limit, color=LIMIT, linestyle="--", linewidth=1)
        axes.annotate(
            "growth since the first date", (0.99, limit), (0, 3), size=7, color=LIMIT, ha="right",
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip
    axes.set_ylabel(name, size=9)
    axes.set_ylim(bottom=0, top=1.15 * max(*high, limit if middle[0] else 0.0, 1e-6))
    days = [visit.day for visit in found.visits]
    shown = days if len(days) <= 6 else [days[0], days[len(days) // 2], days[-1]]
    axes.set_xticks([day.toordinal() for day in shown], [str(day) for day in shown], size=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")


def _table(figure: Figure, found: Course) -> None:
    top = 0.34
    for head, x in COLUMNS.items():
        figure.text(x, top, head, size=9, color="0.35")
    rows = list(zip(found.visits, (None, *found.steps), strict=True))
    for number, (visit, step) in enumerate(rows[-ROWS:], 1):
        point = visit.point
        cells = (
            str(visit.day),
            f"{point.volume_mm3:.0f} ± {point.volume_sd_mm3:.0f}",
            f"{point.diameter_mm:.1f} ± {point.diameter_sd_mm:.1f}",
            point.side,
            verdict_words(step.verdict, step.certain) if step else "first",
        )
        for text, x in zip(cells, COLUMNS.values(), strict=True):
            figure.text(x, top - number * LINE * 0.85, text, size=8.5)
    if len(rows) > ROWS:
        text = f"the last {ROWS} of {len(rows)} dates"
        figure.text(LEFT, top - (ROWS + 1) * LINE * 0.85, text, size=8, color="0.35")
