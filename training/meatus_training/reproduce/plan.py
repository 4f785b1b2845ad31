"""What a reproduction will take on this machine, told before anything starts.

Steps follow from the settings and the scans' headers; hours from a warm-up of some steps with
random numbers. A processor measures a part of each window and takes the rest to be as fast.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.table import Table

from meatus.engines import usable_threads
from meatus.ensemble import views_of
from meatus.geometry import axial
from meatus.io.images import read_grid
from meatus.timing import peak_mib
from meatus_training.errors import TrainingError
from meatus_training.prepare.raw import RawCase
from meatus_training.prepare.stage import find_scans
from meatus_training.reproduce.costs import Costs, measure_costs
from meatus_training.reproduce.settings import ReproduceSettings, StageName
from meatus_training.segmentation.member import spec_for
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.retrain import round_settings
from meatus_training.selftraining.rounds import joining

GIB = 2**30
FLOAT, HALF, BYTE = 4, 2, 1  # bytes of a voxel in a window, of a prepared one, of its label
AHEAD = 2  # batches that a reader of torch holds ready
SHARED_MEMORY = Path("/dev/shm")
SPLITS = ("source", "target", "validation")
STATE_BYTES = 16  # of a weight in a checkpoint: itself, its average and two moments
HOUR_S = 3600.0


@dataclass(frozen=True)
class Side:
    """Scans of one kind."""

    scans: int
    slices: int  # of all of them
    sites: int = 1


@dataclass(frozen=True)
class PlannedStage:
    """One line of the plan."""

    name: StageName
    what: str
    steps: int
    hours: float
    disk_gib: float
    gpu_gib: float = 0.0  # of memory, on each GPU; 0: not known


def count_slices(cases: Sequence[RawCase]) -> Side:
    """Slices by the headers of the files; see ``read_grid`` for what is raised."""
    slices = sum(axial(read_grid(case.scan)[0]).size[2] for case in cases)
    return Side(len(cases), slices, len({case.site for case in cases}))


def plan_stages(
    source: Side,
    target: Side,
    validation: Side,
    settings: ReproduceSettings,
    costs: Costs,
    processes: int,
    workers: int,
) -> list[PlannedStage]:
    """Steps, hours and disk of every stage; each step's share of a batch is on ``processes``.

    Each source scan is translated into as many styles as ``target`` has sites, where the settings
    say so. A round of self-training is at its longest: all pseudo-labels are plausible.
    """
    training, segment, rounds = settings.translate.training, settings.segment, settings.selftrain
    plane = settings.prepare.crop.size[0] * settings.prepare.crop.size[1]
    sides = (source, target, validation)
    scans, slices = sum(side.scans for side in sides), sum(side.slices for side in sides)
    styles = target.sites if settings.translate.styles == "by_site" else 1
    epoch = training.steps_per_epoch or -(-max(source.slices, target.slices) // training.batch)
    translate = epoch * (training.epochs + training.decay_epochs)
    applied = source.slices * styles * (2 if settings.translate.apply.mirrored else 1)
    steps = segment_steps(segment, source.scans * styles)
    step_s = segment.batch / processes * costs.segment_pass_s * mean_window(settings)
    members = settings.export.members
    again = sum(
        segment_steps(
            round_settings(segment, rounds, number),
            source.scans * styles + joining(number, target.scans, rounds.joins),
        )
        for number in range(1, rounds.rounds + 1)
    )
    spec = spec_for(segment, settings.prepare, "", "")
    windows = target.slices / max(spec.window.depth - spec.window.overlap, 1)
    times = spec.window.depth * plane / math.prod(segment.patch)  # of what was measured
    views = len(views_of(spec, rounds.quality))
    label = rounds.rounds * windows * views * members * costs.label_pass_s * times
    weights_gib = 6.2e6 * (segment.width / 32) ** 2 * STATE_BYTES / GIB
    small = (settings.prepare.translation_size**2) * HALF
    return [
        PlannedStage(
            "prepare",
            f"{source.scans} ceT1, {target.scans} hrT2, {validation.scans} for validation",
            scans,
            scans * costs.prepare_s / workers / HOUR_S,
            slices * (plane * (HALF + BYTE) + small) / GIB,
        ),
        PlannedStage(
            "translate",
            f"{training.epochs + training.decay_epochs} epochs of {epoch} steps",
            translate,
            (translate * costs.translate_step_s + applied * costs.translate_slice_s / processes)
            / HOUR_S,
            source.slices * styles * plane * HALF / GIB,
            costs.translate_gib,
        ),
        PlannedStage(
            "segment",
            f"{members} members of {steps} steps",
            members * steps,
            members * steps * step_s / HOUR_S,
            members * weights_gib,
            costs.segment_gib,
        ),
        PlannedStage(
            "selftrain",
            f"{rounds.rounds} rounds: {target.scans} scans labelled, {members} members trained, "
            "at most so long",
            members * again,
            (members * again * step_s + label / processes) / HOUR_S,
            rounds.rounds * (target.slices * plane * BYTE / GIB + members * weights_gib),
            costs.segment_gib,
        ),
        PlannedStage("export", f"{members} files", 0, 0.0, members * weights_gib / STATE_BYTES * 4),
    ]


def mean_window(settings: ReproduceSettings) -> float:
    """Voxels of a training window against those of a ``patch``: some see the whole field."""
    segment, (columns, rows) = settings.segment, settings.prepare.crop.size
    depth = segment.full_field_depth if segment.full_field_order == "mixed" else 0
    whole = (depth or segment.depth) * rows * columns / math.prod(segment.patch)
    return 1 + segment.full_field_fraction * (whole - 1)


def segment_steps(settings: SegmentSettings, scans: int) -> int:
    """Steps of a member's training; of one that ends by time none are known."""
    return settings.steps or -(-settings.epochs * scans // settings.batch)


def print_plan(
    data: Path,
    work: Path,
    settings: ReproduceSettings,
    fabric: Fabric,
    processes: int,
    workers: int,
) -> None:
    """Print what ``reproduce`` will take on ``processes`` devices like that of ``fabric``.

    Of what is wrong with the names of files too. Raises ``TrainingError`` where there is no scan.
    """
    found = find_scans(data.resolve())
    sides = [[case for case in found.cases if case.split == name] for name in SPLITS]
    if not all(sides[:2]):
        raise TrainingError(
            f"{data}: {len(sides[0])} source and {len(sides[1])} target scans; a reproduction "
            "needs at least one of each."
        )
    source, target, validation = (count_slices(cases) for cases in sides)
    costs = measure_costs(data.resolve(), found, settings, fabric, processes)
    stages = plan_stages(source, target, validation, settings, costs, processes, workers)
    console = Console(width=110)
    console.print(plan_table(stages, fabric, processes, work))
    for line in loading_lines(settings, costs, processes):
        console.print(line)
    console.print(shared_memory_line(settings, processes, SHARED_MEMORY))
    for line in found.problems:
        console.print(f"to put right before it starts: {line}")


def plan_table(stages: Sequence[PlannedStage], fabric: Fabric, processes: int, work: Path) -> Table:
    """The plan as a user reads it; the last line: sums, and what the machine has."""
    table = Table(
        *("stage", "what", "steps", "hours", "disk, GiB", "GPU, GiB"),
        title="An estimate, not a promise",
    )
    for stage in stages:
        table.add_row(
            stage.name,
            stage.what,
            f"{stage.steps:,}" if stage.steps else "",
            _hours(stage.hours),
            f"{stage.disk_gib:.1f}",
            f"{stage.gpu_gib:.1f}" if stage.gpu_gib else "",
        )
    place = next(folder for folder in (work, *work.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free / GIB
    table.add_section()
    table.add_row(
        "together",
        f"{processes} x {_device(fabric)}; {free:.0f} GiB of disk are free",
        "",
        _hours(sum(stage.hours for stage in stages)),
        f"{sum(stage.disk_gib for stage in stages):.1f}",
        "",
    )
    return table


def loading_lines(settings: ReproduceSettings, costs: Costs, processes: int) -> Iterator[str]:
    """What readers deliver against what the device takes, and how long it waits for them."""
    training = settings.translate.training
    pair_s = costs.translate_step_s * processes / training.batch
    for what, workers, read_s, used_s in (
        ("Pairs of slices", training.workers, costs.load_pair_s, pair_s),
        ("Windows", settings.segment.workers, costs.load_window_s, costs.segment_pass_s),
    ):
        readers = min(workers, usable_threads())
        yield (
            f"{what} a second: {1 / read_s:.1f} from one reader, {1 / used_s:.2f} are trained on; "
            f"with {readers} readers a device waits {waiting_share(read_s, used_s, readers):.0%} "
            "of the time."
        )


def shared_memory_line(settings: ReproduceSettings, processes: int, folder: Path) -> str:
    """What readers hand over in shared memory at most, and what is told where that is scarce."""
    segment, (columns, rows) = settings.segment, settings.prepare.crop.size
    depth = segment.full_field_depth or segment.depth
    whole = depth * rows * columns if segment.full_field_fraction else 0
    voxels = max(math.prod(segment.patch), whole)
    at_once = segment.micro_batch or segment.batch // processes
    window_gib = voxels * (FLOAT + BYTE) / GIB
    needed = processes * segment.workers * AHEAD * at_once * window_gib
    line = f"Readers hold up to {needed:.1f} GiB in shared memory"
    if not folder.is_dir():
        return f"{line}."
    there = shutil.disk_usage(folder).total / GIB
    if there >= needed:
        return f"{line}, of {there:.1f} GiB."
    return (
        f"{line}, and {folder} has {there:.1f}: start the container with "
        f"--shm-size {math.ceil(needed)}g, or set fewer workers in segment.yaml."
    )


def waiting_share(read_s: float, used_s: float, workers: int) -> float:
    """Of the time of a device that takes ``used_s`` for what one reader reads in ``read_s``.

    Without ``workers`` the process that trains reads in between.
    """
    if not workers:
        return read_s / (read_s + used_s)
    return max(0.0, 1 - used_s * workers / read_s)


def _device(fabric: Fabric) -> str:
    if fabric.device.type == "cuda":
        memory = torch.cuda.get_device_properties(fabric.device).total_memory / GIB
        return f"{torch.cuda.get_device_name(fabric.device)}, {memory:.0f} GiB"
    peak = peak_mib()
    return f"processor, {peak or 0:.0f} MiB of memory so far"


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 0.1 else f"{hours * 60:.1f} min"
