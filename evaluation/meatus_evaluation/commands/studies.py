"""``growth`` and ``reliability``: studies of one patient, and of the pipeline itself."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from meatus.cli import device_option
from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.errors import InferenceError, UsageError
from meatus.pipeline import load_model
from meatus.service.destinations import check_apart, check_writable
from meatus_evaluation.commands.options import (
    ANY,
    BROKEN,
    json_option,
    one_line_errors,
    quality_option,
    say_error,
    weights_option,
)
from meatus_evaluation.report import growth_tables, terminal_tables
from meatus_evaluation.report.files import write_json
from meatus_evaluation.scoring.match import match_folders
from meatus_evaluation.studies.follow_up import Course, find_maps, read_course
from meatus_evaluation.studies.growth import (
    BOUNDARY_SD_MM,
    growth,
    read_tumour,
    time_point,
    years_between,
)
from meatus_evaluation.studies.reliability import (
    as_json,
    draw_reliability,
    reliability_of,
    try_case,
)

DAY = click.DateTime(["%Y-%m-%d"])


@click.command(name="growth")
@click.argument("maps", metavar="PATIENT_FOLDER | EARLIER LATER", type=ANY, nargs=-1, required=True)
@click.option("--dates", type=DAY, nargs=2, help="Of EARLIER and LATER, as YYYY-MM-DD YYYY-MM-DD.")
@click.option(
    "--boundary-sd-mm",
    type=click.FloatRange(min=0),
    default=BOUNDARY_SD_MM,
    show_default=True,
    help="By how much another reading of the scan moves the whole contour.",
)
@json_option
@click.option("--html", "html_file", type=ANY, help="Write the curves as a page for a browser.")
@click.option("--pdf", "pdf_file", type=ANY, help="Write the curves as a PDF.")
def measure_growth(
    maps: tuple[Path, ...],
    dates: tuple[datetime, datetime] | None,
    boundary_sd_mm: float,
    json_file: Path | None,
    html_file: Path | None,
    pdf_file: Path | None,
) -> None:
    """Measure what changed between the label maps of one patient.

    PATIENT_FOLDER holds one for each date, with the date in its name (2024-03-01.nii.gz) or in a
    sidecar; EARLIER and LATER are two. Growth is more than 20 % in volume or 2 mm in the largest
    extra-meatal axial diameter. Not for clinical use.
    """
    with one_line_errors():
        check_writable(json_file, html_file, pdf_file)
        check_apart((json_file, html_file, pdf_file), maps)
        dated = _dated(maps, dates)
        if dated is None:
            if html_file or pdf_file:
                raise UsageError("a curve needs dates: say --dates YYYY-MM-DD YYYY-MM-DD too.")
            points = [time_point(read_tumour(path), boundary_sd_mm) for path in maps]
            pair = growth(points[0], points[1], None)
            growth_tables.print_growth(pair)
            write_json(json_file, asdict(pair))
            return
        found = read_course(dated, boundary_sd_mm)
        if len(maps) == 1:
            growth_tables.print_course(found)
            write_json(json_file, _course_json(found))
        else:
            growth_tables.print_growth(found.whole)
            write_json(json_file, asdict(found.whole))
        if html_file is not None:
            from meatus_evaluation.report.html.growth_page import write_growth_page

            write_growth_page(found, html_file)
        if pdf_file is not None:
            from meatus_evaluation.report.growth_pdf import write_growth_pdf

            write_growth_pdf(found, pdf_file)


def _dated(
    maps: tuple[Path, ...], dates: tuple[datetime, datetime] | None
) -> dict[date, Path] | None:
    """The label maps by date; None where two come without dates."""
    if len(maps) > 2 or (len(maps) == 1 and not maps[0].is_dir()):
        raise UsageError(
            f"expected one patient's folder or two label maps, found {len(maps)} "
            f"({maps[0]}). Put the label maps of all dates into one folder and pass that."
        )
    if len(maps) == 1:
        if dates:
            raise UsageError("--dates are of two label maps; those of a folder are in its files.")
        return find_maps(maps[0])
    if dates is None:
        return None
    earlier, later = dates[0].date(), dates[1].date()
    years_between(earlier, later)  # whether they are in order
    return {earlier: maps[0], later: maps[1]}


def _course_json(found: Course) -> dict[str, Any]:
    """Dates as text, as JSON has none."""
    visits = [{"date": str(visit.day)} | asdict(visit.point) for visit in found.visits]
    steps = [asdict(step) for step in found.steps]
    return {"visits": visits, "steps": steps, "whole": asdict(found.whole)}


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
        check_apart((json_file, picture), (scans, reference, weights), recursive=True)
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
        found = reliability_of(trials)
        terminal_tables.print_reliability(found)
        write_json(json_file, as_json(found, trials))
        if picture is not None:
            draw_reliability(found.bins, picture)
    if unusable:
        sys.exit(BROKEN)
