"""Which parts of a working folder are done, and what they were made from.

Each part has a folder with a note in it: the key of its settings and inputs, and whether it is
done. A part of another key is never mixed with the new one nor deleted: it is set aside.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from meatus.atomic import write_whole
from meatus_training.errors import TrainingError

NOTE = "stage.json"
DIGITS = 16


@dataclass(frozen=True)
class StageRecord:
    """What a folder's note says."""

    key: str
    done: bool = False
    failed: bool = False  # the process that worked on it gave up


def key_of(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change with any of ``parts``: texts, numbers, lists."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:DIGITS]


def file_key(*files: Path) -> str:
    """Of what ``files`` hold, in this order. Raises ``TrainingError`` where one is gone."""
    digests = []
    for path in files:
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise TrainingError(
                f"{path}: cannot be read ({error.strerror}); run the stage before this one again."
            ) from error
    return key_of(*digests)


def read_record(folder: Path) -> StageRecord | None:
    """None where there is no note, or one that is not to be understood."""
    try:
        return StageRecord(**json.loads((folder / NOTE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_done(folder: Path, key: str) -> bool:
    return read_record(folder) == StageRecord(key, done=True)


def begin(folder: Path, key: str, aside: Path | None) -> Path | None:
    """Make ``folder`` ready for work on ``key``: what belongs to another one goes to ``aside``.

    What is there of the same key, or was begun without a note, stays to go on from; so does
    everything without an ``aside``. Returns where the other work went.
    """
    found = read_record(folder)
    moved = None
    if aside is not None and found is not None and found.key != key:
        moved = aside / f"{folder.name}-{found.key[:8]}"
        try:
            shutil.rmtree(moved, ignore_errors=True)  # an older one of the very same key
            aside.mkdir(parents=True, exist_ok=True)
            folder.rename(moved)
        except OSError as error:
            raise TrainingError(
                f"{folder}: is of other settings or scans and cannot be set aside "
                f"({error.strerror}); move it away."
            ) from error
    _write(folder, StageRecord(key))
    return moved


def finish(folder: Path, key: str) -> None:
    _write(folder, StageRecord(key, done=True))


def give_up(folder: Path, key: str) -> None:
    """Let those who wait for ``folder`` know that nobody works on it any more."""
    _write(folder, replace(StageRecord(key), failed=True))


def forget(folder: Path) -> None:
    """Let whoever begins ``folder`` next set aside what it holds."""
    if (found := read_record(folder)) is not None:
        _write(folder, StageRecord(key_of("forgotten", found.key)))


def _write(folder: Path, record: StageRecord) -> None:
    write_whole(folder / NOTE, (json.dumps(asdict(record)) + "\n").encode())
