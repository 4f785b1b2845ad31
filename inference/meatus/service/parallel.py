"""Jobs that several processes share."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

from meatus.errors import WorkerError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    advice: str = "run the command again with fewer --workers: it goes on where it was.",
    *,
    apart: bool = False,
) -> Iterator[tuple[Job, Result]]:
    """Each job with its result, as they are ready; memory does not grow with their number.

    A single worker is this process itself, unless they are to be ``apart`` from it.

    Ctrl-C ends the main process; workers finish the job that they are at. Raises
    ``WorkerError``, with ``advice``, where a worker is killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1 and not apart:
        for job in jobs:
            yield job, work(job)
        return
    # Fresh processes: a forked one would inherit the threads of torch half-dead.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start_worker)
    ahead = iter(jobs)
    # No more than are being worked on: what a pool has queued it also makes after Ctrl-C.
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
        raise WorkerError(
            f"a worker was ended from outside, most likely for want of memory; {advice}"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started in this block use one thread for their arithmetic.

    NumPy's libraries otherwise start a thread per processor in each of them. They read the
    variables as they are loaded, so that a process cannot change its own.
    """
    kept = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
