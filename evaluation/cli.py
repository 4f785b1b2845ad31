"""Score two folders, print one table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from evaluation.score import REFERENCE_MARK, CaseScore, score_folders, summary
from evaluation.stages import time_stages
from inference.engines import Device
from inference.ensemble import Quality
from inference.errors import InferenceError
from inference.pipeline import DEFAULT_WEIGHTS, load_model

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Compare label maps."""


@main.command()
@click.argument("predictions", type=FOLDER)
@click.argument("reference", type=FOLDER)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the scores.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw result and reference over each <case>_T2.nii.gz.",
)
@click.option("--scans", type=FOLDER, help="Where the scans lie; default: in REFERENCE.")
def score(
    predictions: Path,
    reference: Path,
    json_file: Path | None,
    pictures: Path | None,
    scans: Path | None,
) -> None:
    """Print Dice per case and structure of PREDICTIONS against REFERENCE's label maps."""
    try:
        scores = score_folders(predictions, reference)
        if pictures is not None:
            _draw(scores, predictions, reference, scans or reference, pictures)
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    _print_table(scores)
    if json_file is not None:
        cases = {entry.case: entry.dice for entry in scores}
        text = json.dumps({"mean": summary(scores), "cases": cases}, indent=2)
        json_file.write_text(text + "\n")


def _print_table(scores: list[CaseScore]) -> None:
    mean = summary(scores)
    table = Table("case", *mean, title="Dice")
    for entry in scores:
        table.add_row(entry.case, *[_cell(entry.dice.get(name)) for name in mean])
    table.add_section()
    table.add_row("mean", *[_cell(value) for value in mean.values()])
    Console(width=100).print(table)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _draw(
    scores: list[CaseScore], predictions: Path, reference: Path, scans: Path, out: Path
) -> None:
    from evaluation.pictures import draw_case  # matplotlib only where pictures are wanted

    for entry in scores:
        scan = scans / f"{entry.case}_T2.nii.gz"
        result = predictions / f"{entry.case}.nii.gz"
        if scan.exists() and result.exists():
            truth = reference / f"{entry.case}{REFERENCE_MARK}.nii.gz"
            draw_case(scan, {"reference": truth, "result": result}, out / f"{entry.case}.png")


@main.command()
@click.argument("scan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), default=DEFAULT_WEIGHTS)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]), default="auto")
@click.option("--quality", type=click.Choice(["fast", "standard", "full"]), default=None)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
def stages(
    scan: Path, weights: Path, device: Device, quality: Quality | None, repeats: int
) -> None:
    """Print, as JSON, the median seconds of each stage for SCAN and the process's peak memory."""
    try:
        times = time_stages(scan, load_model(weights, device=device, quality=quality), repeats)
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps({"seconds": times.seconds, "peak_mib": times.peak_mib}))
