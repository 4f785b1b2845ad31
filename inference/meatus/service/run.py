"""One run of ``predict``: from what was asked for to the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus import __version__
from meatus.engines import Device
from meatus.ensemble import EIGHT_FLIPS, Model, Quality
from meatus.errors import UsageError
from meatus.grand_challenge import (
    MODEL_FOLDER,
    OUTPUT_SLUG,
    find_case,
    is_layout,
    model_weights,
)
from meatus.io.label_names import name_files
from meatus.label_voting import segment_by_vote
from meatus.models.store import find_weights
from meatus.pipeline import DEFAULT_WEIGHTS, load_model, segment
from meatus.postprocess import Rules, Tumours
from meatus.report.case_files import adopt_table
from meatus.report.tables import Tables
from meatus.service.batch import OnError, attempts
from meatus.service.cases import Case, skipped_lines
from meatus.service.console import SOME_FAILED, Console, Form, open_console
from meatus.service.inputs import Inputs, find_inputs
from meatus.service.output_folder import OutputFolder, open_output_folder
from meatus.service.path_scrubbing import (
    files_of,
    name_hider,
    nothing_hidden,
)
from meatus.service.recorder import Recorder
from meatus.service.results import Kind, Results, is_done, kinds_of
from meatus.service.stopping import stopping

Fusion = Literal["mean", "vote"]

NOTICE = "research software, not for clinical use"


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    source: Path
    output: Path
    weights: Path | None = None  # None: the shipped ones, or those of the model folder
    device: Device = "auto"
    quality: Quality | None = None
    tumours: Tumours = "ears"
    fusion: Fusion = "mean"
    resume: bool = False
    on_error: OnError = "fail"
    cache: Path | None = None
    threads: int | None = None
    anonymous_log: bool = False
    input_slug: str | None = None
    output_slug: str = OUTPUT_SLUG
    model_folder: Path = MODEL_FOLDER
    report: Path | None = None
    pdf: bool = False
    log_json: bool = False
    quiet: bool = False
    models: Path | None = None  # where sets of weights are installed
    kinds: tuple[Kind, ...] | None = None  # None: what the input gives
    series: str | None = None  # UID of the DICOM series to label
    patient_names: bool = False
    probabilities: bool = False  # whether soft maps are written
    label_names: bool = False  # whether what NIfTI viewers read of them is written
    recursive: bool = True  # whether sub-folders of ``source`` are searched
    debug: bool = False


def find(request: Request, console: Console) -> Inputs:
    """What ``request`` wants labelled: scans, a DICOM study, or a job of grand-challenge.org."""
    source, output = request.source, request.output
    if not is_layout(source):
        return find_inputs(
            source,
            output,
            console.say,
            kinds=request.kinds,
            series=request.series,
            recursive=request.recursive,
            anonymous=request.anonymous_log,
            patient_names=request.patient_names,
        )
    input_slug, output_slug = request.input_slug, request.output_slug
    case = find_case(source, output, input_slug=input_slug, output_slug=output_slug)
    return Inputs([case], case.result.parent, request.kinds)


def run(request: Request, find: Callable[[Request, Console], Inputs] = find) -> int:
    """Label the cases that ``find`` finds and tell how it went; the exit code.

    Ends the process with a code of its own where nothing could start, or it is stopped.
    """
    with _console(request) as console:
        inputs = find(request, console)
        cases = inputs.cases
        kinds = {
            case: kinds_of(case, inputs.kinds, console.say, probabilities=request.probabilities)
            for case in cases
        }
        weights = _weights(request, console)
        rules = Rules(tumours=request.tumours)
        with (
            open_output_folder(inputs.folder) as folder,
            stopping(_leaver(console, folder)),
        ):
            model = _model(request, weights, console)
            titles = _titles(request, kinds)
            _tell_start(request, console, model, weights, (len(cases), len(titles)))
            for line in skipped_lines(inputs.skipped, named=not request.anonymous_log):
                console.say(line)
            for path, data in (inputs.common | _name_files(request, inputs)).items():
                folder.put_bytes(data, path)
            tables = _tables(request)
            todo = list(titles)
            with console.told_cases(titles, request.debug) as tell:
                for attempt in attempts(todo, write, request.on_error, tell, record, folder.folder):
                    with attempt.failing_alone():
                        if request.fusion == "vote":
                            made = segment_by_vote(attempt.read(), model)
                        else:
                            made = segment(attempt.read(), model, rules)
                        attempt.keep(made, probabilities=request.probabilities)
                    # If memory cannot be given back, the next case that lacks it says so.
                    with suppress(Exception):
                        model.release()
            tell.close(tables.finish if tables else _nothing, inputs.skipped)
    return SOME_FAILED if tell.failed or tell.unreported else 0


@contextmanager
def _console(request: Request) -> Iterator[Console]:
    """The console of the run, whose errors end it in one line.

    On grand-challenge.org a word on stderr is a warning to the user, so what libraries write
    there goes to the log; where names must not be seen, it goes nowhere.
    """
    source, in_layout = request.source, is_layout(request.source)
    hide: Callable[[str], str] = nothing_hidden
    if request.anonymous_log:
        hide = name_hider([source, request.output], files_of(source))
    chatter: Literal["stdout", "stderr"] = "stdout" if in_layout else "stderr"
    with (
        open_console(
            "nowhere" if request.anonymous_log else chatter, hide, _form(request)
        ) as console,
        console.errors_end_it(request.debug and not request.anonymous_log),
    ):
        if request.debug and request.anonymous_log:
            raise UsageError("--debug shows paths and --anonymous-log hides them; choose one.")
        if request.log_json and request.quiet:
            raise UsageError("--log-json writes lines and --quiet writes none; choose one.")
        if request.pdf and request.report is None:
            raise UsageError("--pdf is a part of the report; name its folder with --report too.")
        if request.probabilities and request.fusion == "vote":
            raise UsageError("--fusion vote knows labels and no --probabilities; choose one.")
        if request.patient_names and request.anonymous_log:
            raise UsageError("--patient-names shows what --anonymous-log hides; choose one.")
        yield console


def _form(request: Request) -> Form:
    return "json" if request.log_json else "quiet" if request.quiet else "lines"


def _weights(request: Request, console: Console) -> Path:
    """The weights that were named, else the model folder's, else the shipped ones."""
    if request.weights is not None or not is_layout(request.source):
        return find_weights(request.weights, request.models) if request.weights else DEFAULT_WEIGHTS
    path, why = model_weights(request.model_folder, DEFAULT_WEIGHTS)
    console.say(why)
    return path


