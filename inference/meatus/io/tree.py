"""The files of a folder and of all below it, in an order that is always the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from meatus.errors import UsageError


def files_below(
    folder: Path,
    *,
    recursive: bool = True,
    leave_out: Callable[[Path], bool] = lambda _folder: False,
) -> Iterator[Path]:
    """Every file of ``folder`` that is not hidden, by name, before those of its sub-folders.

    A link to a folder counts as one, unless it leads to a folder that it lies in. An empty
    sub-folder is given as a file would be, and so is every one where not ``recursive``.
    Sub-folders that ``leave_out`` is true of are passed over. Raises ``UsageError`` where a folder
    cannot be read.
    """
    yield from _below(folder, (), recursive, leave_out)


def _below(
    folder: Path, above: tuple[str, ...], recursive: bool, leave_out: Callable[[Path], bool]
) -> Iterator[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        with os.scandir(folder) as entries:  # it tells folders without a look at every file
            folders = {entry.name for entry in entries if _is_folder(entry)}
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read ({error.strerror}). Pass a folder that this user may read."
        ) from error
    if above and not paths:
        yield folder
    above = (*above, os.path.realpath(folder))
    below = []
    for path in paths:
        if recursive and path.name in folders:
            below.append(path)
        else:
            yield path
    for path in below:
        if os.path.realpath(path) not in above and not leave_out(path):
            yield from _below(path, above, recursive, leave_out)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()
