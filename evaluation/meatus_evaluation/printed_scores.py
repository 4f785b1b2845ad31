"""Scores and their summary as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from meatus_evaluation.match import Matched
from meatus_evaluation.metrics import StructureScore
from meatus_evaluation.printed import listed, print_table, say
from meatus_evaluation.score import CaseScore
from meatus_evaluation.summary import BOUNDARY, OVERALL, GroupSummary, Statistics

TITLES = {
    "extra_meatal": "extra-meatal",
    "intra_meatal": "intra-meatal",
    "whole_vs": "whole VS",
    "cochlea": "cochlea",
    BOUNDARY: "boundary",
}
# The name and the decimals of each measure that is printed; files have all of them.
MEASURES = {
    "dice": ("Dice", 3),
    "assd_mm": ("ASSD, mm", 3),
    "hd95_mm": ("HD95, mm", 2),
    "surface_dice": ("surface Dice, 1 mm", 3),
    "volume_error_mm3": ("volume error, mm3", 0),
    "volume_error_percent": ("volume error, %", 1),
}
OF_SITES = ("dice", "assd_mm")  # printed of each site; the others overall alone


def print_scores(scores: Sequence[CaseScore]) -> None:
    """Dice and ASSD of each case and structure, and the boundary's ASSD."""
    names = list(scores[0].structures)
    bounded = scores[0].boundary_assd_mm is not None
    table = Table("case", title="Dice and ASSD in mm")
    for name in names:
        table.add_column(f"{TITLES[name]}\n Dice    ASSD", no_wrap=True)
    if bounded:
        table.add_column("boundary\n   ASSD", no_wrap=True, justify="right")
    for entry in scores:
        cells = [_score_cell(entry.structures[name], entry.failure) for name in names]
        cells += [f"{entry.boundary_assd_mm:.3f}"] if bounded else []
        table.add_row(entry.case, *cells)
    print_table(table)
    if any(cell.outcome == "absent" for entry in scores for cell in entry.structures.values()):
        say("absent: in neither map, which counts as Dice 1 and ASSD 0")


def print_summary(groups: Sequence[GroupSummary]) -> None:
    """Of all cases first, then of each site."""
    for group in groups:
        print_table(_statistics_table(group))
    print_table(_counts_table(groups))


def print_unmatched(matched: Matched) -> None:
    """Predictions that no reference asks for are no failures, but may be misnamed."""
    if matched.unmatched:
        names = [file.name for file in matched.unmatched]
        say(f"without a reference, not scored: {len(names)} ({listed(names)})")


def _score_cell(score: StructureScore, failure: str | None) -> str:
    if score.outcome == "absent" and failure is None:
        return "absent"
    return f"{score.dice:.3f} {score.assd_mm:7.3f}"


def _statistics_table(group: GroupSummary) -> Table:
    counts = f"{_counted(group.cases, 'case')}, {_counted(len(group.failures), 'failure')}"
    title = f"{_group_name(group)}: {counts}"
    table = Table("structure", "measure", title=title)
    for name in ("cases", "mean", "SD", "95 % of the mean", "median", "quartiles"):
        table.add_column(name, justify="right")
    shown = MEASURES if group.group == OVERALL else OF_SITES
    for structure, measures in group.measures.items():
        for measure in (name for name in shown if name in measures):
            label, digits = MEASURES[measure]
            cells = _statistics_cells(measures[measure], digits)
            table.add_row(TITLES[structure], label, *cells)
    return table


def _statistics_cells(found: Statistics, digits: int) -> list[str]:
    return [
        str(found.count),
        _number(found.mean, digits),
        _number(found.sd, digits),
        _range(found.mean_low, found.mean_high, digits),
        _number(found.median, digits),
        _range(found.lower_quartile, found.upper_quartile, digits),
    ]


def _counts_table(groups: Sequence[GroupSummary]) -> Table:
    table = Table("cases of", "structure", title="In how many cases; false parts in all")
    for name in ("found", "missed", "falsely found", "absent", "false parts"):
        table.add_column(name, justify="right")
    for group in groups:
        for structure, count in group.counts.items():
            numbers = (count.found, count.missed, count.falsely_found, count.absent)
            cells = (str(number) for number in (*numbers, count.false_positives))
            table.add_row(_group_name(group), TITLES[structure], *cells)
    return table


def _group_name(group: GroupSummary) -> str:
    return "all sites" if group.group == OVERALL else group.group


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _range(low: float | None, high: float | None, digits: int) -> str:
    return "-" if low is None else f"{_number(low, digits)} to {_number(high, digits)}"
