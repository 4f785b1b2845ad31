"""One file a case, ``cases/<case>.json``: the truth of a report, from which its tables are made.

Runs that write into one folder at the same time never write the same file, so that none can lose
what another one found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from meatus.atomic import write_whole
from meatus.errors import OutputError, first_fault
from meatus.report.case_table import FORMAT, CaseReport, read_report

CASES, ENDING = "cases", ".json"
_REPORT = TypeAdapter(CaseReport)


def case_file(folder: Path, case: str) -> Path:
    return folder / f"{CASES}/{case}{ENDING}"


def write_case(folder: Path, report: CaseReport) -> None:
    """Write the file of a case, whole or not at all. Raises ``OutputError``."""
    content = json.dumps({"format": FORMAT, **_REPORT.dump_python(report)})
    write_whole(case_file(folder, report.case), f"{content}\n".encode())


def read_case(folder: Path, case: str) -> CaseReport:
    """What ``folder`` says of ``case``. Raises ``OutputError`` where its file is damaged."""
    file = case_file(folder, case)
    try:
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("expected an object")
        if content.pop("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT}")
        report = _REPORT.validate_python(content)
        if report.case != case:
            raise ValueError(f"it is of the case {report.case}")
    except OSError as error:
        raise _damaged(file, error.strerror or "unknown") from error
    except ValidationError as error:
        raise _damaged(file, first_fault(error)) from error
    except (ValueError, KeyError, RecursionError) as error:
        reason = "no entry " + str(error) if isinstance(error, KeyError) else str(error)
        raise _damaged(file, reason) from error
    return report


def _damaged(file: Path, reason: str) -> OutputError:
    return OutputError(
        f"{file}: not what a case's report should be ({' '.join(reason.split())}). Remove it and "
        "label the case again."
    )


def case_names(folder: Path) -> list[str]:
    """The cases that ``folder`` has files of, sorted; below sub-folders as ``a/b/case``."""
    root = folder / CASES
    names = []
    for place, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        prefix = "" if place == str(root) else f"{Path(place).relative_to(root).as_posix()}/"
        names += [f"{prefix}{n.removesuffix(ENDING)}" for n in files if _is_case(n)]
    return sorted(names)


def _is_case(name: str) -> bool:
    return name.endswith(ENDING) and not name.startswith(".")


def read_cases(folder: Path, damaged: list[OutputError]) -> Iterator[CaseReport]:
    """The reports of ``folder``, by name, one at a time; ``damaged`` gets what cannot be read."""
    for case in case_names(folder):
        try:
            yield read_case(folder, case)
        except OutputError as error:
            damaged.append(error)


def adopt_table(folder: Path) -> None:
    """Write the files of the cases that only ``folder``'s table has, of versions without files.

    Raises ``OutputError`` where that table is damaged.
    """
    if next(iter(case_names(folder)), None) is None:
        for report in read_report(folder):
            write_case(folder, report)
