"""Growth on a terminal: of two label maps, and of all dates of a patient."""

from __future__ import annotations

from rich.table import Table

from meatus_evaluation.report.terminal_tables import print_table, say
from meatus_evaluation.studies.follow_up import Course
from meatus_evaluation.studies.growth import Change, Growth, TimePoint

NOT_CLINICAL = "(not for clinical use)"


def print_growth(found: Growth) -> None:
    """Both time points, what changed, and the verdict in words."""
    points = Table("", "volume, mm3", "largest extra-meatal diameter, mm", "side")
    points.title = "Measured, with one standard deviation"
    for name, point in (("earlier", found.earlier), ("later", found.later)):
        points.add_row(name, *_point_cells(point))
    print_table(points)
    changes = Table("change", "in all", "95 %", "a year", "verdict")
    changes.add_row("volume, mm3", *_change_cells(found.volume_mm3, 1, 0))
    if found.volume_share:
        share = found.volume_share
        verdict = verdict_words(share.verdict, share.certain)
        changes.add_row("volume, %", *_change_cells(share, 100, 1), verdict)
    verdict = verdict_words(found.diameter_mm.verdict, found.diameter_mm.certain)
    changes.add_row("diameter, mm", *_change_cells(found.diameter_mm, 1, 2), verdict)
    print_table(changes)
    if found.years is None:
        say("no dates given: no change per year")
    if found.earlier.side != found.later.side:
        say(f"look twice: tumour side {found.earlier.side}, then {found.later.side}")
    say(f"verdict: {verdict_words(found.verdict, found.certain)} {NOT_CLINICAL}")


def _change_cells(change: Change, scale: float, digits: int) -> list[str]:
    numbers = (change.value, change.low, change.high, change.per_year)
    total, low, high, yearly = (
        "-" if value is None else f"{value * scale:+.{digits}f}" for value in numbers
    )
    return [total, f"{low} to {high}", yearly]


def verdict_words(verdict: str, certain: bool) -> str:
    """Certain: the whole 95 % interval says so."""
    return verdict if certain else f"{verdict}, not certain"


def print_course(found: Course) -> None:
    """Each date, what changed since the one before, and the verdict since the first."""
    table = Table("date", "volume, mm3", "diameter, mm", "side", "volume, %", "95 %", "verdict")
    table.title = "Measured, with one standard deviation; change and verdict since the date before"
    table.add_row(str(found.visits[0].day), *_point_cells(found.visits[0].point), "", "", "")
    for visit, step in zip(found.visits[1:], found.steps, strict=True):
        share = step.volume_share
        cells = _change_cells(share, 100, 1)[:2] if share else ["-", "-"]
        verdict = verdict_words(step.verdict, step.certain)
        table.add_row(str(visit.day), *_point_cells(visit.point), *cells, verdict)
    print_table(table)
    for line in course_lines(found):
        say(line)


def course_lines(found: Course) -> list[str]:
    """What all dates say together; also on the page and on paper."""
    first, last = found.visits[0].day, found.visits[-1].day
    lines = []
    sides = list(dict.fromkeys(visit.point.side for visit in found.visits))
    if len(sides) > 1:
        lines.append(f"look twice: tumour side {', then '.join(sides)}")
    yearly = found.whole.diameter_mm.per_year or 0.0
    share = found.whole.volume_share
    if share is not None:
        change = (
            f"volume {100 * share.value:+.0f} %, diameter {found.whole.diameter_mm.value:+.1f} mm"
        )
        lines.append(f"from {first} to {last}: {change}, {yearly:+.1f} mm a year")
    verdict = verdict_words(found.whole.verdict, found.whole.certain)
    return [*lines, f"verdict since {first}: {verdict} {NOT_CLINICAL}"]


def _point_cells(point: TimePoint) -> tuple[str, str, str]:
    return (
        f"{point.volume_mm3:.0f} ± {point.volume_sd_mm3:.0f}",
        f"{point.diameter_mm:.1f} ± {point.diameter_sd_mm:.1f}",
        point.side,
    )
