"""Files that are there whole or not at all."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meatus_training.errors import TrainingError


def write_whole(path: Path, data: bytes) -> None:
    """Write ``path`` all at once. Raises ``TrainingError`` where that cannot be done."""
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}); make room or see that this "
            "user may write there, then run the command again: it goes on where it was."
        ) from error


def array_bytes(voxels: NDArray[Any]) -> bytes:
    """The bytes of a .npy file, C order, from which parts can be mapped."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(voxels), allow_pickle=False)
    return buffer.getvalue()
