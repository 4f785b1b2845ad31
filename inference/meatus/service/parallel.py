"""Jobs that several processes share."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from meatus.errors import WorkerError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Result]):
    result: Result


def in_parallel(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    advice: str = "run the command again with fewer --workers: it goes on where it was.",
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with its result, as they are ready; memory does not grow with their number.

    A single worker is this process itself.

    Ctrl-C ends the main process; workers finish the job that they are at. Raises
    ``WorkerError``, with ``advice``, where a worker is killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job, work(job)
        return
    for job, done in by_workers(work, jobs, workers):
        if done is None:
            raise WorkerError(
                f"a worker was ended from outside, most likely for want of memory; {advice}"
            )
        yield job, done.result


def by_workers(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Done[Result] | None]]:
    """Each job with what other processes made of it, as they end; None where one was killed.

    Another process takes the place of one that is killed. No job is begun that cannot be worked
    on at once. Raises what ``work`` raises.
    """
    crew: dict[Connection, BaseProcess] = {}
    at: dict[Connection, Job] = {}  # which job each process is at
    ahead = iter(jobs)
    try:
        for job in islice(ahead, workers):
            _give(_join(crew, work), job, at)
        while at:
            for pipe in wait(list(at)):
                assert isinstance(pipe, Connection)
                job, answer = at.pop(pipe), _answer(pipe)
                if answer is None:
                    pipe.close()
                    crew.pop(pipe).join()
                for following in islice(ahead, 1):
                    _give(pipe if answer else _join(crew, work), following, at)
                if isinstance(answer, Exception):
                    raise answer
                yield job, answer
    finally:
        for pipe in crew:
            pipe.close()
        for process in crew.values():
            process.join()


def _join(crew: dict[Connection, BaseProcess], work: Callable[[Job], Result]) -> Connection:
    """The pipe to a new process in ``crew`` that gets jobs and sends answers."""
    # Fresh processes: a forked one would inherit the threads of torch half-dead.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs))
    process.start()
    theirs.close()  # so that the process alone holds it, and its end is seen
    crew[ours] = process
    return ours


def _give(pipe: Connection, job: Job, at: dict[Connection, Job]) -> None:
    with suppress(OSError):  # of a process that is gone no answer comes
        pipe.send(job)
    at[pipe] = job


def _answer(pipe: Connection) -> Any:
    """What a process sends: ``Done`` or an exception; None where it is gone."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _serve(work: Callable[[Job], Result], pipe: Connection) -> None:
    """Do the jobs that come through ``pipe`` until it is closed."""
    start_worker()
    with suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            try:
                answer: object = Done(work(job))
            except Exception as error:
                error.add_note(f"In a worker:\n{traceback.format_exc()}")
                answer = error
            pipe.send(answer)


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
