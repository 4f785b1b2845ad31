"""All scans of a folder: checked together, prepared by workers, listed in one table."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TypeVar

from inference.images import UNFINISHED
from training.errors import TrainingError
from training.prepare.cases import PreparedCase, absolute, read_prepared, write_prepared
from training.prepare.check import Checked, check_case, no_cochlea, same_files
from training.prepare.config import PrepareSettings
from training.prepare.make import Record, finished, make_case
from training.prepare.raw import Found, RawCase

Job = TypeVar("Job")
Result = TypeVar("Result")
Told = Callable[[str], None]
Done = dict[tuple[str, str], Record]  # by split and name


def no_word(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Plan:
    """What is there, checked: nothing in it can fail any more but the disk."""

    found: Found
    checked: tuple[tuple[RawCase, Checked], ...]
    done: Done

    @property
    def missing(self) -> list[tuple[RawCase, Checked]]:
        return [(raw, seen) for raw, seen in self.checked if (raw.split, raw.name) not in self.done]

    @property
    def warnings(self) -> list[str]:
        lines = [line for _, seen in self.checked for line in seen.warnings]
        return [*self.found.notes, *lines]


def done_before(found: Found, settings: PrepareSettings, folder: Path) -> Done:
    """The records of what ``folder`` has already, of the same files and settings."""
    return {
        (raw.split, raw.name): record
        for raw in found.cases
        if (record := finished(raw, settings, folder))
    }


def check_all(
    data: Path,
    found: Found,
    done: Done,
    settings: PrepareSettings,
    workers: int = 1,
    told: Told = no_word,
) -> Plan:
    """Read the files of all cases that are not ``done`` to their ends.

    ``told`` hears of each. Raises ``TrainingError`` with a line for everything that is wrong,
    in all files of ``data``.
    """
    seen = {key: record.checked for key, record in done.items()}
    unread = [raw for raw in found.cases if (raw.split, raw.name) not in done]
    check = partial(check_case, settings=settings, data=data)
    for raw, result in in_parallel(check, unread, workers):
        seen[raw.split, raw.name] = result
        told(raw.scan.name)
    checked = tuple((raw, seen[raw.split, raw.name]) for raw in found.cases)
    problems = [*found.problems, *(line for _, result in checked for line in result.problems)]
    problems += [*same_files(checked, data), *no_cochlea(checked)]
    if problems:
        count = f"{len(problems)} thing{'s' if len(problems) > 1 else ''}"
        first = f"{data}: {count} to put right; nothing was started."
        raise TrainingError("\n  ".join([first, *problems]))
    return Plan(found, checked, done)


def carry_out(
    plan: Plan, folder: Path, settings: PrepareSettings, workers: int = 1, told: Told = no_word
) -> tuple[PreparedCase, ...]:
    """Prepare what is missing of ``plan`` and write the table of all cases.

    ``told`` hears of every case as it is there.
    """
    for unfinished in folder.rglob(UNFINISHED):  # of a run that was killed
        unfinished.unlink(missing_ok=True)
    records = dict(plan.done)
    make = partial(_make, settings=settings, folder=folder)
    for (raw, _), record in in_parallel(make, plan.missing, workers):
        records[raw.split, raw.name] = record
        told(raw.name)
    write_prepared(folder, settings, [absolute(record.case, folder) for record in records.values()])
    return read_prepared(folder)


def _make(job: tuple[RawCase, Checked], settings: PrepareSettings, folder: Path) -> Record:
    return make_case(*job, settings, folder)


def in_parallel(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    """Each job with its result, as they are ready; memory does not grow with their number."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job, work(job)
        return
    # Fresh processes: a forked one would inherit the threads of torch half-dead.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
    ahead = iter(jobs)
    running: dict[Future[Result], Job] = {
        pool.submit(work, job): job for job in islice(ahead, workers)
    }
    try:
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                running |= {pool.submit(work, other): other for other in islice(ahead, 1)}
                yield job, future.result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "a worker was ended from outside, most likely for want of memory; run the command "
            "again with fewer --workers: it goes on where it was."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
