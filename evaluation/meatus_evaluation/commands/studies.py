"""``growth`` and ``reliability``: studies of one patient, and of the pipeline itself."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.errors import InferenceError
from meatus.pipeline import load_model
from meatus_evaluation.commands.options import (
    ANY,
    BROKEN,
    device_option,
    json_option,
    one_line_errors,
    quality_option,
    say_error,
    weights_option,
)
from meatus_evaluation.report import terminal_tables
from meatus_evaluation.report.files import check_writable, write_json
from meatus_evaluation.scoring.match import match_folders
from meatus_evaluation.studies.growth import (
    BOUNDARY_SD_MM,
    growth,
    read_tumour,
    time_point,
    years_between,
)
from meatus_evaluation.studies.reliability import (
    all_bins,
    as_json,
    count_alarms,
    draw_reliability,
    try_case,
)

DAY = click.DateTime(["%Y-%m-%d"])


@click.command(name="growth")
@click.argument("earlier", type=ANY)
@click.argument("later", type=ANY)
@click.option("--dates", type=DAY, nargs=2, help="Of both scans, as YYYY-MM-DD YYYY-MM-DD.")
@click.option(
    "--boundary-sd-mm",
    type=click.FloatRange(min=0),
    default=BOUNDARY_SD_MM,
    show_default=True,
    help="By how much another reading of the scan moves the whole contour.",
)
@json_option
def measure_growth(
    earlier: Path,
    later: Path,
    dates: tuple[datetime, datetime] | None,
    boundary_sd_mm: float,
    json_file: Path | None,
) -> None:
    """Measure what changed between the label maps EARLIER and LATER of one patient.

    Growth is more than 20 % in volume or 2 mm in the largest extra-meatal axial diameter. Not for
    clinical use.
    """
    with one_line_errors():
        check_writable(json_file)
        years = years_between(dates[0].date(), dates[1].date()) if dates else None
        points = [time_point(read_tumour(path), boundary_sd_mm) for path in (earlier, later)]
        found = growth(points[0], points[1], years)
        terminal_tables.print_growth(found)
        write_json(json_file, asdict(found))


@click.command(name="reliability")
@click.argument("scans", type=ANY)
@click.argument("reference", type=ANY)
@weights_option
@device_option
@quality_option
@click.option("--picture", type=ANY, help="Write the reliability curves (PNG).")
@json_option
def measure_reliability(
    scans: Path,
    reference: Path,
    weights: Path,
    device: Device,
    quality: Quality | None,
    picture: Path | None,
    json_file: Path | None,
) -> None:
    """Label SCANS, and compare probabilities and flags with the label maps of REFERENCE.

    Reliable probabilities of 0.8 are right in 80 % of the voxels. Flags should stand at the cases
    whose tumour came out poorly, and at few others. Cases that cannot be used are named on stderr
    and left out; the exit code is then 1.
    """
    trials, unusable = [], False
    with one_line_errors():
        check_writable(json_file, picture)
        pairs = [pair for pair in match_folders(scans, reference).pairs if pair.prediction]
        model = load_model(weights, device=device, quality=quality)
        for pair in pairs:
            try:
                trials.append(try_case(pair, model))
            except InferenceError as error:
                unusable = True
                say_error(f"{pair.case}: {error}")
            else:
                terminal_tables.say(terminal_tables.trial_line(trials[-1]))
        bins = all_bins(trials)
        terminal_tables.print_reliability(bins, count_alarms(trials))
        write_json(json_file, as_json(trials))
        if picture is not None:
            draw_reliability(bins, picture)
    if unusable:
        sys.exit(BROKEN)
