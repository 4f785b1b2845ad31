"""Cases shared by processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from meatus.cluster.work import Job, Work, label_job, lost_job
from meatus.errors import WorkerError
from meatus.service.batch import Outcome
from meatus.service.output_folder import OutputFolder
from meatus.service.parallel import in_parallel, one_thread_each

KILLED = (
    "its process was ended from outside, most likely for want of memory. Label it with fewer "
    "--jobs, or on a machine with more memory."
)


def label_in_processes(
    work: Work, jobs: Sequence[Job], count: int, folder: OutputFolder
) -> Iterator[Outcome]:
    """What becomes of each of ``jobs``, as they end, by ``count`` processes.

    Where one of them is killed, the cases that were at work are tried again, each in a process of
    its own, so that one that cannot be labelled here fails alone.
    """
    left = dict.fromkeys(jobs)
    label = partial(label_job, work)
    with one_thread_each():  # of NumPy's libraries: the engine has threads of its own
        while left:
            try:
                for job, outcome in in_parallel(label, list(left), count, apart=True):
                    del left[job]
                    yield outcome
            except WorkerError:
                for job in list(left)[:count]:  # they were begun in this order
                    del left[job]
                    yield _alone(work, job, folder)


def _alone(work: Work, job: Job, folder: OutputFolder) -> Outcome:
    try:
        ((_, outcome),) = in_parallel(partial(label_job, work), [job], 1, apart=True)
    except WorkerError:
        return lost_job(work, job, folder, f"{job[0].scan}: {KILLED}")
    return outcome
