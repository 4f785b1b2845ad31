"""The command that trains an ensemble on painted phantoms in a given time, for a lent GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from lightning.fabric import Fabric

from training.checkpoints import save_halves
from training.guard import one_line_errors
from training.launch import launch_options, make_fabric, stop_when_told
from training.origin import PAINTED
from training.phantom.cli import read_patients
from training.segmentation.member import train_member
from training.segmentation.network import spec_for
from training.segmentation.painted import painted_scans
from training.segmentation.settings import SegmentSettings
from training.settings_files import load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)
MIB = 2**20


@click.command("members")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="phantom", show_default=True, help="Or a YAML file.")
@click.option("--members", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Of all members together.",
)
@click.option("--contours", type=FOLDER, help="Real contours (TCIA JSON) for the tumours.")
@click.option(
    "--parts",
    "part_mib",
    type=click.IntRange(min=1),
    help="Split the results into parts of so many MiB, where large files cannot travel.",
)
@launch_options
@one_line_errors
def members(
    work: Path,
    preset: str,
    members: int,
    minutes: float,
    contours: Path | None,
    part_mib: int | None,
    **launch: Any,
) -> None:
    """Train networks on phantoms that are painted meanwhile, each for its share of MINUTES.

    The results are WORK/members/NAME.pt in half precision, for ``export``, which also reads them
    in parts. Told to stop (SIGTERM), it ends with exit code 2; the same command then goes on.
    """
    base = load_settings("members", preset, SegmentSettings)
    base = replace(base, train_on="phantoms", minutes=minutes / members, steps=0, epochs=0)
    should_stop = stop_when_told()
    fabric = make_fabric(**launch, precision=base.precision)
    patients = read_patients(contours)
    for number in range(members):
        settings = replace(base, seed=base.seed + number)
        name = f"{work.name}-{number + 1}"
        spec = spec_for(settings, settings.phantoms.prepare, name, PAINTED)
        trained = train_member(
            work / "segment" / name,
            painted_scans(settings, spec, patients, fabric.device),
            settings,
            settings.phantoms.prepare,
            fabric,
            PAINTED,
            say=_named(fabric, name),
            should_stop=should_stop,
        )
        if fabric.is_global_zero:
            written = save_halves(trained, work / "members" / f"{name}.pt", part_mib)
            for file in written:
                fabric.print(f"{file}: {file.stat().st_size / MIB:.1f} MiB", flush=True)
        fabric.barrier()


def _named(fabric: Fabric, name: str) -> Callable[[str], None]:
    """Says whose line it is: the first process prints for all."""
    return lambda line: fabric.print(f"{name}: {line}", flush=True)
