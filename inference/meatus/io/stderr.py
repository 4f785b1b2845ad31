"""Where words on the process's error stream go, those of compiled code too.

The file descriptor is redirected, as compiled code does not know ``sys.stderr``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

STDOUT, STDERR = 1, 2

# Two threads that silence the stream at once would each restore what the other had put there.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def stderr_to(target: Literal["stderr", "stdout", "nowhere"]) -> Iterator[int]:
    """Redirect the error stream for the block; the descriptor that still leads where it led."""
    if sys.stderr is not None:  # else the caller has closed the stream
        sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        if target == "stdout":
            os.dup2(STDOUT, STDERR)
        elif target == "nowhere":
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), STDERR)
        yield kept
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what is written to the error stream nowhere; exceptions pass unchanged."""
    if sys.stderr is None:  # there is nothing to silence
        yield
        return
    with _ONE_AT_A_TIME, stderr_to("nowhere"):
        yield
