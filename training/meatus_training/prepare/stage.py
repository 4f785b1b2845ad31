"""The whole stage, with what its user sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from meatus_phantom.progress import progress
from meatus_training.prepare.cases import PreparedCase
from meatus_training.prepare.cohort import carry_out, check_all, done_before
from meatus_training.prepare.layouts import find_scans
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.prepare.survey import survey, survey_table, write_survey

PREPARED = "prepared"  # in the working folder

say = partial(print, flush=True)


def run_prepare(
    data: Path, work: Path, settings: PrepareSettings, workers: int = 1
) -> tuple[PreparedCase, ...]:
    """Check all scans of ``data``, then write those that ``work`` has not, and their table.

    Raises ``TrainingError`` with a line for each thing to put right, before anything is written.
    """
    folder, data = work / PREPARED, data.resolve()
    found = find_scans(data)
    done = done_before(found, settings, folder)
    say(f"{data}: {found.layout}, {_counted([case.split for case in found.cases])}")
    with progress(len(found.cases) - len(done)) as told:
        plan = check_all(data, found, done, settings, workers, lambda name: told(f"{name}: read"))
    for line in plan.warnings:
        say(f"note: {line}")
    missing = len(plan.missing)
    with progress(missing) as told:
        cases = carry_out(plan, folder, settings, workers, lambda name: told(f"{name}: prepared"))
    rows = survey(cases)
    write_survey(folder, rows)
    Console(width=100).print(survey_table(rows))
    say(f"{folder}: {missing} scans prepared, {len(cases) - missing} were there")
    return cases


def _counted(splits: Sequence[str]) -> str:
    return ", ".join(f"{splits.count(split)} {split}" for split in dict.fromkeys(splits))
