"""Tables of the report: heads, and rows of cells that know what they sort by."""

from __future__ import annotations

from collections.abc import Sequence

from meatus.report.html.page import Cell, Table, number
from meatus.service.path_scrubbing import without_folders
from meatus_evaluation.report.labels import STRUCTURES, counted, group_name
from meatus_evaluation.scoring.measures import ASSD, MEASURES, NONE, Measure
from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.summary import BOUNDARY, Counts, GroupSummary, Statistics

COUNT_HEADS = ("found", "missed", "false positive", "absent", "false parts")
STATISTICS_HEADS = ("cases", "mean", "SD", "median", "quartiles", "95 % of the mean")
CASE_HEADS = ("parts", "missed parts", "false positives", "false positives, mm³")


# What the page warns of where it is missed; the tumour's parts are parts of the whole.
OF_WEIGHT = ("whole_vs", "cochlea")


def failure_table(failures: Sequence[CaseScore]) -> Table:
    """Why there was nothing to score. Where files lie is not told: reports are passed on."""
    rows = tuple(
        (Cell(entry.case), Cell(entry.site), Cell(without_folders(entry.failure or "")))
        for entry in failures
    )
    return Table("failures", "Cases without a usable result", ("case", "site", "reason"), rows)


def missed_table(scores: Sequence[CaseScore]) -> Table:
    """Tumours and cochleas that usable results lack, the largest first."""
    found = [
        (entry, name, entry.structures[name]["reference_mm3"] or 0)
        for entry in scores
        for name in OF_WEIGHT
        if entry.failure is None and entry.structures[name].outcome == "missed"
    ]
    rows = tuple(
        (Cell(entry.case), Cell(entry.site), Cell(STRUCTURES[name]), number(mm3))
        for entry, name, mm3 in sorted(found, key=lambda one: -one[2])
    )
    heads = ("case", "site", "missed", "volume in the reference, mm³")
    return Table("missed", "Missed tumours and cochleas", heads, rows)


def glance_table(groups: Sequence[GroupSummary]) -> Table:
    """Means of the main measures and counts, a row per site and structure."""
    measures = tuple(measure.head for measure in _main())
    heads = ("site", "structure", "cases", *measures, *COUNT_HEADS)
    rows = tuple(_glance_row(group, structure) for group in groups for structure in group.measures)
    return Table("glance", "Mean ± standard deviation, and counts", heads, rows)


def statistics_table(number: int, group: GroupSummary) -> Table:
    """All statistics of one site, a row per structure and measure."""
    rows = tuple(
        (
            Cell(STRUCTURES[structure]),
            Cell(measure.head),
            *_statistics_cells(group.measures[structure][measure.name], measure),
        )
        for measure in MEASURES.values()
        for structure in group.measures
        if measure.name in group.measures[structure]
    )
    heads = ("structure", "measure", *STATISTICS_HEADS)
    failures = counted(len(group.failures), "failure")
    told = f"{group_name(group.group)}: {counted(group.cases, 'case')}, {failures}"
    return Table(f"statistics-{number}", told, heads, rows)


def case_table(structure: str, scores: Sequence[CaseScore]) -> Table:
    """Every case's numbers of one structure, in the order of ``scores``."""
    measured = (measure.head for measure in MEASURES.values())
    heads = ("case", "site", *measured, "outcome", *CASE_HEADS)
    rows = tuple(_case_row(entry, structure) for entry in scores)
    return Table(f"cases-{structure}", f"{STRUCTURES[structure]}, worst first", heads, rows)


def boundary_table(scores: Sequence[CaseScore]) -> Table:
    """Every case's distance between the borders of intra- and extra-meatal part."""
    assd = MEASURES[ASSD]
    known = [entry for entry in scores if entry.boundary_assd_mm is not None]
    rows = tuple(
        (Cell(entry.case), Cell(entry.site), _number(entry.boundary_assd_mm, assd))
        for entry in sorted(known, key=lambda entry: -(entry.boundary_assd_mm or 0))
    )
    title = "boundary of intra- and extra-meatal VS, worst first"
    return Table(f"cases-{BOUNDARY}", title, ("case", "site", assd.head), rows)


def _main() -> tuple[Measure, ...]:
    return tuple(measure for measure in MEASURES.values() if measure.is_main)


def _glance_row(group: GroupSummary, structure: str) -> tuple[Cell, ...]:
    found = group.measures[structure]
    means = (_mean_cell(found.get(measure.name), measure) for measure in _main())
    counts = _count_cells(group.counts.get(structure))
    names = (Cell(group_name(group.group)), Cell(STRUCTURES[structure]))
    return (*names, _count(group.cases), *means, *counts)


def _mean_cell(found: Statistics | None, measure: Measure) -> Cell:
    if found is None:
        return _number(None, measure)
    spread = "" if found.sd is None else f" ± {measure.text(found.sd)}"
    return Cell(measure.text(found.mean) + spread, found.mean, is_number=True)


def _count_cells(counts: Counts | None) -> tuple[Cell, ...]:
    if counts is None:
        return tuple(Cell(NONE, None, is_number=True) for _ in COUNT_HEADS)
    numbers = (counts.found, counts.missed, counts.false_positive, counts.absent)
    return tuple(_count(number) for number in (*numbers, counts.false_positives))


def _statistics_cells(found: Statistics, measure: Measure) -> tuple[Cell, ...]:
    quartiles = _range(found.lower_quartile, found.upper_quartile, measure)
    return (
        _count(found.count),
        *(_number(value, measure) for value in (found.mean, found.sd, found.median)),
        Cell(quartiles, found.lower_quartile, is_number=True),
        Cell(_range(found.mean_low, found.mean_high, measure), found.mean_low, is_number=True),
    )


def _case_row(entry: CaseScore, structure: str) -> tuple[Cell, ...]:
    score = entry.structures[structure]
    numbers = (_number(score[name], measure) for name, measure in MEASURES.items())
    outcome = score.outcome + (" (failure)" if entry.failure is not None else "")
    return (
        Cell(entry.case),
        Cell(entry.site),
        *numbers,
        Cell(outcome),
        *map(_count, (score.reference_parts, score.missed_parts, score.false_positives)),
        Cell(f"{score.false_positives_mm3:.0f}", score.false_positives_mm3, is_number=True),
    )


def _number(value: float | None, measure: Measure) -> Cell:
    return Cell(measure.text(value), value, is_number=True)


def _count(number: int) -> Cell:
    return Cell(str(number), number, is_number=True)


def _range(low: float | None, high: float | None, measure: Measure) -> str:
    return NONE if low is None else f"{measure.text(low)} to {measure.text(high)}"
