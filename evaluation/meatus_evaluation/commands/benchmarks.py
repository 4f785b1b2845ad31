"""``budget``, ``stages`` and ``bench``: seconds and memory."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from meatus.cli import device_option
from meatus.engines import DEVICES, Device, availability, choose
from meatus.ensemble import Quality
from meatus.errors import UsageError
from meatus.pipeline import load_model
from meatus.service.cases import find_cases
from meatus.service.destinations import check_apart, check_writable
from meatus_evaluation.benchmark.batch import Batch, measure_batch
from meatus_evaluation.benchmark.budget import (
    Budgets,
    check_accuracy,
    check_budgets,
    check_ratios,
    is_broken,
)
from meatus_evaluation.benchmark.children import no_child_left
from meatus_evaluation.benchmark.device_speed import table_lines, time_device
from meatus_evaluation.benchmark.processor import described_processor
from meatus_evaluation.benchmark.ratios import measure_ratios, read_ratios, write_ratios
from meatus_evaluation.benchmark.stages import time_stages
from meatus_evaluation.commands.options import (
    ANY,
    BROKEN,
    json_option,
    one_line_errors,
    quality_option,
    say_error,
    weights_option,
)
from meatus_evaluation.report import terminal_tables
from meatus_evaluation.report.files import write_json

BUDGETS = Budgets()
repeats_option = click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="After a warm-up."
)


@click.command()
@click.argument("source", metavar="INPUT", type=ANY)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--max-seconds", type=float, default=BUDGETS.seconds, show_default=True)
@click.option("--max-gpu-mib", type=float, default=BUDGETS.gpu_mib, show_default=True)
@click.option("--max-rss-mib", type=float, default=None, help="Default: measured, no budget.")
@click.option("--truth", type=ANY, help="Folder of label maps that the results are compared with.")
@click.option("--min-dice", type=float, help="With --truth: least mean Dice of each structure.")
@click.option(
    "--ratios",
    "ratios_file",
    type=ANY,
    help="Stored ratios: the first case's work beside reference work of the same minute.",
)
@click.option("--renew", is_flag=True, help="With --ratios: measure and store them, no more.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Of --ratios."
)
@click.option("--image", default=None, help="Run this image with docker or podman.")
@click.option("--require-gpu", is_flag=True, help="Broken where no GPU can be measured.")
@json_option
def budget(
    source: Path,
    options: tuple[str, ...],
    max_seconds: float,
    max_gpu_mib: float,
    max_rss_mib: float | None,
    truth: Path | None,
    min_dice: float | None,
    ratios_file: Path | None,
    renew: bool,
    rounds: int,
    image: str | None,
    require_gpu: bool,
    json_file: Path | None,
) -> None:
    """Label INPUT as a user does, and check seconds, memory and accuracy against budgets.

    OPTIONS, after --, go to predict, for example: budget scans -- --device cpu
    """
    budgets = Budgets(max_seconds, max_gpu_mib, max_rss_mib, min_dice)
    with one_line_errors(), no_child_left():
        check_writable(json_file)
        check_apart(
            (json_file, ratios_file if renew else None), (source, *([truth] if truth else []))
        )
        _check_request(truth, min_dice, ratios_file, renew)
        first = find_cases(source, source).cases[0].scan if ratios_file else source
        if ratios_file and renew:
            write_ratios(ratios_file, measure_ratios(first, rounds))
            return
        stored = read_ratios(ratios_file) if ratios_file else None
        usage = measure_batch(source, Batch(image, options), truth)
        lines = check_budgets(usage, budgets, require_gpu=require_gpu)
        lines += check_accuracy(usage, budgets)
        lines += check_ratios(measure_ratios(first, rounds), stored) if stored else []
        terminal_tables.print_budget(lines)
        write_json(json_file, asdict(usage) | {"lines": [asdict(line) for line in lines]})
    if is_broken(lines):
        broken = ", ".join(line.name for line in lines if line.verdict == "broken")
        say_error(f"over budget: {broken}")
        sys.exit(BROKEN)


def _check_request(
    truth: Path | None, min_dice: float | None, ratios_file: Path | None, renew: bool
) -> None:
    """Before long work. Raises ``UsageError`` for options that lack what they need."""
    if min_dice is not None and truth is None:
        raise UsageError(
            "--min-dice is against reference label maps; name their folder by --truth."
        )
    if truth is not None and not truth.is_dir():
        raise UsageError(f"{truth} is no folder; --truth takes one with <case>_Label.nii.gz.")
    if renew and ratios_file is None:
        raise UsageError("--renew writes the file of stored ratios; name it by --ratios.")
    check_writable(ratios_file if renew else None)


@click.command()
@click.argument("scan", type=ANY)
@weights_option
@device_option
@quality_option
@repeats_option
@click.option("--labels", type=ANY, help="Keep the label map as this file.")
def stages(
    scan: Path,
    weights: Path,
    device: Device,
    quality: Quality | None,
    repeats: int,
    labels: Path | None,
) -> None:
    """Print, as JSON, the median seconds of each stage for SCAN and the process's peak memory."""
    with one_line_errors():
        check_writable(labels)
        model = load_model(weights, device=device, quality=quality)
        times = time_stages(scan, model, repeats, labels)
    print(json.dumps({"seconds": times.seconds, "peak_mib": times.peak_mib}))


@click.command()
@click.argument("scan", type=ANY, required=False)
@weights_option
@click.option("--device", type=click.Choice(DEVICES), help="Time labelling of SCAN on this device.")
@repeats_option
@json_option
def bench(
    scan: Path | None, weights: Path, device: Device | None, repeats: int, json_file: Path | None
) -> None:
    """Time the scoring of a 448 x 448 x 80 case, on one core, against MedPy in the same run.

    With --device, time the labelling of SCAN there at each quality, beside the processor's, and
    print the table that docs/speed.md wants.
    """
    if device is None and scan is None:
        _bench_scoring(repeats, json_file)
        return
    with one_line_errors(), no_child_left():
        check_writable(json_file)
        if device is None or scan is None:
            raise UsageError("labelling is timed on one scan and one device: bench SCAN --device D")
        choose(device, print)  # before the processor has worked for minutes
        rows = time_device(scan, weights, device, repeats, print)
        write_json(json_file, {"rows": [asdict(row) for row in rows]})
    for line in (
        described_processor(),
        *(engine.detail for engine in availability() if engine.usable),
        *table_lines(rows),
    ):
        print(line)


def _bench_scoring(repeats: int, json_file: Path | None) -> None:
    from meatus_evaluation.benchmark.scoring_speed import (  # MedPy only where it is timed
        LIMIT_S,
        time_scoring,
    )

    with one_line_errors():
        check_writable(json_file)
        times = time_scoring(repeats)
        write_json(json_file, times.as_json())
    for line in times.lines():
        print(line)
    if times.ours_s > LIMIT_S:
        say_error(f"a case took {times.ours_s:.2f} s; expected {LIMIT_S} s at most.")
        sys.exit(BROKEN)