def _model(request: Request, weights: Path, console: Console) -> Model:
    return load_model(
        weights,
        device=request.device,
        quality=request.quality,
        threads=request.threads,
        cache=request.cache,
        say=console.say,
    )


def _name_files(request: Request, inputs: Inputs) -> dict[Path, bytes]:
    """What tells viewers the labels' names, where that is asked for."""
    files = name_files() if request.label_names else {}
    return {inputs.folder / name: data for name, data in files.items()}


def _tables(request: Request) -> Tables | None:
    """Those of the report, where one is asked for; with ``resume`` earlier rows stay."""
    if request.report is None:
        return None
    tables = Tables(request.report, pdf=request.pdf)
    if request.resume:
        adopt_table(request.report)
    tables.start()
    return tables


def _nothing() -> None:
    """Finish no report."""


def _titles(request: Request, kinds: dict[Case, tuple[Kind, ...]]) -> dict[Case, str]:
    """The cases to do, in order, and what the log calls them."""
    return {
        case: f"case {number}" if request.anonymous_log else case.name
        for number, case in enumerate(kinds, 1)
        if not (request.resume and is_done(case, kinds[case]))
    }


def _tell_start(
    request: Request, console: Console, model: Model, weights: Path, count: tuple[int, int]
) -> None:
    """``count`` is the number of cases, and of those that are still to do."""
    flips = len(EIGHT_FLIPS) if request.fusion == "vote" else len(model.flips)
    origin = f"{'shipped' if weights == DEFAULT_WEIGHTS else weights} ({model.weights})"
    console.say(f"meatus {__version__}: {NOTICE}")
    console.say(f"weights: {origin}, trained on {model.spec.origin}")
    console.say(
        f"quality: {model.quality}, {len(model.members)} member(s) x {flips} flip(s), "
        f"fused by {request.fusion}, on {model.members[0].name}"
    )
    cases, todo = count
    line = f"cases: {cases}" + (f", {cases - todo} already done" if todo < cases else "")
    console.event("start", line, cases=cases, to_do=todo, version=__version__)


def _leaver(console: Console, folder: OutputFolder) -> Callable[[str], None]:
    """What a stopped run does last."""

    def leave(signal: str) -> None:
        try:
            console.last_word(f"stopped by {signal}; run again with --resume to go on")
        finally:
            folder.discard()

    return leave
