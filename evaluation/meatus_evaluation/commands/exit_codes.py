"""How a command ends: one line on stderr for an error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from meatus.errors import InferenceError, OutputError, printable
from meatus_evaluation.benchmark.batch import BatchFailedError

# 0: all done. As for ``inference``.
BROKEN, NOTHING_DONE = 1, 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End with one line instead of a traceback where the user can put it right.

    A result that could not be written, or a batch that broke off, is work that was begun.
    """
    try:
        yield
    except InferenceError as error:
        say_error(str(error))
        begun = isinstance(error, BatchFailedError | OutputError)
        sys.exit(BROKEN if begun else NOTHING_DONE)


def say_error(text: str) -> None:
    """One line on stderr."""
    print(f"error: {printable(text)}", file=sys.stderr)
