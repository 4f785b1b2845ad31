"""Parse, call, report; the only module here that knows click and the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import get_args

import click

from meatus import __version__
from meatus.cluster.parts import parse_part, part_of_array
from meatus.engines import DEVICES, Device, availability, usable_threads
from meatus.ensemble import Quality
from meatus.errors import UsageError
from meatus.grand_challenge import MODEL_FOLDER, OUTPUT_SLUG
from meatus.models.store import find_weights
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.postprocess import Tumours
from meatus.service.batch import OnError
from meatus.service.commands import SETTINGS, Later, OpenGroup, distributions
from meatus.service.console import open_console
from meatus.service.path_scrubbing import nothing_hidden
from meatus.service.request import Fusion, Part, Request
from meatus.service.results import KINDS, Kind, parse_kinds
from meatus.service.run import NOTICE, run
from meatus.weights import describe


def default_store() -> Path:
    """Where sets of weights are installed unless MEATUS_MODELS says otherwise (XDG)."""
    stated = os.environ.get("XDG_DATA_HOME")
    try:
        data = Path(stated) if stated else Path.home() / ".local" / "share"
    except RuntimeError:  # a container's user may have no home and no name
        data = Path("/usr/local/share")
    return data / "meatus" / "models"


weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    envvar="MEATUS_WEIGHTS",
    help="Folder with manifest.json, one .onnx file, or the name of an installed set. "
    "Default: the weights shipped.",
)
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    envvar="MEATUS_DEVICE",
    show_default=True,
)
models_option = click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_store,
    envvar="MEATUS_MODELS",
    show_default="$XDG_DATA_HOME/meatus/models",
    help="Folder of the installed sets of weights.",
)


def chosen_kinds(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> tuple[Kind, ...] | None:
    """Of ``nifti,dicom-seg``; None where it is left to the input."""
    try:
        return None if text is None else parse_kinds(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def chosen_part(_context: click.Context, _option: click.Parameter, text: str | None) -> Part | None:
    """Of ``3/16``."""
    try:
        return None if text is None else parse_part(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def array_part() -> Part | None:
    """That of the job array which this process is a task of."""
    try:
        return part_of_array(os.environ)
    except UsageError as error:
        raise click.UsageError(str(error)) from error


part_option = click.option(
    "--part",
    metavar="N/OF",
    callback=chosen_part,
    help="Label every OF-th case from number N: 3/16. Default: of a folder, in a job array of "
    "Slurm, the task's share; else all.",
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine that share the cases; each loads the model.",
)


@click.group("meatus", cls=OpenGroup, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="meatus")
def main() -> None:
    """Find vestibular schwannoma and cochlea in hrT2 MRI. Not for clinical use."""


@main.command(short_help="Label scans: a map of structures for each.")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path), default="/input")
@click.argument("output", type=click.Path(path_type=Path), default="/output")
@weights_option
@models_option
@device_option
@click.option(
    "--quality",
    type=click.Choice(get_args(Quality)),
    default=None,
    help="One member; all, left-right flip; all, up to eight flips, as learnt. Default: standard.",
)
@click.option("--tumours", type=click.Choice(get_args(Tumours)), default="ears", show_default=True)
@click.option("--keep-doubtful", is_flag=True, help="Write tumours where no ear can be, too.")
@click.option(
    "--fusion",
    type=click.Choice(get_args(Fusion)),
    default="mean",
    show_default=True,
    help="Average probabilities, or vote on the labels of eight flips as published.",
)
@click.option(
    "--output",
    "kinds",
    metavar="KINDS",
    callback=chosen_kinds,
    help=f"What to write, with commas between: {', '.join(KINDS)}. "
    "Default: nifti; of a DICOM study nifti,dicom-seg.",
)
@click.option(
    "--probabilities",
    is_flag=True,
    help="Write <case>_probabilities.nii.gz too: four maps on the scan's grid, background first.",
)
@click.option(
    "--label-names",
    is_flag=True,
    help="Write what the labels are called into NIfTI results, and beside them for ITK-SNAP and "
    "3D Slicer.",
)
@click.option("--series", metavar="UID", help="DICOM: label this series; else the hrT2 is found.")
@click.option(
    "--patient-names",
    is_flag=True,
    envvar="MEATUS_PATIENT_NAMES",
    help="DICOM: name results, log and report after the patient, which is left out otherwise.",
)
@click.option("--strict", is_flag=True, help="Refuse a scan that does not look like hrT2.")
@click.option(
    "--recursive/--no-recursive",
    default=True,
    show_default=True,
    help="Search INPUT's sub-folders; results lie as the scans do.",
)
@click.option("--resume", is_flag=True, help="Skip cases whose result exists.")
@click.option(
    "--on-error",
    type=click.Choice(get_args(OnError)),
    default="fail",
    show_default=True,
    help="What a failed case leaves: nothing, or an all-background map.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=None,
    envvar="MEATUS_CACHE",
    help="Folder for compiled networks; makes later starts faster.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    envvar="MEATUS_REPORT",
    help="Folder for report.csv, report.json, index.html, and a picture and a page of each case.",
)
@click.option("--pdf", is_flag=True, help="With --report: report.pdf too, a page a case.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Default: all usable.")
@part_option
@jobs_option
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Share the cases among the workers of this Dask cluster, or of local:N.",
)
@click.option(
    "--anonymous-log",
    is_flag=True,
    envvar="MEATUS_ANONYMOUS_LOG",
    help="Call cases by their number among the sorted names; print no path and no file name.",
)
@click.option(
    "--log-json", is_flag=True, envvar="MEATUS_LOG_JSON", help="Print a JSON object a line."
)
@click.option("--quiet", is_flag=True, help="Print errors alone.")
@click.option(
    "--input-slug",
    default=None,
    envvar="MEATUS_INPUT_SLUG",
    help="grand-challenge: the hrT2 scan's socket, where a job has several images.",
)
@click.option(
    "--output-slug",
    default=OUTPUT_SLUG,
    envvar="MEATUS_OUTPUT_SLUG",
    show_default=True,
    help="grand-challenge: the socket that takes the label map.",
)
@click.option(
    "--model-folder",
    type=click.Path(path_type=Path),
    default=MODEL_FOLDER,
    envvar="MEATUS_MODEL_FOLDER",
    show_default=True,
    help="grand-challenge: weights that are used instead of the shipped ones, if any are there.",
)
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
def predict(
    source: Path,
    output: Path,
    weights: Path | None,
    models: Path,
    device: Device,
    quality: Quality | None,
    tumours: Tumours,
    keep_doubtful: bool,
    fusion: Fusion,
    kinds: tuple[Kind, ...] | None,
    probabilities: bool,
    label_names: bool,
    series: str | None,
    patient_names: bool,
    strict: bool,
    recursive: bool,
    resume: bool,
    on_error: OnError,
    cache: Path | None,
    report: Path | None,
    pdf: bool,
    threads: int | None,
    part: Part | None,
    jobs: int,
    cluster: str | None,
    anonymous_log: bool,
    log_json: bool,
    quiet: bool,
    input_slug: str | None,
    output_slug: str,
    model_folder: Path,
    debug: bool,
) -> None:
    """Label every scan in INPUT (a folder or one file) and write <case>.nii.gz to OUTPUT.

    INPUT may be a DICOM study: a folder of any depth, a .zip or a file. Its hrT2 series is found.

    OUTPUT is a folder or, for one scan, a file: *.nii.gz, *.nii, *.mha or *.nrrd.

    Files in a folder whose names say another contrast or a label map are left out, and named.

    With an inputs.json in INPUT, both folders are laid out as on grand-challenge.org.
    """
    request = Request(
        source=source,
        output=output,
        weights=weights,
        models=models,
        device=device,
        quality=quality,
        tumours=tumours,
        keep_doubtful=keep_doubtful,
        fusion=fusion,
        kinds=kinds,
        probabilities=probabilities,
        label_names=label_names,
        series=series,
        patient_names=patient_names,
        strict=strict,
        recursive=recursive,
        resume=resume,
        on_error=on_error,
        cache=cache,
        report=report,
        pdf=pdf,
        threads=threads,
        part=part or (array_part() if source.is_dir() else None),
        jobs=jobs,
        cluster=cluster,
        anonymous_log=anonymous_log,
        log_json=log_json,
        quiet=quiet,
        input_slug=input_slug,
        output_slug=output_slug,
        model_folder=model_folder,
        debug=debug,
    )
    sys.exit(run(request))


@main.command(short_help="Show the engines usable here, and the weights.")
@weights_option
@models_option
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
def info(weights: Path | None, models: Path, debug: bool) -> None:
    """Print version, engines usable here and why others are not, weights and their origin."""
    with open_console("stderr", nothing_hidden) as console, console.errors_end_it(debug):
        console.say(f"meatus {__version__}: {NOTICE}")
        console.say(f"processors usable: {usable_threads()}")
        for engine in availability():
            console.say(f"{'+' if engine.usable else '-'} {engine.name}: {engine.detail}")
        for line in describe(find_weights(weights, models) if weights else DEFAULT_WEIGHTS):
            console.say(line)


@main.command(short_help="Show the version of each installed package of meatus.")
def version() -> None:
    """Print the version of meatus, and of each package that adds commands to it."""
    for name, number in ({"meatus": __version__} | distributions()).items():
        print(f"{name} {number}")


for later in (
    Later("models", "meatus.models.commands:models", "List, verify and install sets of weights."),
    Later(
        "bids",
        "meatus.bids.commands:bids",
        "Label the T2w scans of a BIDS dataset: a derivative dataset.",
    ),
    Later("report", "meatus.report.commands:report", "Join reports, or make their tables anew."),
    Later(
        "view",
        "meatus.viewer.commands:view",
        "Look at results, correct labels, label scans: a page on this machine.",
    ),
):
    main.add_command(later)
