"""``score``, ``rank`` and ``compare``: what is made of label maps and of tables of scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from meatus.errors import InferenceError
from meatus.service.destinations import check_apart, check_folders, check_writable
from meatus_evaluation.commands.options import (
    ANY,
    BROKEN,
    bootstrap_option,
    json_option,
    one_line_errors,
    recursive_option,
    resample_option,
    say_error,
    scheme_option,
    seed_option,
)
from meatus_evaluation.ranking import Bootstrap, rank_stability, ranking_csv, score_cube, standings
from meatus_evaluation.report import terminal_tables
from meatus_evaluation.report.files import write_json, write_text
from meatus_evaluation.scoring.match import Pair, match_folders
from meatus_evaluation.scoring.score import (
    CaseScore,
    Scheme,
    failure_line,
    score_pairs,
    table_text,
)
from meatus_evaluation.scoring.score_tables import metrics, read_scores
from meatus_evaluation.scoring.summary import as_json, summarise
from meatus_evaluation.studies.compare import COMPARED_METRICS, compare, read_result


@click.command()
@click.argument("predictions", type=ANY)
@click.argument("reference", type=ANY)
@click.option("--csv", "csv_file", type=ANY, help="Write a row per case and structure.")
@json_option
@click.option("--html", "html_file", type=ANY, help="Write a report to open in a browser.")
@click.option("--pictures", type=ANY, help="Draw reference and result over each scan.")
@click.option("--scans", type=ANY, help="Folder of the scans. Default for pictures: REFERENCE.")
@click.option("--scheme", type=click.Choice(["2023", "2022"]), default="2023", show_default=True)
@resample_option
@recursive_option
@click.option("--verbose", is_flag=True, help="Print each case, each site and all statistics.")
def score(
    predictions: Path,
    reference: Path,
    csv_file: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    pictures: Path | None,
    scans: Path | None,
    scheme: Scheme,
    resample: bool,
    recursive: bool,
    verbose: bool,
) -> None:
    """Score PREDICTIONS against the label maps of REFERENCE, case by case.

    Exit codes: 0 all scored; 1 some predictions were missing or unusable, each named on stderr
    and scored as empty; 2 nothing could be scored.
    """
    with one_line_errors():
        check_writable(csv_file, json_file, html_file)
        check_folders(pictures)
        read = [place for place in (predictions, reference, scans) if place]
        check_apart((csv_file, json_file, html_file), read, recursive=recursive)
        matched = match_folders(predictions, reference, recursive=recursive)
        scores = score_pairs(matched.pairs, scheme=scheme, resample=resample)
        if verbose:
            terminal_tables.print_scores(scores)
            terminal_tables.print_summary(summarise(scores))
        terminal_tables.print_screen(scores, more=not verbose)
        terminal_tables.print_unmatched(matched)
        write_text(csv_file, table_text(scores) if csv_file else "")
        if json_file is not None:
            write_json(json_file, as_json(scores))
        if html_file is not None:
            from meatus_evaluation.report.html.page import write_report

            write_report(scores, matched.pairs, html_file, scans)
        undrawn = []
        if pictures is not None:
            undrawn = _draw(scores, matched.pairs, scans or reference, pictures, scheme)
    _end(scores, undrawn)


def _draw(
    scores: Sequence[CaseScore], pairs: Sequence[Pair], folder: Path, out: Path, scheme: Scheme
) -> list[str]:
    """Draw each case that has a scan, failures without a result; what could not be drawn."""
    from meatus_evaluation.report.pictures import (  # matplotlib only where it is needed
        draw_case,
        find_scans,
    )

    scans = find_scans(folder, pairs)
    bad = []
    for entry, pair in zip(scores, pairs, strict=True):
        maps = {"reference": pair.reference}
        if pair.prediction is not None and entry.failure is None:
            maps["result"] = pair.prediction
        try:
            if pair.case in scans:
                draw_case(scans[pair.case], maps, out / f"{pair.case}.png", scheme)
        except InferenceError as error:
            bad.append(f"{pair.case}: no picture: {error}")
    print(f"{len(scans) - len(bad)} of {len(pairs)} cases drawn; scans are taken from {folder}")
    return bad


def _end(scores: Sequence[CaseScore], undrawn: Sequence[str]) -> None:
    """Tell every failure; code 1 where there was one."""
    failed = [failure_line(entry) for entry in scores if entry.failure is not None]
    for line in (*undrawn, *failed):
        say_error(line)
    if failed or undrawn:
        sys.exit(BROKEN)


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
    with one_line_errors():
        check_writable(json_file, csv_file)
        check_apart((json_file, csv_file), scores)
        cube = score_cube([score for path in scores for score in read_scores(path)], scheme)
        parts = standings(cube)
        stability = rank_stability(cube, Bootstrap(bootstrap, seed))
        terminal_tables.print_ranking(cube, parts, stability)
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
    "chosen",
    type=click.Choice(list(metrics())),
    multiple=True,
    default=COMPARED_METRICS,
    show_default=True,
)
@click.option("--worst", type=click.IntRange(min=0), default=5, show_default=True)
@resample_option
@recursive_option
@bootstrap_option
@seed_option
@json_option
def compare_results(
    a: Path,
    b: Path,
    reference: Path | None,
    scheme: Scheme,
    chosen: tuple[str, ...],
    worst: int,
    resample: bool,
    recursive: bool,
    bootstrap: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Compare two results on the same cases: folders of label maps, or score tables."""
    with one_line_errors():
        check_writable(json_file)
        read = [place for place in (a, b, reference) if place]
        check_apart((json_file,), read, recursive=recursive)
        sides = [
            read_result(side, reference, scheme, resample=resample, recursive=recursive)
            for side in (a, b)
        ]
        first, second = (side.scores for side in sides)
        compared = compare(first, second, chosen, Bootstrap(bootstrap, seed))
        terminal_tables.print_comparison(compared, worst)
        write_json(json_file, asdict(compared))
    failures = [failure for side in sides for failure in side.failures]
    for line in failures:
        say_error(line)
    if failures:
        sys.exit(BROKEN)
