"""The commands that rank, compare, measure growth and reliability, and keep budgets."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.errors import InferenceError
from meatus.pipeline import DEFAULT_WEIGHTS, load_model
from meatus_evaluation import printed
from meatus_evaluation.budget import Budgets, check_budgets, is_broken, measure_job
from meatus_evaluation.compare import COMPARED_METRICS, compare, read_result
from meatus_evaluation.exits import (
    BROKEN,
    check_writable,
    errors_end_it,
    say_error,
    write_json,
    write_text,
)
from meatus_evaluation.growth import growth, read_tumour, time_point, years_between
from meatus_evaluation.jobs import Job
from meatus_evaluation.match import match_folders
from meatus_evaluation.ranking import ranking_csv, score_cube, standings
from meatus_evaluation.reliability import all_bins, as_json, count_alarms, try_case
from meatus_evaluation.score import Scheme
from meatus_evaluation.score_tables import METRICS, read_scores
from meatus_evaluation.stability import Bootstrap, rank_stability
from meatus_evaluation.uncertainty import BOUNDARY_SD_MM

ANY = click.Path(path_type=Path)  # whoever opens it tells what is wrong with it in one line
DAY = click.DateTime(["%Y-%m-%d"])
BUDGETS = Budgets()

json_option = click.option("--json", "json_file", type=ANY, help="Write all numbers.")
scheme_option = click.option("--scheme", type=click.Choice(["2023", "2022"]), default=None)
bootstrap_option = click.option(
    "--bootstrap", type=click.IntRange(min=1), default=1000, show_default=True, help="Resamples."
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
resample_option = click.option(
    "--resample", is_flag=True, help="Put maps on another grid onto the reference's."
)


@click.command()
@click.argument("scores", type=ANY, nargs=-1, required=True)
@scheme_option
@bootstrap_option
@seed_option
@json_option
@click.option("--csv", "csv_file", type=ANY, help="Write the overall ranking.")
def rank(
    scores: tuple[Path, ...],
    scheme: Scheme | None,
    bootstrap: int,
    seed: int,
    json_file: Path | None,
    csv_file: Path | None,
) -> None:
    """Rank the teams of the score tables SCORES as crossMoDA does.

    A table has a column 'team', or is of the team that its file is named for.
    """
    with errors_end_it():
        check_writable(json_file, csv_file)
        cube = score_cube([score for path in scores for score in read_scores(path)], scheme)
        parts = standings(cube)
        stability = rank_stability(cube, Bootstrap(bootstrap, seed))
        printed.print_ranking(cube, parts, stability)
        about = {"teams": cube.teams, "cases": cube.cases, "failures": cube.failures}
        write_json(
            json_file,
            about | {"parts": [asdict(part) for part in parts], "stability": asdict(stability)},
        )
        write_text(csv_file, ranking_csv(cube.teams, parts[0]))


@click.command(name="compare")
@click.argument("a", type=ANY)
@click.argument("b", type=ANY)
@click.option(
    "--reference",
    type=ANY,
    help="The reference label maps, where A or B is a folder of label maps.",
)
@click.option("--scheme", type=click.Choice(["2023", "2022"]), default="2023", show_default=True)
@click.option(
    "--metric",
    "metrics",
    type=click.Choice(list(METRICS)),
    multiple=True,
    default=COMPARED_METRICS,
    show_default=True,
)
@click.option("--worst", type=click.IntRange(min=0), default=5, show_default=True)
@resample_option
@bootstrap_option
@seed_option
@json_option
def compare_results(
    a: Path,
    b: Path,
    reference: Path | None,
    scheme: Scheme,
    metrics: tuple[str, ...],
    worst: int,
    resample: bool,
    bootstrap: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Compare two results on the same cases: folders of label maps, or score tables."""
    with errors_end_it():
        check_writable(json_file)
        sides = [read_result(side, reference, scheme, resample=resample) for side in (a, b)]
        first, second = (side.scores for side in sides)
        compared = compare(first, second, metrics, Bootstrap(bootstrap, seed))
        printed.print_comparison(compared, worst)
        write_json(json_file, asdict(compared))
    failures = [failure for side in sides for failure in side.failures]
    for line in failures:
        say_error(line)
    if failures:
        sys.exit(BROKEN)


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
    with errors_end_it():
        check_writable(json_file)
        years = years_between(dates[0].date(), dates[1].date()) if dates else None
        points = [time_point(read_tumour(path), boundary_sd_mm) for path in (earlier, later)]
        found = growth(points[0], points[1], years)
        printed.print_growth(found)
        write_json(json_file, asdict(found))


@click.command()
@click.argument("source", metavar="INPUT", type=ANY)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--max-seconds", type=float, default=BUDGETS.seconds, show_default=True)
@click.option("--max-gpu-mib", type=float, default=BUDGETS.gpu_mib, show_default=True)
@click.option("--max-rss-mib", type=float, default=None, help="Default: measured, no budget.")
@click.option("--image", default=None, help="Run this image with docker or podman.")
@click.option("--require-gpu", is_flag=True, help="Broken where no GPU can be measured.")
@json_option
def budget(
    source: Path,
    options: tuple[str, ...],
    max_seconds: float,
    max_gpu_mib: float,
    max_rss_mib: float | None,
    image: str | None,
    require_gpu: bool,
    json_file: Path | None,
) -> None:
    """Label INPUT as a user does, and check seconds and memory against budgets.

    OPTIONS, after --, go to predict, for example: budget scans -- --device cpu
    """
    with errors_end_it():
        check_writable(json_file)
        usage = measure_job(source, Job(image, options))
        budgets = Budgets(max_seconds, max_gpu_mib, max_rss_mib)
        lines = check_budgets(usage, budgets, require_gpu=require_gpu)
        printed.print_budget(lines)
        write_json(json_file, asdict(usage) | {"lines": [asdict(line) for line in lines]})
    if is_broken(lines):
        broken = ", ".join(line.name for line in lines if line.verdict == "broken")
        say_error(f"over budget: {broken}")
        sys.exit(BROKEN)


@click.command(name="reliability")
@click.argument("scans", type=ANY)
@click.argument("reference", type=ANY)
@click.option("--weights", type=ANY, default=DEFAULT_WEIGHTS)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]), default="auto")
@click.option("--quality", type=click.Choice(["fast", "standard", "full"]), default=None)
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
    with errors_end_it():
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
                printed.say(printed.trial_line(trials[-1]))
        bins = all_bins(trials)
        printed.print_reliability(bins, count_alarms(trials))
        write_json(json_file, as_json(trials))
        if picture is not None:
            from meatus_evaluation.reliability_picture import draw_reliability

            draw_reliability(bins, picture)
    if unusable:
        sys.exit(BROKEN)
