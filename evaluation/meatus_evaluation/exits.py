"""How a command ends: files written whole, one line on stderr for an error, an exit code."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meatus.errors import InferenceError, OutputError, UsageError, printable
from meatus.report import write_whole
from meatus_evaluation.jobs import JobFailedError

# 0: all done. As for ``inference``.
BROKEN, NOTHING_DONE = 1, 2


@contextmanager
def errors_end_it() -> Iterator[None]:
    """End with one line instead of a traceback where the user can put it right.

    A result that could not be written, or a job that broke off, is work that was begun.
    """
    try:
        yield
    except InferenceError as error:
        say_error(str(error))
        begun = isinstance(error, JobFailedError | OutputError)
        sys.exit(BROKEN if begun else NOTHING_DONE)


def say_error(text: str) -> None:
    """One line on stderr."""
    print(f"error: {printable(text)}", file=sys.stderr)


def check_writable(*files: Path | None) -> None:
    """Before long work. Raises ``UsageError`` for a file that could not be written after it."""
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise UsageError(f"{file} is a folder; expected the name of a file to write.")
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"{file} cannot be written: {folder} is no folder open to this user.")


def write_text(file: Path | None, text: str) -> None:
    """Raises ``OutputError`` where it cannot be written; None: not asked for."""
    if file is not None:
        write_whole(file, text.encode())


def write_json(file: Path | None, values: dict[str, Any]) -> None:
    """See ``write_text``; numbers that are undefined become null."""
    write_text(file, json.dumps(_plain(values), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """NaN, which JSON does not know, as None."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
