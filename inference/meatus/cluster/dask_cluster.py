"""Cases shared by the workers of a Dask cluster, here or on many machines.

Workers read and write the same folders as this process, under the same names.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, TypeVar

from meatus.errors import UsageError

LOCAL, HERE = "local:", "127.0.0.1"
MISSING = "it is not installed; pip install 'meatus[cluster]'"

# Of many tasks several are handed out at once: handing out takes a few milliseconds each time.
MANY, BATCH = 1000, 16
AHEAD = 2  # batches handed out for each thread of the workers: no more wait in memory
LOOK_EVERY_S = 5.0  # at how many workers there are
PATIENCE_S = 120.0  # with the first worker

Task = TypeVar("Task")
Result = TypeVar("Result")


def on_cluster(
    do: Callable[[Task], Result],
    tasks: Sequence[Task],
    cluster: str,
    leave: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Task, Result | None]]:
    """Each of ``tasks`` with its result, as they end; at the end every worker calls ``leave``.

    A task whose worker dies is done again by another one; where those die too its result is None.
    Raises what ``do`` raises, and
    ``UsageError`` where there is no such cluster, or no worker in it.
    """
    with _client(cluster) as client:
        yield from _spread(client, do, tasks)
        with suppress(Exception):  # a worker that is gone has let go of everything
            client.run(leave)


def _spread(
    client: Any, do: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result | None]]:
    from distributed import KilledWorker, as_completed

    size = 1 if len(tasks) < MANY else BATCH
    batches = (tasks[start : start + size] for start in range(0, len(tasks), size))
    alone: list[Sequence[Task]] = []  # of batches that were lost
    running: dict[Any, Sequence[Task]] = {}
    done = as_completed(loop=client.loop)
    name, room, look = secrets.token_hex(4), 0, 0.0
    for number in count():
        if time.monotonic() >= look:
            room = AHEAD * max(1, sum(client.nthreads().values()))
            look = time.monotonic() + LOOK_EVERY_S
        if len(running) < room and (batch := alone.pop() if alone else next(batches, None)):
            key = f"meatus-{name}-{number}"
            future = client.submit(_each, do, batch, key=key, pure=False)
            running[future] = batch
            done.add(future)
            continue
        if not running:
            return
        future = next(done)
        batch = running.pop(future)
        try:
            yield from zip(batch, future.result(), strict=True)
        except KilledWorker:
            if len(batch) == 1:
                yield batch[0], None
            else:
                alone += [[task] for task in batch]
        del future  # so that the cluster forgets it


def _each(do: Callable[[Task], Result], batch: Sequence[Task]) -> list[Result]:
    return [do(task) for task in batch]


@contextmanager
def _client(cluster: str) -> Iterator[Any]:
    """A client of the cluster at an address, or of one on this machine, of ``local:N``."""
    try:
        from distributed import Client, LocalCluster
        from distributed.security import Security
    except ImportError as error:
        raise UsageError(f"--cluster needs Dask, and {MISSING}.") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the run tells what matters
    if not cluster.startswith(LOCAL):
        try:
            client = Client(cluster, timeout=PATIENCE_S / 4, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split()) or "no answer"
            raise UsageError(
                f"--cluster {cluster}: no scheduler of Dask answers there ({reason}). Start one "
                "with 'dask scheduler', or pass local:N."
            ) from error
        with client:
            _wait(client, cluster)
            yield client
        return
    workers = cluster.removeprefix(LOCAL)
    if not (workers.isascii() and workers.isdecimal() and int(workers)):
        raise UsageError(f"--cluster {cluster}: expected local:N, as local:4, or an address.")
    with (
        LocalCluster(
            n_workers=int(workers),
            threads_per_worker=1,
            host=HERE,
            dashboard_address=f"{HERE}:0",  # None would be every address of this machine
            worker_dashboard_address=f"{HERE}:0",
            memory_limit=0,  # the system's own limit counts
            security=Security.temporary(),  # no other user of this machine can hand work to it
            silence_logs=logging.CRITICAL,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        _wait(client, cluster)
        yield client


def _wait(client: Any, cluster: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise UsageError(
            f"--cluster {cluster}: no worker came within {PATIENCE_S:.0f} s. Start some with "
            "'dask worker'."
        ) from error
