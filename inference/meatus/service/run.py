"""One run of ``predict``: from what was asked for to the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from meatus import __version__
from meatus.ensemble import EIGHT_FLIPS, Model
from meatus.errors import UsageError
from meatus.grand_challenge import find_case, is_layout, model_weights
from meatus.io.label_names import name_files
from meatus.models.store import find_weights
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.report.case_files import adopt_table, case_file
from meatus.report.case_table import JSON_NAME
from meatus.report.tables import Tables
from meatus.service.cases import Case, skipped_lines
from meatus.service.console import SOME_FAILED, Console, Form, open_console
from meatus.service.destinations import check_apart
from meatus.service.inputs import Inputs, find_inputs
from meatus.service.labelling import attempts_at, load, method_of
from meatus.service.output_folder import OutputFolder, open_output_folder, remove_unfinished
from meatus.service.path_scrubbing import (
    files_of,
    name_hider,
    nothing_hidden,
)
from meatus.service.request import Request
from meatus.service.results import Kind, is_done, kinds_of, paths_of, with_short_names
from meatus.service.stopping import stopping

NOTICE = "research software, not for clinical use"


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
        request = _everywhere(request)
        inputs = find(request, console)
        cases = inputs.cases
        kinds = results_of(inputs, console.say, probabilities=request.probabilities)
        weights = _weights(request, console)
        with (
            open_output_folder(inputs.folder) as folder,
            stopping(_leaver(console, folder)),
        ):
            alone = request.jobs == 1 and request.cluster is None
            model = load(request, weights, console.say) if alone else None
            goes_on = request.report is not None and (request.report / JSON_NAME).exists()
            tables = _tables(request)
            titles = _titles(request, kinds, goes_on=goes_on)
            _tell_start(request, console, model, weights, (len(cases), len(titles)))
            for line in skipped_lines(inputs.skipped, named=not request.anonymous_log):
                console.say(line)
            for path, data in (inputs.common | _name_files(request, inputs)).items():
                folder.put_bytes(data, path)
            with console.told_cases(titles, request.debug) as tell:
                todo = {case: kinds[case] for case in titles}
                if model is None:
                    from meatus.cluster.spread import label_elsewhere  # only where it is asked for

                    label_elsewhere(request, todo, weights, folder, console.say, tell, tables)
                else:
                    label = method_of(request, model)
                    for attempt in attempts_at(request, todo, weights, model, folder, tell, tables):
                        with attempt.failing_alone():
                            found = label(attempt.read())
                            attempt.keep(found, probabilities=request.probabilities)
            tell.close(tables.finish if tables else _nothing, inputs.skipped)
    return SOME_FAILED if tell.failed or tell.unreported else 0


def results_of(
    inputs: Inputs, say: Callable[[str], None], *, probabilities: bool
) -> dict[Case, tuple[Kind, ...]]:
    """What each case leaves; one whose results cannot be named is refused.

    Raises ``UsageError`` where that cannot be had, or would go over what is read.
    """
    kinds = {
        case: kinds_of(case, inputs.kinds, say, probabilities=probabilities)
        for case in inputs.cases
    }
    check_apart(
        (path for case, of in kinds.items() for path in paths_of(case, of).values()),
        (file for case in kinds for file in case.files),
    )
    return with_short_names(kinds)


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
        if request.jobs > 1 and request.cluster is not None:
            raise UsageError("--jobs and --cluster both share out the cases; choose one.")
        if request.patient_names and request.anonymous_log:
            raise UsageError("--patient-names shows what --anonymous-log hides; choose one.")
        yield console


def _everywhere(request: Request) -> Request:
    """With paths that name the same files in every worker, whatever folder that runs in."""
    if request.cluster is None:
        return request
    chosen = (request.weights, request.cache, request.report)
    weights, cache, report = (path.absolute() if path else None for path in chosen)
    if request.weights is not None and not request.weights.exists():
        weights = request.weights  # the name of an installed set
    source, output = request.source.absolute(), request.output.absolute()
    return replace(
        request, source=source, output=output, weights=weights, cache=cache, report=report
    )


def _form(request: Request) -> Form:
    return "json" if request.log_json else "quiet" if request.quiet else "lines"


def _weights(request: Request, console: Console) -> Path:
    """The weights that were named, else the model folder's, else the shipped ones."""
    if request.weights is not None or not is_layout(request.source):
        return find_weights(request.weights, request.models) if request.weights else DEFAULT_WEIGHTS
    path, why = model_weights(request.model_folder, DEFAULT_WEIGHTS)
    console.say(why)
    return path


def _name_files(request: Request, inputs: Inputs) -> dict[Path, bytes]:
    """What tells viewers the labels' names, where that is asked for."""
    files = name_files() if request.label_names else {}
    return {inputs.folder / name: data for name, data in files.items()}


def _tables(request: Request) -> Tables | None:
    """Those of the report, where one is asked for; with ``resume`` earlier rows stay."""
    if request.report is None:
        return None
    tables = Tables(request.report, pdf=request.pdf)
    for place in (request.report, *request.report.glob("*/")):
        remove_unfinished(place)
    if request.resume:
        adopt_table(request.report)
    tables.start()
    return tables


def _nothing() -> None:
    """Finish no report."""


def _titles(
    request: Request, kinds: dict[Case, tuple[Kind, ...]], *, goes_on: bool
) -> dict[Case, str]:
    """The cases to do, in order, and what the log calls them.

    Where an earlier report ``goes_on``, a case that it lacks was labelled by a run that ended
    before it was reported, and is done again.
    """

    def is_reported(case: Case) -> bool:
        report = request.report
        return report is None or not goes_on or case_file(report, case.name).exists()

    return {
        case: f"case {number}" if request.anonymous_log else case.name
        for number, case in enumerate(kinds, 1)
        if (request.part is None or request.part.holds(number))
        and not (request.resume and is_done(case, kinds[case]) and is_reported(case))
    }


def _tell_start(
    request: Request, console: Console, model: Model | None, weights: Path, count: tuple[int, int]
) -> None:
    """``count`` is the number of cases, and of those that are still to do.

    The model is None where other processes load it.
    """
    named = "shipped" if weights == DEFAULT_WEIGHTS else weights
    console.say(f"meatus {__version__}: {NOTICE}")
    if model is None:
        console.say(f"weights: {named}")
    else:
        flips = len(EIGHT_FLIPS) if request.fusion == "vote" else len(model.flips)
        console.say(f"weights: {named} ({model.weights}), trained on {model.spec.origin}")
        console.say(
            f"quality: {model.quality}, {len(model.members)} member(s) x {flips} flip(s), "
            f"fused by {request.fusion}, on {model.members[0].name}"
        )
        if request.fusion == "vote" and model.spec.flips != "all":
            console.say(
                "take care: votes need eight flips, of which these weights have learnt "
                f"{model.spec.flips} alone; --fusion mean leaves the others out"
            )
    (cases, todo), part = count, request.part
    if part is not None:
        why = f" ({part.why})" * bool(part.why)
        console.say(f"part: {part.number} of {part.of}{why}")
        cases = sum(map(part.holds, range(1, cases + 1)))
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
