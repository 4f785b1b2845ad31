"""All scans of a folder: checked together, prepared by workers, listed in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from meatus.atomic import UNFINISHED
from meatus.service.parallel import in_parallel
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, absolute, read_prepared, write_prepared
from meatus_training.prepare.check import Checked, check_case, no_cochlea, same_files
from meatus_training.prepare.make import Record, finished, make_case
from meatus_training.prepare.raw import Found, RawCase
from meatus_training.prepare.settings import PrepareSettings

Told = Callable[[str], None]
Done = dict[tuple[str, str], Record]  # by split and name


def no_word(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Plan:
    """What is there, checked: nothing in it can fail any more but the disk."""

    found: Found
    checked: tuple[tuple[RawCase, Checked], ...]
    done: Done

    @property
    def missing(self) -> list[tuple[RawCase, Checked]]:
        return [(raw, seen) for raw, seen in self.checked if (raw.split, raw.name) not in self.done]

    @property
    def warnings(self) -> list[str]:
        lines = [line for _, seen in self.checked for line in seen.warnings]
        return [*self.found.notes, *lines]


def done_before(found: Found, settings: PrepareSettings, folder: Path) -> Done:
    """The records of what ``folder`` has already, of the same files and settings."""
    return {
        (raw.split, raw.name): record
        for raw in found.cases
        if (record := finished(raw, settings, folder))
    }


def check_all(
    data: Path,
    found: Found,
    done: Done,
    settings: PrepareSettings,
    workers: int = 1,
    told: Told = no_word,
) -> Plan:
    """Read the files of all cases that are not ``done`` to their ends.

    ``told`` hears of each. Raises ``TrainingError`` with a line for everything that is wrong,
    in all files of ``data``.
    """
    seen = {key: record.checked for key, record in done.items()}
    unread = [raw for raw in found.cases if (raw.split, raw.name) not in done]
    check = partial(check_case, settings=settings, data=data)
    for raw, result in in_parallel(check, unread, workers):
        seen[raw.split, raw.name] = result
        told(raw.scan.name)
    checked = tuple((raw, seen[raw.split, raw.name]) for raw in found.cases)
    problems = [*found.problems, *(line for _, result in checked for line in result.problems)]
    problems += [*same_files(checked, data), *no_cochlea(checked)]
    if problems:
        count = f"{len(problems)} thing{'s' if len(problems) > 1 else ''}"
        first = f"{data}: {count} to put right; nothing was started."
        raise TrainingError("\n  ".join([first, *problems]))
    return Plan(found, checked, done)


def carry_out(
    plan: Plan, folder: Path, settings: PrepareSettings, workers: int = 1, told: Told = no_word
) -> tuple[PreparedCase, ...]:
    """Prepare what is missing of ``plan`` and write the table of all cases.

    ``told`` hears of every case as it is there.
    """
    for unfinished in folder.rglob(UNFINISHED):  # of a run that was killed
        unfinished.unlink(missing_ok=True)
    records = dict(plan.done)
    make = partial(_make, settings=settings, folder=folder)
    for (raw, _), record in in_parallel(make, plan.missing, workers):
        records[raw.split, raw.name] = record
        told(raw.name)
    write_prepared(folder, settings, [absolute(record.case, folder) for record in records.values()])
    return read_prepared(folder)


def _make(job: tuple[RawCase, Checked], settings: PrepareSettings, folder: Path) -> Record:
    return make_case(*job, settings, folder)
