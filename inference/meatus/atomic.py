"""Files that are there whole or not at all: the one way to write a file.

What is being written has a name of fixed, short length beside the final one, so that every name
that the disk can hold can be written. The name is random, as process numbers repeat: two
containers that write into one folder are often number 1 both.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from meatus.errors import OutputError

# Files that are being written, or were when their process was killed; up to 0.1.0 the final
# name followed.
UNFINISHED = ".*.part*"
UNFINISHED_NAME = re.compile(r"\.(?:[0-9a-f]{16}\.part|\d+\.part\..+)")  # of those, our own


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``path``, and its folder, all at once; ``OutputError`` where that cannot be done.

    With ``durable`` the file is whole also where the power fails.
    """
    with written_whole(path, durable=durable) as unfinished:
        unfinished.write_bytes(data)


@contextmanager
def written_whole(
    path: Path, *, within: Path | None = None, durable: bool = False
) -> Iterator[Path]:
    """A path to write to, in the folder ``within`` or beside ``path``, which becomes ``path``.

    Nothing is left where the block fails. With ``durable`` the file is whole also where the power
    fails. Raises ``OutputError`` where the disk refuses.
    """
    unfinished = (within or path.parent) / f".{secrets.token_hex(8)}.part"
    try:
        if within is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        if durable:
            with unfinished.open(
                "r+b"
            ) as file:  # some systems flush none that is open to read alone
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        advice = "make room, or see that this user may write there."
        if error.errno == errno.ENAMETOOLONG:
            advice = "give what it is named after a shorter name, or choose another disk."
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); {advice}"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
