"""Keeps a library's own words off the error stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what compiled code writes to the error stream nowhere; exceptions pass unchanged.

    Redirects the file descriptor, as compiled code does not know ``sys.stderr``.
    """
    if sys.stderr is None:  # the caller has closed the stream: there is nothing to silence
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
