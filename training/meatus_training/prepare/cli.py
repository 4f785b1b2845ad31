"""The command that reads the challenge's folders once, for all later stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus_training.prepare.settings import PrepareSettings, WholeTumour
from meatus_training.prepare.stage import run_prepare
from meatus_training.settings_files import load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("prepare")
@click.argument("data", type=FOLDER)
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@click.option(
    "--vs-as",
    type=click.Choice(["refuse", "extra"]),
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
    settings = load_settings("prepare", preset, PrepareSettings)
    if vs_as:
        settings = replace(settings, whole_tumour=vs_as)
    run_prepare(data, work, settings, workers)
