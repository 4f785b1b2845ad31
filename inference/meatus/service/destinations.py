"""Where results are to go, looked at before any work: it can be written, and nothing there is read.

All commands that write ask here first.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from meatus.errors import UsageError
from meatus.io.images import not_read
from meatus.io.tree import files_below

# Written and removed again, as a disk may be full, or a share read-only, whatever rights say.
PROBE = bytes(4096)


def check_folders(*folders: Path | None) -> None:
    """Raise ``UsageError`` for a folder that cannot be made, or written into; None: not asked for.

    Nothing is left behind, not even the folder.
    """
    for folder in folders:
        if folder is not None:
            _try(folder, folder.absolute())


def check_writable(*files: Path | None) -> None:
    """Raise ``UsageError`` for a file that could not be written; None: not asked for."""
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise UsageError(f"{file} is a folder; expected the name of a file to write.")
        _try(file, file.absolute().parent)


def check_apart(
    outputs: Iterable[Path | None], inputs: Iterable[Path], *, recursive: bool = False
) -> None:
    """Raise ``UsageError`` where an output is the same file as an input, by whatever name.

    Of a folder among ``inputs`` its scans are meant, with ``recursive`` those below it too. Files
    are told apart by what they are on the disk: behind links, and where capitals make no
    difference, names say nothing.
    """
    there = {}
    for output in outputs:
        if output is not None:
            with suppress(OSError):  # not there yet
                status = output.stat()
                there[status.st_dev, status.st_ino] = output
    for source in _files_of(inputs, recursive) if there else ():
        with suppress(OSError):
            status = source.stat()
            if replaced := there.get((status.st_dev, status.st_ino)):
                raise UsageError(
                    f"{source} is read, and would be replaced by the result {replaced}. Nothing "
                    "was started; name another place for results."
                )


def longest_name(folder: Path) -> int | None:
    """How many bytes a file's name may have in ``folder``; None where the system does not say."""
    try:
        return os.pathconf(_nearest(folder.absolute()), "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # the first on Windows
        return None


def _files_of(inputs: Iterable[Path], recursive: bool) -> Iterator[Path]:
    for path in inputs:
        yield path
        if path.is_dir():
            with suppress(UsageError):  # whoever reads it tells what is wrong with it
                files = list(files_below(path, recursive=recursive))
                others = set(not_read(files))
                yield from (file for file in files if file not in others)


def _try(wanted: Path, folder: Path) -> None:
    """Write and remove a file where ``folder`` is, or would be made."""
    there = _nearest(folder)
    probe = there / f".{secrets.token_hex(8)}.part"
    try:
        with probe.open("xb") as file:
            file.write(PROBE)
    except OSError as error:
        why = f"no folder open to this user ({error.strerror})"
        raise UsageError(
            f"{wanted} cannot be written: {there} is {why}. Make room or see that this user may "
            "write there, or name another place."
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _nearest(folder: Path) -> Path:
    """``folder``, or the first above it that there is, a file or a link to nowhere too."""
    return next(place for place in (folder, *folder.parents) if os.path.lexists(place))
