"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from meatus.errors import OutputError


def write_whole(path: Path, data: bytes) -> None:
    """Write ``path`` all at once. Raises ``OutputError`` where that cannot be done."""
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or see that this "
            "user may write there, then run the command again: it goes on where it was."
        ) from error
