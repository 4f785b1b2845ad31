"""Commands about phantoms: make a cohort, import real contours, check a cohort."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from meatus.atomic import write_whole
from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_apart, check_folders, check_writable
from meatus_phantom.acquisition.sites import ALL_SITES, SITES
from meatus_phantom.cohort.dicom_series import write_dicom
from meatus_phantom.cohort.files import TABLE, read_table
from meatus_phantom.cohort.make import write_cohort
from meatus_phantom.cohort.plan import CohortSettings, plan_cohort
from meatus_phantom.contours import Patient, contour_files, import_contours, read_contours
from meatus_phantom.errors import PhantomError
from meatus_phantom.progress import progress
from meatus_phantom.validate.checks import check_cohort, check_reproducible, failed
from meatus_phantom.validate.contact_sheet import write_contact_sheet
from meatus_phantom.validate.expected import Check

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
OUT_OF_RANGE = 1
KINDS = ("scan", "label", "tissues")  # columns of a cohort's table that name files
COUNT = click.IntRange(min=0)
FORMER_NAMES = {"--sheet": "--contact-sheet", "--again": "--reproducibility"}
Command = Callable[..., None]


def chosen_sites(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Sites from ``ldn,etz``."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in ALL_SITES]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(ALL_SITES)}.")
    return names


class CheckCommand(click.Command):
    """Takes the options' names of before for one version, and says what they are called now."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, [_present_name(arg) for arg in args])


def _present_name(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name not in FORMER_NAMES:
        return argument
    click.echo(f"note: {name} is now called {FORMER_NAMES[name]}", err=True)
    return f"{FORMER_NAMES[name]}{equals}{value}"


def share_option(name: str, what: str) -> Callable[[Command], Command]:
    """The option of the setting ``name``, a share."""
    return click.option(
        f"--{name.replace('_', '-')}",
        type=click.FloatRange(0, 1),
        default=getattr(CohortSettings, name),
        show_default=True,
        help=what,
    )


@click.command("cohort")
@click.argument("out", type=FOLDER)
@click.option("--source", type=COUNT, default=0, help="Labelled ceT1 scans.")
@click.option("--target", type=COUNT, default=0, help="Unlabelled hrT2 scans.")
@click.option("--validation", type=COUNT, default=0, help="hrT2 scans, truth apart.")
@click.option("--test", type=COUNT, default=0, help="hrT2 scans, truth apart.")
@click.option("--contours", type=FOLDER, help="Real contours (TCIA JSON); else procedural.")
@click.option("--sites", callback=chosen_sites, default=",".join(SITES), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option("--workers", type=click.IntRange(min=1), default=usable_threads)
@click.option("--paired", is_flag=True, help="Also each subject's other contrast, in paired/.")
@click.option("--dicom", is_flag=True, help="Also each scan as a DICOM series, in dicom/.")
@click.option("--resume", is_flag=True, help="Go on with OUT; scans that are whole stay.")
@share_option("random_share", "Of source and target scans with random class intensities.")
@share_option("stripped_share", "Of target scans without a skull, as brain extraction leaves them.")
@share_option(
    "difficult_share",
    "Of target scans with a small tumour in the canal, a residue, one by each ear ...",
)
@one_line_errors
def cohort_command(
    out: Path,
    contours: Path | None,
    device: str,
    workers: int,
    dicom: bool,
    resume: bool,
    **cohort: Any,
) -> None:
    """Write a cohort of phantoms to OUT, in the challenge's folders and names."""
    check_folders(out)
    settings = CohortSettings(**cohort)
    patients = read_patients(contours)
    with progress(len(plan_cohort(settings))) as advance:
        made = write_cohort(
            out,
            settings,
            patients,
            device=device_for(device),
            workers=workers,
            resume=resume,
            told=lambda plan: advance(Path(plan.scan).name),
        )
    print(f"{out}: {made} scans made", flush=True)
    if dicom:
        series = write_dicom(out, read_table(out))
        print(f"{out}: {series} DICOM series written", flush=True)


def device_for(wanted: str, advice: str = "--device cpu or auto") -> str:
    """``cpu`` or ``cuda``. Raises ``PhantomError`` where a GPU is asked for in vain."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise PhantomError(f"PyTorch finds no CUDA device; pass {advice}.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def read_patients(folder: Path | None) -> list[Patient]:
    """All contours of ``folder``; the first file that cannot be used ends it."""
    if folder is None:
        return []
    patients = [read_contours(path) for path in contour_files(folder)]
    names = [patient.subject for patient in patients]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PhantomError(f"{folder}: two files are of {twice[0]}; leave one of each patient.")
    return patients


@click.command("contours")
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FOLDER)
@one_line_errors
def contours_command(folder: Path, out: Path) -> None:
    """Write label maps of the real contours in FOLDER to OUT, and a table with volumes."""
    check_folders(out)
    if import_contours(folder, out, lambda line: print(line, flush=True)):
        sys.exit(OUT_OF_RANGE)


@click.command("check", cls=CheckCommand)
@click.argument("folder", type=FOLDER)
@click.option("--contact-sheet", type=FILE, help="Also draw a contact sheet (PNG).")
@click.option("--json", "json_file", type=FILE, help="Also write the numbers as JSON.")
@click.option(
    "--reproducibility", type=COUNT, default=0, help="Make this many scans again and compare."
)
@click.option("--contours", type=FOLDER, help="For --reproducibility: its real contours.")
@click.option("--workers", type=click.IntRange(min=1), default=usable_threads)
@one_line_errors
def check_command(
    folder: Path,
    contact_sheet: Path | None,
    json_file: Path | None,
    reproducibility: int,
    contours: Path | None,
    workers: int,
) -> None:
    """Measure the cohort in FOLDER; exit code 1 where a number is out of range."""
    check_writable(json_file, contact_sheet)
    listed = [row[kind] for row in read_table(folder) for kind in KINDS if row.get(kind)]
    check_apart((json_file, contact_sheet), [folder / name for name in (TABLE, *listed)])
    checks = check_cohort(folder, workers, lambda line: print(line, flush=True))
    if reproducibility:
        checks.append(check_reproducible(folder, reproducibility, read_patients(contours)))
    Console(width=125).print(table_of(checks))
    if json_file:
        rows = [asdict(check) | {"verdict": check.verdict} for check in checks]
        write_whole(json_file, (json.dumps(rows, indent=2) + "\n").encode())
    if contact_sheet:
        write_contact_sheet(folder, contact_sheet)
    if failed(checks):
        sys.exit(OUT_OF_RANGE)


def table_of(checks: list[Check]) -> Table:
    """One row per check. What few cases allow is wider than what is wanted."""
    table = Table("check", "measured", "wanted", "allowed for so few", "cases", "verdict")
    for check in checks:
        measured = "" if check.measured is None else f"{check.measured:.3g}"
        ranges = [f"{low:.3g} to {high:.3g}" for low, high in (check.wanted, check.allowed)]
        table.add_row(check.name, measured, *ranges, str(check.count), check.verdict)
    return table
