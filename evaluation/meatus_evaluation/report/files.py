"""Results in files, each whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from meatus.atomic import write_whole
from meatus.errors import UsageError


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
