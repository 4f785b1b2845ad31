"""The commands that are no stage: export, import, manifest, and comparisons."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from meatus.atomic import write_whole
from meatus.engines import usable_threads
from meatus.ensemble import Quality
from meatus.io.images import read_scan
from meatus.models.card import CARD
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.preprocess import prepare
from meatus.service.cases import find_cases
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_apart, check_folders, check_writable
from meatus.spec import Spec
from meatus.volumes import Scan
from meatus.weights import MANIFEST, read_spec
from meatus.windows import cut, plan
from meatus_phantom.generate import Recipe, make_case
from meatus_training.errors import TrainingError
from meatus_training.export.agreement import export_checked
from meatus_training.export.engines import WANTED_DICE, compare_engines, summarise
from meatus_training.export.int8 import agreement, windows_of, write_with_int8
from meatus_training.export.manifest import write_manifest
from meatus_training.networks import ResUNet25d
from meatus_training.runs.checkpoints import (
    import_checkpoint,
    imported_spec,
    load_mean,
)

say = partial(print, flush=True)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

# A phantom that no cohort contains: what an export is checked on where no scan is given.
CHECK_SEED = 999_999_999


@click.command()
@click.argument("checkpoints", type=FILE, nargs=-1, required=True)
@click.argument("out", type=FILE)
@click.option("--fp16/--fp32", default=False, help="Half-precision weights: half the size.")
@click.option("--scan", type=FILE, default=None, help="Check on this scan, not on a phantom.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Divide the logits by it; above 1 is less sure. `meatus reliability` finds the best.",
)
@one_line_errors
def export(
    checkpoints: tuple[Path, ...], out: Path, fp16: bool, scan: Path | None, temperature: float
) -> None:
    """Write CHECKPOINT as OUT.onnx, once every runtime is seen to agree with torch.

    Of several CHECKPOINTS of one training, the mean of their weights.
    """
    _check_output(out, *checkpoints, scan)
    network, spec = load_mean(checkpoints)
    network.head.at_temperature(temperature)
    _export(network, spec, out, fp16, scan)


@click.command("import-checkpoint")
@click.argument("file", type=FILE)
@click.argument("out", type=FILE)
@click.option("--fp16/--fp32", default=False, help="Half-precision weights: half the size.")
@click.option("--scan", type=FILE, default=None, help="Check on this scan, not on a phantom.")
@one_line_errors
def import_command(file: Path, out: Path, fp16: bool, scan: Path | None) -> None:
    """Convert FILE.pth, published in the reference's format, to OUT.onnx."""
    _check_output(out, file, scan)
    network = import_checkpoint(file)
    _export(network, imported_spec(network, file), out, fp16, scan)


def _check_output(out: Path, *read: Path | None) -> None:
    check_writable(out)
    check_apart((out,), [file for file in read if file])


def _export(network: ResUNet25d, spec: Spec, out: Path, fp16: bool, scan_file: Path | None) -> None:
    """Check on the middle window of a scan, write, and say what was measured."""
    scan = read_scan(scan_file) if scan_file else _phantom_scan()
    prepared = prepare(scan, spec)
    parts = plan(prepared.geometry.size[2], spec.window)
    window = cut(prepared.voxels, parts[len(parts) // 2], spec.window.depth)
    agreement = export_checked(network, spec, window, out, fp16=fp16)
    for line in agreement.lines():
        say(line)
    say(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")


def _phantom_scan() -> Scan:
    say("no --scan given: rendering a phantom to check on")
    case = make_case(CHECK_SEED, CHECK_SEED, "ldn", "hrT2", Recipe(random_share=0))
    return Scan(case.voxels.astype(np.float32), case.geometry)


@click.command()
@click.argument("network", type=FILE)
@click.argument("scans", type=click.Path(path_type=Path))
@click.argument("out", type=FILE)
@one_line_errors
def quantise(network: Path, scans: Path, out: Path) -> None:
    """Write the ONNX file NETWORK as OUT, with its int8 network too, calibrated on SCANS.

    Processors with VNNI and without AMX run that one, in half to three quarters of the time; every
    other runtime the float one. Needs NNCF (pip install "meatus-training[bench]").
    """
    _check_output(out, network, scans)
    spec = read_spec(network)
    windows = windows_of((read_scan(case.scan) for case in find_cases(scans, out).cases), spec)
    write_with_int8(network, windows, out)
    found = agreement(out, spec, windows, usable_threads())
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    say(f"Dice with float32's labels on these {len(windows)} windows: {told}")
    say(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")


@click.command()
@click.argument("folder", type=FOLDER, default=DEFAULT_WEIGHTS)
@click.option("--scores", type=FILE, help="JSON: file name or 'ensemble' to scores.")
@click.option("--made", type=FILE, help="JSON: file name to seed, commands and the like.")
@click.option("--about", type=FILE, help="JSON: name, version, purpose, judged_by, limits.")
@one_line_errors
def manifest(folder: Path, scores: Path | None, made: Path | None, about: Path | None) -> None:
    """Write FOLDER's manifest.json: each file's SHA-256, provenance and scores."""
    check_folders(folder)
    read = [file for file in (scores, made, about) if file]
    check_apart((folder / MANIFEST, folder / CARD), read)
    told = [read_json(file) if file else {} for file in (scores, made, about)]
    say(f"{write_manifest(folder, *told)}: written")


def read_json(file: Path) -> dict[str, Any]:
    """The object in ``file``. Raises ``TrainingError`` where there is none."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read as JSON ({error}).") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{file}: expected an object, file names to what is known of them.")
    return found


@click.command()
@click.argument("scans", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), default=DEFAULT_WEIGHTS)
@click.option("--quality", type=click.Choice(get_args(Quality)), default="standard")
@click.option("--json", "json_file", type=FILE, help="Also write the numbers as JSON.")
@one_line_errors
def engines(scans: Path, weights: Path, quality: Quality, json_file: Path | None) -> None:
    """Label SCANS with every runtime and with PyTorch in float32; compare the label maps.

    Exit code 1 where a structure's mean Dice between the two is below 0.99.
    """
    check_writable(json_file)
    check_apart((json_file,), (scans, weights))
    cases = ((case.name, read_scan(case.scan)) for case in find_cases(scans, Path()).cases)
    found = {}
    for name, dices in compare_engines(cases, weights, quality):
        found[name] = dices
        lowest = min(min(each.values()) for each in dices.values())
        say(f"{name}: lowest Dice {lowest:.4f}")
    summaries = summarise(found)
    table = Table("runtime", "structure", "mean Dice", "lowest", "of")
    for row in summaries:
        numbers = f"{row.mean:.4f}", f"{row.lowest:.4f}"
        table.add_row(row.engine, row.structure, *numbers, row.lowest_case)
    Console(width=100).print(table)
    if json_file:
        write_whole(json_file, (json.dumps(found, indent=2) + "\n").encode())
    if any(row.mean < WANTED_DICE for row in summaries):
        sys.exit(1)
