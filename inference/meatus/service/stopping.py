"""What happens when the user or the system ends a run early."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping(leave: Callable[[str], None]) -> Iterator[None]:
    """Call ``leave`` with the signal's name, then exit with 128 and its number, on a stop signal.

    A thread waits for the signal: Python's own handlers run between two steps of the main thread
    alone, and a network's pass may last longer than the ten seconds that a container is given.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; whoever called from another one handles them
        return
    wanted = [stop for stop in STOPS if signal.getsignal(stop) is not signal.SIG_IGN]
    receiving, sending = os.pipe()
    if hasattr(os, "set_blocking"):  # on Windows since Python 3.12
        os.set_blocking(sending, False)
    threading.Thread(target=_wait, args=(receiving, leave), daemon=True).start()
    wakeup = signal.set_wakeup_fd(sending)
    kept = {stop: signal.signal(stop, _nothing) for stop in wanted}
    try:
        yield
    finally:
        for stop, handler in kept.items():
            signal.signal(stop, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(sending)  # which ends the thread


def _wait(receiving: int, leave: Callable[[str], None]) -> None:
    numbers = set(STOPS)
    while received := os.read(receiving, 1):
        if received[0] in numbers:
            with suppress(Exception):  # a full disk or a closed terminal must not keep it alive
                leave(signal.Signals(received[0]).name)
            os._exit(128 + received[0])
    os.close(receiving)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Take the place of the default, which would end the process before it could clean up."""
