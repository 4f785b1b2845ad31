"""The report: one HTML file that needs no network and nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meatus.atomic import write_whole
from meatus.report.html.page import Table, render
from meatus_evaluation.report.html import box_plots, tables
from meatus_evaluation.report.labels import counted, definitions, shortcomings
from meatus_evaluation.report.worst import mean_dice, scheme_of, worst_first
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.measures import MEASURES
from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.summary import summarise

if TYPE_CHECKING:
    from meatus_evaluation.report.pictures import Drawing

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class WorstCase:
    score: CaseScore
    mean_dice: float
    drawings: tuple[Drawing, ...]
    notes: tuple[str, ...]


def write_report(
    scores: Sequence[CaseScore],
    pairs: Sequence[Pair],
    html_file: Path,
    scans: Path | None = None,
    worst: int = 10,
) -> None:
    """Write the report of at least one case, whole or not at all.

    ``pairs`` are those that were scored; the ``worst`` cases of them are drawn, over their scans
    where the folder ``scans`` holds them. Raises ``UsageError`` where that cannot be read, and
    ``OutputError`` where the file cannot be written.
    """
    ordered = worst_first(scores)
    failures = [entry for entry in ordered if entry.failure is not None]
    scored = [entry for entry in ordered if entry.failure is None]
    groups = summarise(scores)
    values = {
        "about": _about(scores),
        "missed": tables.missed_table(scores),
        "failures": tables.failure_table(failures),
        "glance": tables.glance_table(groups),
        "groups": [tables.statistics_table(n, group) for n, group in enumerate(groups)],
        "plots": _plots(ordered),
        "worst": _worst_cases(scored[:worst], pairs, scans),
        "undrawn": len(failures),
        "cases": _case_tables(ordered),
        "definitions": definitions(),
        "box_plots": box_plots,
    }
    write_whole(html_file, render("page.html.jinja", values, FOLDER))


def _plots(ordered: list[CaseScore]) -> dict[str, list[box_plots.Plot]]:
    main = [measure for measure in MEASURES.values() if measure.is_main]
    return {measure.head: box_plots.box_plots(measure, ordered) for measure in main}


def _about(scores: Sequence[CaseScore]) -> dict[str, str]:
    sites = sorted({entry.site for entry in scores})
    return {
        "cases": counted(len(scores), "case"),
        "sites": f"{counted(len(sites), 'site')}: {', '.join(sites)}",
        "scheme": f"labels of {scheme_of(scores[0])}",
        "bad": ", ".join(shortcomings(scores)),
    }


def _case_tables(ordered: list[CaseScore]) -> list[Table]:
    found = [tables.case_table(name, _by_dice(name, ordered)) for name in ordered[0].structures]
    boundary = tables.boundary_table(ordered)
    return [*found, boundary] if boundary.rows else found


def _by_dice(structure: str, ordered: list[CaseScore]) -> list[CaseScore]:
    return sorted(ordered, key=lambda e: (e.failure is None, e.structures[structure].dice))


def _worst_cases(
    worst: Sequence[CaseScore], pairs: Sequence[Pair], scans: Path | None
) -> list[WorstCase]:
    if not worst:
        return []
    # matplotlib only where pictures are wanted
    from meatus_evaluation.report.pictures import draw_pair, find_scans

    by_case = {pair.case: pair for pair in pairs}
    own = find_scans(scans, pairs) if scans else {}
    found = []
    for entry in worst:
        drawn = draw_pair(by_case[entry.case], scheme_of(entry), own.get(entry.case))
        lacking = ("No scan of this case was found.",) if scans and entry.case not in own else ()
        notes = (*lacking, *drawn.notes)
        found.append(WorstCase(entry, mean_dice(entry), drawn.drawings, notes))
    return found
