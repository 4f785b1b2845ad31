"""The command that turns ceT1 scans into pseudo-hrT2 scans."""

from __future__ import annotations

from pathlib import Path

import click

from meatus.service.commands import one_line_errors
from meatus_training.runs.launch import launch_options, make_fabric, stop_when_told
from meatus_training.settings_files import load_settings
from meatus_training.translation.settings import TranslateSettings
from meatus_training.translation.stage import run_translate

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("translate")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@launch_options
@one_line_errors
def translate(
    work: Path, preset: str, devices: int, nodes: int, strategy: str, accelerator: str
) -> None:
    """Train a translator on WORK/prepared and translate its ceT1 scans to pseudo-hrT2.

    The results are WORK/translated/CASE--STYLE.voxels.npy. Told to stop (SIGTERM), it saves its
    state and ends with exit code 2; the same command then goes on.
    """
    settings = load_settings("translate", preset, TranslateSettings)
    should_stop = stop_when_told()
    fabric = make_fabric(devices, nodes, strategy, accelerator, settings.training.precision)
    run_translate(
        work,
        settings,
        fabric,
        say=lambda line: fabric.print(line, flush=True),
        should_stop=should_stop,
    )
