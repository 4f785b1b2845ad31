"""Score tables in: CSV or JSON, one row per case, or per case and structure.

A wide row has columns such as ``VS_Dice`` or ``cochlea_assd_mm``; a long one has ``structure``
and a column per metric. JSON is a list of such rows, or an object with them under ``cases``;
nested objects are read as their keys joined. ``meatus score`` writes both. Case,
team and site go by these names, upper case or lower. Columns that are no known structure and
metric are skipped.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from meatus.errors import UsageError, printable
from meatus_evaluation.scoring.match import site_of
from meatus_evaluation.scoring.measures import MEASURES, Measure, ranked_by

Row = Mapping[str, Any]

STRUCTURES = {
    "extra_meatal": ("extra_meatal", "extrameatal", "extra"),
    "intra_meatal": ("intra_meatal", "intrameatal", "intra"),
    "whole_vs": ("whole_vs", "vs", "tumour", "tumor"),
    "cochlea": ("cochlea", "cochleas"),
    "boundary": ("boundary",),
}
UNITS = {"mm": "millimetres"}  # in words

CONTAINERS = {"scores", "structures", "metrics"}  # keys that only group others
MISSING = {"", "nan", "none", "null", "-"}


@dataclass(frozen=True, order=True)
class Column:
    structure: str
    metric: str

    @property
    def measure(self) -> Measure:
        return ranked_by(self.metric)

    @property
    def higher_is_better(self) -> bool:
        return self.measure.better == "higher"

    @property
    def of_empty(self) -> float:
        """What the challenge gives an empty prediction."""
        failed = self.measure.failed
        return math.nan if failed is None else failed

    def __str__(self) -> str:
        return f"{self.structure} {self.metric}"


@dataclass(frozen=True)
class Score:
    """One number of a score table."""

    team: str
    case: str
    site: str
    column: Column
    value: float  # NaN where the table has none


def read_scores(path: Path) -> list[Score]:
    """The scores of one table; without a team's column all are of the team ``path`` names.

    Raises ``UsageError`` where the file is no score table, or tells a number twice.
    """
    return scores_of(_rows(path), path.stem, str(path))


def scores_of(rows: Iterable[Row], team: str, source: str) -> list[Score]:
    """The scores in ``rows``; ``source`` names them in errors. See ``read_scores``."""
    found: dict[tuple[str, str, Column], Score] = {}
    for number, row in enumerate(rows, 1):
        for score in _row_scores(row, team, f"{source}, row {number}"):
            key = (score.team, score.case, score.column)
            if key in found:
                raise UsageError(
                    f"{source}, row {number}: {score.column} of case {score.case} and team "
                    f"{score.team} is there twice. Keep one."
                )
            found[key] = score
    if not found:
        raise UsageError(
            f"{source} holds no scores; expected columns such as case, cochlea_dice, "
            "cochlea_assd, or case, structure, dice, assd."
        )
    return list(found.values())


def metrics() -> dict[str, tuple[str, ...]]:
    """The measures that are ranked and compared, each with the names that its columns have."""
    return {one.columns[0]: one.columns for one in MEASURES.values() if one.columns}


@cache
def column_of(name: str) -> Column | None:
    """The structure and metric that a column's name tells, in either order."""
    plain = re.sub(r"\W+", "_", name.strip().lower())
    for metric, metric_names in metrics().items():
        for structure, structure_names in STRUCTURES.items():
            for m in metric_names:
                for s in structure_names:
                    if plain in (f"{s}_{m}", f"{m}_{s}"):
                        return Column(structure, metric)
    return None


def _rows(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return _json_rows(json.loads(text), path)
        return list(csv.DictReader(text.splitlines(), strict=True))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path}: not a score table in CSV or JSON ({error}).") from error


def _json_rows(read: object, path: Path) -> list[Row]:
    if isinstance(read, dict) and "cases" in read:
        read = read["cases"]
    if isinstance(read, dict):  # by case
        read = list(read.values())
    if not isinstance(read, list) or not all(isinstance(row, dict) for row in read):
        raise UsageError(f"{path}: expected a list of objects, one for each case.")
    return list(read)


def _row_scores(row: Row, team: str, where: str) -> Iterator[Score]:
    cells = dict(_flat(row))
    about = {name.lower(): str(value).strip() for name, value in cells.items() if name}
    case = about.get("case", "")
    if not case:
        raise UsageError(f"{where}: names no case; expected a column 'case'.")
    prefix = f"{about['structure']}_" if about.get("structure") else ""
    for name, value in cells.items():
        column = column_of(prefix + name)
        if column:
            number = _number(value, column, f"{where} (case {printable(case)})")
            site = about.get("site") or site_of(case)
            yield Score(about.get("team") or team, case, site, column, number)


def _flat(row: Row, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in row.items():
        name = prefix if str(key).lower() in CONTAINERS else f"{prefix}_{key}".strip("_")
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif key is not None:  # the csv module's key for cells beyond the header
            yield name, value


def _number(value: object, column: Column, where: str) -> float:
    text = "" if value is None else str(value).strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    measure = column.measure
    highest = 1.0 if measure.is_share else math.inf
    if not (0 <= number <= highest and math.isfinite(number)):
        unit = UNITS.get(measure.unit, measure.unit)
        wanted = "a share from 0 to 1" if measure.is_share else f"{unit}, 0 or more"
        raise UsageError(f"{where}: {column} is '{printable(text)}'; expected {wanted}.")
    return number
