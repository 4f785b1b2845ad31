"""``meatus models``: list, verify and install sets of weights, without a network."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from meatus.cli import models_option
from meatus.errors import InferenceError, WeightsError, printable
from meatus.models.card import CARD
from meatus.models.store import ModelSet, find_weights, install, set_folders, verify
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.service.commands import one_line_errors
from meatus.weights import read_manifest, read_spec

WIDTH = 110
DAMAGED = 1
MIB = 2**20


@click.group()
def models() -> None:
    """List, verify and install sets of weights. Nothing is fetched from anywhere."""


@models.command(name="list")
@models_option
@one_line_errors
def list_sets(models: Path) -> None:
    """List the shipped set and the installed ones: version, training, licence, size.

    predict takes the name: --weights NAME for the newest version, NAME@VERSION for that one.
    """
    table = Table("name", "version", "trained on", "licence", "size", "where", box=None)
    damaged = []
    for folder in (DEFAULT_WEIGHTS, *set_folders(models)):
        try:
            one = ModelSet(folder, read_manifest(folder), folder == DEFAULT_WEIGHTS)
            table.add_row(*_cells(one))
        except WeightsError as error:
            damaged.append(str(error))
    text = io.StringIO()
    Console(file=text, width=WIDTH, markup=False, emoji=False, highlight=False).print(table)
    for line in text.getvalue().splitlines():
        print(printable(line.rstrip()))
    print(printable(f"installed sets lie in {models}; each has its {CARD}"))
    _end(damaged)


@models.command(name="verify")
@click.argument("names", nargs=-1)
@models_option
@one_line_errors
def verify_sets(names: tuple[str, ...], models: Path) -> None:
    """Hash the files of the sets NAMES again, of all sets where none is named.

    Exit codes: 0 all whole; 1 some damaged, each named on stderr; 2 no such set.
    """
    folders = [find_weights(Path(name), models) for name in names]
    damaged = []
    for folder in folders or (DEFAULT_WEIGHTS, *set_folders(models)):
        try:
            manifest = verify(folder)
        except WeightsError as error:
            damaged.append(str(error))
        else:
            one = ModelSet(folder, manifest, folder == DEFAULT_WEIGHTS)
            count = len(manifest.members)
            files = f"{count} file{'s' * (count != 1)}"
            print(printable(f"{one.name} {one.version}: {files} whole"))
    _end(damaged)


@models.command(name="install")
@click.argument("file", type=click.Path(path_type=Path))
@models_option
def install_set(file: Path, models: Path) -> None:
    """Install the set of weights in FILE, a .zip or a folder with manifest.json.

    Every SHA-256 is checked, and that no other set has this name and version.
    """
    try:
        one, is_new = install(file, models)
    except InferenceError as error:
        _end([str(error)], code=2)
    said = "installed" if is_new else "was installed already"
    print(printable(f"{one.name} {one.version} {said} in {one.folder}"))
    print(printable(f"its card: {one.folder / CARD}"))
    print(printable(f"use it: meatus predict INPUT OUTPUT --weights {one.name}"))


def _cells(one: ModelSet) -> Iterator[str]:
    specs = [read_spec(one.folder / member.file) for member in one.manifest.members]
    yield one.name
    yield one.version
    yield "; ".join(dict.fromkeys(spec.origin for spec in specs))
    yield ", ".join(dict.fromkeys(spec.licence for spec in specs))
    yield f"{one.bytes / MIB:.1f} MiB"
    yield "shipped" if one.is_shipped else "installed"


def _end(errors: list[str], code: int = DAMAGED) -> None:
    for error in errors:
        print(f"error: {printable(error)}", file=sys.stderr)
    if errors:
        sys.exit(code)
