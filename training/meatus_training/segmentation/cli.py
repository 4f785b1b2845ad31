"""The command that trains one segmentation network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
from lightning.fabric import Fabric

from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_phantom.cli import read_patients
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import read_prepared
from meatus_training.runs.launch import launch_options, make_fabric, stop_when_told
from meatus_training.runs.provenance import RENDERED, labelled
from meatus_training.segmentation.member import begin, prepared_how, train_member
from meatus_training.segmentation.rendered import Subjects, make_subjects
from meatus_training.segmentation.samples import SampleScans, Scans
from meatus_training.segmentation.select import select_samples, split_of
from meatus_training.segmentation.settings import SegmentSettings, Source
from meatus_training.settings_files import load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
MEMBER = re.compile(r"[\w.-]+")


@click.command("segment")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="paper, phantom, smoke, FILE.")
@click.option("--member", required=True, help="Name of the network in the ensemble.")
@click.option("--seed", type=click.IntRange(min=0), help="Else as the preset says.")
@click.option("--on", "train_on", type=click.Choice(get_args(Source)))
@click.option("--labels", type=FOLDER, help="Of the scans; else their own.")
@click.option("--contours", type=FOLDER, help="Real contours (TCIA JSON) for --on phantoms.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Instead of steps or epochs."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=usable_threads,
    help="Processes that make the phantoms' tissue maps, once.  [default: all processors]",
)
@click.option("--start", type=FILE, help="Begin with this network: a .pt or .onnx file.")
@launch_options
@one_line_errors
def segment(
    work: Path,
    preset: str,
    member: str,
    labels: Path | None,
    contours: Path | None,
    workers: int,
    start: Path | None,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
    **chosen: Any,
) -> None:
    """Train a segmentation network on the scans in WORK; goes on where it stopped.

    The result is WORK/segment/MEMBER/network.pt. Told to stop (SIGTERM), it saves its state
    and ends with exit code 2; the same command then goes on.
    """
    check_folders(work)
    settings = load_settings("segment", preset, SegmentSettings)
    if chosen["minutes"]:
        settings = replace(settings, minutes=chosen["minutes"], steps=0, epochs=0)
    settings = replace(settings, **{name: v for name, v in chosen.items() if v is not None})
    if not MEMBER.fullmatch(member):
        raise TrainingError(f"--member {member!r}: letters, digits, '.', '_' and '-' only.")
    should_stop = stop_when_told()
    fabric = make_fabric(devices, nodes, strategy, accelerator, settings.precision)
    folder = work / "segment" / member
    prepared = prepared_how(work, settings)
    began, about, history = begin(start, settings, prepared, told_origin(work, settings))
    if settings.train_on == "phantoms":
        with fabric.rank_zero_first():
            scans: Scans | Subjects = make_subjects(
                work, settings, prepared, read_patients(contours), workers, should_stop
            )
    else:
        scans = _prepared_scans(work, settings, labels, folder / "labels", fabric)
    file = train_member(
        folder,
        scans,
        settings,
        prepared,
        fabric,
        about,
        start=began,
        history=history,
        say=lambda line: fabric.print(line, flush=True),
        should_stop=should_stop,
    )
    fabric.print(f"{file}: trained", flush=True)


def told_origin(work: Path, settings: SegmentSettings) -> str:
    """What the weights' metadata say they were trained on."""
    kinds = {"source": "ceT1", "translated": "ceT1 (translated to hrT2)", "target": "hrT2"}
    if settings.train_on == "phantoms":
        return RENDERED
    split = split_of(settings.train_on)
    cases = [case for case in read_prepared(work / "prepared") if case.split == split]
    return labelled(cases, kinds[settings.train_on])


def _prepared_scans(
    work: Path, settings: SegmentSettings, labels: Path | None, cache: Path, fabric: Fabric
) -> SampleScans:
    """The first process brings labels onto the prepared grids; the others find them done."""
    with fabric.rank_zero_first():
        samples = select_samples(work, settings.train_on, labels, cache)
    return SampleScans(samples, settings.seed)
