"""The course of one patient's tumour as a page; it names dates, and neither files nor patients."""

from __future__ import annotations

from pathlib import Path

from meatus.atomic import write_whole
from meatus.report.html.page import Cell, Table, number, render
from meatus_evaluation.report.growth_tables import course_lines, verdict_words
from meatus_evaluation.report.html import curves
from meatus_evaluation.studies.follow_up import Course, Visit
from meatus_evaluation.studies.growth import Growth

FOLDER = Path(__file__).parent
HEADS = (
    "date", "volume, mm³", "SD", "diameter, mm", "SD", "side", "volume since before, %",
    "diameter since before, mm", "verdict",
)  # fmt: skip


def write_growth_page(found: Course, out: Path) -> None:
    """Write the page, whole or not at all. Raises ``OutputError`` where it cannot be written."""
    steps = (None, *found.steps)
    rows = tuple(_row(visit, step) for visit, step in zip(found.visits, steps, strict=True))
    values = {
        "verdict": verdict_words(found.whole.verdict, found.whole.certain),
        "lines": course_lines(found),
        "curves": curves.curves(found),
        "drawing": curves,
        "visits": Table("visits", "Each date, and the change since the one before", HEADS, rows),
    }
    write_whole(out, render("growth.html.jinja", values, FOLDER))


def _row(visit: Visit, step: Growth | None) -> tuple[Cell, ...]:
    point = visit.point
    share = step.volume_share if step else None
    return (
        Cell(str(visit.day)),
        number(point.volume_mm3),
        number(point.volume_sd_mm3),
        number(point.diameter_mm, 1),
        number(point.diameter_sd_mm, 1),
        Cell(point.side),
        number(100 * share.value if share else None, 1),
        number(step.diameter_mm.value if step else None, 1),
        Cell(verdict_words(step.verdict, step.certain) if step else "first"),
    )
