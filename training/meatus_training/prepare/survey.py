"""Spacing and size of a cohort's scans, by site and contrast, as papers begin with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from meatus.atomic import write_whole
from meatus_training.prepare.cases import PreparedCase

ALL = "all"
AXES = ("x", "y", "z")
MEASURES = ("least", "median", "most")


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest, of each axis on its own."""

    least: tuple[float, float, float]
    median: tuple[float, float, float]
    most: tuple[float, float, float]


@dataclass(frozen=True)
class SurveyRow:
    """The scans of one site in one split."""

    split: str
    modality: str
    site: str
    scans: int
    incomplete: int
    spacing_mm: Spread  # (x, y, z), axial
    size: Spread  # voxels


def survey(cases: Sequence[PreparedCase]) -> tuple[SurveyRow, ...]:
    """A row for each split, contrast and site, and one for all sites where there are several."""
    rows = []
    for split, modality in dict.fromkeys((case.split, case.modality) for case in cases):
        group = [case for case in cases if (case.split, case.modality) == (split, modality)]
        sites = sorted({case.site for case in group})
        rows += [_row([case for case in group if case.site == site], site) for site in sites]
        rows += [_row(group, ALL)] if len(sites) > 1 else []
    return tuple(rows)


def _row(cases: Sequence[PreparedCase], site: str) -> SurveyRow:
    return SurveyRow(
        split=cases[0].split,
        modality=cases[0].modality,
        site=site,
        scans=len(cases),
        incomplete=sum(not case.complete for case in cases),
        spacing_mm=_spread([case.spacing_mm for case in cases]),
        size=_spread([case.size for case in cases]),
    )


def _spread(values: Sequence[tuple[float, float, float]]) -> Spread:
    def along(measure: Callable[[Sequence[float]], float]) -> tuple[float, float, float]:
        x, y, z = (float(measure(column)) for column in zip(*values, strict=True))
        return x, y, z

    return Spread(along(min), along(lambda column: float(np.median(column))), along(max))


def survey_table(rows: Sequence[SurveyRow]) -> Table:
    """For a terminal: three lines a row, since each axis has its own least, median and most."""
    table = Table("split", "contrast", "site", "scans", "incomplete", "", show_lines=True)
    for name in ("spacing, mm", "size"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.split,
            row.modality,
            row.site,
            str(row.scans),
            str(row.incomplete or ""),
            "\n".join(MEASURES),
            _lines(row.spacing_mm, 2),
            _lines(row.size, 0),
        )
    return table


def _lines(spread: Spread, digits: int) -> str:
    measures = (getattr(spread, name) for name in MEASURES)
    return "\n".join(" x ".join(f"{v:.{digits}f}" for v in values) for values in measures)


def write_survey(folder: Path, rows: Sequence[SurveyRow]) -> None:
    """``survey.json`` and ``survey.csv``, the same numbers."""
    text = json.dumps([asdict(row) for row in rows], indent=2)
    write_whole(folder / "survey.json", f"{text}\n".encode())
    write_whole(folder / "survey.csv", _csv(rows).encode())


def _csv(rows: Sequence[SurveyRow]) -> str:
    names = [
        f"{what}_{axis}_{m}" for what in ("spacing_mm", "size") for axis in AXES for m in MEASURES
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "modality", "site", "scans", "incomplete", *names])
    for row in rows:
        numbers = [
            round(getattr(spread, measure)[axis], 4)
            for spread in (row.spacing_mm, row.size)
            for axis in range(3)
            for measure in MEASURES
        ]
        writer.writerow([row.split, row.modality, row.site, row.scans, row.incomplete, *numbers])
    return text.getvalue()
