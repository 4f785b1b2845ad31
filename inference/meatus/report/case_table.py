"""One row per case: ``report.csv`` for people, ``report.json`` with all details for programs.

Both are made from the files of the cases. Reports name cases only; where a patient's files lie is
never written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from meatus.atomic import written_whole
from meatus.errors import OutputError, first_fault
from meatus.report.measure import Measures, Volumes

CSV_NAME, JSON_NAME = "report.csv", "report.json"
FORMAT = 1

# The stages that have a column of their own; any other counts in the total alone.
STAGES = ("read", "prepare", "network", "restore", "clean", "write")

# A cell that starts so is run as a formula when a spreadsheet opens the table (OWASP, "CSV
# injection"), and a case's name comes from a file that may be called anything.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | float | None


@dataclass(frozen=True)
class CaseReport:
    """What the report says of one case."""

    case: str
    measures: Measures | None = None  # None where the case failed
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    peak_mib: float | None = None  # resident memory of the whole process so far
    engine: str = ""
    looked: str = ""  # where the ensemble looked closely, and why
    weights: str = ""  # the members' names, no path
    version: str = ""
    notice: str = ""
    warnings: tuple[str, ...] = ()  # what had to be assumed or repaired to read the scan
    error: str | None = None  # one line; None where all went well


NOTHING = Volumes()
UNMEASURED = Measures(NOTHING, NOTHING, NOTHING, "none", 0, 0, None, None, (), (0, 0, 0), 0)
_REPORTS = TypeAdapter(list[CaseReport])
_REPORT = TypeAdapter(CaseReport)


def notice(trained_on: str) -> str:
    return f"Research software, not for clinical use; trained on {trained_on}"


def read_report(folder: Path) -> list[CaseReport]:
    """The cases of an earlier run's report; none where there is no report.

    Raises ``OutputError`` where it is damaged.
    """
    file = folder / JSON_NAME
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, expected {FORMAT}")
        return _REPORTS.validate_python(content["cases"])
    except FileNotFoundError as error:
        if not (folder / CSV_NAME).exists():
            return []
        reason = f"it is missing beside {CSV_NAME}"
        raise _unusable(file, reason) from error
    except OSError as error:
        raise _unusable(file, error.strerror or "unknown") from error
    except ValidationError as error:
        raise _unusable(file, first_fault(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = "no entry " + str(error) if isinstance(error, KeyError) else str(error)
        raise _unusable(file, reason) from error


def _unusable(file: Path, reason: str) -> OutputError:
    return OutputError(
        f"{file}: the earlier report cannot be continued ({' '.join(reason.split())}). "
        f"Move {CSV_NAME} and {JSON_NAME} away, or name another folder."
    )


def write_report(folder: Path, reports: Iterable[CaseReport]) -> None:
    """Write both files, each whole or not at all, of ``reports``, one a case, as they come.

    No more than one report is in memory. Raises ``OutputError`` where a file cannot be written.
    """
    with (
        written_whole(folder / JSON_NAME) as details,
        written_whole(folder / CSV_NAME) as table,
        details.open("w", encoding="ascii") as json_file,
        # A file name that is no text becomes a lone surrogate, which UTF-8 cannot hold.
        table.open("w", encoding="utf-8", errors="backslashreplace", newline="") as csv_file,
    ):
        writer = csv.writer(csv_file, lineterminator="\n")
        writer.writerow(_row(CaseReport("")))
        json_file.write(f'{{"format": {FORMAT}, "cases": [')
        comma = "\n"
        for report in reports:
            writer.writerow(map(_shown, _row(report).values()))
            json_file.write(f"{comma}{json.dumps(_REPORT.dump_python(report))}")
            comma = ",\n"
        json_file.write("\n]}\n")


def _row(report: CaseReport) -> dict[str, Cell]:
    """One case's cells by column; the columns and their order are always the same."""
    measured = _measured(report.measures) if report.measures else NO_MEASURES
    return {
        "case": report.case,
        "status": "done" if report.error is None else "failed",
        **measured,
        **{f"{stage}_s": report.seconds.get(stage) for stage in STAGES},
        "total_s": sum(report.seconds.values()) if report.seconds else None,
        "peak_mib": report.peak_mib,
        "engine": report.engine,
        "looked_at": report.looked,
        "weights": report.weights,
        "version": report.version,
        "notice": report.notice,
        "warnings": "; ".join(report.warnings),
        "error": report.error,
    }


def _measured(found: Measures) -> dict[str, Cell]:
    x, y, z = found.spacing_mm
    return {
        "tumour_side": found.tumour_side,
        **_volumes("", found.total),
        "extra_meatal_diameter_mm": found.extra_meatal_diameter_mm,
        "mean_confidence": found.certainty.confidence,
        "expected_vs_dice": found.certainty.expected_dice,
        "elsewhere_mm3": found.certainty.elsewhere_mm3,
        "flags": "; ".join(found.flags),
        **_volumes("right_", found.right),
        **_volumes("left_", found.left),
        "cochleas": found.cochleas,
        "cochleas_apart_mm": found.cochleas_apart_mm,
        "tumour_to_cochlea_mm": found.tumour_to_cochlea_mm,
        "spacing_x_mm": x,
        "spacing_y_mm": y,
        "spacing_z_mm": z,
        "slices": found.slices,
    }


def _volumes(side: str, volumes: Volumes) -> dict[str, Cell]:
    return {f"{side}{name}": value for name, value in vars(volumes).items()}  # names have units


NO_MEASURES: dict[str, Cell] = dict.fromkeys(_measured(UNMEASURED))


def _shown(cell: Cell) -> str:
    """Numbers to the thousandth; text that no spreadsheet runs."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.3f}"
    text = str(cell)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
