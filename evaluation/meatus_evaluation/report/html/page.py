"""The report: one HTML file that needs no network and nothing beside it.

Names of cases and messages come from files that may be called anything: the templates escape
every value. Should one slip through, the page's content security policy runs no script and takes
no style but its own two, known by their SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from meatus import __version__
from meatus.atomic import write_whole
from meatus_evaluation.ranking import RANKED_STRUCTURES
from meatus_evaluation.report.html import box_plots, tables
from meatus_evaluation.report.labels import counted, definitions
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.measures import MEASURES
from meatus_evaluation.scoring.score import CaseScore, Scheme
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
        "about": _about(scores, failures),
        "failures": tables.failure_table(failures),
        "glance": tables.glance_table(groups),
        "groups": [tables.statistics_table(n, group) for n, group in enumerate(groups)],
        "plots": _plots(ordered),
        "worst": _worst_cases(scored[:worst], pairs, scans),
        "undrawn": len(failures),
        "cases": _case_tables(ordered),
        "definitions": definitions(),
        "version": __version__,
        "box_plots": box_plots,
    }
    # A file name that is no text becomes a lone surrogate, which UTF-8 cannot hold.
    write_whole(html_file, render(values).encode(errors="backslashreplace"))


def worst_first(scores: Sequence[CaseScore]) -> list[CaseScore]:
    """Failures, then by mean Dice of the ranked structures, then by the sum of their ASSD."""

    def badness(entry: CaseScore) -> tuple[bool, float, float, str]:
        distance = sum(entry.structures[name].assd_mm for name in _ranked(entry))
        return entry.failure is None, mean_dice(entry), -distance, entry.case

    return sorted(scores, key=badness)


def mean_dice(entry: CaseScore) -> float:
    """Over the structures that the challenge ranks; the whole tumour would count twice."""
    names = _ranked(entry)
    return sum(entry.structures[name].dice for name in names) / len(names)


def render(values: dict[str, object]) -> str:
    """The page; ``values`` are what its template names."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    own = {
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    return environment.get_template("page.html.jinja").render(values | own)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plots(ordered: list[CaseScore]) -> dict[str, list[box_plots.Plot]]:
    main = [measure for measure in MEASURES.values() if measure.is_main]
    return {measure.head: box_plots.box_plots(measure, ordered) for measure in main}


def _about(scores: Sequence[CaseScore], failures: Sequence[CaseScore]) -> dict[str, str]:
    sites = sorted({entry.site for entry in scores})
    return {
        "cases": counted(len(scores), "case"),
        "sites": f"{counted(len(sites), 'site')}: {', '.join(sites)}",
        "scheme": f"labels of {_scheme(scores[0])}",
        "failures": counted(len(failures), "failure") if failures else "no failures",
    }


def _case_tables(ordered: list[CaseScore]) -> list[tables.Table]:
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
        drawn = draw_pair(by_case[entry.case], _scheme(entry), own.get(entry.case))
        lacking = ("No scan of this case was found.",) if scans and entry.case not in own else ()
        notes = (*lacking, *drawn.notes)
        found.append(WorstCase(entry, mean_dice(entry), drawn.drawings, notes))
    return found


def _scheme(entry: CaseScore) -> Scheme:
    return "2023" if "extra_meatal" in entry.structures else "2022"


def _ranked(entry: CaseScore) -> tuple[str, ...]:
    return RANKED_STRUCTURES[_scheme(entry)]
