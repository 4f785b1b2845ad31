"""The command that makes the weights, from the challenge's folders to the last file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_phantom.cohort.files import SETTINGS as COHORT
from meatus_training.errors import TrainingError
from meatus_training.reproduce.plan import print_plan
from meatus_training.reproduce.settings import StageName, load_all
from meatus_training.reproduce.stage import (
    STAGES,
    Reproduction,
    check_start,
    run_reproduce,
)
from meatus_training.runs.launch import launch_options, lone_fabric, stop_when_told
from meatus_training.runs.run_context import Launch, RunContext

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("reproduce")
@click.argument("data", type=FOLDER)
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a folder of YAML files.")
@click.option("--members", type=click.IntRange(min=1), help="Else as export.yaml says.")
@click.option("--rounds", type=click.IntRange(min=0), help="Else as selftrain.yaml says.")
@click.option("--from-stage", type=click.Choice(STAGES), help="Begin this one and the rest anew.")
@click.option("--workers", type=click.IntRange(min=1), default=usable_threads)
@click.option("--plan", is_flag=True, help="Tell steps, hours, disk and memory, and do nothing.")
@launch_options
@one_line_errors
def reproduce(
    data: Path,
    work: Path,
    preset: str,
    members: int | None,
    rounds: int | None,
    from_stage: StageName | None,
    workers: int,
    plan: bool,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
) -> None:
    """Make an ensemble from the scans in DATA: WORK/weights, ready for predict --weights.

    Stages that are done stay as long as their settings and inputs are the same. Told to stop
    (SIGTERM), it saves its state and ends with exit code 2; the same command then goes on.
    """
    check_folders(None if plan else work)
    settings = load_all(preset)
    if members is not None:
        settings = replace(settings, export=replace(settings.export, members=members))
    if rounds is not None:
        settings = replace(settings, selftrain=replace(settings.selftrain, rounds=rounds))
    if not data.is_dir():
        raise TrainingError(f"{data} is no folder; pass the folder of the scans.")
    should_stop = stop_when_told()
    launch = Launch(devices, nodes, strategy, accelerator)
    if plan:
        fabric = launch.fabric()
        check_start(data, work, settings, fabric)
        if fabric.is_global_zero:  # the others are gone: what is measured must not wait for them
            own = lone_fabric(fabric.device, settings.segment.precision)
            print_plan(data, work, settings, own, fabric.world_size, workers)
        return
    context = RunContext(work, launch, launch.fabric(), should_stop)
    truth = data / "truth"
    known = truth if (data / COHORT).is_file() and truth.is_dir() else None
    weights = run_reproduce(Reproduction(data, settings, context, workers, known, from_stage))
    context.say(f"{weights}: ready; meatus predict SCANS OUTPUT --weights {weights}")
