"""A run's cases shared by several processes, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from meatus.cluster.work import Job, Work, label_job, leave_work, lost_job
from meatus.engines import usable_threads
from meatus.report.tables import Tables
from meatus.service.batch import Outcome
from meatus.service.cases import Case
from meatus.service.output_folder import OutputFolder, open_output_folder
from meatus.service.request import Request
from meatus.service.results import Kind
from meatus.weights import find_networks

LOST = (
    "its worker died, and the next ones too, most likely for want of memory. Label it on a machine "
    "with more memory."
)


def label_elsewhere(
    request: Request,
    kinds: dict[Case, tuple[Kind, ...]],
    weights: Path,
    folder: OutputFolder,
    say: Callable[[str], None],
    tell: Callable[[Outcome], None],
    tables: Tables | None,
) -> None:
    """Label the cases of ``kinds`` in several processes; ``tell`` gets what became of each.

    Raises ``MeatusError`` where no process can be had or none can load the model.
    """
    find_networks(weights)  # what is wrong with them is told before any process starts
    output = folder.folder.parent
    for outcome in _outcomes(request, list(kinds.items()), weights, folder, say):
        tell(outcome)
        if tables is not None:
            tables.refresh()
    with open_output_folder(output):  # which clears up after workers that were killed
        pass


def _outcomes(
    request: Request,
    jobs: list[Job],
    weights: Path,
    folder: OutputFolder,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    output = folder.folder.parent
    if request.cluster is not None:
        from meatus.cluster.dask_cluster import LostError, on_cluster  # Dask: only where asked for

        say(f"cluster: {request.cluster}")
        work = Work(request, weights, output)
        label = partial(label_job, work)
        for job, result in on_cluster(label, jobs, request.cluster, leave_work):
            if isinstance(result, LostError):
                result = lost_job(work, job, folder, f"{job[0].scan}: {LOST}")
            yield result
        return
    from meatus.cluster.processes import label_in_processes

    usable = usable_threads()
    count = min(request.jobs, usable)
    threads = request.threads or max(1, usable // count)
    fewer = f", as many as there are processors, not {request.jobs}" * (count < request.jobs)
    say(f"processes: {count}{fewer}; {threads} thread(s) each")
    work = Work(replace(request, threads=threads), weights, output)
    yield from label_in_processes(work, jobs, count, folder)
