"""The commands that work on reports that are there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from meatus.atomic import written_whole
from meatus.errors import UsageError
from meatus.report.case_files import adopt_table, case_file, case_names
from meatus.report.pages import page_file, picture_file
from meatus.report.tables import Tables
from meatus.service.commands import Group, one_line_errors

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group("report", cls=Group)
def report() -> None:
    """Work on reports of `meatus predict`."""


@report.command(short_help="Join reports, or make the tables of one anew.")
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--newest", is_flag=True, help="Of two reports of a case take the newer.")
@click.option("--pdf", is_flag=True, help="Write report.pdf too, a page a case.")
@one_line_errors
def merge(folders: tuple[Path, ...], newest: bool, pdf: bool) -> None:
    """Join the reports of all FOLDERS but the last into the last, as cp does.

    Of a single folder the tables are made anew from the files of its cases.
    """
    *sources, out = folders
    for source in sources or [out]:
        if not source.is_dir():
            raise UsageError(f"{source} does not exist. Pass folders that --report wrote.")
    for folder in folders:
        if folder.is_dir():
            adopt_table(folder)
    wanted = _newest_of(sources, out, newest)
    tables = Tables(out, pdf=pdf)
    tables.start()
    for case, source in wanted.items():
        _bring(source, out, case)
    tables.finish()
    print(f"{out}: {len(case_names(out))} cases, {len(wanted)} of them new here")


def _newest_of(sources: Sequence[Path], out: Path, newest: bool) -> dict[str, Path]:
    """The cases to bring, and from where.

    Raises ``UsageError`` where there is none, or where two folders hold different reports of a
    case and ``newest`` does not say which to take.
    """
    homes = dict.fromkeys(case_names(out), out)
    held = len(homes)
    for source in sources:
        cases = case_names(source)
        held += len(cases)
        for case in cases:
            home = homes.setdefault(case, source)
            if home == source or _same(home, source, case):
                continue
            if not newest:
                raise UsageError(
                    f"{home} and {source} both report the case {case}, and not the same. Pass "
                    "--newest to take the newer; nothing was joined."
                )
            if _written(source, case) > _written(home, case):
                homes[case] = source
    if not held:
        raise UsageError(f"{', '.join(map(str, (*sources, out)))}: no report of any case there.")
    return {case: home for case, home in homes.items() if home != out}


def _same(one: Path, other: Path, case: str) -> bool:
    return case_file(one, case).read_bytes() == case_file(other, case).read_bytes()


def _written(folder: Path, case: str) -> int:
    return case_file(folder, case).stat().st_mtime_ns


def _bring(source: Path, out: Path, case: str) -> None:
    """The picture and the page of ``case``, and last its file. Raises ``OutputError``."""
    for place in (picture_file, page_file, case_file):
        file = place(source, case)
        if file.exists():
            _put(file, place(out, case))


def _put(file: Path, target: Path) -> None:
    """A second name for the same bytes where the disk can, else a copy; whole or not at all."""
    with written_whole(target) as unfinished:
        try:
            os.link(file, unfinished)
        except OSError:
            shutil.copyfile(file, unfinished)
