"""Cases labelled one after the other in this process, and what a lost one leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from meatus.ensemble import Model
from meatus.errors import OutputError
from meatus.label_voting import segment_by_vote
from meatus.pipeline import load_model, segment
from meatus.postprocess import Rules
from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport
from meatus.report.tables import Tables
from meatus.service.batch import Outcome, attempts, empty_map, one_line
from meatus.service.cases import Case
from meatus.service.output_folder import OutputFolder
from meatus.service.path_scrubbing import without_paths
from meatus.service.recorder import Recorder
from meatus.service.request import Request
from meatus.service.results import Kind, Results, paths_of


def load(request: Request, weights: Path, say: Callable[[str], None]) -> Model:
    """The model that ``request`` asks for, of these ``weights``."""
    return load_model(
        weights,
        device=request.device,
        quality=request.quality,
        threads=request.threads,
        cache=request.cache,
        say=say,
    )


def label_cases(
    request: Request,
    kinds: dict[Case, tuple[Kind, ...]],
    weights: Path,
    model: Model,
    folder: OutputFolder,
    tell: Callable[[Outcome], None],
    tables: Tables | None = None,
) -> None:
    """Label the cases of ``kinds`` in order; ``tell`` gets what became of each."""
    rules = Rules(tumours=request.tumours)
    write = Results(folder, kinds, weights, model, rules, request.label_names).write
    record = Recorder(request.report, model, rules, tables).record
    for attempt in attempts(list(kinds), write, request.on_error, tell, record, folder.folder):
        with attempt.failing_alone():
            if request.fusion == "vote":
                made = segment_by_vote(attempt.read(), model)
            else:
                made = segment(attempt.read(), model, rules)
            attempt.keep(made, probabilities=request.probabilities)
        # If memory cannot be given back, the next case that lacks it says so.
        with suppress(Exception):
            model.release()


def lost_case(
    request: Request, case: Case, kinds: tuple[Kind, ...], folder: OutputFolder, error: str
) -> Outcome:
    """What a case leaves, and becomes, whose process did not live to say so."""
    try:
        if request.report is not None:
            write_case(request.report, CaseReport(case.name, error=without_paths(error, case)))
        if request.on_error == "empty":
            folder.put(empty_map(case), paths_of(case, kinds).get("nifti", case.result))
    except OutputError as unwritten:
        error = f"{error}; {one_line(unwritten)}"
    return Outcome(case, 0.0, error=error)
