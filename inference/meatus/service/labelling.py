"""How a run labels its cases one after the other, and what a lost one leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from meatus.ensemble import Model
from meatus.errors import OutputError, ScanError
from meatus.label_voting import segment_by_vote
from meatus.pipeline import load_model, segment
from meatus.postprocess import Rules
from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport
from meatus.report.flags import not_hrt2
from meatus.report.tables import Tables
from meatus.service.batch import Attempt, Outcome, attempts, empty_map, one_line
from meatus.service.cases import Case
from meatus.service.output_folder import OutputFolder
from meatus.service.path_scrubbing import without_paths
from meatus.service.recorder import Recorder
from meatus.service.request import Request
from meatus.service.results import Kind, Results, paths_of
from meatus.volumes import Scan, Segmented


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


def method_of(request: Request, model: Model) -> Callable[[Scan], Segmented]:
    """What labels a scan: the whole method, but for its scan."""
    label: Callable[[Scan], Segmented] = (
        partial(segment_by_vote, model=model)
        if request.fusion == "vote"
        else partial(segment, model=model, rules=_rules(request))
    )
    return partial(_strictly, label) if request.strict else label


def _strictly(label: Callable[[Scan], Segmented], scan: Scan) -> Segmented:
    """Raises ``ScanError`` for a scan of another contrast."""
    found = label(scan)
    if why := not_hrt2(found.appearance.doubts):
        raise ScanError(f"{why}. Pass the hrT2 scan, or leave out --strict.")
    return found


def _rules(request: Request) -> Rules:
    return Rules(tumours=request.tumours, keep_doubtful=request.keep_doubtful)


def attempts_at(
    request: Request,
    kinds: dict[Case, tuple[Kind, ...]],
    weights: Path,
    model: Model,
    folder: OutputFolder,
    tell: Callable[[Outcome], None],
    tables: Tables | None = None,
) -> Iterator[Attempt]:
    """Each case of ``kinds`` in order, to put its result in; ``tell`` gets what became of it."""
    rules = _rules(request)
    write = Results(folder, kinds, weights, model, rules, request.label_names).write
    record = Recorder(request.report, model, rules, tables).record
    for attempt in attempts(list(kinds), write, request.on_error, tell, record, folder.folder):
        yield attempt
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
