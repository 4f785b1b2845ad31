"""The report to look at: ``index.html`` with a row a case, and ``cases/<case>.html``.

An index is one file with its thumbnails inside, a case's page one with its picture. Both name
cases, as the table does, and no folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2.utils import url_quote

from meatus.atomic import write_whole
from meatus.report.case_files import CASES
from meatus.report.case_table import CSV_NAME, CaseReport
from meatus.report.html.page import Cell, Table, data_url, number, render
from meatus.report.measure import Measures, Volumes
from meatus.report.phrases import found_line, short_flag
from meatus.report.summary import Summary

INDEX = "index.html"
FEW_DIGITS = 2


def picture_file(folder: Path, case: str) -> Path:
    return folder / f"{case}.png"


def page_file(folder: Path, case: str) -> Path:
    return folder / f"{CASES}/{case}.html"


def picture_of(folder: Path, report: CaseReport) -> Path | None:
    """The picture that a case has; an older run's is none of a case that failed in this one."""
    file = picture_file(folder, report.case)
    return file if report.measures is not None and file.is_file() else None


def write_index(
    folder: Path, shown: Sequence[CaseReport], thumbnails: Mapping[str, str], summary: Summary
) -> None:
    """Write the index with a row for each of ``shown``, as they come; ``summary`` is of all cases.

    ``thumbnails`` are data URLs by case. Raises ``OutputError`` where it cannot be written.
    """
    words, more = summary.words, summary.cases - len(shown)
    heads = (
        "case", "picture", "check", "VS side", "extra-meatal", "intra-meatal", "whole VS",
        "diameter, mm", "cochleae", "expected Dice", "seconds",
    )  # fmt: skip
    rows = tuple(_row(report, thumbnails.get(report.case, "")) for report in shown)
    values = {
        "about": {
            "cases": f"{summary.cases} case{'s' * (summary.cases != 1)}",
            "more": f"{more} more cases stand in {CSV_NAME}." if more else "",
            "checks": words,
            "is_bad": words != "no flags",
        },
        "notice": _sentence(next((report.notice for report in shown if report.notice), "")),
        "cases": Table("cases", "Cases, those to look at twice first", heads, rows),
    }
    write_whole(folder / INDEX, render("index.html.jinja", values))


def write_case_page(folder: Path, report: CaseReport) -> None:
    """Write a case's page, with its picture where there is one. Raises ``OutputError``."""
    picture, found = picture_of(folder, report), report.measures
    values = {
        "report": report,
        "index": "../" * (1 + report.case.count("/")) + INDEX,
        "flags": found.flags if found else (),
        "picture": data_url(picture.read_bytes(), "png") if picture else "",
        "words": f"{report.case}: {found_line(found)}" if found else report.case,
        "volumes": _volumes_table(found) if found else None,
        "measures": told_measures(report) if found else {},
    }
    write_whole(page_file(folder, report.case), render("case.html.jinja", values))


def told_measures(report: CaseReport) -> dict[str, str]:
    """What is measured beside the volumes, in words, by its name."""
    found = report.measures
    if found is None:
        return {}
    x, y, z = found.spacing_mm
    return {
        "VS side": found.tumour_side,
        "Largest axial extra-meatal diameter": _mm(found.extra_meatal_diameter_mm or None),
        "Cochleae": str(found.cochleas),
        "Between the cochleae": _mm(found.cochleas_apart_mm),
        "From tumour to cochlea": _mm(found.tumour_to_cochlea_mm),
        "Mean confidence": _share(found.certainty.confidence),
        "Expected Dice of the whole VS": _share(found.certainty.expected_dice),
        "Voxels": f"{x:.2f} x {y:.2f} mm, {found.slices} slices {z:.2f} mm apart",
        "Seconds": f"{sum(report.seconds.values()):.1f}",
    }


def _row(report: CaseReport, thumbnail: str) -> tuple[Cell, ...]:
    name = report.case
    # Names may hold what an address may not, and bytes that are no text.
    link = url_quote(os.fsencode(f"{CASES}/{name}.html"))
    found, seconds = report.measures, sum(report.seconds.values()) if report.seconds else None
    picture = Cell(f"{name}: {found_line(found)}" if found else "none", picture=thumbnail)
    if found is None:
        check = Cell(f"failed: {report.error}", is_bad=True)
        blank = [number(None)] * 6
        return (Cell(name, link=link), picture, check, Cell("-"), *blank, number(seconds, 1))
    check = Cell(", ".join(map(short_flag, found.flags)), is_bad=bool(found.flags))
    total = found.total
    return (
        Cell(name, link=link),
        picture if thumbnail else Cell("none"),
        check,
        Cell(found.tumour_side),
        *map(number, (total.extra_meatal_mm3, total.intra_meatal_mm3, total.whole_vs_mm3)),
        number(found.extra_meatal_diameter_mm or None, 1),
        number(found.cochleas),
        number(found.certainty.expected_dice, FEW_DIGITS),
        number(seconds, 1),
    )


def _volumes_table(found: Measures) -> Table:
    sides = (found.right, found.left, found.total)

    def cells(head: str, of: str) -> tuple[Cell, ...]:
        return (Cell(head), *(number(getattr(side, of)) for side in sides))

    names = {
        "extra-meatal VS": "extra_meatal_mm3",
        "intra-meatal VS": "intra_meatal_mm3",
        "whole VS": "whole_vs_mm3",
        "cochlea": "cochlea_mm3",
    }
    assert set(names.values()) == set(Volumes.__dataclass_fields__), "every volume has a row"
    rows = tuple(cells(head, of) for head, of in names.items())
    heads = ("structure", "right", "left", "total")
    return Table("volumes", "Volumes in mm³ by the patient's side", heads, rows)


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} mm"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.{FEW_DIGITS}f}"


def _sentence(text: str) -> str:
    return f"{text}." if text and not text.endswith(".") else text
