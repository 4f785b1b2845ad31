"""Jobs shared by processes on this machine, which outlive one that is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from meatus.service.parallel import by_workers, one_thread_each

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    do: Callable[[Job], Result], jobs: Sequence[Job], count: int
) -> Iterator[tuple[Job, Result | None]]:
    """Each of ``jobs`` with its result, as they end, by ``count`` processes.

    A job whose process is killed is tried again at the end, when no other is at work. The result
    of one that kills its process again is None.
    """
    lost = []
    with one_thread_each():  # of NumPy's libraries: the engine has threads of its own
        for job, done in by_workers(do, jobs, count):
            if done is None:
                lost.append(job)
            else:
                yield job, done.result
        for job, done in by_workers(do, lost, 1):
            yield job, None if done is None else done.result
