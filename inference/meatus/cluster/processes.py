"""Jobs shared by processes on this machine, which outlive one that is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from meatus.errors import WorkerError
from meatus.service.parallel import in_parallel, one_thread_each

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    do: Callable[[Job], Result], jobs: Sequence[Job], count: int
) -> Iterator[tuple[Job, Result | None]]:
    """Each of ``jobs`` with its result, as they end, by ``count`` processes.

    Where one of them is killed, the jobs that were at work are tried again, each in a process of
    its own, so that one that kills its process fails alone: its result is None.
    """
    left = dict.fromkeys(jobs)
    with one_thread_each():  # of NumPy's libraries: the engine has threads of its own
        while left:
            try:
                for job, result in in_parallel(do, list(left), count, apart=True):
                    del left[job]
                    yield job, result
            except WorkerError:
                for job in list(left)[:count]:  # they were begun in this order
                    del left[job]
                    yield job, _alone(do, job)


def _alone(do: Callable[[Job], Result], job: Job) -> Result | None:
    try:
        ((_, result),) = in_parallel(do, [job], 1, apart=True)
    except WorkerError:
        return None
    return result
