"""The output folder: results appear in it whole or not at all, whoever else writes there.

Each run writes into a hidden folder of its own, named at random, and moves whole files out of it.
It holds a lock there for as long as it lives. The system drops the lock however a run ends, so a
later run can tell whose folder nobody needs any more. Process numbers could not: they repeat, and
two containers that write into one folder often have the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from meatus.atomic import UNFINISHED, UNFINISHED_NAME, written_whole
from meatus.errors import UsageError
from meatus.io.images import label_bytes
from meatus.volumes import Labels

OWN = ".meatus-"
LOCK = "lock"

# Where there is no lock to ask: no scan takes a day, and no file takes an hour to be written.
STALE_FOLDER_S = 24 * 3600
STALE_FILE_S = 3600

ATTEMPTS = 5  # at a folder of one's own; a second is needed only where another run cleans up


@dataclass(frozen=True)
class OutputFolder:
    """Where one run's results are made before they take their final names."""

    folder: Path

    def put(self, labels: Labels, result: Path, *, named: bool = False) -> None:
        """Write ``labels`` as ``result``, whole or not at all, also where the power fails.

        Raises ``OutputError`` where the file cannot be written.
        """
        self.put_bytes(label_bytes(labels, result.name, named=named), result)

    def put_bytes(self, data: bytes, result: Path) -> None:
        """Write ``result``, whole or not at all. Raises ``OutputError`` as ``put`` does."""
        with self.putting(result) as unfinished:
            unfinished.write_bytes(data)

    @contextmanager
    def putting(self, result: Path) -> Iterator[Path]:
        """A path to write to, which becomes ``result``. Raises ``OutputError`` as ``put`` does."""
        with written_whole(result, within=self.folder, durable=True) as unfinished:
            yield unfinished
            result.parent.mkdir(parents=True, exist_ok=True)  # of a case in a sub-folder

    def discard(self) -> None:
        """Leave nothing of this run but its finished results.

        The folder is renamed first: a thread that is still writing finds no place for new files.
        """
        gone = self.folder.with_name(f"{self.folder.name}-gone")
        with suppress(OSError):
            self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def open_output_folder(output: Path) -> Iterator[OutputFolder]:
    """Create the output folder, see that it can be written, clear up after killed runs.

    Raises ``UsageError`` where it cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_stale(output)
        folder, lock = _own_folder(output)
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written ({error.strerror}). Name another output folder, or "
            "give this user the right to write there."
        ) from error
    own = OutputFolder(folder)
    try:
        yield own
    finally:
        own.discard()
        os.close(lock)


def _own_folder(output: Path) -> tuple[Path, int]:
    """A new folder and its lock, which is held until the number is closed or the process ends."""
    for _ in range(ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=OWN, dir=output))
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # taken for a dead run's, before there was a lock in it
            continue
        if _lock(lock) is not False and _names(folder / LOCK, lock):
            return folder, lock
        os.close(lock)
    raise OSError(0, "other runs keep removing this run's hidden folder")


def _lock(file: int) -> bool | None:
    """Whether the lock could be taken; None where the system or the folder's disk knows none."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _names(path: Path, file: int) -> bool:
    """Whether ``path`` still leads to the open ``file``."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _remove_stale(output: Path) -> None:
    """Remove what dead runs left.

    What another run removes at the same time, or another user owns, is skipped.
    """
    for folder in output.glob(f"{OWN}*"):
        with suppress(OSError), _claimed(folder) as free:
            if free:
                shutil.rmtree(folder, ignore_errors=True)
    remove_unfinished(output)  # of callers of ``write_labels``, which know no lock


def remove_unfinished(folder: Path) -> None:
    """Remove from ``folder`` what killed runs were writing, once nobody can be writing it still."""
    for file in folder.glob(UNFINISHED):
        with suppress(OSError):
            if UNFINISHED_NAME.fullmatch(file.name) and _age_s(file) > STALE_FILE_S:
                file.unlink()


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Whether ``folder`` belongs to no living run; if so, it stays free meanwhile."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:  # its run was killed, or is just about to make the lock
        yield _age_s(folder) > STALE_FILE_S
        return
    try:
        taken = _lock(lock)
        yield _age_s(folder) > STALE_FOLDER_S if taken is None else taken
    finally:
        os.close(lock)


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime
