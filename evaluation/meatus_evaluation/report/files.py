"""Results in files, each whole or not at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from meatus.atomic import write_whole


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
