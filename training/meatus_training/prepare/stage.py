"""The whole stage and its command, with what a user sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_phantom.progress import progress
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase
from meatus_training.prepare.challenge import find_challenge
from meatus_training.prepare.cohort import carry_out, check_all, done_before
from meatus_training.prepare.nnunet import data_sets, find_nnunet
from meatus_training.prepare.raw import Found
from meatus_training.prepare.settings import PrepareSettings, WholeTumour
from meatus_training.prepare.survey import survey, survey_table, write_survey
from meatus_training.settings_files import load_settings

PREPARED = "prepared"  # in the working folder
FOLDER = click.Path(file_okay=False, path_type=Path)

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


def unreadable(data: Path, error: OSError) -> TrainingError:
    """What to tell where a folder of ``data`` is closed."""
    return TrainingError(
        f"{error.filename or data}: cannot be read ({error.strerror}); "
        "pass the folder of the scans, with the right to read all of it."
    )


def find_scans(data: Path) -> Found:
    """All scans of ``data``, in whichever layout.

    Raises ``TrainingError`` where ``data`` cannot be read or holds nothing at all.
    """
    try:
        found = find_nnunet(data) if data_sets(data) else find_challenge(data)
    except OSError as error:
        raise unreadable(data, error) from error
    if not found.cases and not found.problems:
        raise TrainingError(
            f"{data}: holds no scan; expected the challenge's folders with *_ceT1.nii.gz, "
            "*_Label.nii.gz and *_T2.nii.gz (2021, 2022: *_hrT2.nii.gz), or nnU-Net's raw folders "
            "with dataset.json, imagesTr and labelsTr."
        )
    return found


@click.command("prepare")
@click.argument("data", type=FOLDER)
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@click.option(
    "--vs-as",
    type=click.Choice(get_args(WholeTumour)),
    default=None,
    help="What to take the undivided tumour of 2021 and 2022 for.",
)
@click.option("--workers", type=click.IntRange(min=1), default=usable_threads)
@one_line_errors
def prepare_command(
    data: Path, work: Path, preset: str, vs_as: WholeTumour | None, workers: int
) -> None:
    """Check the scans in DATA and write them to WORK/prepared as the networks see them.

    DATA: the challenge's folders of 2021 to 2023, a cohort of phantoms, or nnU-Net raw folders.
    What is done and unchanged stays.
    """
    check_folders(work)
    settings = load_settings("prepare", preset, PrepareSettings)
    if vs_as:
        settings = replace(settings, whole_tumour=vs_as)
    run_prepare(data, work, settings, workers)
