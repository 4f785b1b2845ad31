"""One case in a process that others share the work with: the model is loaded once in each."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.util import Finalize
from pathlib import Path

from meatus.ensemble import Model
from meatus.service.batch import Outcome
from meatus.service.cases import Case
from meatus.service.labelling import attempts_at, load, method_of
from meatus.service.output_folder import OutputFolder, open_output_folder
from meatus.service.request import Request
from meatus.service.results import Kind

Job = tuple[Case, tuple[Kind, ...]]

ONE_AT_A_TIME = threading.Lock()  # a worker of Dask may have several threads
FIRST = 10  # of what is cleaned up when a process ends


@dataclass(frozen=True)
class Work:
    """What is the same for all cases of a run."""

    request: Request
    weights: Path
    folder: Path  # of the results


def label_job(work: Work, job: Job) -> Outcome:
    """Label one case; what is sent back holds no voxels.

    Raises ``MeatusError`` where the model cannot be loaded or the folder not be written.
    """
    case, kinds = job
    told: list[Outcome] = []
    with ONE_AT_A_TIME:
        model, folder = _opened(work)
        label = method_of(work.request, model)
        for attempt in attempts_at(
            work.request, {case: kinds}, work.weights, model, folder, told.append
        ):
            with attempt.failing_alone():
                found = label(attempt.read())
                attempt.keep(found, probabilities=work.request.probabilities)
    return replace(told[0], result=None)


@lru_cache(maxsize=1)
def _opened(work: Work) -> tuple[Model, OutputFolder]:
    with ExitStack() as stack:
        folder = stack.enter_context(open_output_folder(work.folder))
        model = load(work.request, work.weights, lambda _line: None)
        _closing(stack.pop_all())
    return model, folder


def _closing(stack: ExitStack) -> None:
    """Close ``stack`` when this process ends, or another run's work is opened in it."""
    leave_work()
    OPEN.append(Finalize(None, stack.close, exitpriority=FIRST))


OPEN: list[Finalize] = []  # at most one


def leave_work() -> None:
    """Let go of the model and the folder that this process holds."""
    while OPEN:
        OPEN.pop()()
    _opened.cache_clear()
