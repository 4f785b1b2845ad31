"""The processes that carry out a chain of stages together, each stage once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lightning.fabric import Fabric

from meatus_training.errors import TrainingError
from meatus_training.runs.launch import Precision, make_fabric
from meatus_training.runs.stage_records import (
    StageRecord,
    begin,
    finish,
    give_up,
    is_done,
    read_record,
)

LOOK_EVERY_S = 0.5


class ToldToStopError(TrainingError):
    """Between two pieces of work somebody asked for an end."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was told to stop; what is done stays: run the same command again to go on."
        )


@dataclass(frozen=True)
class Launch:
    """On how many processes and devices; see ``launch.launch_options``."""

    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"

    def fabric(self, precision: Precision = "fp32") -> Fabric:
        return make_fabric(self.devices, self.nodes, self.strategy, self.accelerator, precision)


@dataclass(frozen=True)
class RunContext:
    """The processes of a run, started; ``work`` is their common folder."""

    work: Path
    launch: Launch
    fabric: Fabric
    should_stop: Callable[[], bool]

    def say(self, line: str) -> None:
        """To the user, once."""
        self.fabric.print(line, flush=True)

    def check_stop(self, what: str) -> None:
        """Raise ``ToldToStopError`` where the run is to end."""
        if self.should_stop():
            raise ToldToStopError(what)

    def share(self, jobs: int) -> range:
        """The numbers of the jobs that are this process's."""
        return range(self.fabric.global_rank, jobs, self.fabric.world_size)

    def carry_out(
        self,
        folder: Path,
        key: str,
        job: Callable[[], object],
        *,
        alone: bool = False,
        keeps: bool = False,
        makes: Sequence[Path] = (),
    ) -> bool:
        """Do ``job``, which fills ``folder``, unless that holds the result of ``key`` already.

        All processes do it together, or the first one ``alone`` while the others wait as long
        as it takes. What ``folder`` holds of another key is set aside, unless the job ``keeps``
        what it can use. A result is whole where all that it ``makes`` is there. Returns whether
        anything was done; what fails is gone on with next time.
        """
        name = str(folder.relative_to(self.work))
        self.check_stop(name)
        whole = is_done(folder, key) and all(path.exists() for path in makes)
        if self.fabric.broadcast(whole):
            self.say(f"{name}: done before, unchanged")
            return False
        if self.fabric.is_global_zero:
            aside = None if keeps else self.work / "aside" / folder.parent.relative_to(self.work)
            if moved := begin(folder, key, aside):
                self.say(f"{name}: settings or inputs changed; what was there is now {moved}")
        self.fabric.barrier()
        if alone and not self.fabric.is_global_zero:
            self._await(folder, key, name)
        else:
            self._work(folder, key, job, alone)
        return True

    def _work(self, folder: Path, key: str, job: Callable[[], object], alone: bool) -> None:
        first = self.fabric.is_global_zero
        try:
            job()
        except BaseException:
            if first:
                give_up(folder, key)
            raise
        if not alone:
            self.fabric.barrier()  # until every process has written its share
        if first:
            finish(folder, key)

    def _await(self, folder: Path, key: str, name: str) -> None:
        """Until the first process is done: not at a barrier, where patience ends in minutes."""
        while not is_done(folder, key):
            self.check_stop(name)
            if read_record(folder) == StageRecord(key, failed=True):
                raise TrainingError(f"{name}: the first process gave up; see what it says.")
            time.sleep(LOOK_EVERY_S)


@contextmanager
def ends_on_sigterm(what: str) -> Iterator[None]:
    """Raise ``ToldToStopError`` wherever SIGTERM comes; for work that may end at any place."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise ToldToStopError(what)

    kept = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)
