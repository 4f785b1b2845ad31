"""A run's cases shared by several processes, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from meatus.cluster.processes import in_processes
from meatus.cluster.work import Job, Work, label_job, leave_work
from meatus.engines import usable_threads
from meatus.errors import OutputError
from meatus.report.tables import Tables
from meatus.service.batch import Outcome
from meatus.service.cases import Case
from meatus.service.labelling import lost_case
from meatus.service.output_folder import OutputFolder, open_output_folder
from meatus.service.request import Request
from meatus.service.results import Kind
from meatus.weights import find_networks

LOST = (
    "its process was ended from outside, time after time, most likely for want of memory. Label it "
    "with fewer --jobs or workers, or on a machine with more memory."
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
    for (case, of), outcome in _shared(request, list(kinds.items()), weights, output, say):
        tell(outcome or lost_case(request, case, of, folder, f"{case.scan}: {LOST}"))
        if tables is not None:
            with suppress(OutputError):  # it is told at the end, where it still holds
                tables.refresh()
    with open_output_folder(output):  # which clears up after workers that were killed
        pass


def _shared(
    request: Request, jobs: list[Job], weights: Path, output: Path, say: Callable[[str], None]
) -> Iterator[tuple[Job, Outcome | None]]:
    """Each of ``jobs`` with what became of it; None where its process did not live to say."""
    if request.cluster is not None:
        from meatus.cluster.dask_cluster import on_cluster  # Dask: only where it is asked for

        say(f"cluster: {request.cluster}")
        label = partial(label_job, Work(request, weights, output))
        return on_cluster(label, jobs, request.cluster, leave_work)
    usable = usable_threads()
    count = min(request.jobs, usable)
    threads = request.threads or max(1, usable // count)
    fewer = f", as many as there are processors, not {request.jobs}" * (count < request.jobs)
    say(f"processes: {count}{fewer}; {threads} thread(s) each")
    work = Work(replace(request, threads=threads), weights, output)
    return in_processes(partial(label_job, work), jobs, count)
