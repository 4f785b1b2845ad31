"""The command that self-trains an ensemble on real scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from meatus.service.commands import one_line_errors
from meatus_training.errors import TrainingError
from meatus_training.runs.launch import launch_options, stop_when_told
from meatus_training.runs.run_context import Launch, RunContext
from meatus_training.segmentation.member import NETWORK
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.selftraining.stage import run_selftrain
from meatus_training.settings_files import load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("selftrain")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@click.option("--member", "members", multiple=True, help="Of WORK/segment; default: all.")
@click.option("--rounds", type=click.IntRange(min=1), help="Else as the preset says.")
@click.option("--truth", type=FOLDER, help="Of phantoms (DATA/truth): score every round.")
@launch_options
@one_line_errors
def selftrain(
    work: Path,
    preset: str,
    members: tuple[str, ...],
    rounds: int | None,
    truth: Path | None,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
) -> None:
    """Label WORK's hrT2 scans with its networks, and train these on the plausible labels.

    Each round's weights are WORK/selftrain/round_<r>/weights. Told to stop (SIGTERM), it saves
    its state and ends with exit code 2; the same command then goes on.
    """
    settings = load_settings("selftrain", preset, SelftrainSettings)
    if rounds is not None:
        settings = replace(settings, rounds=rounds)
    if truth is not None and not truth.is_dir():
        raise TrainingError(f"{truth} is no folder; expected one with validation or target.")
    should_stop = stop_when_told()
    launch = Launch(devices, nodes, strategy, accelerator)
    context = RunContext(work, launch, launch.fabric(), should_stop)
    networks = run_selftrain(members or members_of(work), settings, context, truth)
    context.say(f"{networks[0].parents[1]}: self-trained, {settings.rounds} rounds")


def members_of(work: Path) -> tuple[str, ...]:
    """The networks that the segment command has finished, by name."""
    return tuple(sorted(file.parent.name for file in (work / "segment").glob(f"*/{NETWORK}")))
