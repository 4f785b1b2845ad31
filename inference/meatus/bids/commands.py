"""``meatus bids``: the command line of BIDS Apps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from meatus.bids.dataset import find_scans
from meatus.bids.derivative import case_of, common_files
from meatus.cli import (
    array_part,
    device_option,
    jobs_option,
    models_option,
    part_option,
    weights_option,
)
from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.service.console import Console
from meatus.service.inputs import Inputs
from meatus.service.request import Part, Request
from meatus.service.run import run

LEVEL = "participant"
LABEL_OPTIONS = {
    "--participant-label", "--participant_label", "--session-label", "--session_label",
}  # fmt: skip


class AppCommand(click.Command):
    """Takes several labels after one option where it stands behind LEVEL, as BIDS Apps do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words: list[str] = []
        option, labels = "", 0
        for word in args:
            if word.startswith("-"):
                option, labels = word if word in LABEL_OPTIONS and LEVEL in words else "", 0
            elif option:
                labels += 1
                words += [option] * (labels > 1)
            words.append(word)
        return super().parse_args(ctx, words)


@click.command(cls=AppCommand)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("level", type=click.Choice([LEVEL]))
@click.option(
    "--participant-label",
    "--participant_label",
    "participants",
    multiple=True,
    metavar="LABEL...",
    help="Of these participants alone, with or without sub-; may be repeated.",
)
@click.option(
    "--session-label",
    "--session_label",
    "sessions",
    multiple=True,
    metavar="LABEL...",
    help="Of these sessions alone, with or without ses-; may be repeated.",
)
@weights_option
@models_option
@device_option
@click.option(
    "--quality",
    type=click.Choice(get_args(Quality)),
    default=None,
    help="As of meatus predict.",
)
@click.option("--probabilities", is_flag=True, help="Write ..._probseg.nii.gz too, four maps.")
@click.option("--resume", is_flag=True, help="Skip scans whose results exist.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder for the report; another than OUT, as BIDS knows no such files.",
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Default: all usable.")
@part_option
@jobs_option
@click.option("--log-json", is_flag=True, help="Print a JSON object a line.")
@click.option("--quiet", is_flag=True, help="Print errors alone.")
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
def bids(
    dataset: Path,
    out: Path,
    level: str,
    participants: tuple[str, ...],
    sessions: tuple[str, ...],
    weights: Path | None,
    models: Path,
    device: Device,
    quality: Quality | None,
    probabilities: bool,
    resume: bool,
    report: Path | None,
    threads: int | None,
    part: Part | None,
    jobs: int,
    log_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Label the T2w scans of the BIDS dataset DATASET; OUT becomes a derivative dataset.

    LEVEL is participant. OUT is usually DATASET/derivatives/meatus.
    """
    assert level == LEVEL  # no other passes click
    request = Request(
        source=dataset,
        output=out,
        weights=weights,
        models=models,
        device=device,
        quality=quality,
        probabilities=probabilities,
        resume=resume,
        report=report,
        threads=threads,
        part=part or (None if participants or sessions else array_part()),
        jobs=jobs,
        log_json=log_json,
        quiet=quiet,
        debug=debug,
    )

    def find(_request: Request, _console: Console) -> Inputs:
        common = common_files(dataset, out)
        scans = find_scans(dataset, participants, sessions)
        cases = [case_of(scan, dataset, out, probabilities=probabilities) for scan in scans]
        return Inputs(cases, out, ("nifti",), common=common)

    sys.exit(run(request, find))
