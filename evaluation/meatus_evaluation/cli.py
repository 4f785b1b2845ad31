"""The commands that score and time; what is made of scores is in ``commands``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.errors import InferenceError
from meatus.pipeline import DEFAULT_WEIGHTS, load_model
from meatus_evaluation.commands import ANY, json_option, resample_option
from meatus_evaluation.exits import (
    BROKEN,
    check_writable,
    errors_end_it,
    say_error,
    write_json,
    write_text,
)
from meatus_evaluation.match import Pair, match_folders
from meatus_evaluation.printed_scores import print_scores, print_summary, print_unmatched
from meatus_evaluation.score import CaseScore, Scheme, failure_line, score_pairs, table_text
from meatus_evaluation.stages import time_stages
from meatus_evaluation.summary import as_json, summarise


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
) -> None:
    """Score PREDICTIONS against the label maps of REFERENCE, case by case.

    Exit codes: 0 all scored; 1 some predictions were missing or unusable, each named on stderr
    and scored as empty; 2 nothing could be scored.
    """
    with errors_end_it():
        check_writable(csv_file, json_file, html_file)
        matched = match_folders(predictions, reference)
        scores = score_pairs(matched.pairs, scheme=scheme, resample=resample)
        print_scores(scores)
        print_summary(summarise(scores))
        print_unmatched(matched)
        write_text(csv_file, table_text(scores) if csv_file else "")
        if json_file is not None:
            write_json(json_file, as_json(scores))
        if html_file is not None:
            from meatus_evaluation.report.page import write_report

            write_report(scores, matched.pairs, html_file, scans)
        undrawn = []
        if pictures is not None:
            undrawn = _draw(scores, matched.pairs, scans or reference, pictures, scheme)
    _end(scores, undrawn)


def _draw(
    scores: Sequence[CaseScore], pairs: Sequence[Pair], folder: Path, out: Path, scheme: Scheme
) -> list[str]:
    """Draw each case that has a scan, failures without a result; what could not be drawn."""
    from meatus_evaluation.pictures import (  # matplotlib only where it is needed
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
@click.argument("scan", type=ANY)
@click.option("--weights", type=ANY, default=DEFAULT_WEIGHTS)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]), default="auto")
@click.option("--quality", type=click.Choice(["fast", "standard", "full"]), default=None)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
def stages(
    scan: Path, weights: Path, device: Device, quality: Quality | None, repeats: int
) -> None:
    """Print, as JSON, the median seconds of each stage for SCAN and the process's peak memory."""
    with errors_end_it():
        times = time_stages(scan, load_model(weights, device=device, quality=quality), repeats)
    print(json.dumps({"seconds": times.seconds, "peak_mib": times.peak_mib}))


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@json_option
def bench(repeats: int, json_file: Path | None) -> None:
    """Time the scoring of a 448 x 448 x 80 case, on one core, against MedPy in the same run."""
    from meatus_evaluation.bench import LIMIT_S, time_scoring  # MedPy only where it is timed

    with errors_end_it():
        times = time_scoring(repeats)
        write_json(json_file, times.as_json())
    for line in times.lines():
        print(line)
    if times.ours_s > LIMIT_S:
        say_error(f"a case took {times.ours_s:.2f} s; expected {LIMIT_S} s at most.")
        sys.exit(BROKEN)
