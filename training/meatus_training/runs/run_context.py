"""The processes that carry out a chain of stages together, each stage once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout
from lightning.fabric import Fabric

from meatus_training.errors import TrainingError
from meatus_training.runs.launch import Precision, lone_fabric, make_fabric
from meatus_training.runs.stage_records import (
    StageRecord,
    begin,
    finish,
    give_up,
    is_done,
    read_record,
)

LOOK_EVERY_S = 0.5
PARENT = os.getppid()  # whoever started this process


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
class Part:
    """One of several pieces of work that do not need one another; see ``carry_out``."""

    folder: Path
    key: str
    job: Callable[[RunContext], object]
    makes: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RunContext:
    """The processes of a run, started; ``work`` is their common folder."""

    work: Path
    launch: Launch
    fabric: Fabric
    should_stop: Callable[[], bool]
    alone: str = ""  # what this process works on by itself, if it does; ``fabric`` is its own then

    def say(self, line: str) -> None:
        """To the user, once; each process that works by itself says what on."""
        self.fabric.print(f"{self.alone}: {line}" if self.alone else line, flush=True)

    def launched(self, precision: Precision) -> Fabric:
        """The Fabric to train with: of all processes, or of the one that works by itself."""
        if self.alone:
            return lone_fabric(self.fabric.device, precision)
        return self.launch.fabric(precision)

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
        anything was done; what fails is gone on with next time. Where another run works on
        ``folder``, this one waits; several processes end in a ``TrainingError`` instead.
        """
        with self._held(folder):
            if not self._begin(folder, key, keeps, makes):
                return False
            if alone and not self.fabric.is_global_zero:
                self._await(folder, key)
            else:
                self._work(folder, key, job, shared=not alone)
        return True

    def carry_out_all(self, parts: Sequence[Part]) -> None:
        """Carry out ``parts``, none of which needs another one, each as ``carry_out`` does.

        As many as all processes have alike are done side by side, each by one process on its own
        device; the others by all processes together, one after the other.
        """
        apart, shared = side_by_side(len(parts), self.fabric.world_size)
        with ExitStack() as held:
            for part in parts[: shared.start]:
                held.enter_context(self._held(part.folder))
            begun = [
                number
                for number in range(shared.start)
                if self._begin(parts[number].folder, parts[number].key, False, parts[number].makes)
            ]
            self._work_apart([parts[n] for n in apart[self.fabric.global_rank] if n in begun])
            for number in begun:
                self._await(parts[number].folder, parts[number].key)
        for part in parts[shared.start :]:
            self.carry_out(part.folder, part.key, partial(part.job, self), makes=part.makes)

    def _work_apart(self, parts: Sequence[Part]) -> None:
        """Do ``parts`` by itself; where one fails nobody is left waiting for those behind it."""
        for number, part in enumerate(parts):
            own = replace(
                self, fabric=lone_fabric(self.fabric.device), alone=self._name(part.folder)
            )
            try:
                self._work(part.folder, part.key, partial(part.job, own), shared=False)
            except BaseException:
                for later in parts[number + 1 :]:
                    give_up(later.folder, later.key)
                raise

    def _name(self, folder: Path) -> str:
        return str(folder.relative_to(self.work))

    @contextmanager
    def _held(self, folder: Path) -> Iterator[None]:
        """No other run works on ``folder`` meanwhile; the system frees it should this one die."""
        lock = FileLock(folder.resolve().with_name(f".{folder.name}.lock"))
        patient = self.fabric.world_size == 1  # of several, those who wait would lose patience
        name, waits = self._name(folder), False
        try:
            while not self._takes(lock):
                if not patient:
                    raise TrainingError(
                        f"{name}: another run works on it; run the same command again when that "
                        "is done."
                    )
                if not waits:
                    self.say(f"{name}: another run works on it; waiting")
                self.check_stop(name)
                waits = True
            yield
        finally:
            lock.release()

    def _takes(self, lock: FileLock) -> bool:
        """Whether the first process got ``lock`` before long, the same for all."""
        taken = True
        if self.fabric.is_global_zero:
            try:
                lock.acquire(timeout=LOOK_EVERY_S)
            except Timeout:
                taken = False
        return bool(self.fabric.broadcast(taken))

    def _begin(self, folder: Path, key: str, keeps: bool, makes: Sequence[Path]) -> bool:
        """Whether there is anything to do, the same for all processes; then all is ready for it."""
        name = self._name(folder)
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
        return True

    def _work(self, folder: Path, key: str, job: Callable[[], object], *, shared: bool) -> None:
        """Do ``job``: by itself, or ``shared`` by all processes; the first one notes it."""
        notes = self.fabric.is_global_zero or not shared
        try:
            job()
        except BaseException:
            if notes:
                give_up(folder, key)
            raise
        if shared:
            self.fabric.barrier()  # until every process has written its share
        if notes:
            finish(folder, key)

    def _await(self, folder: Path, key: str) -> None:
        """Until another process is done: not at a barrier, where patience ends in minutes."""
        name = self._name(folder)
        while not is_done(folder, key):
            self.check_stop(name)
            if read_record(folder) == StageRecord(key, failed=True):
                raise TrainingError(f"{name}: its process gave up; see what that says.")
            if os.getppid() != PARENT:  # nobody is left who would end this process
                raise TrainingError(
                    f"{name}: the process that started this one is gone; run the same command "
                    "again to go on."
                )
            time.sleep(LOOK_EVERY_S)


def side_by_side(parts: int, processes: int) -> tuple[list[range], range]:
    """The numbers of the parts that each process does by itself, and of those that all share.

    Nobody waits: each has as many, and what is left over, fewer than there are processes, is
    shared.
    """
    whole = parts - parts % processes if processes > 1 else 0
    return [range(rank, whole, processes) for rank in range(processes)], range(whole, parts)


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
