"""What many cases cost beside their labelling: a run over empty scans with an empty engine.

``python -m meatus.cluster.dry_run`` lists the scans of a folder, hands each to a process that only
writes the case's file of the report, makes the tables, and joins the reports of parts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from click.testing import CliRunner

from meatus.cluster.processes import in_processes
from meatus.errors import UsageError
from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport
from meatus.report.commands import merge
from meatus.report.tables import Tables
from meatus.service.cases import Case
from meatus.service.commands import one_line_errors
from meatus.service.inputs import find_inputs
from meatus.service.run import results_of
from meatus.timing import peak_mib

PER_FOLDER = 1000  # scans, as an archive has them
PARTS = 4  # reports that are joined
MS, KIB = 1000, 1024


@dataclass(frozen=True)
class Cost:
    """Of one step."""

    step: str
    wall_ms: float  # a case
    cpu_ms: float  # a case, of this process's processor time
    grown_kib: float  # by which this process's peak memory grew, a case


def dry_run(count: int, folder: Path, jobs: int, cluster: str | None) -> list[Cost]:
    """What each step costs for ``count`` scans of no voxels, made in ``folder``, which is empty."""
    source, out = folder / "in", folder / "out"
    for number in range(count):
        place = source / f"{number // PER_FOLDER:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:07d}_T2.nii.gz").touch()
    costs: list[Cost] = []
    with _measured("list", count, costs):
        inputs = find_inputs(source, out, _unheard)
        kinds = results_of(inputs, _unheard, probabilities=False)
    if len(kinds) != count:
        raise UsageError(f"{len(kinds)} of {count} scans were found; name an empty folder.")
    with _measured("schedule", count, costs):
        done = sum(1 for _ in _shared(partial(_label, folder), list(kinds), jobs, cluster))
    if done != count:
        raise UsageError(f"{done} of {count} cases came back.")
    parts = [folder / f"report-{part}" for part in range(PARTS)]
    with _measured("make tables", count, costs):
        for part in parts:
            Tables(part).finish()
    with _measured("join reports", count, costs):
        joined = CliRunner().invoke(merge, [*map(str, parts), str(folder / "report")])
    if joined.exit_code:
        raise UsageError(joined.output.strip())
    return costs


def _unheard(_line: str) -> None:
    """What a run would tell."""


def _label(folder: Path, case: Case) -> str:
    """The empty engine: a case is done as soon as it is begun."""
    part = int(case.name.rpartition("/")[2]) % PARTS
    write_case(folder / f"report-{part}", CaseReport(case.name, error="dry run"))
    return case.name


def _shared(
    do: Callable[[Case], str], cases: Sequence[Case], jobs: int, cluster: str | None
) -> Iterator[object]:
    if cluster is None:
        return in_processes(do, cases, jobs)
    from meatus.cluster.dask_cluster import on_cluster

    return on_cluster(do, cases, cluster)


@contextmanager
def _measured(step: str, count: int, costs: list[Cost]) -> Iterator[None]:
    wall, cpu, memory = time.perf_counter(), time.process_time(), peak_mib() or 0.0
    yield
    wall_ms = (time.perf_counter() - wall) * MS / count
    cpu_ms = (time.process_time() - cpu) * MS / count
    costs.append(Cost(step, wall_ms, cpu_ms, ((peak_mib() or 0.0) - memory) * KIB / count))


@click.command()
@click.option("--cases", "count", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--cluster", help="Share by Dask instead: an address, or local:N.")
@one_line_errors
def main(count: int, jobs: int, cluster: str | None) -> None:
    """Print what CASES cost beside their labelling."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'step':14} {'ms a case':>10} {'of them CPU here':>18} {'KiB a case':>11}")
        for cost in dry_run(count, Path(folder), jobs, cluster):
            numbers = f"{cost.wall_ms:10.3f} {cost.cpu_ms:18.3f} {cost.grown_kib:11.2f}"
            print(f"{cost.step:14} {numbers}", flush=True)


if __name__ == "__main__":
    main()
