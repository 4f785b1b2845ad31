"""The command that trains an ensemble on painted phantoms in a given time, for a lent GPU."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import click

from inference.errors import InferenceError
from training.checkpoints import save_halves
from training.errors import TrainingError
from training.guard import one_line_errors
from training.launch import make_fabric, stop_when_told
from training.origin import PAINTED
from training.parallel import start_worker
from training.phantom.cli import read_patients
from training.prepare.config import PrepareSettings
from training.segmentation.member import NETWORK, begin, prepared_how, train_member
from training.segmentation.painted import Canvas, PaintedScans, canvas_for
from training.segmentation.painters import painters_option, painting
from training.segmentation.settings import SegmentSettings
from training.settings_files import load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
MIB = 2**20
LOOK_EVERY_S = 0.2
STOPPED = 2


@dataclass(frozen=True)
class Job:
    """One member, trained by a process of its own."""

    folder: Path  # called as the member
    settings: SegmentSettings
    prepared: PrepareSettings
    canvas: Canvas
    start: Path | None
    accelerator: str


@click.command("members")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="phantom", show_default=True, help="Or a YAML file.")
@click.option("--members", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Of training, the same for all members.",
)
@click.option(
    "--width", "widths", type=click.IntRange(min=1), multiple=True, help="Else as the preset says."
)
@click.option(
    "--start", "starts", type=FILE, multiple=True, help="Begin with this .pt or .onnx file."
)
@click.option("--contours", type=FOLDER, help="Real contours (TCIA JSON) for the tumours.")
@painters_option
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option(
    "--parts",
    "part_mib",
    type=click.IntRange(min=1),
    help="Split the results into parts of so many MiB, where large files cannot travel.",
)
@one_line_errors
def members(
    work: Path,
    preset: str,
    members: int,
    minutes: float,
    widths: tuple[int, ...],
    starts: tuple[Path, ...],
    contours: Path | None,
    painters: int,
    paint_on: str,
    accelerator: str,
    part_mib: int | None,
) -> None:
    """Train networks side by side on one device, on phantoms painted meanwhile, for MINUTES.

    --width and --start may be given several times: members take them in turn. The results are
    WORK/members/NAME.pt in half precision, for ``export``, which also reads them in parts. Told
    to stop (SIGTERM), it ends with exit code 2; the same command then goes on.
    """
    base = load_settings("members", preset, SegmentSettings)
    base = replace(base, train_on="phantoms", minutes=minutes, steps=0, epochs=0)
    prepared = prepared_how(work, base)
    canvas = canvas_for(work, base, prepared, read_patients(contours))
    jobs = [
        Job(
            folder=work / "segment" / f"{work.name}-{number + 1}",
            settings=replace(
                base,
                seed=base.seed + number,
                width=widths[number % len(widths)] if widths else base.width,
            ),
            prepared=prepared,
            canvas=canvas,
            start=starts[number % len(starts)] if starts else None,
            accelerator=accelerator,
        )
        for number in range(members)
    ]
    with painting(canvas, painters, paint_on):
        _train_side_by_side(jobs, stop_when_told())
    print(f"{len(canvas.painted())} phantoms were painted for these members", flush=True)
    for job in jobs:
        half = work / "members" / f"{job.folder.name}.pt"
        for file in save_halves(job.folder / NETWORK, half, part_mib):
            print(f"{file}: {file.stat().st_size / MIB:.1f} MiB", flush=True)


def _train_side_by_side(jobs: list[Job], should_stop: Callable[[], bool]) -> None:
    """One process for each job, all at once: the gaps of one are filled by the others' work.

    Raises ``TrainingError`` where one ended early; the others have saved what they had.
    """
    context = get_context("spawn")  # CUDA does not survive a fork
    processes = [context.Process(target=_train, args=(job,), daemon=False) for job in jobs]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            if should_stop() or any(process.exitcode for process in processes):
                break
            time.sleep(LOOK_EVERY_S)
    finally:
        for process in processes:
            process.terminate()  # those that still train save first
        for process in processes:
            process.join()
    codes = {job.folder.name: p.exitcode for job, p in zip(jobs, processes, strict=True)}
    early = [name for name, code in codes.items() if code]
    if early:
        raise TrainingError(
            f"{', '.join(early)} did not come to an end (see above); what was saved stays: run "
            "the same command again to go on."
        )


def _train(job: Job) -> None:
    """Train one member, in this process; leaves with exit code 2 where it cannot be finished."""
    start_worker()
    name = job.folder.name
    try:
        _train_member(job)
    except (TrainingError, InferenceError) as error:
        print(f"error: {name}: {error}", file=sys.stderr, flush=True)
        sys.exit(STOPPED)


def _train_member(job: Job) -> None:
    should_stop = stop_when_told()
    settings = job.settings
    fabric = make_fabric(accelerator=job.accelerator, precision=settings.precision)
    began, about = begin(job.start, settings, job.prepared, PAINTED)
    train_member(
        job.folder,
        PaintedScans(job.canvas, settings.seed),
        settings,
        job.prepared,
        fabric,
        about,
        start=began,
        say=lambda line: print(f"{job.folder.name}: {line}", flush=True),
        should_stop=should_stop,
    )
