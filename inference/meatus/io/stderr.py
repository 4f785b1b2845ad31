"""Where words on the process's error stream go, those of compiled code too.

The file descriptor is redirected, as compiled code does not know ``sys.stderr``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
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
def quiet() -> Iterator[None]:
    """As ``silent_stderr``, with Python's own warnings and log lines unheard as well."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what is written to the error stream nowhere; exceptions pass unchanged."""
    with _ONE_AT_A_TIME:
        if sys.stderr is None:  # there is nothing to silence
            yield
            return
        with stderr_to("nowhere"):
            yield
