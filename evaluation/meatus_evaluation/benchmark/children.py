"""Processes that a benchmark starts, and that never outlive it."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import psutil  # type: ignore[import-untyped]

from meatus.errors import InferenceError
from meatus.service.stopping import STOPS

GRACE_S = 5.0  # to end on their own, as predict does when it is asked to
LOOK_EVERY_S = 0.05


class ChildFailedError(InferenceError):
    """A process that was measured ended in an error."""


@contextmanager
def no_child_left() -> Iterator[None]:
    """However this block ends, by a stop signal too, what it started ends with it.

    A signal leaves the block as ``SystemExit`` with 128 and its number.
    """
    before = set(_children())

    def leave(number: int, _frame: FrameType | None) -> None:
        end()  # before those in between end, whose own children could no longer be found
        raise SystemExit(128 + number)

    def end() -> None:
        for stop in kept:
            signal.signal(stop, signal.SIG_IGN)  # a second one would leave children running
        _end([child for child in _children() if child not in before])

    here = threading.current_thread() is threading.main_thread()  # no other may set handlers
    kept = {stop: signal.signal(stop, leave) for stop in STOPS} if here else {}
    try:
        yield
    finally:
        end()
        for stop, handler in kept.items():
            signal.signal(stop, handler)


def output_of(command: Sequence[str], job: str) -> str:
    """What ``command`` prints. Raises ``ChildFailedError`` with its last line and ``job``."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ChildFailedError(f"{job}: {said[-1].removeprefix('error: ')}")
    return done.stdout


def _children() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    until = time.monotonic() + GRACE_S
    while (left := [process for process in processes if _runs(process)]) and (
        time.monotonic() < until
    ):
        time.sleep(LOOK_EVERY_S)
    for process in left:
        with suppress(psutil.Error):
            process.kill()


def _runs(process: psutil.Process) -> bool:
    """Looks only: whoever started it is to be told its exit code."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
